/*
 * TDG.VP.VMCALL<Instruction.CPUID>: GHCI, section 3.6. Only leafs that the TDX module leaves to the VMM come here: those about
 * the platform that a TD is on, of which it gets a plain one. SDM vol. 2, CPUID.
 */
#include "kernel/vm/ghci/vmcall.h"

#include "guest/shim/machine.h"
#include "lib/hw/cpu.h"
#include "lib/string.h"

enum {
    CACHE_DESCRIPTORS = 0x2,
    POWER_MANAGEMENT = 0x6,
    TOPOLOGY = 0xb,
    FREQUENCIES = 0x16,
    TOPOLOGY_V2 = 0x1f,
};

#define CACHES_BY_LEAF_4  0x00feff01u /* descriptors FFH: leaf 4 has them; FEH: leaf 18H has the TLBs */
#define TIMER_ALWAYS_RUNS (1u << 2)   /* ARAT */
#define LEVEL_THREAD      (1u << 8)
#define LEVEL_CORE        (2u << 8)
#define BUS_MHZ           100u

static unsigned bits_for(unsigned count)
{
    unsigned bits = 0;

    while (1u << bits < count)
        bits++;
    return bits;
}

/* One package, each vCPU a core of one thread; the APIC id is the vCPU's index. */
static struct cpuid_regs topology(unsigned vcpu, u32 level)
{
    struct cpuid_regs r = {.ecx = level & 0xff, .edx = vcpu};

    if (level == 0) {
        r.ebx = 1;
        r.ecx |= LEVEL_THREAD;
    } else if (level == 1) {
        r.eax = bits_for(vm.vcpu_count);
        r.ebx = vm.vcpu_count;
        r.ecx |= LEVEL_CORE;
    }
    return r;
}

static struct cpuid_regs hypervisor(void)
{
    struct cpuid_regs r = {.eax = MACHINE_HYPERVISOR_LAST};

    memcpy(&r.ebx, MACHINE_HYPERVISOR, 4);
    memcpy(&r.ecx, &MACHINE_HYPERVISOR[4], 4);
    memcpy(&r.edx, &MACHINE_HYPERVISOR[8], 4);
    return r;
}

static struct cpuid_regs cpuid(unsigned vcpu, u32 leaf, u32 subleaf)
{
    u32 mhz = (u32)(vm.td.tsc_khz / 1000);

    switch (leaf) {
    case CACHE_DESCRIPTORS:
        return (struct cpuid_regs){.eax = CACHES_BY_LEAF_4};
    case POWER_MANAGEMENT:
        return (struct cpuid_regs){.eax = TIMER_ALWAYS_RUNS};
    case TOPOLOGY:
    case TOPOLOGY_V2:
        return topology(vcpu, subleaf);
    case FREQUENCIES:
        return (struct cpuid_regs){.eax = mhz, .ebx = mhz, .ecx = BUS_MHZ};
    case MACHINE_HYPERVISOR_LEAF:
        return hypervisor();
    default:
        return (struct cpuid_regs){0};
    }
}

enum ghci_next vmcall_cpuid(const struct vmcall *c)
{
    struct cpuid_regs r = cpuid(c->vcpu, (u32)c->r->r12, (u32)c->r->r13);

    c->r->r12 = r.eax;
    c->r->r13 = r.ebx;
    c->r->r14 = r.ecx;
    c->r->r15 = r.edx;
    return vmcall_answer(c, VMCALL_STATUS_SUCCESS);
}
