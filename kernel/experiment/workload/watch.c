/* Regions under a workload: see watch.h. */
#include "kernel/experiment/workload/watch.h"

#include "kernel/experiment/world.h"
#include "kernel/time.h"
#include "lib/bits.h"
#include "lib/string.h"
#include "mm/page.h"

static u64 bytes_of(u64 count)
{
    return align_up(count * sizeof(struct watched_region), PAGE_BYTES);
}

enum err watch_begin(struct watch *w, gpa_t base, u64 count, level_t level)
{
    ASSERT(count <= WATCH_REGIONS_MAX);
    memset(w, 0, sizeof(*w));
    w->base = base;
    w->count = count;
    w->level = level;
    w->whole = count;
    w->is_told = true;
    w->regions = page_take(bytes_of(count));
    return w->regions ? ERR_OK : ERR_NO_MEMORY;
}

void watch_end(struct watch *w)
{
    page_give(w->regions, bytes_of(w->count));
    w->regions = NULL;
}

void watch_begin_sample(struct watch *w)
{
    w->merged = w->unused = 0;
    w->till_merged = (struct vm_pauses){0};
    w->point_count = 0;
    w->every = 0;
    w->began = time_us();
}

static void begin_pieces(struct watch *w, struct watched_region *r)
{
    r->was_cut = true;
    r->cut_at = time_us();
}

static void look_at(struct watch *w, struct watched_region *r, bool is_large)
{
    if (!w->is_told && r->is_large && !is_large)
        begin_pieces(w, r);
    if (is_large && !r->is_large && r->was_cut) {
        w->merged++;
        r->was_merged = true;
        r->is_used = false;
        vm_pauses_add(&w->till_merged, time_us() - r->cut_at);
    }
    r->is_large = is_large;
    r->is_used = is_large && (r->is_used || w->is_read);
}

static enum err look_one(struct watch *w, u64 index)
{
    level_t level;
    enum err e = tdp_level(vm.tdp, gpa_add(w->base, index * level_bytes(w->level)), &level);

    if (e == ERR_OK)
        look_at(w, &w->regions[index], level.raw >= w->level.raw);
    return e;
}

static bool has_shared(const struct watch *w, u64 index)
{
    u64 size = level_bytes(w->level);
    bool any = false;

    for (u64 at = 0; at < size && !any; at += level_bytes(LEVEL_2M))
        any = tdp_has_shared(vm.tdp, gpa_add(w->base, index * size + at));
    return any;
}

/* Every other point, and from now on as far apart as they are then. */
static void thin_out(struct watch *w)
{
    for (unsigned i = 0; i < WATCH_POINTS_MAX / 2; i++)
        w->points[i] = w->points[2 * i];
    w->point_count = WATCH_POINTS_MAX / 2;
    w->every = max_u64(1, w->points[w->point_count - 1].ms / w->point_count);
}

static void add_point(struct watch *w)
{
    u64 ms = (time_us() - w->began) / 1000;

    if (w->point_count && ms - w->points[w->point_count - 1].ms < w->every)
        return;
    if (w->point_count == WATCH_POINTS_MAX)
        thin_out(w);
    w->points[w->point_count].ms = ms;
    w->points[w->point_count++].large = w->large;
}

enum err watch_look(struct watch *w)
{
    enum err e = ERR_OK;

    w->large = w->whole = 0;
    w->looked = time_us();
    for (u64 i = 0; i < w->count && e == ERR_OK; i++) {
        e = look_one(w, i);
        w->large += w->regions[i].is_large;
        w->whole += !has_shared(w, i);
    }
    add_point(w);
    return e;
}

static void use(struct watch *w, struct watched_region *r)
{
    r->is_used = r->is_large;
}

static void leave(struct watch *w, struct watched_region *r)
{
    w->unused += r->was_merged && !r->is_used;
    r->was_merged = false;
}

enum err watch_touched(struct watch *w)
{
    enum err e = watch_look(w);

    for (u64 i = 0; i < w->count; i++)
        use(w, &w->regions[i]);
    return e;
}

static u64 index_of(const struct watch *w, gpa_t gpa)
{
    return (gpa.raw - w->base.raw) / level_bytes(w->level);
}

/* One region: looked at, then what `after` does to it. */
static enum err each(struct watch *w, gpa_t gpa, u64 bytes, void (*after)(struct watch *w, struct watched_region *r))
{
    enum err e = ERR_OK;

    for (u64 i = index_of(w, gpa); i <= index_of(w, gpa_add(gpa, bytes - 1)) && e == ERR_OK; i++) {
        e = look_one(w, i);
        after(w, &w->regions[i]);
    }
    return e;
}

enum err watch_touched_in(struct watch *w, gpa_t gpa, u64 bytes)
{
    return each(w, gpa, bytes, use);
}

enum err watch_cut_begins(struct watch *w, gpa_t gpa, u64 bytes)
{
    return each(w, gpa, bytes, leave);
}

enum err watch_cut_ends(struct watch *w, gpa_t gpa, u64 bytes)
{
    return each(w, gpa, bytes, begin_pieces);
}

void watch_pieces(struct watch *w)
{
    for (u64 i = 0; i < w->count; i++)
        begin_pieces(w, &w->regions[i]);
}

static void add_points(const struct watch *w, struct json *j)
{
    json_object(j, "share");
    json_array(j, "ms");
    for (unsigned i = 0; i < w->point_count; i++)
        json_number(j, NULL, w->points[i].ms);
    json_end_array(j);
    json_array(j, "large");
    for (unsigned i = 0; i < w->point_count; i++)
        json_number(j, NULL, w->points[i].large);
    json_end_array(j);
    json_end_object(j);
}

void watch_add(struct watch *w, struct json *j)
{
    static const struct vm_pauses none;

    w->every = 0; /* the last point is how it ends */
    add_point(w);
    for (u64 i = 0; i < w->count; i++)
        leave(w, &w->regions[i]);
    json_number(j, "large", w->large);
    json_number(j, "whole", w->whole);
    json_bool(j, "settled", w->large == w->whole);
    json_number(j, "merged", w->merged);
    if (w->is_told)
        json_number(j, "unused", w->unused);
    world_add_spread(j, "till_merged_us", &none, &w->till_merged);
    add_points(w, j);
}
