/*
 * TDG.VP.VMCALL<Instruction.RDMSR, WRMSR>: GHCI, sections 3.10 and 3.11. MSRs that the TDX module leaves to the VMM: those of the
 * local APIC that it does not virtualize, and a few that say that something is not there. No other is for the TD:
 * INVALID_OPERAND, which a guest turns into #GP.
 */
#include "kernel/vm/ghci/vmcall.h"

#include "drivers/virt/vapic.h"
#include "guest/shim/machine.h"
#include "kernel/vm/devices.h"
#include "kernel/vm/interrupt.h"
#include "lib/bits.h"

enum {
    MSR_PLATFORM_ID = 0x17,
    MSR_APIC_BASE = 0x1b,
    MSR_FEATURE_CONTROL = 0x3a,
    MSR_BIOS_SIGN_ID = 0x8b, /* written with 0 and then read: the microcode's revision, in the upper half */
    MSR_PLATFORM_INFO = 0xce,
    MSR_MTRRCAP = 0xfe,
    MSR_MISC_FEATURES_ENABLES = 0x140,
    MSR_MCG_CAP = 0x179,
    MSR_MCG_STATUS = 0x17a,
    MSR_MTRR_DEF_TYPE = 0x2ff,
};

#define FEATURE_CONTROL_LOCKED BIT(0)
#define MICROCODE_REVISION     (1ull << 32)
#define APIC_BASE_BSP          BIT(8)
#define APIC_BASE_X2_ENABLED   (BIT(10) | BIT(11))

/* What they hold, and 'no more than that may be written'. */
static const struct {
    u32 msr;
    bool is_writable;
    u64 value;
} constants[] = {
    {MSR_PLATFORM_ID, false, 0},
    {MSR_FEATURE_CONTROL, false, FEATURE_CONTROL_LOCKED},
    {MSR_BIOS_SIGN_ID, false, MICROCODE_REVISION},
    {MSR_PLATFORM_INFO, false, 0},
    {MSR_MTRRCAP, false, 0}, /* no MTRR at all: memory types are the PAT's */
    {MSR_MISC_FEATURES_ENABLES, true, 0},
    {MSR_MCG_CAP, false, 0}, /* no banks */
    {MSR_MCG_STATUS, true, 0},
    {MSR_MTRR_DEF_TYPE, false, 0},
};

static bool find_constant(u32 msr, unsigned *n)
{
    for (*n = 0; *n < ARRAY_COUNT(constants); ++*n)
        if (constants[*n].msr == msr)
            return true;
    return false;
}

static bool is_apic(u64 msr)
{
    return msr >= VAPIC_MSR_BASE && msr < VAPIC_MSR_END;
}

static u64 apic_base(unsigned vcpu)
{
    return MACHINE_LAPIC_GPA | APIC_BASE_X2_ENABLED | (vcpu == 0 ? APIC_BASE_BSP : 0);
}

static bool read(unsigned vcpu, u64 msr, u64 *value)
{
    unsigned n;

    if (is_apic(msr))
        return vapic_read(&vm.vcpus[vcpu].apic, (u32)msr, interrupt_bus_now(), value);
    *value = apic_base(vcpu);
    if (msr == MSR_APIC_BASE)
        return true;
    if (msr != (u32)msr || !find_constant((u32)msr, &n))
        return false;
    *value = constants[n].value;
    return true;
}

static bool write_apic(unsigned vcpu, u32 msr, u64 value)
{
    if (!vapic_write(&vm.vcpus[vcpu].apic, msr, value, interrupt_bus_now()))
        return false;
    if (msr == VAPIC_MSR_ICR) {
        struct vapic_ipi ipi = vapic_ipi(value);
        devices_send(&ipi, vcpu);
    }
    return true;
}

static bool write(unsigned vcpu, u64 msr, u64 value)
{
    unsigned n;

    if (is_apic(msr))
        return write_apic(vcpu, (u32)msr, value);
    if (msr == MSR_APIC_BASE)
        return value == apic_base(vcpu);
    if (msr == MSR_BIOS_SIGN_ID)
        return value == 0;
    return msr == (u32)msr && find_constant((u32)msr, &n) && constants[n].is_writable && value == constants[n].value;
}

enum ghci_next vmcall_rdmsr(const struct vmcall *c)
{
    u64 value;

    if (!read(c->vcpu, c->r->r12, &value))
        return vmcall_answer(c, VMCALL_STATUS_INVALID_OPERAND);
    c->r->r11 = value;
    return vmcall_answer(c, VMCALL_STATUS_SUCCESS);
}

enum ghci_next vmcall_wrmsr(const struct vmcall *c)
{
    bool done = write(c->vcpu, c->r->r12, c->r->r13);

    return vmcall_answer(c, done ? VMCALL_STATUS_SUCCESS : VMCALL_STATUS_INVALID_OPERAND);
}
