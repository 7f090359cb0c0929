/* The TDP MMU's own state, shared by the files of mm/. Nobody outside mm/ includes this. */
#ifndef MM_TDP_INTERNAL_H
#define MM_TDP_INTERNAL_H

#include "lib/lock.h"
#include "mm/mirror.h"
#include "mm/plan_step.h"
#include "mm/policy/policy.h"
#include "mm/shared_ept.h"
#include "mm/slot.h"
#include "mm/tdp.h"
#include "mm/tlb.h"

#define TDP_SLOTS_MAX 4u

/* What a vCPU's faults come to: the same fault over and over, with or without anything done about it, is told. */
struct tdp_fault_history {
    gpa_t gpa;
    u64 operations; /* tdp.operations then: an operation of someone else begins a new count */
    unsigned idle;  /* faults in a row on `gpa` that found nothing to do */
    unsigned busy;  /* faults in a row on `gpa` that changed something */
};

/*
 * Lock order: ops, tree, then a frozen mirror entry. `ops` is held by an operation from its plan to its last step,
 * exclusive where it changes anything; `tree` mirrors the module's own lock of the S-EPT tree, exclusive for BLOCK,
 * UNBLOCK and SEPT.REMOVE, shared for all other leaves, and is held for one run of steps at a time.
 */
struct tdp {
    struct td *td;
    level_t max_level;
    struct tdp_choice choice; /* the console's CPU changes it; an operation that reads half of it is none the worse */
    struct slot slots[TDP_SLOTS_MAX];
    unsigned slot_count;
    struct mirror mirror;
    struct shared_ept shared;
    const struct policy *policy;
    struct rwlock ops, tree;
    struct tlb tlb;
    u64 operations; /* performed so far, faults left out */
    bool dead;      /* the TD is, or an undo failed: only destruction is left */
    struct tdp_fault_history faults[TD_VCPUS_MAX];
};

/* The slot that holds the range, or NULL. */
struct slot *tdp_slot(struct tdp *t, gpa_t gpa, u64 bytes);

/* The mirror entry of a leaf of `level` at its home. */
u64 tdp_home_entry(struct tdp *t, gpa_t gpa, level_t level);

/* ERR_UNALIGNED, ERR_RANGE, ERR_TD_DEAD or ERR_OK for a range that an operation was asked for; `what` says more. */
MUST_CHECK struct tdp_report tdp_check(struct tdp *t, gpa_t gpa, u64 bytes);

struct tdp_report tdp_error(enum err err, const char *what, gpa_t at);

/* The ends of a conversion to shared, whose private mappings a plan removes in between: room in the shared EPT is taken;
 * what has no private mapping any more, up to the first page that has, is shared. How far that came. */
MUST_CHECK struct tdp_report tdp_share_prepare(struct tdp *t, gpa_t gpa, u64 bytes);
gpa_t tdp_share_finish(struct tdp *t, gpa_t gpa, u64 bytes);

/* Before MR.FINALIZE nothing needs BLOCK or TRACK. */
bool tdp_tracking(const struct tdp *t);

/*
 * The frame of an operation: a plan to build into (the caller's `dry`, emptied, or one of its own), counters at their
 * start. tdp_end() performs the plan unless it is dry, gives the plan up and fills the report.
 */
struct tdp_op {
    struct tdp *t;
    struct plan *plan;
    struct plan *dry;
    struct rw_held held;
    struct tdp_report report;
    u64 tsc; /* at the start */
};
/* `gpa`: what the report says until something else is known. */
MUST_CHECK enum err tdp_op_begin(struct tdp_op *op, struct tdp *t, gpa_t gpa, struct plan *dry);
/* Performs what was planned; nothing when dry, or when the report has an error already. */
void tdp_op_perform(struct tdp_op *op);
struct tdp_report tdp_op_end(struct tdp_op *op);

#endif
