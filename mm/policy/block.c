/*
 * The policy `block`, option C of the RFC: a region that could be one page is blocked where it stands, in the place of
 * zapping it, and becomes one page in the fault of the vCPU that touches it next. What stays cold is unblocked.
 */
#include "mm/policy/batch.h"

enum { TTL, BATCH, REST };

static void tick(struct tdp *t, u64 now)
{
    struct batch cold = batch_begin(t, BATCH_MAX);

    batch_wake(t, policy_value(t, REST));
    batch_take_cold(&cold, policy_value(t, TTL));
    batch_unblock(&cold);
    struct batch b = batch_begin(t, policy_value(t, BATCH));
    batch_take_ready(&b, 0);
    batch_block(&b);
    batch_keep(&b);
}

const struct policy policy_block = {
    .name = "block",
    .what = "blocks each candidate at once and merges it when the TD touches it (option C of the RFC)",
    .parameters = {[TTL] = {"ttl", "ms", "untouched for so long, it is unblocked", 1000, 1, 3600000},
                   [BATCH] = {"batch", "regions", "blocked behind one TRACK at most", 1, 1, BATCH_MAX},
                   [REST] = {"rest", "ms", "before the next try, doubled by each that fails", 1000, 1, 3600000}},
    .adopts = true,
    .event = policy_queue_candidates,
    .touched = policy_merge_touched,
    .tick = tick,
};
