/* CR4 and CPUID as the VMM wants them. See control.h. */
#include "kernel/guard/control.h"

#include "lib/bits.h"
#include "lib/format.h"
#include "lib/hw/cpu.h"

#define CR4_MCE BIT(6)

#define CPUID_LIMITED_MAX 3u
#define MSR_MISC_ENABLE   0x1a0
#define LIMIT_CPUID       BIT(22)

/*
 * All that may stay: DE, PSE, PAE, MCE, PGE, PCE, OSFXSR, OSXMMEXCPT, LA57, VMXE, SMXE, FSGSBASE, OSXSAVE. Some of it cannot change
 * in 64-bit mode or in VMX operation; the firmware's own code, at a reset, wants the rest.
 */
#define CR4_KEPT (BITS_MASK(3, 6) | BITS_MASK(9, 2) | BITS_MASK(12, 3) | BIT(16) | BIT(18))

/*
 * The VMM runs in the lower half of addresses, under page tables and an IDT of its own, and its stacks are changed by hand: LASS
 * forbids it all three addresses, CET's shadow stack its changes of stack, FRED its IDT; others give bits of its page table entries
 * and of CR3 another meaning. SMEP and SMAP guard against pages of users, of which it has none, but firmware's tables may.
 */
static const char *const names[64] = {
    [0] = "VME",  [1] = "PVI",  [2] = "TSD",  [11] = "UMIP",  [17] = "PCIDE", [20] = "SMEP", [21] = "SMAP",
    [22] = "PKE", [23] = "CET", [24] = "PKS", [25] = "UINTR", [27] = "LASS",  [28] = "LAM",  [32] = "FRED",
};

u64 control_cr4(u64 left, bool has_mce)
{
    return (left & CR4_KEPT) | (has_mce ? CR4_MCE : 0);
}

const char *control_names(u64 left, char to[CONTROL_NAMES_BYTES])
{
    size_t used = 0;

    to[0] = '\0';
    for (unsigned bit = 0; bit < ARRAY_COUNT(names); bit++) {
        if (!(left & ~CR4_KEPT & BIT(bit)))
            continue;
        if (names[bit] != NULL)
            used += format_to(to + used, CONTROL_NAMES_BYTES - used, " %s", names[bit]);
        else
            used += format_to(to + used, CONTROL_NAMES_BYTES - used, " bit%u", bit);
    }
    return to;
}

bool control_unlimit_cpuid(void)
{
    u64 value;

    return cpu_cpuid(0, 0).eax <= CPUID_LIMITED_MAX && cpu_read_msr(MSR_MISC_ENABLE, &value) && (value & LIMIT_CPUID) &&
           cpu_write_msr(MSR_MISC_ENABLE, value & ~LIMIT_CPUID);
}
