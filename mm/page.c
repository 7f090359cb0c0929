/*
 * The page allocator: the ranges, each a buddy system of its own (mm/buddy.h), and the choice between them; see mm/page.h.
 *
 * Left out: per-CPU caches. One lock; it is held for a few list operations, except where the first page of a GiB is taken: 3 MiB
 * of its side table are written then.
 */
#include "mm/page.h"

#include "lib/bits.h"
#include "lib/hw/cpu.h"
#include "lib/lock.h"
#include "lib/log.h"
#include "lib/string.h"
#include "mm/bitmap.h"
#include "mm/buddy.h"

#define RANGE_PAGES_MIN 2 /* one for its side table */
#define NOBODY          (~0u)
#define GIB_PAGES       (1ull << BUDDY_ORDER_MAX)

struct range {
    struct buddy *b;
    u64 first, end; /* of the pages that it gives out */
};

/* Constant after boot. `free_orders` and `node` stand apart: that is all that a search looks at. */
static struct range ranges[PAGE_RANGES_MAX];
static u8 node_of[PAGE_RANGES_MAX];
static u16 by_address[PAGE_RANGES_MAX];
static unsigned range_count;
static struct page_left_out left_out;

static struct spin lock; /* of all that follows, and of the ranges */
static u32 free_orders[PAGE_RANGES_MAX];
static struct page_use uses[PAGE_NODES_MAX]; /* in pages */
_Atomic u64 pages_lost;
static _Atomic u64 pages_far;

/* --- ranges -------------------------------------------------------------------------------------------------------- */

