/*
 * The merge policy of one TD at work: which it is, its parameters, its queue, its counters. Seen by mm/ alone; what it
 * offers to the rest of the VMM is tdp_policy() and so on in mm/tdp.h.
 */
#ifndef MM_POLICY_POLICING_H
#define MM_POLICY_POLICING_H

#include "lib/lock.h"
#include "mm/plan.h"
#include "mm/policy/policy.h"
#include "mm/policy/queue.h"
#include "mm/tdp.h"

#define BATCH_MAX 512u

/*
 * `lock`, a leaf in the lock order, guards the queue. `work` belongs to the CPU that does the policy's work or changes the
 * policy, one at a time; it is taken before any claim, and never waited for by who has one. What is below it is
 * that CPU's.
 */
struct policing {
    const struct policy *_Atomic policy;
    _Atomic u64 values[POLICY_PARAMETERS_MAX];
    _Atomic u64 counters[TDP_POLICY_COUNTERS];
    _Atomic u64 now;     /* of the last tick, in ms */
    _Atomic bool adopts; /* the next tick begins a search for candidates */
    struct spin lock;
    struct queue queue;

    struct spin work;
    gpa_t swept; /* the search for candidates has come so far */
    bool sweeps; /* ... and goes on, for a policy that adopts what it finds */
    u64 was_due; /* policy_is_due() said so last, in ms */
    struct region regions[BATCH_MAX];
};

MUST_CHECK enum err policing_create(struct tdp *t);
void policing_destroy(struct tdp *t);

/* Raises an event: traced, then given to the TD's policy. */
void policy_raise(struct tdp *t, enum policy_event event, gpa_t gpa, level_t level);
/* Files into `p` what lets the vCPU go on that touched the blocked entry of `level` at `gpa`; its region is claimed. */
void policy_answer(struct tdp *t, struct plan *p, gpa_t gpa, level_t level);
/* Candidates that stand are told to a policy that adopts them, from now on. */
void policy_adopt(struct tdp *t);

void policy_count(struct tdp *t, enum tdp_policy_counter which, u64 n);

#endif
