/*
 * The workload `boot`. Memory as a booting guest accepts it: all of it in order, or each part when it is touched first; by
 * pages of 2M, or of 4K, where the guest knows no larger ones or the range is not aligned.
 */
#include "kernel/experiment/workload/workload.h"

#define PIECE (16 * PAGE_BYTES) /* what a guest accepts at a time that accepts at 4K */
#define PRIME 7919u             /* how far it jumps: each piece is met once, unless their number is a multiple of it */

enum { EAGER_2M, EAGER_4K, LAZY_2M, LAZY_4K };

static enum err touch_first(struct work *w, gpa_t gpa)
{
    return world_touch(w->x, 0, gpa_add(gpa, READ_PAGE * PAGE_BYTES), sizeof(u64), sizeof(u64), true);
}

static enum err accept_piece(struct work *w, gpa_t gpa)
{
    return world_accept_small(w->x, 0, gpa, PIECE);
}

/* Piece after piece, in no order that a policy could know. */
static enum err scattered(struct work *w, u64 piece, enum err (*meet)(struct work *w, gpa_t gpa))
{
    u64 count = w->bytes / piece, jump = count % PRIME ? PRIME : 1;
    enum err e = ERR_OK;

    for (u64 i = 0; i < count && e == ERR_OK; i++)
        e = meet(w, gpa_add(w->base, i * jump % count * piece));
    return e;
}

static enum err work(struct work *w)
{
    bool small = w->phase == EAGER_4K || w->phase == LAZY_4K;

    if (small)
        watch_pieces(w->watch);
    switch (w->phase) {
    case EAGER_2M:
        return work_on_all(w, "accepting", world_accept);
    case EAGER_4K:
        return work_on_all(w, "accepting at 4K", world_accept_small);
    case LAZY_2M:
        return scattered(w, level_bytes(LEVEL_2M), touch_first);
    default:
        return scattered(w, PIECE, accept_piece);
    }
}

const struct workload workload_boot = {
    .name = "boot",
    .what = "a new TD accepts its memory, all of it in order or where it comes to it, by pages of 2M or 4K",
    .phases = {"eager 2m", "eager 4k", "lazy 2m", "lazy 4k"},
    .level = {1},
    .fresh = true,
    .work = work,
};
