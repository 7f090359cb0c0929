/*
 * Building plans: each operation on the mirror as it stands, as the shortest sequence that DESIGN's table gives for it
 * (docs/tdp-mmu.md). Nothing here changes anything; tables needed are counted, not taken.
 */
#ifndef MM_PLAN_BUILD_H
#define MM_PLAN_BUILD_H

#include "mm/tdp_internal.h"

/* Does DEMOTE take a page that is neither blocked nor tracked? The module says so with non-blocking resize. */
bool plan_demotes_mapped(void);

/* Why a plan cannot be: ERR_OK, or an error with what was wrong and where. */
struct plan_fault {
    enum err err;
    const char *what;
    gpa_t at;
};

/* Whatever private mapping [gpa, gpa + bytes) has is removed. `piecewise`: without merging regions first to remove
 * them at one go, for PROMOTE has refused that. REMOVEs are all in round 0, in order of address. */
MUST_CHECK struct plan_fault plan_zap(struct tdp *t, struct plan *p, gpa_t gpa, u64 bytes, bool piecewise);

/*
 * Whatever [gpa, gpa + bytes) lacks is mapped to its home by pages of at most `max`; all of it is, or becomes,
 * private. In a plan from shared memory the AUGs are all in one round, in order of address.
 */
MUST_CHECK struct plan_fault plan_map(struct tdp *t, struct plan *p, gpa_t gpa, u64 bytes, level_t max);

/* The S-EPT tables for 4K entries of the range (PAGE.ADD fills them). */
MUST_CHECK struct plan_fault plan_tables(struct tdp *t, struct plan *p, gpa_t gpa, u64 bytes);

/* One region into a leaf of `level`; `round`: how many TRACKs follow its PROMOTE. */
MUST_CHECK struct plan_fault plan_merge(struct tdp *t, struct plan *p, gpa_t gpa, level_t level);
/* Every 4K page of [gpa, gpa + bytes), scattered memory, that is mapped away from home goes there. */
MUST_CHECK struct plan_fault plan_relocate(struct tdp *t, struct plan *p, gpa_t gpa, u64 bytes);
/* Those of [gpa, gpa + bytes) that can be one page of `level`, but for what is blocked by hand; how many. */
MUST_CHECK u64 plan_merge_range(struct tdp *t, struct plan *p, gpa_t gpa, u64 bytes, level_t level);
/* All regions of [gpa, gpa + bytes) that can be merged, 2M and 1G, behind shared TRACKs. */
void plan_merge_all(struct tdp *t, struct plan *p, gpa_t gpa, u64 bytes);

MUST_CHECK struct plan_fault plan_split(struct tdp *t, struct plan *p, gpa_t gpa, level_t level);
MUST_CHECK struct plan_fault plan_block(struct tdp *t, struct plan *p, gpa_t gpa, level_t level);
MUST_CHECK struct plan_fault plan_unblock(struct tdp *t, struct plan *p, gpa_t gpa, level_t level);

/* Is the current entry a table whose region one PROMOTE, after PROMOTEs of its children, makes a leaf at home?
 * `tables`: of how many children. Acceptance is not known here: PROMOTE may refuse. */
bool plan_can_merge(struct tdp *t, const struct mirror_iter *it, unsigned *tables);
/* Is the current entry the table of a 2M region of scattered pages, all mapped, none blocked, some away from home?
 * Files what brings those home and merges the region. */
bool plan_can_gather(struct tdp *t, const struct mirror_iter *it);
void plan_add_gather(struct plan *p, const struct mirror_iter *it);
/* Files the merge of the current entry, its last PROMOTE in `round`. Needs up to two rounds above that. */
void plan_add_merge(struct plan *p, const struct mirror_iter *it, unsigned round);

#endif
