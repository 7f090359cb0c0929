/*
 * The policy `ready`: what becomes a candidate is merged soon, many regions behind one TRACK. SEPT.RD of its first and last
 * page says whether the TD has accepted it; what it has not rests, for no event tells of ACCEPT.
 */
#include "mm/policy/batch.h"

enum { BATCH, DELAY, REST };

static void tick(struct tdp *t, u64 now)
{
    struct batch failed = batch_begin(t, BATCH_MAX);

    batch_wake(t, policy_value(t, REST));
    batch_take_cold(&failed, 0); /* what could not be unblocked at once */
    batch_unblock(&failed);
    struct batch b = batch_begin(t, policy_value(t, BATCH));
    batch_take_ready(&b, policy_value(t, DELAY));
    batch_look(&b);
    batch_block(&b);
    batch_merge(&b);
}

const struct policy policy_ready = {
    .name = "ready",
    .what = "merges candidates soon after the TD has accepted them, many behind one TRACK",
    .parameters = {[BATCH] = {"batch", "regions", "merged behind one TRACK at most", 64, 1, BATCH_MAX},
                   [DELAY] = {"delay", "ms", "that the first waits for a full batch", 10, 0, 60000},
                   [REST] = {"rest", "ms", "before the next try, doubled by each that fails", 50, 1, 3600000}},
    .adopts = true,
    .event = policy_queue_candidates,
    .touched = policy_merge_touched,
    .tick = tick,
};
