/*
 * The module's table of CPUID leafs, and how rows are found. Values per TD lie in struct tdcs_cpuid, in the table's
 * order.
 */
#ifndef SIM_MODULE_CPUID_H
#define SIM_MODULE_CPUID_H

#include "sim/module/guest.h"

#define CPUID_ROWS             64
#define CPUID_NO_SUBLEAF       0xffffffffu
#define CPUID_NOT_CONFIGURABLE 0xffu

struct cpuid_row {
    u32 leaf, subleaf;
    bool faults;
    u8 configurable;
    u32 clear[4], set[4];
};
struct cpuid_configurable {
    u32 direct[4], allowed[4];
};
extern const struct cpuid_row mdl_cpuid_rows[CPUID_ROWS];
extern const struct cpuid_configurable mdl_cpuid_configurable[MDL_CPUID_CONFIGS];

/* This CPU's values, which each other one has to have too. The latter answers the leaf's name and the bits that are compared in
 * RCX, RDX and R8 where one differs. Under the module's lock. */
void mdl_cpuid_sample(void);
u64 mdl_cpuid_compare(struct call *c);

/* Row of a leaf and sub-leaf; CPUID_ROWS when the table has none. */
unsigned mdl_cpuid_find(u32 leaf, u32 subleaf);

#endif
