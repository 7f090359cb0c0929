/* The list of workloads, and what they are made of: see workload.h. */
#include "kernel/experiment/workload/workload.h"

#include "kernel/time.h"
#include "lib/bits.h"
#include "mm/policy/policy.h"

#define PART_BYTES (64 * MIB)

const struct workload *const workloads[] = {
    &workload_back4k,  &workload_boot, &workload_swiotlb, &workload_attest, &workload_cold,
    &workload_pending, &workload_rate, &workload_giant,   &workload_list,   NULL};

const char *workload_name(unsigned n)
{
    return workloads[n] ? workloads[n]->name : NULL;
}

const char *workload_what(unsigned n)
{
    return workloads[n]->what;
}

static enum err watched(struct work *w, enum err e)
{
    return e == ERR_OK ? e : fault_say(&w->x->fault, e, "the regions could not be looked at: %s", err_text(e));
}

gpa_t work_random_page(struct work *w)
{
    u64 page;

    do
        page = experiment_random(w->x, w->bytes / PAGE_BYTES);
    while (page % TABLE_ENTRIES == READ_PAGE);
    return gpa_add(w->base, page * PAGE_BYTES);
}

static void tell(struct work *w)
{
    experiment_progress(w->x, "%s under %s: round %llu of %llu, %llu of %llu regions large, %llu s", w->workload->name,
                        w->policy->name, (unsigned long long)w->round + 1, (unsigned long long)w->rounds,
                        (unsigned long long)w->watch->large, (unsigned long long)w->watch->count,
                        (unsigned long long)((time_us() - w->watch->began) / 1000000));
}

/* Long work is looked at now and then, too. */
static enum err look_in_time(struct work *w)
{
    tell(w);
    return time_us() - w->watch->looked < w->x->values[STEP] * 1000 ? ERR_OK : watched(w, watch_look(w->watch));
}

enum err work_share(struct work *w, gpa_t gpa, u64 bytes)
{
    enum err e = look_in_time(w);

    if (e == ERR_OK)
        e = watched(w, watch_cut_begins(w->watch, gpa, bytes));
    if (e == ERR_OK)
        e = world_convert(w->x, 0, gpa, bytes, true);
    if (e == ERR_OK)
        e = watched(w, watch_cut_ends(w->watch, gpa, bytes));
    w->conversions++;
    return e;
}

enum err work_take_back(struct work *w, gpa_t gpa, u64 bytes)
{
    enum err e = world_convert(w->x, 0, gpa, bytes, false);

    if (e == ERR_OK)
        e = watched(w, watch_cut_ends(w->watch, gpa, bytes));
    w->conversions++;
    return e;
}

enum err work_cut(struct work *w, gpa_t gpa, u64 bytes)
{
    enum err e = work_share(w, gpa, bytes);

    if (e == ERR_OK)
        e = work_take_back(w, gpa, bytes);
    if (e == ERR_OK && !w->workload->untouched)
        e = world_fill(w->x, 0, gpa, bytes);
    return e;
}

enum err work_write(struct work *w, gpa_t gpa, u64 bytes)
{
    enum err e = world_touch(w->x, 0, gpa, bytes, PAGE_BYTES, true);

    return e == ERR_OK ? watched(w, watch_touched_in(w->watch, gpa, bytes)) : e;
}

enum err work_touch(struct work *w)
{
    u64 stride = level_bytes(LEVEL_2M);
    gpa_t first = gpa_add(w->base, READ_PAGE * PAGE_BYTES);
    enum err e =
        world_touch(w->x, min_u64(1, vm.vcpu_count - 1), first, w->bytes - stride + sizeof(u64), stride, false);

    return e == ERR_OK ? watched(w, watch_touched(w->watch)) : e;
}

enum err work_on_all(struct work *w, const char *doing,
                     enum err (*what)(struct experiment_run *x, unsigned vcpu, gpa_t gpa, u64 bytes))
{
    enum err e = ERR_OK;

    for (u64 at = 0; at < w->bytes && e == ERR_OK; at += PART_BYTES) {
        experiment_progress(w->x, "%s under %s: %s, %llu of %llu MiB", w->workload->name, w->policy->name, doing,
                            (unsigned long long)(at / MIB), (unsigned long long)(w->bytes / MIB));
        e = what(w->x, 0, gpa_add(w->base, at), min_u64(PART_BYTES, w->bytes - at));
    }
    return e;
}

enum err work_wait(struct work *w, u64 ms)
{
    tell(w);
    enum err e = world_wait(w->x, ms);
    return e == ERR_OK ? watched(w, watch_look(w->watch)) : e;
}
