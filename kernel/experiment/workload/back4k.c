/* The workload `back4k`. A Linux guest converts single pages, and accepts what it takes back at 4K. */
#include "kernel/experiment/workload/workload.h"

static enum err work(struct work *w)
{
    enum err e = ERR_OK;

    for (u64 i = 0; i < w->watch->count && e == ERR_OK; i++) {
        u64 page = experiment_random(w->x, TABLE_ENTRIES - 1);
        page += page >= READ_PAGE;
        e = work_cut(w, gpa_add(w->base, i * level_bytes(LEVEL_2M) + page * PAGE_BYTES), PAGE_BYTES);
    }
    return e;
}

const struct workload workload_back4k = {
    .name = "back4k",
    .what = "one page of each region, at random, is shared and taken back at 4K, as a Linux guest does it",
    .level = {1},
    .work = work,
};
