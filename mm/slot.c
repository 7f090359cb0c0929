/* Memory slots: see mm/slot.h. */
#include "mm/slot.h"

#include "lib/bits.h"
#include "lib/log.h"
#include "mm/bitmap.h"
#include "mm/page.h"

static u64 page_index(const struct slot *s, gpa_t gpa)
{
    return (gpa.raw - s->base.raw) >> PAGE_SHIFT;
}

static u64 bitmap_bytes(const struct slot *s)
{
    return BITMAP_WORDS(slot_bit(s, slot_end(s))) * sizeof(u64);
}

/* Regions and windows are counted from the one that holds the slot's first byte. */
static u64 region_index(const struct slot *s, gpa_t gpa, level_t level)
{
    return (gpa.raw >> level_shift(level)) - (s->base.raw >> level_shift(level));
}

static u64 region_count(const struct slot *s, level_t level)
{
    return region_index(s, gpa_add(slot_end(s), -1ull), level) + 1;
}

/* --- backing ------------------------------------------------------------------------------------------------------ */

/* The part of GiB window `i` that the slot covers. */
static gpa_t window_start(const struct slot *s, u64 i)
{
    return i == 0 ? s->base : gpa_add(gpa_floor(s->base, LEVEL_1G), i << level_shift(LEVEL_1G));
}

static u64 window_bytes(const struct slot *s, u64 i)
{
    u64 end = gpa_floor(window_start(s, i), LEVEL_1G).raw + level_bytes(LEVEL_1G);
    return min_u64(end, slot_end(s).raw) - window_start(s, i).raw;
}

/* A whole GiB is aligned to 1G so that it can become one page; where no such range is left, 2M pages must do. */
static enum err back_window(struct slot *s, u64 i)
{
    u64 bytes = window_bytes(s, i);
    level_t align = level_is(s->max_level, LEVEL_1G) && bytes < level_bytes(LEVEL_1G) ? LEVEL_2M : s->max_level;
    enum err e = page_alloc_range_on(s->node, bytes, level_bytes(align), &s->back[i]);
    if (e == ERR_NO_MEMORY && level_is(align, LEVEL_1G)) {
        e = page_alloc_range_on(s->node, bytes, level_bytes(LEVEL_2M), &s->back[i]);
        if (e == ERR_OK)
            log_msg(LOG_WARN, "no free 1G block for gpa %llx: it can have 2M pages at most",
                    (unsigned long long)window_start(s, i).raw);
    }
    return e;
}

static enum err back_windows(struct slot *s)
{
    for (u64 i = 0; i < s->back_count; i++) {
        enum err e = back_window(s, i);
        if (e != ERR_OK)
            return e;
    }
    return ERR_OK;
}

static bool is_coprime(u64 a, u64 b)
{
    while (b) {
        u64 rest = a % b;
        a = b;
        b = rest;
    }
    return a == 1;
}

/* Pages taken one by one are often neighbours; dealt out with a stride that shares no divisor with their number each
 * guest page gets one, and no two guest neighbours get host neighbours. */
static enum err back_pages(struct slot *s)
{
    u64 stride = 509;
    while (!is_coprime(stride, s->back_count))
        stride += 2;
    for (u64 i = 0; i < s->back_count; i++) {
        enum err e = page_alloc_range_on(s->node, PAGE_BYTES, PAGE_BYTES, &s->back[i * stride % s->back_count]);
        if (e != ERR_OK)
            return e;
    }
    return ERR_OK;
}

static hpa_t *take_addresses(u64 count)
{
    hpa_t *list = page_take(count * sizeof(hpa_t));
    for (u64 i = 0; list && i < count; i++)
        list[i] = HPA_NONE;
    return list;
}

static enum err take_side_tables(struct slot *s)
{
    s->back = take_addresses(s->back_count);
    s->shared = page_take(bitmap_bytes(s));
    s->shared_in[0] = page_take(region_count(s, LEVEL_2M) * sizeof(u32));
    s->shared_in[1] = page_take(region_count(s, LEVEL_1G) * sizeof(u32));
    s->home = take_addresses(region_count(s, LEVEL_2M));
    s->at_home = page_take(region_count(s, LEVEL_2M) * sizeof(u32));
    if (!s->back || !s->shared || !s->shared_in[0] || !s->shared_in[1] || !s->home || !s->at_home)
        return ERR_NO_MEMORY;
    return ERR_OK;
}

