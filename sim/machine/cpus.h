/* Making the list of CPUs; what is in it: cpu.h. */
#ifndef SIM_MACHINE_CPUS_H
#define SIM_MACHINE_CPUS_H

#include "sim/machine/cpu.h"

/*
 * Once, at start: `number` CPUs, at most MACHINE_CPUS_MAX, the one that runs this first, shown in `packages` packages by the
 * upper bits of their APIC IDs.
 */
void cpus_init(const u32 *apic_ids, unsigned number, unsigned packages);

#endif
