/* The TDP MMU's own state, shared by the files of mm/. Nobody outside mm/ includes this. */
#ifndef MM_TDP_INTERNAL_H
#define MM_TDP_INTERNAL_H

#include "lib/lock.h"
#include "lib/trace.h"
#include "mm/claim.h"
#include "mm/dirty.h"
#include "mm/mirror.h"
#include "mm/plan_step.h"
#include "mm/policy/policing.h"
#include "mm/shared_ept.h"
#include "mm/slot.h"
#include "mm/tdp.h"
#include "mm/tlb.h"

#define TDP_SLOTS_MAX 4u

/* What a vCPU's last fault learned about a 2M region that has a table and one contiguous backing: a TD meets its memory in
 * order, mostly. Good for a fault under a claim of a page there as long as mirror_cuts() is `cuts`. */
struct tdp_near {
    gpa_t region;
    u64 cuts;
    struct mirror_table *table; /* of its 4K entries; NULL: nothing is known */
    const struct slot *slot;    /* that holds it */
    u64 home;                   /* what the entry of its first page becomes; further pages follow */
};

/* What a vCPU's faults come to: the same fault over and over, with or without anything done about it, is told. */
struct tdp_fault_history {
    _Atomic u64 gpa;       /* the last one's page */
    _Atomic u64 exits;     /* vcpu.exits then */
    _Atomic u64 calls;     /* vcpu.calls then */
    _Atomic unsigned busy; /* faults in a row there, and no TDVMCALL in between */
    u64 changes;           /* operations of others and BLOCKs of the merge policy then: each may cause a fault anew */
    unsigned answered;     /* faults in a row without any of these in between */
    unsigned idle;         /* ... that found nothing to do */
    u64 seen_inside;       /* vcpu.exits when the policy's tick saw it inside; ~0: it was not */
    u64 seen_at;           /* ... in ms: the policy's, like the one before */
    struct tdp_near near;
};

/*
 * Lock order: a claim, tree, then a frozen mirror entry; the locks inside of `claims` and `tlb` and the page allocator's
 * are leaves. A claim (mm/claim.h) is held by an operation from its plan to its last step; `tree` mirrors the module's own
 * lock of the S-EPT tree, exclusive for BLOCK, UNBLOCK and SEPT.REMOVE, shared for all other leaves, and is held for one
 * run of steps at a time, so that it is free while a TRACK waits for vCPUs. What is not said to be atomic or locked
 * changes under a claim of the memory that it is about, or before the TD has vCPUs.
 */
struct tdp {
    struct td *td;
    level_t max_level;
    struct tdp_choice choice; /* the console's CPU changes it; an operation that reads half of it is none the worse */
    struct slot slots[TDP_SLOTS_MAX];
    unsigned slot_count;
    gpa_t device, device_end; /* see tdp_add_device(); equal: there is none */
    struct mirror mirror;
    struct shared_ept shared;
    struct policing policing;
    struct dirty dirty;
    struct claims claims;
    struct rwlock tree;
    struct tlb tlb;
    struct tdp_sizes *seen;                        /* by GiB, at the last glance; NULL: none yet */
    bool (*_Atomic stop)(void);                    /* see tdp_set_stop() */
    u64 pause;                                     /* see tdp_set_pause() */
    bool kicks_again;                              /* see tdp_set_kick_again() */
    _Atomic u64 operations;                        /* begun so far, faults left out */
    _Atomic bool dead;                             /* the TD is, or an undo failed: only destruction is left */
    struct tdp_fault_history faults[TD_VCPUS_MAX]; /* by vCPU, whose own CPU changes it */
};

/* The slot that holds the range, or NULL. */
static inline struct slot *tdp_slot(struct tdp *t, gpa_t gpa, u64 bytes)
{
    for (struct slot *s = t->slots; s < t->slots + t->slot_count; s++)
        if (slot_holds(s, gpa, bytes))
            return s;
    return NULL;
}

/* Does the range hold a page of the device? */
static inline bool tdp_has_device(const struct tdp *t, gpa_t gpa, u64 bytes)
{
    return gpa.raw < t->device_end.raw && t->device.raw < gpa.raw + bytes;
}

/* The NUMA node of the TD's memory, or PAGE_ANY_NODE: its tables are to be near. */
static inline unsigned tdp_node(const struct tdp *t)
{
    return t->slots[0].node;
}

/* The end of the last slot: what claims of all memory reach to. */
gpa_t tdp_end(const struct tdp *t);

/* What glances have seen; it goes with the TD. */
void tdp_forget_seen(struct tdp *t);