enum err slot_create(struct slot *s, gpa_t base, u64 bytes, level_t max_level, enum tdp_backing backing, unsigned node)
{
    level_t align = level_is(max_level, LEVEL_4K) ? LEVEL_4K : LEVEL_2M;
    if (!gpa_is_aligned(base, align) || !is_aligned(bytes, PAGE_BYTES))
        return ERR_UNALIGNED;
    if (bytes == 0 || max_level.raw > 2)
        return ERR_ARGUMENT;
    *s = (struct slot){.base = base, .bytes = bytes, .max_level = max_level, .backing = backing, .node = node};
    s->back_count = backing == TDP_INPLACE ? region_count(s, LEVEL_1G) : bytes >> PAGE_SHIFT;
    enum err e = take_side_tables(s);
    if (e == ERR_OK)
        e = backing == TDP_INPLACE ? back_windows(s) : back_pages(s);
    if (e != ERR_OK)
        slot_destroy(s);
    return e;
}

/* The places at home that no page has been moved to. */
static void free_empty_places(struct slot *s, gpa_t region)
{
    for (unsigned i = 0; i < TABLE_ENTRIES; i++) {
        gpa_t gpa = gpa_add(region, i * PAGE_BYTES);
        if (!hpa_is(slot_page(s, gpa), slot_place(s, gpa)))
            page_free(slot_place(s, gpa), LEVEL_4K);
    }
}

static void free_homes(struct slot *s)
{
    for (u64 i = 0; i < region_count(s, LEVEL_2M); i++)
        if (!hpa_is(s->home[i], HPA_NONE))
            free_empty_places(s, gpa_add(gpa_floor(s->base, LEVEL_2M), i << level_shift(LEVEL_2M)));
}

void slot_destroy(struct slot *s)
{
    if (s->home && s->at_home)
        free_homes(s);
    for (u64 i = 0; s->back && i < s->back_count; i++)
        if (!hpa_is(s->back[i], HPA_NONE))
            page_free_range(s->back[i], s->backing == TDP_INPLACE ? window_bytes(s, i) : PAGE_BYTES);
    page_give(s->back, s->back_count * sizeof(hpa_t));
    page_give(s->shared, bitmap_bytes(s));
    page_give(s->shared_in[0], region_count(s, LEVEL_2M) * sizeof(u32));
    page_give(s->shared_in[1], region_count(s, LEVEL_1G) * sizeof(u32));
    page_give(s->home, region_count(s, LEVEL_2M) * sizeof(hpa_t));
    page_give(s->at_home, region_count(s, LEVEL_2M) * sizeof(u32));
    *s = (struct slot){0};
}

hpa_t slot_page(const struct slot *s, gpa_t gpa)
{
    if (s->backing == TDP_SCATTER)
        return s->back[page_index(s, gpa)];
    u64 i = region_index(s, gpa, LEVEL_1G);
    return hpa_add(s->back[i], gpa.raw - window_start(s, i).raw);
}

/* Inside the slot, and not above the largest mapping allowed. */
static bool may_hold(const struct slot *s, gpa_t gpa, level_t level)
{
    return level.raw <= s->max_level.raw && slot_holds(s, gpa_floor(gpa, level), level_bytes(level));
}

/* How far host memory is contiguous from `gpa` on. */
static gpa_t piece_end(const struct slot *s, gpa_t gpa, gpa_t end)
{
    level_t level = s->backing == TDP_INPLACE ? LEVEL_1G : LEVEL_4K;
    return (gpa_t){min_u64(gpa_floor(gpa, level).raw + level_bytes(level), end.raw)};
}

gpa_t slot_first_lost(const struct slot *s, gpa_t gpa, gpa_t end)
{
    if (page_lost_bytes() == 0)
        return end;
    for (gpa_t next; gpa.raw < end.raw; gpa = next) {
        next = piece_end(s, gpa, end);
        hpa_t page = slot_page(s, gpa);
        u64 good = page_first_lost(page, next.raw - gpa.raw).raw - page.raw;
        if (good < next.raw - gpa.raw)
            return gpa_add(gpa, good);
    }
    return end;
}

static bool has_lost(const struct slot *s, gpa_t from, level_t level)
{
    gpa_t end = gpa_add(from, level_bytes(level));
    return slot_first_lost(s, from, end).raw != end.raw;
}

static bool is_aligned_as(hpa_t page, gpa_t gpa, level_t level)
{
    return ((page.raw ^ gpa.raw) & (level_bytes(level) - 1)) == 0;
}

