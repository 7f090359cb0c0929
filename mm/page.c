/*
 * The page allocator: a buddy system over physical ranges; see mm/page.h.
 *
 * A page given to the TDX module must not be read or written by the VMM, so free pages hold no links: each range
 * carries a side table, cut from the range itself at boot, with one `struct block` a page for the links of free
 * blocks and three bits a page: `used`, `own` and `lost`. Blocks are aligned by physical address, so that a block of order 18
 * is what a 1G page needs.
 *
 * Left out: NUMA nodes, per-CPU caches. One lock; it is held for a few list operations, except for 1G blocks, where
 * the bits of 262144 pages are set (4096 words).
 */
#include "mm/page.h"

#include "lib/bits.h"
#include "lib/hw/cpu.h"
#include "lib/lock.h"
#include "lib/log.h"
#include "lib/string.h"
#include "mm/bitmap.h"

#define RANGES_MAX      128
#define ORDER_MAX       18u /* 1G */
#define ORDERS          (ORDER_MAX + 1)
#define NIL             (~0u)
#define RANGE_PAGES_MIN 16 /* less is not worth a side table */

/* One a page; means something only while `free_head` says that a free block begins here. */
struct block {
    u32 next, prev; /* page indexes in the same range, NIL at the ends */
    u8 order;
    bool free_head;
};

/*
 * Invariants, whenever the lock is free: a page's bit in `used` is clear exactly when it lies in one free block; no
 * two free blocks are buddies of equal order (they would be one).
 */
struct range {
    u64 first; /* page frame number */
    u64 count; /* pages */
    struct block *blocks;
    u64 *used;
    u64 *own;  /* the page has not left the VMM since it was last reset (or since boot): no reset, plain stores do */
    u64 *lost; /* used for good, by nobody: page_lose() */
    u32 head[ORDERS];
    u64 blocks_free[ORDERS];
};

static struct range ranges[RANGES_MAX];
static unsigned range_count;
static u64 pages_total, pages_free;
_Atomic u64 pages_lost;
static struct spin lock;

/* --- free blocks of one range ------------------------------------------------------------------------------------- */

static void push(struct range *r, u32 index, unsigned order)
{
    struct block *b = &r->blocks[index];
    *b = (struct block){.next = r->head[order], .prev = NIL, .order = (u8)order, .free_head = true};
    if (b->next != NIL)
        r->blocks[b->next].prev = index;
    r->head[order] = index;
    r->blocks_free[order]++;
}

static void unlink(struct range *r, u32 index)
{
    struct block *b = &r->blocks[index];
    if (b->next != NIL)
        r->blocks[b->next].prev = b->prev;
    if (b->prev != NIL)
        r->blocks[b->prev].next = b->next;
    else
        r->head[b->order] = b->next;
    r->blocks_free[b->order]--;
    b->free_head = false;
}

static bool is_free_block(const struct range *r, u64 pfn, unsigned order)
{
    if (pfn < r->first || pfn + (1ull << order) > r->first + r->count)
        return false;
    const struct block *b = &r->blocks[pfn - r->first];
    return b->free_head && b->order == order;
}

/* A free block whose bits are clear already joins its buddies as far as that goes. */
static void join(struct range *r, u64 pfn, unsigned order)
{
    while (order < ORDER_MAX && is_free_block(r, pfn ^ (1ull << order), order)) {
        unlink(r, (u32)((pfn ^ (1ull << order)) - r->first));
        pfn &= ~(1ull << order);
        order++;
    }
    push(r, (u32)(pfn - r->first), order);
}

/* The largest order of a block that begins at `pfn` and has at most `count` pages. */
static unsigned order_at(u64 pfn, u64 count)
{
    unsigned order = 0;
    while (order < ORDER_MAX && is_aligned(pfn, 2ull << order) && (2ull << order) <= count)
        order++;
    return order;
}

/* [pfn, pfn + count) becomes free blocks, as large as alignment allows. */
static void join_run(struct range *r, u64 pfn, u64 count)
{
    while (count) {
        unsigned order = order_at(pfn, count);
        join(r, pfn, order);
        pfn += 1ull << order;
        count -= 1ull << order;
    }
}

