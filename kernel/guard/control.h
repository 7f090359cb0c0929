/* CR4 and CPUID in a known state, whatever a firmware has left on. SDM vol. 3, section 2.5; vol. 4, IA32_MISC_ENABLE. */
#ifndef KERNEL_GUARD_CONTROL_H
#define KERNEL_GUARD_CONTROL_H

#include "lib/types.h"

/* What of CR4 stays on, with CR4.MCE where the CPU has machine checks: without it one is a shutdown that says nothing. */
u64 control_cr4(u64 left, bool has_mce);

/* What is turned off of it: " LASS CET". Returns `to`, empty for nothing. */
#define CONTROL_NAMES_BYTES 512 /* of 64 names */
const char *control_names(u64 left, char to[CONTROL_NAMES_BYTES]);

/*
 * "Limit CPUID Maxval" of a setup, for systems of old: CPUID ends with leaf 2 or 3, and what is behind it reads as that one. Takes
 * it off on this CPU; true where it was on. An MSR that is not there must raise no alarm.
 */
bool control_unlimit_cpuid(void);

#endif