/* The place in `by_address` of the first range that ends behind `pfn`. */
static unsigned first_behind(u64 pfn)
{
    unsigned low = 0, high = range_count;

    while (low < high) {
        unsigned middle = (low + high) / 2;
        if (ranges[by_address[middle]].end <= pfn)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static unsigned range_of(u64 pfn, u64 pages)
{
    unsigned at = first_behind(pfn);

    if (at == range_count || ranges[by_address[at]].first > pfn || ranges[by_address[at]].end < pfn + pages)
        panic("memory that was never given: %llx", (unsigned long long)(pfn << PAGE_SHIFT));
    return by_address[at];
}

static void take_run(unsigned range, u64 pfn, u64 count)
{
    buddy_take(ranges[range].b, pfn, count);
    uses[node_of[range]].free -= count;
}

/* --- choosing ------------------------------------------------------------------------------------------------------ */

/* The range whose smallest sufficient free block is the smallest of all: large blocks stay whole as long as they can. */
static unsigned best_range(unsigned node, unsigned order, unsigned *found)
{
    unsigned best = NOBODY;

    *found = BUDDY_ORDERS;
    for (unsigned i = 0; i < range_count; i++) {
        u32 orders = free_orders[i] >> order << order;
        if (!orders || (node != PAGE_ANY_NODE && node_of[i] != node) || (unsigned)__builtin_ctz(orders) >= *found)
            continue;
        *found = (unsigned)__builtin_ctz(orders);
        best = i;
    }
    return best;
}

static bool take_block(unsigned node, unsigned order, u64 count, u64 *pfn)
{
    unsigned found, i = best_range(node, order, &found);

    if (i == NOBODY)
        return false;
    *pfn = buddy_first(ranges[i].b, found);
    take_run(i, *pfn, count);
    return true;
}

/* The first run of `count` free pages of [at, end), or `end`. */
static u64 find_run(const struct buddy *b, u64 at, u64 end, u64 count, u64 align_pages)
{
    for (at = align_up(at, align_pages); at + count <= end;) {
        u64 taken = buddy_find(b, BUDDY_USED, at, at + count, true);
        if (taken == at + count)
            return at;
        at = align_up(taken + 1, align_pages);
    }
    return end;
}

/* First fit over the bits: for runs longer than a block, or when no block is large enough. */
static bool take_first_fit(unsigned node, u64 count, u64 align_pages, u64 *pfn)
{
    for (unsigned i = 0; i < range_count; i++) {
        const struct range *r = &ranges[i];
        if (node != PAGE_ANY_NODE && node_of[i] != node)
            continue;
        *pfn = find_run(r->b, r->first, r->end, count, align_pages);
        if (*pfn == r->end)
            continue;
        take_run(i, *pfn, count);
        return true;
    }
    return false;
}

static unsigned order_for(u64 pages)
{
    unsigned order = 0;

    while (order < BUDDY_ORDER_MAX && (1ull << order) < pages)
        order++;
    return order;
}

static enum err alloc_run(unsigned node, u64 pages, u64 align_pages, hpa_t *base)
{
    unsigned order = order_for(max_u64(pages, align_pages));
    bool fits_block = pages <= 1ull << order && align_pages <= 1ull << order;
    u64 pfn;

    spin_lock(&lock);
    bool found = (fits_block && take_block(node, order, pages, &pfn)) || take_first_fit(node, pages, align_pages, &pfn);
    spin_unlock(&lock);
    if (!found)
        return ERR_NO_MEMORY;
    *base = (hpa_t){pfn << PAGE_SHIFT};
    return ERR_OK;
}

/* What is lost stays out. */
static void free_run(hpa_t base, u64 pages, bool own)
{
    u64 pfn = base.raw >> PAGE_SHIFT, end = pfn + pages;

    ASSERT((base.raw & (PAGE_BYTES - 1)) == 0 && pages > 0);
    spin_lock(&lock);
    unsigned i = range_of(pfn, pages);
    struct buddy *b = ranges[i].b;
    while (pfn < end) {
        u64 past = buddy_find(b, BUDDY_LOST, pfn, end, true);
        if (past > pfn) {
            buddy_free(b, pfn, past - pfn, own);
            uses[node_of[i]].free += past - pfn;
        }
        pfn = buddy_find(b, BUDDY_LOST, past, end, false);
    }
    spin_unlock(&lock);
}

/* Zeroes what is taken. MOVDIR64B is for pages that a TD may have had: it is the one store that their old key does
 * not spoil. */
static void zero_run(hpa_t base, u64 pages)
{
    u64 at = base.raw >> PAGE_SHIFT, end = at + pages;
    const struct buddy *b = ranges[range_of(at, pages)].b;

    while (at < end) {
        u64 left_vmm = buddy_find(b, BUDDY_OWN, at, end, false);
        bool own = left_vmm > at;
        u64 past = own ? left_vmm : buddy_find(b, BUDDY_OWN, at, end, true);
        hpa_t run = {at << PAGE_SHIFT};
        if (own)
            memset(phys_ptr(run), 0, (past - at) << PAGE_SHIFT);
        else
            cpu_reset_pages(run, (past - at) << PAGE_SHIFT);
        at = past;
    }
}

/* --- adding and withdrawing ---------------------------------------------------------------------------------------- */

void page_init(void)
{
    range_count = 0;
    memset(uses, 0, sizeof(uses));
    left_out = (struct page_left_out){0};
    pages_lost = 0;
}

/* How many 1G frames [first, end) can give. */
static u64 whole_gibs(u64 first, u64 end)
{
    u64 from = align_up(first, GIB_PAGES), to = align_down(end, GIB_PAGES);
    return from < to ? (to - from) / GIB_PAGES : 0;
}

/* The first run of `count` free pages of the range within a GiB that is no free 1G frame, or the range's end. */
static u64 find_beside_frames(const struct range *r, u64 count)
{
    for (u64 at = r->first, past; at < r->end; at = past) {
        past = min_u64(r->end, align_down(at, GIB_PAGES) + GIB_PAGES);
        if (past - at == GIB_PAGES && buddy_find(r->b, BUDDY_USED, at, past, true) == past)
            continue;
        u64 found = find_run(r->b, at, past, count, 1);
        if (found != past)
            return found;
    }
    return r->end;
}

/* Of other ranges, for good. */
static bool take_beside_frames(unsigned node, u64 count, u64 *pfn)
{
    for (unsigned i = 0; i < range_count; i++) {
        if (node != PAGE_ANY_NODE && node_of[i] != node)
            continue;
        *pfn = find_beside_frames(&ranges[i], count);
        if (*pfn == ranges[i].end)
            continue;
        take_run(i, *pfn, count);
        uses[node_of[i]].total -= count;
        return true;
    }
    return false;
}

/*
 * Where the side table of [*first, *end) costs the fewest 1G frames: at the end of the range that is cut there anyway, else in
 * other ranges, those of its node first, else at either end. Ranges come in order of address, and below the first border of a GiB
 * there is always a piece.
 */
static u64 place_side_table(u64 *first, u64 *end, unsigned node)
{
    u64 count = buddy_side_pages(*end - *first), all = whole_gibs(*first, *end), side;
    u64 without_front = whole_gibs(*first + count, *end), without_back = whole_gibs(*first, *end - count);

    if (max_u64(without_front, without_back) < all &&
        (take_beside_frames(node, count, &side) || take_beside_frames(PAGE_ANY_NODE, count, &side)))
        return side;
    if (without_front < without_back)
        return *end -= count;
    side = *first;
    *first += count;
    return side;
}

static void add_range(u64 first, u64 end, unsigned node)
{
    u64 side = place_side_table(&first, &end, node);
    unsigned i = range_count, at = first_behind(first);
    struct buddy *b = buddy_create(first, end, side, &free_orders[i]);

    for (unsigned k = range_count++; k > at; k--)
        by_address[k] = by_address[k - 1];
    by_address[at] = (u16)i;
    ranges[i] = (struct range){b, b->first, buddy_end(b)};
    node_of[i] = (u8)node;
    uses[node].total += b->count;
    uses[node].free += b->count;
}

void page_add_range_on(unsigned node, hpa_t base, u64 bytes)
{
    u64 first = align_up(base.raw, PAGE_BYTES) >> PAGE_SHIFT;
    u64 end = (base.raw + bytes) >> PAGE_SHIFT;

    ASSERT(node < PAGE_NODES_MAX);
    for (u64 at = first, past; at < end; at = past) {
        past = min_u64(end, align_down(at, BUDDY_PAGES_MAX) + BUDDY_PAGES_MAX);
        if (past - at >= RANGE_PAGES_MIN && range_count < PAGE_RANGES_MAX) {
            add_range(at, past, node);
            continue;
        }
        left_out.pieces++;
        left_out.bytes += (past - at) << PAGE_SHIFT;
    }
}

void page_add_range(hpa_t base, u64 bytes)
{
    page_add_range_on(0, base, bytes);
}

struct page_left_out page_left_out(void)
{
    return left_out;
}

static void withdraw_from(unsigned i, u64 pfn, u64 end)
{
    const struct range *r = &ranges[i];

    pfn = max_u64(pfn, r->first);
    end = min_u64(end, r->end);
    while (pfn < end) {
        u64 free = buddy_find(r->b, BUDDY_USED, pfn, end, false);
        if (free >= end)
            return;
        pfn = buddy_find(r->b, BUDDY_USED, free, end, true);
        take_run(i, free, pfn - free);
        uses[node_of[i]].total -= pfn - free;
    }
}

void page_withdraw(hpa_t base, u64 bytes)
{
    u64 pfn = base.raw >> PAGE_SHIFT, end = align_up(base.raw + bytes, PAGE_BYTES) >> PAGE_SHIFT;

    spin_lock(&lock);
    for (unsigned at = first_behind(pfn); at < range_count && ranges[by_address[at]].first < end; at++)
        withdraw_from(by_address[at], pfn, end);
    spin_unlock(&lock);
}

/* --- the interface ------------------------------------------------------------------------------------------------- */

enum err page_alloc(level_t level, hpa_t *page)
{
    ASSERT(level.raw <= 2);
    u64 pages = level_bytes(level) >> PAGE_SHIFT;
    return alloc_run(PAGE_ANY_NODE, pages, pages, page);
}

enum err page_alloc_near(unsigned node, hpa_t *page)
{
    enum err e = alloc_run(node, 1, 1, page);
    if (e == ERR_OK || node == PAGE_ANY_NODE)
        return e;
    e = alloc_run(PAGE_ANY_NODE, 1, 1, page);
    pages_far += e == ERR_OK;
    return e;
}

enum err page_alloc_zeroed_near(unsigned node, hpa_t *page)
{
    enum err e = page_alloc_near(node, page);
    if (e == ERR_OK)
        zero_run(*page, 1);
    return e;
}

enum err page_alloc_zeroed(hpa_t *page)
{
    return page_alloc_zeroed_near(PAGE_ANY_NODE, page);
}

u64 page_far(void)
{
    return pages_far;
}

void page_free(hpa_t page, level_t level)
{
    ASSERT(hpa_is_aligned(page, level));
    free_run(page, level_bytes(level) >> PAGE_SHIFT, false);
}

enum err page_alloc_range_on(unsigned node, u64 bytes, u64 align, hpa_t *base)
{
    u64 pages = align_up(bytes, PAGE_BYTES) >> PAGE_SHIFT;
    if (bytes == 0 || bytes > ~0ull - PAGE_BYTES || align < PAGE_BYTES || (align & (align - 1)))
        return ERR_ARGUMENT;
    return alloc_run(node, pages, align >> PAGE_SHIFT, base);
}

enum err page_alloc_range(u64 bytes, u64 align, hpa_t *base)
{
    return page_alloc_range_on(PAGE_ANY_NODE, bytes, align, base);
}

void page_free_range(hpa_t base, u64 bytes)
{
    free_run(base, align_up(bytes, PAGE_BYTES) >> PAGE_SHIFT, false);
}

void page_lose(hpa_t base, u64 bytes)
{
    u64 pfn = base.raw >> PAGE_SHIFT, pages = bytes >> PAGE_SHIFT;

    spin_lock(&lock);
    struct buddy *b = ranges[range_of(pfn, pages)].b;
    ASSERT(buddy_find(b, BUDDY_USED, pfn, pfn + pages, false) == pfn + pages);
    pages_lost += buddy_set(b, BUDDY_LOST, pfn, pages, true);
    spin_unlock(&lock);
}

static bool is_used(hpa_t page)
{
    u64 pfn = page.raw >> PAGE_SHIFT;
    unsigned at = first_behind(pfn);

    if (at == range_count || ranges[by_address[at]].first > pfn)
        return false;
    spin_lock(&lock);
    bool used = buddy_find(ranges[by_address[at]].b, BUDDY_USED, pfn, pfn + 1, true) == pfn;
    spin_unlock(&lock);
    return used;
}

bool page_poison(hpa_t page)
{
    u64 total = page_total_bytes();

    if (page_first_lost(page, PAGE_BYTES).raw == page.raw)
        return false;
    if (is_used(page)) {
        page_lose(page, PAGE_BYTES);
        return true;
    }
    page_withdraw(page, PAGE_BYTES);
    return page_total_bytes() != total;
}

/* Without the lock where nothing is lost, which is always but for what tests do and broken machines. */
hpa_t page_first_lost(hpa_t base, u64 bytes)
{
    u64 pfn = base.raw >> PAGE_SHIFT, end = pfn + (bytes >> PAGE_SHIFT);
    unsigned at = pages_lost ? first_behind(pfn) : range_count;

    for (; at < range_count && ranges[by_address[at]].first < end; at++) {
        const struct range *r = &ranges[by_address[at]];
        u64 past = min_u64(end, r->end), lost = buddy_find(r->b, BUDDY_LOST, max_u64(pfn, r->first), past, true);
        if (lost < past)
            return (hpa_t){lost << PAGE_SHIFT};
    }
    return (hpa_t){end << PAGE_SHIFT};
}

void *page_take(u64 bytes)
{
    hpa_t base;
    if (page_alloc_range(bytes, PAGE_BYTES, &base) != ERR_OK)
        return NULL;
    zero_run(base, align_up(bytes, PAGE_BYTES) >> PAGE_SHIFT);
    return phys_ptr(base);
}

void page_give(void *taken, u64 bytes)
{
    if (taken)
        free_run(phys_of(taken), align_up(bytes, PAGE_BYTES) >> PAGE_SHIFT, true);
}

/* A free block of a higher order holds whole blocks of this level too. */
static u64 whole_blocks(const struct buddy *b, level_t level)
{
    u64 count = 0;
    unsigned order = TABLE_SHIFT * level.raw;

    for (unsigned o = order; o <= BUDDY_ORDER_MAX; o++)
        count += b->blocks_free[o] << (o - order);
    return count;
}

struct page_use page_use(unsigned node)
{
    struct page_use sum = {0};

    spin_lock(&lock);
    for (unsigned n = 0; n < PAGE_NODES_MAX; n++)
        if (node == PAGE_ANY_NODE || node == n) {
            sum.total += uses[n].total << PAGE_SHIFT;
            sum.free += uses[n].free << PAGE_SHIFT;
        }
    for (unsigned i = 0; i < range_count; i++)
        for (level_t l = LEVEL_4K; l.raw < ARRAY_COUNT(sum.blocks); l.raw++)
            if (node == PAGE_ANY_NODE || node == node_of[i])
                sum.blocks[l.raw] += whole_blocks(ranges[i].b, l);
    spin_unlock(&lock);
    return sum;
}

u64 page_total_bytes(void)
{
    return page_use(PAGE_ANY_NODE).total;
}

u64 page_free_bytes(void)
{
    return page_use(PAGE_ANY_NODE).free;
}

u64 page_free_blocks(level_t level)
{
    return page_use(PAGE_ANY_NODE).blocks[level.raw];
}

static u64 largest_run(const struct range *r, u64 align_pages)
{
    u64 largest = 0;

    for (u64 at = r->first; at < r->end;) {
        u64 from = buddy_find(r->b, BUDDY_USED, at, r->end, false), first = align_up(from, align_pages);
        at = buddy_find(r->b, BUDDY_USED, from, r->end, true);
        if (first < at)
            largest = max_u64(largest, at - first);
    }
    return largest;
}

u64 page_largest_range(unsigned node, u64 align)
{
    u64 largest = 0;

    spin_lock(&lock);
    for (unsigned i = 0; i < range_count; i++)
        if (node == PAGE_ANY_NODE || node == node_of[i])
            largest = max_u64(largest, largest_run(&ranges[i], align >> PAGE_SHIFT));
    spin_unlock(&lock);
    return largest << PAGE_SHIFT;
}
