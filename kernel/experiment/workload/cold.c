/* The workload `cold`. What does it cost to merge what nobody will ever touch? */
#include "kernel/experiment/workload/workload.h"

static enum err work(struct work *w)
{
    enum err e = ERR_OK;

    for (u64 i = 0; i < w->watch->count && e == ERR_OK; i++) {
        u64 page = experiment_random(w->x, TABLE_ENTRIES);
        e = work_cut(w, gpa_add(w->base, i * level_bytes(LEVEL_2M) + page * PAGE_BYTES), PAGE_BYTES);
    }
    return e;
}

const struct workload workload_cold = {
    .name = "cold",
    .what = "one page of each region is shared, taken back and accepted, and no region is touched again",
    .level = {1},
    .untouched = true,
    .work = work,
};
