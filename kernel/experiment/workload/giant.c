/* The workload `giant`. Pages of 1G come about by merging alone: twice, where a 4K page was cut out. */
#include "kernel/experiment/workload/workload.h"

#include "lib/bits.h"

static enum err plan(struct experiment_run *x, u64 *regions, u64 *rounds)
{
    *regions = align_up(*regions, TABLE_ENTRIES) / TABLE_ENTRIES;
    return ERR_OK;
}

static enum err work(struct work *w)
{
    return work_cut(w, work_random_page(w), PAGE_BYTES);
}

const struct workload workload_giant = {
    .name = "giant",
    .what = "one page of a row of 1G pages, as many as the regions fill, is shared and taken back at 4K",
    .level = {2},
    .on_request = true,
    .plan = plan,
    .work = work,
};
