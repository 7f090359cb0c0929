/*
 * Merge policies: who decides when a region of a TD's memory becomes one page again. The TDP MMU raises events and asks
 * what a touch of a blocked region comes to; a policy notes what it hears, and works behind the TD's back in its tick, by the
 * actions of mm/policy/batch.h. A policy is one file with one struct policy; docs/write-a-policy.md writes one.
 *
 * event() and touched() are called on any CPU, on several at once, under a claim (mm/claim.h) that holds `gpa` and perhaps
 * with the tree locked: they may read the tree there and use the queue, not change the tree. after_fault() and
 * tick() come without claim and lock and may do all that mm/policy/batch.h has.
 */
#ifndef MM_POLICY_POLICY_H
#define MM_POLICY_POLICY_H

#include "lib/addr.h"
#include "lib/err.h"
#include "lib/parameter.h"

struct plan;
struct tdp;

enum policy_event {
    POLICY_MAPPED,        /* a leaf of `level` was mapped at `gpa`; told to policies that have an event() */
    POLICY_CONVERTED,     /* the run of pages that begins at `gpa` changed its attribute */
    POLICY_CANDIDATE,     /* all 512 children of the region of `level` at `gpa` are leaves at home */
    POLICY_FAULT_BLOCKED, /* a vCPU touched the entry of `level` at `gpa`, which is blocked, not by hand */
    POLICY_MERGED,        /* the region of `level` at `gpa` has become one page, whoever merged it */
    POLICY_REFUSED,       /* PROMOTE of it was refused: not all of it is accepted, or not all pending */
};

/* "mapped"; NULL for a number that is no event. */
const char *policy_event_name(unsigned event);

/* What a vCPU's touch of a region that is blocked comes to. A merge that is refused ends in UNBLOCK too. */
enum policy_touch { POLICY_UNBLOCK, POLICY_MERGE };

#define POLICY_PARAMETERS_MAX 4u

struct policy {
    const char *name, *what;
    struct parameter parameters[POLICY_PARAMETERS_MAX];
    bool adopts; /* candidates that stand when it is chosen are told to it as POLICY_CANDIDATE, some in each tick */
    void (*event)(struct tdp *t, enum policy_event event, gpa_t gpa, level_t level); /* NULL: it hears nothing */
    enum policy_touch (*touched)(struct tdp *t, gpa_t gpa, level_t level);
    void (*after_fault)(struct tdp *t, gpa_t gpa); /* of a vCPU, that mapped; on its CPU, before it enters again */
    void (*tick)(struct tdp *t, u64 now);          /* `now` in ms; after_fault and tick: NULL, nothing to do */
};

/* All there are, `none` first; NULL behind the last. */
extern const struct policy *const policies[];
extern const struct policy policy_none, policy_scan, policy_fault, policy_block, policy_ready, policy_hot;

/* Of the policy that runs: the value of its n-th parameter. */
u64 policy_value(const struct tdp *t, unsigned n);

/* In a tick: have `ms` passed since this was last true? */
bool policy_is_due(struct tdp *t, u64 ms);

/* For policies that queue: candidates are ready, what is merged or refused goes away or rests. And that touches merge. */
void policy_queue_candidates(struct tdp *t, enum policy_event event, gpa_t gpa, level_t level);
enum policy_touch policy_merge_touched(struct tdp *t, gpa_t gpa, level_t level);
/* For policies that never hold a block. */
enum policy_touch policy_unblock_touched(struct tdp *t, gpa_t gpa, level_t level);

#endif