/* The mirror entry of a leaf of `level` at its home. */
u64 tdp_home_entry(struct tdp *t, gpa_t gpa, level_t level);

/* ERR_UNALIGNED, ERR_RANGE, ERR_TD_DEAD or ERR_OK for a range that an operation was asked for; `what` says more. */
MUST_CHECK struct tdp_report tdp_check(struct tdp *t, gpa_t gpa, u64 bytes);

/* ERR_LOST for a range of a slot that holds memory that is lost, and where that begins. */
MUST_CHECK struct tdp_report tdp_check_lost(struct tdp *t, gpa_t gpa, u64 bytes);

struct tdp_report tdp_error(enum err err, const char *what, gpa_t at);

/* The ends of a conversion to shared, whose private mappings a plan removes in between: room in the shared EPT is taken;
 * what has no private mapping any more, up to the first page that has, is shared. How far that came. */
MUST_CHECK struct tdp_report tdp_share_prepare(struct tdp *t, gpa_t gpa, u64 bytes, hpa_t *spare);
gpa_t tdp_share_finish(struct tdp *t, gpa_t gpa, u64 bytes, hpa_t *spare);

/* TDH.MEM.SEPT.RD of the entry at `level`, or of the one where the module's walk ended above it; counted in `r`. ERR_TDX,
 * ERR_BUSY: neither, `r` says why. */
MUST_CHECK enum err tdp_read_module(const struct tdp *t, gpa_t gpa, level_t level, struct tdx_entry *entry,
                                    struct tdp_report *r);

/* Before MR.FINALIZE nothing needs BLOCK or TRACK. */
bool tdp_tracking(const struct tdp *t);

/*
 * The frame of an operation: a claim of its range, a plan to build into (the caller's `dry`, emptied, or one of its own),
 * counters at their start.
 */
struct tdp_op {
    struct tdp *t;
    struct plan *plan;
    struct plan *dry;
    struct claim claim;
    bool is_fault; /* nobody stops it */
    bool stale;    /* the mirror is no longer what the plan was made for: with ERR_BUSY */
    struct tdp_report report;
    u64 tsc; /* at the start */
};
/* Claims [gpa, gpa + bytes), and the regions that an operation on it changes beyond its ends, exclusively. ERR_BUSY: others
 * work there and do not end; ERR_INTERRUPTED, ERR_NO_MEMORY, ERR_TD_DEAD: nothing is begun either, the report says why. */
MUST_CHECK enum err tdp_op_begin(struct tdp_op *op, struct tdp *t, gpa_t gpa, u64 bytes, struct plan *dry);
/* For a look, which has no plan: all memory is claimed. */
MUST_CHECK enum err tdp_op_begin_look(struct tdp_op *op, struct tdp *t, gpa_t gpa);
/* For a fault, without a claim: tdp_op_claim() comes next, and again where the claim turns out to be too small; and without
 * a plan, which few faults need: an empty one is asked for. False: no memory, the report says so. */
void tdp_op_begin_fault(struct tdp_op *op, struct tdp *t, gpa_t gpa);
MUST_CHECK bool tdp_op_want_plan(struct tdp_op *op);
/* The claim of the region of `level` around `gpa` in the place of the one before. */
MUST_CHECK enum err tdp_op_claim(struct tdp_op *op, gpa_t gpa, level_t level, bool exclusive);
/* The same where nobody stands in the way; else the claim before is gone, and there is none. */
MUST_CHECK bool tdp_op_try(struct tdp_op *op, gpa_t gpa, level_t level, bool exclusive);
/* Is the operation to end between two steps? */
bool tdp_op_is_stopped(const struct tdp_op *op);
/* Why it ends; what it has cost stays. */
void tdp_op_fail(struct tdp_op *op, enum err err, const char *what, gpa_t at);
/* Performs what was planned; nothing when dry, or when the report has an error already. */
void tdp_op_perform(struct tdp_op *op);
struct tdp_report tdp_op_end(struct tdp_op *op);

static inline const struct policy *tdp_policy(const struct tdp *t)
{
    return t->policing.policy;
}

/* False: nobody would notice POLICY_MAPPED, which is raised for each page of a TD's life. */
static inline bool policy_hears(const struct tdp *t)
{
    return trace_is_on || tdp_policy(t)->event;
}

/* A fault that mapped something is over, and nothing is claimed. */
static inline void policy_after_fault(struct tdp *t, gpa_t gpa)
{
    if (tdp_policy(t)->after_fault)
        tdp_policy(t)->after_fault(t, gpa);
}

#endif