/* The free block that holds `pfn`, which is free: its first page frame, and its order. */
static u64 block_of(const struct range *r, u64 pfn, unsigned *order)
{
    for (*order = 0; *order <= ORDER_MAX; (*order)++) {
        u64 first = align_down(pfn, 1ull << *order);
        if (is_free_block(r, first, *order))
            return first;
    }
    panic("page %llx is in no free block", (unsigned long long)(pfn << PAGE_SHIFT));
}

/* Takes [pfn, pfn + count), all free, out of the free blocks; what they hold beyond goes back. */
static void take_run(struct range *r, u64 pfn, u64 count)
{
    u64 end = pfn + count, at = pfn;
    while (at < end) {
        unsigned order;
        u64 first = block_of(r, at, &order), past = first + (1ull << order);
        unlink(r, (u32)(first - r->first));
        if (first < pfn)
            join_run(r, first, pfn - first);
        if (past > end)
            join_run(r, end, past - end);
        at = past;
    }
    bitmap_set(r->used, pfn - r->first, count, true);
    pages_free -= count;
}

/* --- choosing ----------------------------------------------------------------------------------------------------- */

/* The range whose smallest sufficient free block is the smallest of all: large blocks stay whole as long as they
 * can. */
static struct range *best_range(unsigned order, unsigned *found)
{
    struct range *best = NULL;
    *found = ORDERS;
    for (unsigned i = 0; i < range_count; i++) {
        unsigned o = order;
        while (o < *found && ranges[i].head[o] == NIL)
            o++;
        if (o < *found) {
            *found = o;
            best = &ranges[i];
        }
    }
    return best;
}

static bool take_block(unsigned order, u64 count, u64 *pfn)
{
    unsigned found;
    struct range *r = best_range(order, &found);
    if (!r)
        return false;
    *pfn = r->first + r->head[found];
    take_run(r, *pfn, count);
    return true;
}

/* First fit over the bits: for runs longer than a block, or when no block is large enough. */
static bool take_first_fit(u64 count, u64 align_pages, u64 *pfn)
{
    for (unsigned i = 0; i < range_count; i++) {
        struct range *r = &ranges[i];
        u64 at = align_up(r->first, align_pages), end = r->first + r->count;
        while (at + count <= end) {
            u64 taken = r->first + bitmap_find(r->used, at - r->first, at - r->first + count, true);
            if (taken == at + count) {
                take_run(r, at, count);
                *pfn = at;
                return true;
            }
            at = align_up(taken + 1, align_pages);
        }
    }
    return false;
}

static unsigned order_for(u64 pages)
{
    unsigned order = 0;
    while (order < ORDER_MAX && (1ull << order) < pages)
        order++;
    return order;
}

static struct range *range_of(u64 pfn, u64 pages)
{
    for (unsigned i = 0; i < range_count; i++)
        if (pfn >= ranges[i].first && pfn + pages <= ranges[i].first + ranges[i].count)
            return &ranges[i];
    panic("memory that was never given: %llx", (unsigned long long)(pfn << PAGE_SHIFT));
}

static enum err alloc_run(u64 pages, u64 align_pages, hpa_t *base)
{
    unsigned order = order_for(max_u64(pages, align_pages));
    u64 pfn;
    bool fits_block = pages <= 1ull << order && align_pages <= 1ull << order;

    spin_lock(&lock);
    bool found = (fits_block && take_block(order, pages, &pfn)) || take_first_fit(pages, align_pages, &pfn);
    spin_unlock(&lock);
    if (!found)
        return ERR_NO_MEMORY;
    *base = (hpa_t){pfn << PAGE_SHIFT};
    return ERR_OK;
}

static void free_piece(struct range *r, u64 index, u64 pages, bool own)
{
    u64 pfn = r->first + index;

    if (bitmap_set(r->used, index, pages, false) != pages)
        panic("double free of %llu pages at %llx", (unsigned long long)pages, (unsigned long long)pfn << PAGE_SHIFT);
    bitmap_set(r->own, index, pages, own);
    join_run(r, pfn, pages);
    pages_free += pages;
}

