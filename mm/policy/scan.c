/*
 * The policy `scan`, option A of the RFC: as a daemon would it walks over all memory, a part in each period, and merges
 * what it finds ready. It hears nothing of what changes in between.
 */
#include "mm/policy/batch.h"

enum { ENTRIES, PERIOD, BATCH };

static void tick(struct tdp *t, u64 now)
{
    if (!policy_is_due(t, policy_value(t, PERIOD)))
        return;
    struct batch b = batch_begin(t, policy_value(t, BATCH));
    batch_take_cold(&b, 0); /* what could not be unblocked at once */
    batch_unblock(&b);
    batch_sweep(&b, policy_value(t, ENTRIES));
    batch_look(&b);
    batch_block(&b);
    batch_merge(&b);
}

const struct policy policy_scan = {
    .name = "scan",
    .what = "walks over all memory, some of it in each period, and merges what it finds ready (option A of the RFC)",
    .parameters = {[ENTRIES] = {"entries", "2m regions", "looked at in each period", 512, 1, 1u << 20},
                   [PERIOD] = {"period", "ms", "from one walk to the next", 10, 1, 60000},
                   [BATCH] = {"batch", "regions", "merged behind one TRACK at most", 64, 2, BATCH_MAX}},
    .touched = policy_unblock_touched,
    .tick = tick,
};
