/* Making the list of CPUs; what is in it: cpu.h. */
#ifndef SIM_MACHINE_CPUS_H
#define SIM_MACHINE_CPUS_H

#include "sim/machine/cpu.h"

/*
 * Once, at start: `number` CPUs, at most MACHINE_CPUS_MAX, the one that runs this first, shown in `packages` packages by the
 * upper bits of their APIC IDs, and `threads` (1 or 2) in a core by the lower ones. All but the first are shown with IDs that are `base` higher.
 */
void cpus_init(const u32 *apic_ids, unsigned number, unsigned packages, unsigned threads, u32 base);

#endif