/* What is lost stays out. */
static void free_run(hpa_t base, u64 pages, bool own)
{
    u64 pfn = base.raw >> PAGE_SHIFT;

    ASSERT((base.raw & (PAGE_BYTES - 1)) == 0 && pages > 0);
    spin_lock(&lock);
    struct range *r = range_of(pfn, pages);
    for (u64 at = pfn - r->first, end = at + pages; at < end;) {
        u64 past = bitmap_find(r->lost, at, end, true);
        if (past > at)
            free_piece(r, at, past - at, own);
        at = bitmap_find(r->lost, past, end, false);
    }
    spin_unlock(&lock);
}

/* Zeroes what is taken. MOVDIR64B is for pages that a TD may have had: it is the one store that their old key does
 * not spoil. */
static void zero_run(hpa_t base, u64 pages)
{
    u64 pfn = base.raw >> PAGE_SHIFT;
    const struct range *r = range_of(pfn, pages);
    u64 at = pfn - r->first, end = at + pages;

    while (at < end) {
        bool own = bitmap_get(r->own, at);
        u64 past = bitmap_find(r->own, at, end, !own);
        hpa_t run = {(r->first + at) << PAGE_SHIFT};
        if (own)
            memset(phys_ptr(run), 0, (past - at) << PAGE_SHIFT);
        else
            cpu_reset_pages(run, (past - at) << PAGE_SHIFT);
        at = past;
    }
}

/* --- the interface ------------------------------------------------------------------------------------------------ */

void page_init(void)
{
    range_count = 0;
    pages_total = pages_free = 0;
    pages_lost = 0;
}

static u64 side_bytes(u64 pages)
{
    return align_up(pages * sizeof(struct block) + 3 * BITMAP_WORDS(pages) * sizeof(u64), PAGE_BYTES);
}

/* The range's tables, for up to `pages` pages, in `side`; none of its pages is free yet. */
static void lay_out(struct range *r, hpa_t side, u64 pages)
{
    memset(phys_ptr(side), 0, side_bytes(pages));
    r->used = phys_ptr(side);
    r->own = r->used + BITMAP_WORDS(pages);
    r->lost = r->own + BITMAP_WORDS(pages);
    r->blocks = (struct block *)(r->lost + BITMAP_WORDS(pages));
    bitmap_set(r->own, 0, r->count, true);
    for (unsigned order = 0; order < ORDERS; order++)
        r->head[order] = NIL;
}

void page_add_range(hpa_t base, u64 bytes)
{
    u64 first = align_up(base.raw, PAGE_BYTES) >> PAGE_SHIFT;
    u64 end = (base.raw + bytes) >> PAGE_SHIFT;

    if (end < first + RANGE_PAGES_MIN)
        return;
    if (range_count == RANGES_MAX || end - first >= NIL) {
        log_msg(LOG_WARN, "memory at %llx left unused: too many ranges", (unsigned long long)base.raw);
        return;
    }
    u64 side_pages = side_bytes(end - first) >> PAGE_SHIFT;
    /* The side table takes the end that is worse aligned, so that it costs no 1G block at the other. */
    bool at_front = !is_aligned(first, 1ull << ORDER_MAX) || is_aligned(end, 1ull << ORDER_MAX);
    hpa_t side = {(at_front ? first : end - side_pages) << PAGE_SHIFT};
    struct range *r = &ranges[range_count++];
    *r = (struct range){.first = at_front ? first + side_pages : first, .count = end - first - side_pages};
    lay_out(r, side, end - first);
    join_run(r, r->first, r->count);
    pages_total += r->count;
    pages_free += r->count;
}

static void withdraw_from(struct range *r, u64 pfn, u64 end)
{
    pfn = max_u64(pfn, r->first);
    end = min_u64(end, r->first + r->count);
    while (pfn < end) {
        u64 free = r->first + bitmap_find(r->used, pfn - r->first, end - r->first, false);
        if (free >= end)
            return;
        pfn = r->first + bitmap_find(r->used, free - r->first, end - r->first, true);
        take_run(r, free, pfn - free);
        pages_total -= pfn - free;
    }
}

