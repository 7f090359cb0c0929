/* A buddy system over one range: see mm/buddy.h. */
#include "mm/buddy.h"

#include "lib/bits.h"
#include "lib/hw/cpu.h"
#include "lib/log.h"
#include "lib/string.h"
#include "mm/bitmap.h"

/* What the bits of a GiB say that nobody has taken a page of yet. */
static const bool untouched[BUDDY_BITS] = {[BUDDY_OWN] = true};

/* --- GiBs whose side table is not written yet ---------------------------------------------------------------------- */

static u64 gib_index(const struct buddy *b, u64 pfn)
{
    return (pfn >> BUDDY_ORDER_MAX) - (b->first >> BUDDY_ORDER_MAX);
}

static u64 gib_end(u64 pfn)
{
    return ((pfn >> BUDDY_ORDER_MAX) + 1) << BUDDY_ORDER_MAX;
}

static bool is_ready(const struct buddy *b, u64 pfn)
{
    u64 i = gib_index(b, pfn);
    return __atomic_load_n(&b->ready[i / 64], __ATOMIC_ACQUIRE) >> (i % 64) & 1;
}

/* Writes the side table of the GiB around `pfn`, which is in no list. */
static void make_ready(struct buddy *b, u64 pfn)
{
    u64 from = max_u64(align_down(pfn, 1ull << BUDDY_ORDER_MAX), b->first) - b->first;
    u64 to = min_u64(gib_end(pfn), buddy_end(b)) - b->first, i = gib_index(b, pfn);

    memset(&b->blocks[from], 0, (to - from) * sizeof(b->blocks[0]));
    for (unsigned which = 0; which < BUDDY_BITS; which++)
        (void)bitmap_set(b->bits[which], from, to - from, untouched[which]);
    __atomic_fetch_or(&b->ready[i / 64], BIT(i % 64), __ATOMIC_RELEASE);
}

/* --- free blocks --------------------------------------------------------------------------------------------------- */

static void count_block(struct buddy *b, unsigned order, s64 more)
{
    b->blocks_free[order] += (u64)more;
    *b->free_orders = (*b->free_orders & ~(1u << order)) | (b->blocks_free[order] ? 1u << order : 0);
}

static void push(struct buddy *b, u32 index, unsigned order)
{
    struct block *new = &b->blocks[index];

    *new = (struct block){.next = b->head[order], .prev = BUDDY_NIL, .order = (u8)order, .free_head = true};
    if (new->next != BUDDY_NIL)
        b->blocks[new->next].prev = index;
    b->head[order] = index;
    count_block(b, order, 1);
}

static void unlink(struct buddy *b, u32 index)
{
    struct block *old = &b->blocks[index];

    if (old->next != BUDDY_NIL)
        b->blocks[old->next].prev = old->prev;
    if (old->prev != BUDDY_NIL)
        b->blocks[old->prev].next = old->next;
    else
        b->head[old->order] = old->next;
    count_block(b, old->order, -1);
    old->free_head = false;
}

/* A GiB that is not ready is one free block, in no list. */
static bool is_free_block(const struct buddy *b, u64 pfn, unsigned order)
{
    if (pfn < b->first || pfn + (1ull << order) > buddy_end(b))
        return false;
    if (!is_ready(b, pfn))
        return order == BUDDY_ORDER_MAX;
    const struct block *at = &b->blocks[pfn - b->first];
    return at->free_head && at->order == order;
}

/* A free block whose bits are clear already joins its buddies as far as that goes. */
static void join(struct buddy *b, u64 pfn, unsigned order)
{
    while (order < BUDDY_ORDER_MAX && is_free_block(b, pfn ^ (1ull << order), order)) {
        unlink(b, (u32)((pfn ^ (1ull << order)) - b->first));
        pfn &= ~(1ull << order);
        order++;
    }
    push(b, (u32)(pfn - b->first), order);
}

/* The largest order of a block that begins at `pfn` and has at most `count` pages. */
static unsigned order_at(u64 pfn, u64 count)
{
    unsigned order = 0;

    while (order < BUDDY_ORDER_MAX && is_aligned(pfn, 2ull << order) && (2ull << order) <= count)
        order++;
    return order;
}

/* [pfn, pfn + count) becomes free blocks, as large as alignment allows. */
static void join_run(struct buddy *b, u64 pfn, u64 count)
{
    while (count) {
        unsigned order = order_at(pfn, count);
        join(b, pfn, order);
        pfn += 1ull << order;
        count -= 1ull << order;
    }
}

