/*
 * MSRs of a TDX-capable CPU. Most are constants, one table; a few have handlers. What is not listed goes to the CPU underneath,
 * except AMD's own range, which an Intel CPU does not have.
 */
#include "sim/machine/msr.h"
#include "sim/machine/apic.h"
#include "sim/machine/config.h"
#include "sim/machine/guest.h"
#include "sim/machine/hw/cpu.h"
#include "sim/machine/mca.h"
#include "sim/machine/platform.h"
#include "sim/machine/pmu.h"
#include "sim/machine/pool.h"

#define IA32_APIC_BASE       0x1b
#define IA32_FEATURE_CONTROL 0x3a
#define IA32_KEYID_PARTITION 0x87
#define IA32_BIOS_SIGN_ID    0x8b
#define IA32_MTRRCAP         0xfe
#define IA32_TSX_CTRL        0x122
#define IA32_MISC_ENABLE     0x1a0
#define IA32_SMRR_PHYSBASE   0x1f2
#define IA32_SMRR_PHYSMASK   0x1f3
#define IA32_VMX_BASIC       0x480
#define IA32_VMX_VMFUNC      0x491
#define IA32_VMX_CR4_FIXED1  0x489
#define IA32_TSC_DEADLINE    0x6e0
#define IA32_TME_CAPABILITY  0x981
#define IA32_TME_ACTIVATE    0x982
#define IA32_SEAMRR_BASE     0x1400
#define IA32_SEAMRR_MASK     0x1401
#define IA32_EFER            0xc0000080
#define AMD_FIRST            0xc0010000
#define AMD_LAST             0xc0011fff

#define MTRRCAP_SMRR      (1ull << 11 | 1ull << 14) /* that can be locked */
#define MTRRCAP_SEAMRR    (1ull << 15)
#define SMRR_VALID        (1ull << 11)
#define SMRR_LOCKED       (1ull << 10)
#define SEAMRR_CONFIGURED (1ull << 3)
#define SEAMRR_LOCKED     (1ull << 10)
#define SEAMRR_ENABLED    (1ull << 11)
#define FEATURE_LOCKED    (1ull << 0)
#define FEATURE_VMX       (1ull << 2)
#define FEATURE_SGX       (1ull << 18)
#define MISC_ENABLE       0x850089 /* performance monitoring and branch trace are there; MONITOR */
#define TSX_CTRL_CLEAR    2        /* RTM and HLE are hidden */

/* Below 4 GiB, where no memory is: nothing of the firmware's own SMM is shown. */
#define SMRR_BASE 0xfe000000ull
#define SMRR_MASK 0xff800000ull

#define EFER_SCE (1ull << 0)
#define EFER_LME (1ull << 8)
#define EFER_LMA (1ull << 10)
#define EFER_NXE (1ull << 11)
#define CR0_PG   (1ull << 31)

/* Read-only ones. VMX capabilities: the values of a fourth-generation Xeon, appendix A of SDM vol. 3 says what they mean. */
struct constant {
    u32 msr;
    u64 value;
};
static const struct constant constants[] = {
    {0x480, VMX_REVISION | 0x1000ull << 32 | 6ull << 50 | 1ull << 54 | 1ull << 55},
    {0x481, 0x000000ff00000016},
    {0x482, 0xfffbfffe0401e172},
    {0x483, 0x00ffffff00036dff},
    {0x484, 0x0003ffff000011ff},
    {0x485, 0x00000000700401e5},
    {0x486, 0x0000000080000021},
    {0x487, 0x00000000ffffffff},
    {0x488, 0x0000000000002000},
    {0x48a, 0x000000000000002e},
    {0x48b, 0x0075d7ff00000000},
    {0x48c, 0x00000f0106734141},
    {0x48d, 0x000000ff00000016},
    {0x48e, 0xfffbfffe04006172},
    {0x48f, 0x00ffffff00036dfb},
    {0x490, 0x0003ffff000011fb},
    {0x491, 0x0000000000000001},
};
#define CONSTANT_COUNT (sizeof(constants) / sizeof(constants[0]))

u64 msr_cr4_allowed(void)
{
    u32 r[4];
    u64 bits = 0x7ff | 1ull << 13 | 1ull << 14 | 1ull << 18; /* up to OSXMMEXCPT; VMXE, SMXE, OSXSAVE */
    cpu_raw_cpuid(7, 0, r);
    bits |= (u64)(r[2] >> 2 & 1) << 11;  /* UMIP */
    bits |= (u64)(r[2] >> 16 & 1) << 12; /* LA57 */
    bits |= (u64)(r[1] & 1) << 16;       /* FSGSBASE */
    bits |= (u64)(r[1] >> 7 & 1) << 20;  /* SMEP */
    bits |= (u64)(r[1] >> 20 & 1) << 21; /* SMAP */
    bits |= (u64)(r[2] >> 3 & 1) << 22;  /* PKE */
    bits |= (u64)(r[2] >> 31) << 24;     /* PKS */
    return bits;
}