bool slot_may_be(const struct slot *s, gpa_t gpa, level_t level)
{
    if (level.raw == 0)
        return slot_holds(s, gpa, PAGE_BYTES);
    if (!may_hold(s, gpa, level) || has_lost(s, gpa_floor(gpa, level), level))
        return false;
    if (s->backing == TDP_SCATTER)
        return level.raw == 1 && s->at_home[region_index(s, gpa, LEVEL_2M)] == TABLE_ENTRIES;
    return is_aligned_as(slot_page(s, gpa), gpa, level);
}

bool slot_is_at_home(const struct slot *s, gpa_t gpa, level_t level, hpa_t page)
{
    if (s->backing == TDP_SCATTER)
        return level.raw == 0 && hpa_is(page, slot_place(s, gpa));
    level = level_above(level);
    return may_hold(s, gpa, level) && is_aligned_as(page, gpa, level) && !has_lost(s, gpa_floor(gpa, level), level);
}

/* --- homes of scattered regions ----------------------------------------------------------------------------------- */

bool slot_may_gather(const struct slot *s, gpa_t gpa)
{
    return s->backing == TDP_SCATTER && may_hold(s, gpa, LEVEL_2M);
}

hpa_t slot_place(const struct slot *s, gpa_t gpa)
{
    hpa_t home = s->home[region_index(s, gpa, LEVEL_2M)];
    return hpa_is(home, HPA_NONE) ? HPA_NONE : hpa_add(home, gpa.raw & (level_bytes(LEVEL_2M) - PAGE_BYTES));
}

enum err slot_take_home(struct slot *s, gpa_t gpa)
{
    hpa_t *home = &s->home[region_index(s, gpa, LEVEL_2M)];
    u64 bytes = level_bytes(LEVEL_2M);
    return hpa_is(*home, HPA_NONE) ? page_alloc_range_on(s->node, bytes, bytes, home) : ERR_OK;
}

void slot_give_empty_home(struct slot *s, gpa_t gpa)
{
    u64 i = region_index(s, gpa, LEVEL_2M);
    if (hpa_is(s->home[i], HPA_NONE) || s->at_home[i])
        return;
    page_free(s->home[i], LEVEL_2M);
    s->home[i] = HPA_NONE;
}

void slot_move(struct slot *s, gpa_t gpa)
{
    ASSERT(slot_may_gather(s, gpa) && !hpa_is(slot_page(s, gpa), slot_place(s, gpa)));
    s->back[page_index(s, gpa)] = slot_place(s, gpa);
    s->at_home[region_index(s, gpa, LEVEL_2M)]++;
}

/* --- attributes --------------------------------------------------------------------------------------------------- */

u64 slot_shared_count(const struct slot *s, gpa_t gpa, level_t level)
{
    if (level.raw == 0)
        return slot_is_shared(s, gpa);
    return __atomic_load_n(&s->shared_in[level.raw - 1][region_index(s, gpa, level)], __ATOMIC_RELAXED);
}

static void add(u32 *count, u32 delta)
{
    __atomic_fetch_add(count, delta, __ATOMIC_RELAXED);
}

void slot_set_attr(struct slot *s, gpa_t gpa, u64 bytes, enum tdp_attr to)
{
    gpa_t end = gpa_add(gpa, bytes);
    while (gpa.raw < end.raw) {
        gpa_t next = {min_u64(gpa_floor(gpa, LEVEL_2M).raw + level_bytes(LEVEL_2M), end.raw)};
        u32 changed =
            (u32)bitmap_set(s->shared, slot_bit(s, gpa), (next.raw - gpa.raw) >> PAGE_SHIFT, to == TDP_SHARED);
        u32 delta = to == TDP_SHARED ? changed : -changed;
        add(&s->shared_in[0][region_index(s, gpa, LEVEL_2M)], delta);
        add(&s->shared_in[1][region_index(s, gpa, LEVEL_1G)], delta);
        gpa = next;
    }
}

gpa_t slot_attr_run(const struct slot *s, gpa_t gpa, gpa_t end)
{
    u64 from = slot_bit(s, gpa), to = slot_bit(s, end);
    u64 past = bitmap_find(s->shared, from, to, !bitmap_get(s->shared, from));
    return gpa_add(gpa_floor(s->base, LEVEL_2M), past << PAGE_SHIFT);
}
