/*
 * What is not counted as the VMM's instructions: the module, the work on the pages themselves, and the vCPUs that a kick
 * drives out. The linker puts uncounted.c in front of the host twins of it (--wrap). Callgrind stops collecting in
 * uncounted_*(), and tests/bench/steps.c counting.
 */
#ifndef TESTS_BENCH_UNCOUNTED_H
#define TESTS_BENCH_UNCOUNTED_H

#include "lib/types.h"

#define UNCOUNTED_FUNCTIONS 5u

extern bool uncounted_apart;                                   /* something is measured */
extern const uintptr_t uncounted_entries[UNCOUNTED_FUNCTIONS]; /* where uncounted_*() begin */

#endif
