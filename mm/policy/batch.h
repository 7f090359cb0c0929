/*
 * What a policy can do: some regions, each taken through the same steps.
 *
 *     take     from the queue, or found by a sweep of all memory
 *     look     SEPT.RD of the first and the last child; what the TD has not accepted leaves the batch, and rests
 *     block    BLOCK of each, then one TRACK for all of them
 *     merge    PROMOTE of each; what is refused is unblocked, and rests
 *     unblock  UNBLOCK of each
 *
 * Each step on a region claims it for this step alone, so that a vCPU that wants something of it waits for one SEAMCALL
 * at most; what becomes of a region meanwhile (touched, converted, merged by somebody else) is seen at the next step, which
 * drops it from the batch. A region is not blocked while a vCPU stands in a fault on it.
 */
#ifndef MM_POLICY_BATCH_H
#define MM_POLICY_BATCH_H

#include "mm/policy/policing.h"

struct batch {
    struct tdp *t;
    struct region *regions;
    unsigned count, most;
    bool in_fault; /* of the vCPU whose fault is over: its regions are not left blocked */
};

/* An empty one of at most `most` regions, no more than BATCH_MAX: for a tick; and one of this region, for a fault. */
struct batch batch_begin(struct tdp *t, u64 most);
struct batch batch_of(struct tdp *t, struct region *region);

/* Takes what is ready, where there is enough for the batch or the first has been waiting for `delay` ms. */
void batch_take_ready(struct batch *b, u64 delay);
/* Takes what has been blocked for `ttl` ms and was not touched. */
void batch_take_cold(struct batch *b, u64 ttl);
/* Looks at `regions` regions behind those looked at before, from the beginning again at the end, for candidates. */
void batch_sweep(struct batch *b, u64 regions);
/* The same for what is blocked, not by hand, to the end of memory or until the batch is full. */
void batch_find_blocked(struct batch *b);

void batch_look(struct batch *b);
/* What is left is blocked, and no CPU translates through it any more. */
void batch_block(struct batch *b);
void batch_merge(struct batch *b);
/* What was blocked in vain: it rests; and what is blocked for whatever reason. */
void batch_unblock(struct batch *b);
void batch_release(struct batch *b);
/* They stay blocked until they are touched, or cold. */
void batch_keep(struct batch *b);

/* Those that rest are ready again, `rest` ms after the first refusal, twice as long after each other. */
void batch_wake(struct tdp *t, u64 rest);

#endif
