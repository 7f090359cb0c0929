/*
 * The performance-monitoring unit as far as the platform can count: completed page walks by page size, and what they took,
 * on eight general-purpose counters of 48 bits. SDM volume 3, chapter 20 ("Performance monitoring", architectural version 5);
 * the events are those of fourth-generation Xeons: DTLB_LOAD_MISSES 12h, DTLB_STORE_MISSES 13h, ITLB_MISSES 11h, with unit masks
 * WALK_COMPLETED_4K 02h, _2M_4M 04h, _1G 08h, WALK_PENDING 10h.
 *
 * Left out: all other events (they count nothing, the architectural ones are not enumerated), fixed counters, interrupts at
 * overflow, counter masks and edge detection. WALK_PENDING counts one for each entry that a walk reads. Pure logic.
 */
#ifndef SIM_MACHINE_PMU_H
#define SIM_MACHINE_PMU_H

#include "sim/module/seam.h"

/* CPUID leaf 0AH. */
void pmu_cpuid(u32 out[4]);

bool pmu_has_msr(u32 msr);
/* Of an MSR that it has. False: #GP. */
bool pmu_read(const struct seam_pmu *pmu, u32 msr, u64 *value);
bool pmu_write(struct seam_pmu *pmu, u32 msr, u64 value);
/* RDPMC of counter `ecx`. False: #GP. */
bool pmu_rdpmc(const struct seam_pmu *pmu, u32 ecx, u64 *value);

/* A walk for an access (EPT_READ, EPT_WRITE or EPT_EXEC) at this privilege level read so many entries, and a page of `level`
 * came of it. */
void pmu_count_walk(struct seam_pmu *pmu, u32 access, unsigned cpl, unsigned level, unsigned steps);

#endif
