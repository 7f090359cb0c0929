/* The workload `swiotlb`. Bounce buffers: the same few pages, of odd sizes, some of them in two regions. */
#include "kernel/experiment/workload/workload.h"

#define BUFFERS 5u

/* One page, three, five, ...; all but the first next to the end of a region, where there are regions enough. */
static u64 pages_of(u64 buffer)
{
    return 2 * buffer + 1;
}

static gpa_t place_of(const struct work *w, u64 buffer)
{
    u64 page = buffer * (TABLE_ENTRIES - 1) % (w->bytes / PAGE_BYTES - 2 * pages_of(BUFFERS - 1));
    return gpa_add(w->base, page * PAGE_BYTES);
}

static enum err pause(struct work *w, enum err e)
{
    return e == ERR_OK && w->x->values[GAP] ? work_wait(w, w->x->values[GAP]) : e;
}

static enum err once(struct work *w)
{
    enum err e = ERR_OK;

    for (u64 i = 0; i < BUFFERS && e == ERR_OK; i++)
        e = work_share(w, place_of(w, i), pages_of(i) * PAGE_BYTES);
    e = pause(w, e);
    for (u64 i = 0; i < BUFFERS && e == ERR_OK; i++) {
        e = work_take_back(w, place_of(w, i), pages_of(i) * PAGE_BYTES);
        if (e == ERR_OK)
            e = world_fill(w->x, 0, place_of(w, i), pages_of(i) * PAGE_BYTES);
    }
    return pause(w, e);
}

static enum err work(struct work *w)
{
    enum err e = ERR_OK;

    for (u64 i = 0; i < w->x->values[TIMES] && e == ERR_OK; i++)
        e = once(w);
    return e;
}

const struct workload workload_swiotlb = {
    .name = "swiotlb",
    .what = "5 buffers of 1, 3, 5, 7 and 9 pages, always the same, are shared and taken back again and again",
    .level = {1},
    .work = work,
};
