/*
 * TLB misses of a piece of work, by the performance counters of the vCPU, where the TD has them (ATTRIBUTES.PERFMON; CPUID leaf
 * 0AH says so). SDM vol. 3, chapter 20; the events are those of fourth-generation Xeons, DTLB_LOAD_MISSES and DTLB_STORE_MISSES.
 */
#ifndef GUEST_PROBE_PMU_H
#define GUEST_PROBE_PMU_H

#include <stdbool.h>

#include "guest/probe/protocol.h"

/* Has this vCPU the counters that it takes? */
bool probe_pmu_is_there(void);

/* From here on loads, or with `stores` those, are counted ... */
void probe_pmu_begin(bool stores);
/* ... to here: fills walks, walk_cycles and counted. */
void probe_pmu_end(struct probe_result *result);

#endif
