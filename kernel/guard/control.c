/* CR4 as the VMM wants it. See control.h. */
#include "kernel/guard/control.h"

#include "lib/bits.h"
#include "lib/format.h"

#define CR4_MCE BIT(6)

/*
 * The VMM runs in the lower half of addresses, under page tables and an IDT of its own, and its stacks are changed by hand: LASS
 * forbids it all three addresses, CET's shadow stack its changes of stack, FRED its IDT; the others give bits of its page table
 * entries and of CR3 another meaning. SMEP and SMAP may stay: none of its pages is a user's.
 */
static const struct {
    unsigned bit;
    const char *name;
} unwanted[] = {
    {17, "PCIDE"}, {22, "PKE"}, {23, "CET"}, {24, "PKS"}, {25, "UINTR"}, {27, "LASS"}, {28, "LAM"}, {32, "FRED"},
};

u64 control_cr4(u64 left, bool has_mce)
{
    for (unsigned i = 0; i < ARRAY_COUNT(unwanted); i++)
        left &= ~BIT(unwanted[i].bit);
    return left | (has_mce ? CR4_MCE : 0);
}

const char *control_names(u64 left, char to[CONTROL_NAMES_BYTES])
{
    size_t used = 0;

    to[0] = '\0';
    for (unsigned i = 0; i < ARRAY_COUNT(unwanted); i++)
        if (left & BIT(unwanted[i].bit))
            used += format_to(to + used, CONTROL_NAMES_BYTES - used, " %s", unwanted[i].name);
    return to;
}
