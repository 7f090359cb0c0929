/*
 * CPUID: the features of the CPU underneath, under the name and with the additions of a TDX-capable Intel server. What the
 * platform neither passes through nor emulates is cleared; a leaf that Intel does not have reads as zeros.
 */
#include "sim/machine/cpuid.h"
#include "sim/machine/config.h"
#include "sim/machine/hw/cpu.h"
#include "sim/machine/platform.h"
#include "sim/machine/pmu.h"

enum { EAX, EBX, ECX, EDX };
#define BIT(n) (1u << (n))

#define BASIC_MAX    0x1f
#define EXTENDED_MAX 0x80000008
#define SIGNATURE    0x000806f8 /* family 6, model 143, stepping 8 */
#define CRYSTAL_HZ   25000000u
#define CR4_OSXSAVE  (1ull << 18)
#define CR4_PKE      (1ull << 22)

static void set(u32 out[4], u32 eax, u32 ebx, u32 ecx, u32 edx)
{
    out[EAX] = eax;
    out[EBX] = ebx;
    out[ECX] = ecx;
    out[EDX] = edx;
}

static void features_1(const struct cpu *cpu, u32 out[4])
{
    out[EAX] = SIGNATURE;
    out[ECX] |= BIT(5) | BIT(6) | BIT(21);                /* VMX, SMX, x2APIC */
    out[ECX] &= ~(BIT(17) | BIT(24) | BIT(27) | BIT(15)); /* PCID, TSC deadline, OSXSAVE, PDCM */
    if (cpu->vmm->cr4 & CR4_OSXSAVE)
        out[ECX] |= BIT(27);
    u32 in_package = 1u << cpu_package_shift();
    out[EBX] = (out[EBX] & 0xffff) | (in_package < 255 ? in_package : 255) << 16 | cpu->apic_id << 24;
    out[EDX] = (out[EDX] & ~BIT(28)) | (in_package > 1 ? BIT(28) : 0); /* HTT: the field above counts */
}

/*
 * Caches of a fourth-generation Xeon (the CPU underneath may have leaf 8000001Dh instead): the last level is a package's, the others
 * one core's, which its threads share. EAX without its counts, EBX, ECX, EDX by SDM vol. 2.
 */
static void caches(u32 subleaf, u32 out[4])
{
    static const u32 table[][4] = {
        {0x121, 11u << 22 | 63, 63, 0},     /* L1 data, 48 KiB */
        {0x122, 7u << 22 | 63, 63, 0},      /* L1 code, 32 KiB */
        {0x143, 15u << 22 | 63, 2047, 0},   /* L2, 2 MiB */
        {0x163, 14u << 22 | 63, 114687, 4}, /* L3, 105 MiB */
    };
    const unsigned count = sizeof(table) / sizeof(table[0]);
    u32 in_package = (1u << cpu_package_shift()) - 1, in_core = sim_config()->threads - 1;
    u32 cores = (1u << (cpu_package_shift() - cpu_thread_shift())) - 1;
    set(out, 0, 0, 0, 0);
    if (subleaf >= count)
        return;
    const u32 *row = table[subleaf];
    set(out, row[EAX] | (subleaf == count - 1 ? in_package : in_core) << 14 | cores << 26, row[EBX], row[ECX],
        row[EDX]);
}

/* SDM vol. 2, CPUID leaf 1FH: the lowest bits of the x2APIC ID number a core's threads, the rest below the shift a package's cores. */
static void topology(const struct cpu *cpu, u32 subleaf, u32 out[4])
{
    set(out, 0, 0, subleaf, cpu->apic_id);
    if (subleaf == 0)
        set(out, cpu_thread_shift(), sim_config()->threads, 1u << 8, cpu->apic_id);
    else if (subleaf == 1)
        set(out, cpu_package_shift(), cpu_package_size(), 1 | 2u << 8, cpu->apic_id);
}

static void features_7(const struct cpu *cpu, u32 subleaf, u32 out[4])
{
    if (subleaf)
        return;
    out[EBX] &= ~BIT(10); /* INVPCID */
    out[EBX] =
        (out[EBX] & ~BIT(2)) | (sim_config()->sgx ? BIT(2) : 0); /* SGX, with no enclave memory: leaf 12h is empty */
    out[ECX] |= BIT(28) | BIT(22);  /* MOVDIR64B and RDPID: emulated where the CPU has none */
    out[ECX] &= ~(BIT(5) | BIT(4)); /* WAITPKG, OSPKE */
    if (cpu->vmm->cr4 & CR4_PKE)
        out[ECX] |= BIT(4);
}

