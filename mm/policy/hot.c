/*
 * The policy `hot`: `ready`, with the proof of use of option C. Candidates that the TD has accepted are blocked, many behind
 * one TRACK; the TD's touch merges a region, and what nobody touches in time is unblocked again.
 */
#include "mm/policy/batch.h"

enum { BATCH, DELAY, TTL, REST };

static void tick(struct tdp *t, u64 now)
{
    struct batch cold = batch_begin(t, BATCH_MAX);

    batch_wake(t, policy_value(t, REST));
    batch_take_cold(&cold, policy_value(t, TTL));
    batch_unblock(&cold);
    struct batch b = batch_begin(t, policy_value(t, BATCH));
    batch_take_ready(&b, policy_value(t, DELAY));
    batch_look(&b);
    batch_block(&b);
    batch_keep(&b);
}

const struct policy policy_hot = {
    .name = "hot",
    .what = "blocks accepted candidates, many behind one TRACK, and merges those that the TD touches",
    .parameters = {[BATCH] = {"batch", "regions", "blocked behind one TRACK at most", 64, 1, BATCH_MAX},
                   [DELAY] = {"delay", "ms", "that the first waits for a full batch", 10, 0, 60000},
                   [TTL] = {"ttl", "ms", "untouched for so long, it is unblocked", 1000, 1, 3600000},
                   [REST] = {"rest", "ms", "before the next try, doubled by each that fails", 100, 1, 3600000}},
    .adopts = true,
    .event = policy_queue_candidates,
    .touched = policy_merge_touched,
    .tick = tick,
};