static u64 keyid_partition(void)
{
    u64 first = plat_info()->first_private_hkid, all = 1u << PLATFORM_KEYID_BITS;
    return (all - first) << 32 | (first - 1);
}

static u64 tme_activate(void)
{
    u64 private_bits = 0;
    while (1u << (private_bits + 1) <= sim_config()->hkids)
        private_bits++;
    private_bits = PLATFORM_KEYID_BITS - private_bits;
    /* Locked, enabled, AES-XTS-128; KeyID bits; of these, those that mark a private KeyID when set. */
    u64 enabled = sim_config()->tme == TME_ON ? 3 : 1;
    return enabled | (u64)PLATFORM_KEYID_BITS << 32 | private_bits << 36 | 1ull << 48;
}

static u64 seamrr_mask(void)
{
    u32 state = sim_config()->seamrr;
    return (((1ull << PLATFORM_MAXPA) - 1) & ~(pool_bytes() - 1)) | (state >= SEAMRR_UNLOCKED ? SEAMRR_ENABLED : 0) |
           (state >= SEAMRR_ON ? SEAMRR_LOCKED : 0);
}

/* MSRs that the CPU only has where memory encryption, or SEAM, is there. */
static bool is_left_out(u32 msr)
{
    if (msr == IA32_TME_CAPABILITY || msr == IA32_TME_ACTIVATE || msr == IA32_KEYID_PARTITION)
        return sim_config()->tme == TME_ABSENT;
    if (msr == IA32_SEAMRR_BASE || msr == IA32_SEAMRR_MASK)
        return sim_config()->seamrr == SEAMRR_ABSENT;
    return false;
}

/* Is this the CPU that a knob names? 0 names none. */
static bool is_on(const struct cpu *cpu, u32 named)
{
    return named && cpu->index == named;
}

static bool read_own(struct cpu *cpu, u32 msr, u64 *value)
{
    if (is_left_out(msr))
        return false;
    switch (msr) {
    case IA32_APIC_BASE:
        *value = apic_base_read(cpu);
        return true;
    case IA32_FEATURE_CONTROL:
        *value = cpu->feature_control;
        return true;
    case IA32_KEYID_PARTITION:
        *value = keyid_partition();
        return true;
    case IA32_BIOS_SIGN_ID:
        *value = (u64)(sim_config()->microcode + is_on(cpu, sim_config()->microcode_differs)) << 32;
        return true;
    case IA32_MTRRCAP:
        *value = cpu_rdmsr(IA32_MTRRCAP) | MTRRCAP_SMRR | (sim_config()->seamrr == SEAMRR_ABSENT ? 0 : MTRRCAP_SEAMRR);
        return true;
    case IA32_TSX_CTRL:
        *value = is_on(cpu, sim_config()->msr_differs) ? TSX_CTRL_CLEAR : 0;
        return true;
    case IA32_MISC_ENABLE:
        *value = MISC_ENABLE;
        return true;
    case IA32_SMRR_PHYSBASE:
        *value = SMRR_BASE | 6; /* write-back */
        return true;
    case IA32_SMRR_PHYSMASK:
        *value = SMRR_MASK | SMRR_VALID | (sim_config()->smrr_locked ? SMRR_LOCKED : 0);
        return true;
    case IA32_VMX_CR4_FIXED1:
        *value = msr_cr4_allowed();
        return true;
    case IA32_TME_CAPABILITY: /* AES-XTS-128 and -256, with integrity; KeyID bits, number of KeyIDs */
        *value = 7ull | (u64)PLATFORM_KEYID_BITS << 32 | ((1ull << PLATFORM_KEYID_BITS) - 1) << 36;
        return true;
    case IA32_TME_ACTIVATE:
        *value = tme_activate();
        return true;
    case IA32_SEAMRR_BASE:
        *value = pool_base() | SEAMRR_CONFIGURED;
        return true;
    case IA32_SEAMRR_MASK:
        *value = seamrr_mask();
        return true;
    case IA32_EFER:
        *value = cpu->vmm->efer & ~EFER_SVME;
        return true;
    }
    return false;
}

