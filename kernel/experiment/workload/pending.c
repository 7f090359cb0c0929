/*
 * The workload `pending`. A guest that takes a page back and does not accept it leaves 511 accepted pages and one that is
 * pending, which PROMOTE refuses. Each policy's calls for that are exact: docs/experiments.md, tests/unit/test_policies.c.
 */
#include "kernel/experiment/workload/workload.h"

#define PAGE 77u /* neither the first nor the last: a look at those does not see it */

enum { IS_PENDING, IS_ACCEPTED };

static enum err leave_pending(struct work *w, gpa_t gpa)
{
    enum err e = work_share(w, gpa, PAGE_BYTES);

    return e == ERR_OK ? world_leave_pending(w->x, 0, gpa, PAGE_BYTES) : e;
}

static enum err accept(struct work *w, gpa_t gpa)
{
    enum err e = world_accept_small(w->x, 0, gpa, PAGE_BYTES);

    if (e == ERR_OK)
        e = watch_cut_ends(w->watch, gpa, PAGE_BYTES); /* from now on it can be merged */
    return e == ERR_OK ? world_fill(w->x, 0, gpa, PAGE_BYTES) : e;
}

static enum err work(struct work *w)
{
    enum err e = ERR_OK;

    for (u64 i = 0; i < w->watch->count && e == ERR_OK; i++) {
        gpa_t gpa = gpa_add(w->base, i * level_bytes(LEVEL_2M) + PAGE * PAGE_BYTES);
        e = w->phase == IS_PENDING ? leave_pending(w, gpa) : accept(w, gpa);
    }
    return e;
}

const struct workload workload_pending = {
    .name = "pending",
    .what =
        "one page of each region is shared and taken back, but not accepted: 511 accepted and 1 pending; then it is",
    .phases = {[IS_PENDING] = "pending", [IS_ACCEPTED] = "accepted"},
    .level = {1},
    .leaves_pending = true,
    .work = work,
};