static void brand(u32 leaf, u32 out[4])
{
    static const char text[48] = "Simulated Intel TDX platform (Septum simtdx)";
    const char *part = text + 16 * (leaf - 0x80000002);
    for (unsigned i = 0; i < 4; i++)
        out[i] = (u8)part[4 * i] | (u32)(u8)part[4 * i + 1] << 8 | (u32)(u8)part[4 * i + 2] << 16 |
                 (u32)(u8)part[4 * i + 3] << 24;
}

static void extended(u32 leaf, u32 out[4])
{
    switch (leaf) {
    case 0x80000000:
        set(out, EXTENDED_MAX, 0, 0, 0);
        break;
    case 0x80000001:
        out[EAX] = out[EBX] = 0;
        out[ECX] &= BIT(0) | BIT(5) | BIT(8);                        /* LAHF, LZCNT, PREFETCHW */
        out[EDX] &= BIT(11) | BIT(20) | BIT(26) | BIT(27) | BIT(29); /* SYSCALL, NX, 1G pages, RDTSCP, long mode */
        break;
    case 0x80000002 ... 0x80000004:
        brand(leaf, out);
        break;
    case 0x80000006:
        set(out, 0, 0, out[ECX], 0);
        break;
    case 0x80000007:
        set(out, 0, 0, 0, BIT(8)); /* invariant TSC */
        break;
    case 0x80000008:
        set(out, (out[EAX] & 0xff00) | PLATFORM_MAXPA, 0, 0, 0);
        break;
    default:
        set(out, 0, 0, 0, 0);
    }
}

static void basic(const struct cpu *cpu, u32 leaf, u32 subleaf, u32 out[4])
{
    u32 tsc_khz = (u32)(plat_info()->tsc_hz / 1000);
    switch (leaf) {
    case 0:
        set(out, BASIC_MAX, 0x756e6547, 0x6c65746e, 0x49656e69); /* GenuineIntel */
        break;
    case 1:
        features_1(cpu, out);
        break;
    case 7:
        features_7(cpu, subleaf, out);
        break;
    case 0x15: /* TSC = crystal * EBX / EAX */
        set(out, CRYSTAL_HZ / 1000, tsc_khz, CRYSTAL_HZ, 0);
        break;
    case 0x16:
        set(out, tsc_khz / 1000, tsc_khz / 1000, 100, 0);
        break;
    case 0x0b:
    case 0x1f:
        topology(cpu, subleaf, out);
        break;
    case 4:
        caches(subleaf, out);
        break;
    case 0x0a:
        pmu_cpuid(out);
        break;
    case 2:
    case 5:
    case 6:
    case 0x0d:
        break;
    default:
        set(out, 0, 0, 0, 0);
    }
}

static void read_leaf(const struct cpu *cpu, u32 leaf, u32 subleaf, u32 out[4])
{
    cpu_raw_cpuid(leaf, subleaf, out);
    if (leaf >= 0x80000000)
        extended(leaf, out);
    else if (leaf == 0x40000000) /* "SeptumSimTDX": samples taken here must not pass for hardware */
        set(out, 0x40000000, 0x74706553, 0x69536d75, 0x5844546d);
    else if (leaf >= 0x40000000)
        set(out, 0, 0, 0, 0);
    else
        basic(cpu, leaf, subleaf, out);
}

void cpuid_as_intel(const struct cpu *cpu, u32 leaf, u32 subleaf, u32 out[4])
{
    const struct config_list *odd = &sim_config()->cpuid_differs;
    read_leaf(cpu, leaf, subleaf, out);
    for (u32 i = 0; i < odd->count; i++)
        if (odd->lines[i][0] == cpu->index && odd->lines[i][1] == leaf)
            out[EDX] ^= BIT(0);
}

void cpuid_exit(struct cpu *cpu)
{
    u32 out[4];
    cpuid_as_intel(cpu, (u32)cpu->vmm->rax, (u32)cpu->lp.vmm[RCX], out);
    cpu->vmm->rax = out[EAX];
    cpu->lp.vmm[RBX] = out[EBX];
    cpu->lp.vmm[RCX] = out[ECX];
    cpu->lp.vmm[RDX] = out[EDX];
    cpu->vmm->rip += 2;
}