static bool is_own(u32 msr)
{
    static const u32 own[] = {
        IA32_APIC_BASE,      IA32_FEATURE_CONTROL, IA32_KEYID_PARTITION, IA32_BIOS_SIGN_ID, IA32_MTRRCAP,
        IA32_VMX_CR4_FIXED1, IA32_TME_CAPABILITY,  IA32_TME_ACTIVATE,    IA32_SEAMRR_BASE,  IA32_SEAMRR_MASK,
        IA32_EFER,           IA32_TSC_DEADLINE,    IA32_TSX_CTRL,        IA32_MISC_ENABLE,  IA32_SMRR_PHYSBASE,
        IA32_SMRR_PHYSMASK};
    for (unsigned i = 0; i < sizeof(own) / sizeof(own[0]); i++)
        if (own[i] == msr)
            return true;
    return (msr >= MSR_X2APIC_FIRST && msr <= MSR_X2APIC_LAST) || pmu_has_msr(msr) || mca_has_msr(msr) ||
           (msr >= AMD_FIRST && msr <= AMD_LAST) || (msr >= IA32_VMX_BASIC && msr <= IA32_VMX_VMFUNC);
}

static bool read_msr(struct cpu *cpu, u32 msr, u64 *value)
{
    if (msr >= MSR_X2APIC_FIRST && msr <= MSR_X2APIC_LAST)
        return apic_read_msr(cpu, msr, value);
    if (pmu_has_msr(msr))
        return pmu_read(&cpu->pmu, msr, value);
    if (mca_has_msr(msr))
        return mca_read(&cpu->mca, msr, value);
    for (unsigned i = 0; i < CONSTANT_COUNT; i++)
        if (constants[i].msr == msr) {
            *value = constants[i].value;
            return true;
        }
    return read_own(cpu, msr, value);
}

static bool write_efer(struct cpu *cpu, u64 value)
{
    struct vmcb *v = cpu->vmm;
    if (value & ~(EFER_SCE | EFER_LME | EFER_LMA | EFER_NXE))
        return false;
    if (v->cr0 & CR0_PG && (value ^ v->efer) & EFER_LME)
        return false;
    v->efer = (value & ~EFER_LMA) | (v->efer & EFER_LMA) | EFER_SVME;
    return true;
}

static bool write_msr(struct cpu *cpu, u32 msr, u64 value)
{
    if (msr >= MSR_X2APIC_FIRST && msr <= MSR_X2APIC_LAST)
        return apic_write_msr(cpu, msr, value);
    if (pmu_has_msr(msr))
        return pmu_write(&cpu->pmu, msr, value);
    if (mca_has_msr(msr))
        return mca_write(&cpu->mca, msr, value);
    switch (msr) {
    case IA32_APIC_BASE:
        return apic_base_write(cpu, value);
    case IA32_EFER:
        return write_efer(cpu, value);
    case IA32_BIOS_SIGN_ID:
    case IA32_MISC_ENABLE:
        return true;
    default: /* the rest is read-only, locked, or not there */
        return false;
    }
}

void msr_init(struct cpu *cpu)
{
    cpu->feature_control =
        FEATURE_LOCKED | (sim_config()->vmx ? FEATURE_VMX : 0) | (sim_config()->sgx ? FEATURE_SGX : 0);
}

void msr_exit(struct cpu *cpu)
{
    struct vmcb *v = cpu->vmm;
    u32 msr = (u32)cpu->lp.vmm[RCX];
    u64 value = (u32)v->rax | cpu->lp.vmm[RDX] << 32;
    bool is_write = v->exit_info_1 & 1;
    if (!(is_write ? write_msr(cpu, msr, value) : read_msr(cpu, msr, &value))) {
        guest_inject_error(cpu, VECTOR_GP, 0);
        return;
    }
    if (!is_write) {
        v->rax = (u32)value;
        cpu->lp.vmm[RDX] = value >> 32;
    }
    v->rip += 2;
}

/* Two bits an MSR, read and write, in three ranges of 2000h MSRs each. APM vol. 2, section 15.11. */
static void intercept(u8 *map, u32 msr)
{
    u32 index = msr < 0x2000 ? msr : msr < AMD_FIRST ? 0x2000 + (msr - 0xc0000000) : 0x4000 + (msr - AMD_FIRST);
    map[index / 4] |= 3u << (index % 4 * 2);
}

void *msr_make_map(void)
{
    u8 *map = pool_take(2);
    for (u32 i = 0; i < 0x2000; i++) {
        if (is_own(i))
            intercept(map, i);
        intercept(map, AMD_FIRST + i);
    }
    intercept(map, IA32_EFER);
    return map;
}