void page_withdraw(hpa_t base, u64 bytes)
{
    spin_lock(&lock);
    for (unsigned i = 0; i < range_count; i++)
        withdraw_from(&ranges[i], base.raw >> PAGE_SHIFT, align_up(base.raw + bytes, PAGE_BYTES) >> PAGE_SHIFT);
    spin_unlock(&lock);
}

enum err page_alloc(level_t level, hpa_t *page)
{
    ASSERT(level.raw <= 2);
    u64 pages = level_bytes(level) >> PAGE_SHIFT;
    return alloc_run(pages, pages, page);
}

enum err page_alloc_zeroed(hpa_t *page)
{
    enum err e = page_alloc(LEVEL_4K, page);
    if (e == ERR_OK)
        zero_run(*page, 1);
    return e;
}

void page_free(hpa_t page, level_t level)
{
    ASSERT(hpa_is_aligned(page, level));
    free_run(page, level_bytes(level) >> PAGE_SHIFT, false);
}

enum err page_alloc_range(u64 bytes, u64 align, hpa_t *base)
{
    u64 pages = align_up(bytes, PAGE_BYTES) >> PAGE_SHIFT;
    if (bytes == 0 || bytes > ~0ull - PAGE_BYTES || align < PAGE_BYTES || (align & (align - 1)))
        return ERR_ARGUMENT;
    return alloc_run(pages, align >> PAGE_SHIFT, base);
}

void page_free_range(hpa_t base, u64 bytes)
{
    free_run(base, align_up(bytes, PAGE_BYTES) >> PAGE_SHIFT, false);
}

void page_lose(hpa_t base, u64 bytes)
{
    u64 pfn = base.raw >> PAGE_SHIFT, pages = bytes >> PAGE_SHIFT;

    spin_lock(&lock);
    struct range *r = range_of(pfn, pages);
    ASSERT(bitmap_find(r->used, pfn - r->first, pfn - r->first + pages, false) == pfn - r->first + pages);
    pages_lost += bitmap_set(r->lost, pfn - r->first, pages, true);
    spin_unlock(&lock);
}

/* Without the lock where nothing is lost, which is always but for what tests do and broken machines. */
hpa_t page_first_lost(hpa_t base, u64 bytes)
{
    u64 pfn = base.raw >> PAGE_SHIFT, end = pfn + (bytes >> PAGE_SHIFT);

    for (unsigned i = 0; pages_lost && i < range_count; i++) {
        const struct range *r = &ranges[i];
        u64 from = max_u64(pfn, r->first), past = min_u64(end, r->first + r->count);
        if (from >= past)
            continue;
        u64 lost = r->first + bitmap_find(r->lost, from - r->first, past - r->first, true);
        if (lost < past)
            end = lost;
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

u64 page_total_bytes(void)
{
    return pages_total << PAGE_SHIFT;
}

u64 page_free_bytes(void)
{
    return pages_free << PAGE_SHIFT;
}

/* A free block of a higher order holds whole blocks of this level too. */
u64 page_free_blocks(level_t level)
{
    u64 count = 0;
    unsigned order = TABLE_SHIFT * level.raw;

    spin_lock(&lock);
    for (unsigned i = 0; i < range_count; i++)
        for (unsigned o = order; o <= ORDER_MAX; o++)
            count += ranges[i].blocks_free[o] << (o - order);
    spin_unlock(&lock);
    return count;
}

static u64 largest_run(const struct range *r, u64 align_pages)
{
    u64 largest = 0, end = r->first + r->count;

    for (u64 at = r->first; at < end;) {
        u64 from = r->first + bitmap_find(r->used, at - r->first, r->count, false);
        u64 first = align_up(from, align_pages);
        at = r->first + bitmap_find(r->used, from - r->first, r->count, true);
        if (first < at)
            largest = max_u64(largest, at - first);
    }
    return largest;
}

u64 page_largest_range(u64 align)
{
    u64 largest = 0;

    spin_lock(&lock);
    for (unsigned i = 0; i < range_count; i++)
        largest = max_u64(largest, largest_run(&ranges[i], align >> PAGE_SHIFT));
    spin_unlock(&lock);
    return largest << PAGE_SHIFT;
}