u64 buddy_first(const struct buddy *b, unsigned order)
{
    if (b->head[order] != BUDDY_NIL)
        return b->first + b->head[order];
    ASSERT(order == BUDDY_ORDER_MAX);
    u64 i = bitmap_find(b->ready, 0, gib_index(b, buddy_end(b) - 1) + 1, false);
    return ((b->first >> BUDDY_ORDER_MAX) + i) << BUDDY_ORDER_MAX;
}

/* The free block that holds `pfn`, which is free: its first page frame, and its order. */
static u64 block_of(const struct buddy *b, u64 pfn, unsigned *order)
{
    for (*order = 0; *order <= BUDDY_ORDER_MAX; (*order)++) {
        u64 first = align_down(pfn, 1ull << *order);
        if (is_free_block(b, first, *order))
            return first;
    }
    panic("page %llx is in no free block", (unsigned long long)(pfn << PAGE_SHIFT));
}

void buddy_take(struct buddy *b, u64 pfn, u64 count)
{
    u64 end = pfn + count, at = pfn;

    while (at < end) {
        unsigned order;
        u64 first = block_of(b, at, &order), past = first + (1ull << order);
        if (is_ready(b, first)) {
            unlink(b, (u32)(first - b->first));
        } else {
            make_ready(b, first);
            count_block(b, order, -1);
        }
        if (first < pfn)
            join_run(b, first, pfn - first);
        if (past > end)
            join_run(b, end, past - end);
        at = past;
    }
    (void)buddy_set(b, BUDDY_USED, pfn, count, true);
}

void buddy_free(struct buddy *b, u64 pfn, u64 count, bool own)
{
    if (buddy_find(b, BUDDY_USED, pfn, pfn + count, false) != pfn + count)
        panic("double free of %llu pages at %llx", (unsigned long long)count, (unsigned long long)pfn << PAGE_SHIFT);
    (void)buddy_set(b, BUDDY_USED, pfn, count, false);
    (void)buddy_set(b, BUDDY_OWN, pfn, count, own);
    join_run(b, pfn, count);
}

/* --- bits ---------------------------------------------------------------------------------------------------------- */

u64 buddy_set(struct buddy *b, enum buddy_bit which, u64 pfn, u64 count, bool to)
{
    return bitmap_set(b->bits[which], pfn - b->first, count, to);
}

u64 buddy_find(const struct buddy *b, enum buddy_bit which, u64 pfn, u64 end, bool value)
{
    for (u64 past; pfn < end; pfn = past) {
        past = min_u64(end, gib_end(pfn));
        if (!is_ready(b, pfn)) {
            if (untouched[which] == value)
                return pfn;
            continue;
        }
        u64 found = b->first + bitmap_find(b->bits[which], pfn - b->first, past - b->first, value);
        if (found < past)
            return found;
    }
    return end;
}

/* --- creation ------------------------------------------------------------------------------------------------------ */

static u64 ready_words(u64 pages)
{
    return BITMAP_WORDS((pages >> BUDDY_ORDER_MAX) + 2);
}

u64 buddy_side_pages(u64 pages)
{
    u64 words = ready_words(pages) + BUDDY_BITS * BITMAP_WORDS(pages);
    u64 bytes = sizeof(struct buddy) + words * sizeof(u64) + pages * sizeof(struct block);
    return align_up(bytes, PAGE_BYTES) >> PAGE_SHIFT;
}

/* The tables for up to `pages` pages behind the structure; only the bits of `ready` are written. */
static void lay_out(struct buddy *b, u64 pages)
{
    b->ready = (u64 *)(b + 1);
    memset(b->ready, 0, ready_words(pages) * sizeof(u64));
    u64 *next = b->ready + ready_words(pages);
    for (unsigned which = 0; which < BUDDY_BITS; which++, next += BITMAP_WORDS(pages))
        b->bits[which] = next;
    b->blocks = (struct block *)next;
    for (unsigned order = 0; order < BUDDY_ORDERS; order++)
        b->head[order] = BUDDY_NIL;
}

/* Only the GiBs at the ends may be less than whole ones. */
static void free_all(struct buddy *b)
{
    for (u64 at = b->first, end; at < buddy_end(b); at = end) {
        end = min_u64(gib_end(at), buddy_end(b));
        if (end - at == 1ull << BUDDY_ORDER_MAX) {
            count_block(b, BUDDY_ORDER_MAX, 1);
            continue;
        }
        make_ready(b, at);
        join_run(b, at, end - at);
    }
}

struct buddy *buddy_create(u64 first, u64 end, u64 side, u32 *free_orders)
{
    struct buddy *b = phys_ptr((hpa_t){side << PAGE_SHIFT});

    *b = (struct buddy){.first = first, .count = end - first, .free_orders = free_orders};
    *free_orders = 0;
    lay_out(b, end - first);
    free_all(b);
    return b;
}
