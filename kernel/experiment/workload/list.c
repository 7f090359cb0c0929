/* The workload `list`. What a guest was seen to do, again: its memory is moved to where the experiment's begins. */
#include "kernel/experiment/workload/conversions.h"
#include "kernel/experiment/workload/workload.h"

#include "kernel/time.h"
#include "lib/bits.h"

/* The 2M region that the lowest address lies in. */
static gpa_t lowest;

/* All of it is looked at before there is a TD. */
static enum err plan(struct experiment_run *x, u64 *regions, u64 *rounds)
{
    u64 from = ~0ull, end = 0, size = level_bytes(LEVEL_2M);
    struct conversions c;
    struct conversion next;
    enum err e = conversions_open(&c, x->chosen[LIST], &x->fault);

    while (e == ERR_OK && (e = conversions_next(&c, &next, &x->fault)) == ERR_OK) {
        from = min_u64(from, align_down(next.gpa.raw, size));
        end = max_u64(end, next.gpa.raw + next.bytes);
        if (end - from > WATCH_REGIONS_MAX * size)
            return fault_say(&x->fault, ERR_RANGE, "%s, line %u: addresses are more than 1 TiB apart", c.file->name,
                             c.line);
    }
    if (e != ERR_NOT_FOUND || c.file == NULL)
        return e;
    if (end == 0)
        return fault_say(&x->fault, ERR_ARGUMENT, "%s: there is no conversion in it", c.file->name);
    lowest = (gpa_t){from};
    *regions = align_up(end - from, size) / size;
    return ERR_OK;
}

static bool is_private(const struct work *w, u64 region)
{
    return !tdp_has_shared(vm.tdp, gpa_add(w->base, region * level_bytes(LEVEL_2M)));
}

/* A guest is at work around what it converts: a vCPU reads a word of each region that has no shared page. */
static enum err touch(struct work *w)
{
    u64 size = level_bytes(LEVEL_2M);
    enum err e = ERR_OK;

    for (u64 from = 0, end; e == ERR_OK && from < w->watch->count; from = end + 1) {
        for (end = from; end < w->watch->count && is_private(w, end); end++)
            ;
        gpa_t first = gpa_add(w->base, from * size);
        if (end == from)
            continue;
        e = world_touch(w->x, min_u64(1, vm.vcpu_count - 1), gpa_add(first, READ_PAGE * PAGE_BYTES),
                        (end - from - 1) * size + sizeof(u64), size, false);
        if (e == ERR_OK)
            e = watch_touched_in(w->watch, first, (end - from) * size);
    }
    return e;
}

static enum err wait_until(struct work *w, u64 from, u64 ms)
{
    enum err e = ERR_OK;

    for (u64 now; e == ERR_OK && (now = (time_us() - from) / 1000) < ms;) {
        e = work_wait(w, min_u64(ms - now, w->x->values[STEP]));
        if (e == ERR_OK && w->x->values[TOUCH])
            e = touch(w);
    }
    return e;
}

static enum err replay(struct work *w, const struct conversion *c)
{
    gpa_t gpa = gpa_add(w->base, c->gpa.raw - lowest.raw);
    enum err e = ERR_OK;

    if (c->converts)
        e = c->to_shared ? work_share(w, gpa, c->bytes) : work_take_back(w, gpa, c->bytes);
    if (e == ERR_OK && c->touches)
        e = work_write(w, gpa, c->bytes);
    return e;
}

static enum err name_line(struct work *w, enum err e, const struct conversions *c)
{
    struct fault_text why = w->x->fault;

    if (e == ERR_OK || e == ERR_INTERRUPTED)
        return e;
    return fault_say(&w->x->fault, e, "%s, line %u: %s", c->file->name, c->line, why.text);
}

static enum err work(struct work *w)
{
    u64 from = time_us();
    struct conversions c;
    struct conversion next;
    enum err e = conversions_open(&c, w->x->chosen[LIST], &w->x->fault);

    while (e == ERR_OK && (e = conversions_next(&c, &next, &w->x->fault)) == ERR_OK) {
        e = wait_until(w, from, next.ms);
        if (e == ERR_OK)
            e = name_line(w, replay(w, &next), &c);
    }
    return e == ERR_NOT_FOUND ? ERR_OK : e;
}

static void add(struct work *w, struct json *j)
{
    json_text(j, "list", w->x->chosen[LIST]);
}

const struct workload workload_list = {
    .name = "list",
    .what = "the conversions and touches that the file list=NAME of the boot volume has, in their time",
    .level = {1},
    .on_request = true,
    .untouched = true,
    .plan = plan,
    .work = work,
    .touch = touch,
    .add = add,
};
