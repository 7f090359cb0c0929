/*
 * One physical range as a buddy system: power-of-two blocks of 4K to 1G, aligned by physical address, so that a block of
 * order 18 is what a 1G page needs.
 *
 * A page given to the TDX module must not be read or written by the VMM, so free pages hold no links: the range has a side
 * table, which lies where the caller says, with one `struct block` a page for the links of free blocks and three bits a page. What it
 * says of a GiB is written when the first page of that GiB is taken, not before: until then the GiB is one free block. So a
 * range of terabytes is added in no time, and costs what is used of it.
 *
 *     range   | GiB untouched | GiB in use | GiB untouched | ...
 *     ready     0               1            0              one bit a GiB: its bits and links may be read
 *     lists     -          free blocks       -              links in the entry of a block's first page
 *
 * The lock is the caller's (mm/page.c); what is read without it says so.
 */
#ifndef MM_BUDDY_H
#define MM_BUDDY_H

#include "lib/addr.h"

#define BUDDY_ORDER_MAX 18u /* 1G */
#define BUDDY_ORDERS    (BUDDY_ORDER_MAX + 1)
#define BUDDY_PAGES_MAX (1ull << 31) /* of a range: 8 TiB */
#define BUDDY_NIL       (~0u)

enum buddy_bit {
    BUDDY_USED, /* in no free block */
    BUDDY_OWN,  /* has not left the VMM since it was last reset (or since boot): no reset, plain stores do */
    BUDDY_LOST, /* used for good, by nobody */
    BUDDY_BITS
};

/* One a page; means something only while `free_head` says that a free block begins here. */
struct block {
    u32 next, prev; /* page indexes in the same range, BUDDY_NIL at the ends */
    u8 order;
    bool free_head;
};

/*
 * Invariants, whenever the lock is free: a page's bit BUDDY_USED is clear exactly when it lies in one free block; no two free
 * blocks are buddies of equal order (they would be one). Addresses are page frame numbers.
 */
struct buddy {
    u64 first, count; /* pages */
    u32 *free_orders; /* the caller's: bit n is set while blocks_free[n] is not 0 */
    u64 *ready;       /* one bit a GiB that the range touches */
    u64 *bits[BUDDY_BITS];
    struct block *blocks;
    u32 head[BUDDY_ORDERS];
    u64 blocks_free[BUDDY_ORDERS];
};

/* Makes [first, end), at most BUDDY_PAGES_MAX, a range of free pages. Its side table, with the structure in front, is for ever in
 * the buddy_side_pages() of as many pages that begin at `side`, outside. */
u64 buddy_side_pages(u64 pages);
struct buddy *buddy_create(u64 first, u64 end, u64 side, u32 *free_orders);

/* Where a free block of this order begins; there is one. */
u64 buddy_first(const struct buddy *b, unsigned order);

/* Takes [pfn, pfn + count), all free, out of the free blocks; what they hold beyond goes back. */
void buddy_take(struct buddy *b, u64 pfn, u64 count);
/* [pfn, pfn + count), all used, is free again; a panic where some of it is free already. */
void buddy_free(struct buddy *b, u64 pfn, u64 count, bool own);

/* Gives pages that are taken, or were at some time, the bit; returns how many had another one. */
u64 buddy_set(struct buddy *b, enum buddy_bit which, u64 pfn, u64 count, bool to);
/* The first page of [pfn, end), inside the range, whose bit has `value`, or `end`. Needs no lock where nobody changes it. */
u64 buddy_find(const struct buddy *b, enum buddy_bit which, u64 pfn, u64 end, bool value);

static inline u64 buddy_end(const struct buddy *b)
{
    return b->first + b->count;
}

#endif
