/*
 * The page allocator: power-of-two blocks of 4K to 1G, aligned to their size. Physical memory only; content is
 * undefined and may have belonged to a TD, so whoever maps a page for the VMM's own use resets it first
 * (page_alloc_zeroed).
 */
#ifndef MM_PAGE_H
#define MM_PAGE_H

#include <stdatomic.h>

#include "lib/addr.h"
#include "lib/err.h"

#define PAGE_RANGES_MAX 4096u
#define PAGE_NODES_MAX  64u
#define PAGE_ANY_NODE   (~0u)

/* Forgets everything; for a fresh machine in tests. At boot there is nothing to forget. */
void page_init(void);

/* Gives a range to the allocator, of one NUMA node; at boot, from the memory map, in order of address. Its side table is cut from
 * the range, or from another one where that leaves a 1G frame more. Ranges that touch stay two: no block spans them. Single pages,
 * and what comes when PAGE_RANGES_MAX are there, are left out. */
void page_add_range_on(unsigned node, hpa_t base, u64 bytes);
void page_add_range(hpa_t base, u64 bytes); /* of node 0 */

struct page_left_out {
    unsigned pieces;
    u64 bytes;
};
struct page_left_out page_left_out(void);

/* What is free of [base, base + bytes) is not given out any more and counts no longer: memory that no TD may have. */
void page_withdraw(hpa_t base, u64 bytes);

/* One page of `level`, the caller's until page_free(). ERR_NO_MEMORY. Freeing what is free already is a panic. */
MUST_CHECK enum err page_alloc(level_t level, hpa_t *page);
MUST_CHECK enum err page_alloc_zeroed(hpa_t *page); /* 4K, by cpu_reset_pages */
/* The same of `node`; where that has none left, of another, and then page_far() has counted it. */
MUST_CHECK enum err page_alloc_near(unsigned node, hpa_t *page);
MUST_CHECK enum err page_alloc_zeroed_near(unsigned node, hpa_t *page);
u64 page_far(void);
void page_free(hpa_t page, level_t level);

/* Pages that somebody has taken, and that must never be used again: freed, they stay taken, and are no longer that
 * somebody's. They count as total memory, not as free. */
void page_lose(hpa_t base, u64 bytes);
/* A page that is broken: kept out of use from here on, whoever has it. False: it was out of use before, or is none of the
 * allocator's. */
MUST_CHECK bool page_poison(hpa_t page);
/* The first 4K page of the range that is lost, or its end. Any memory may be asked about. */
hpa_t page_first_lost(hpa_t base, u64 bytes);
extern _Atomic u64 pages_lost; /* changed by page_lose() alone */
static inline u64 page_lost_bytes(void)
{
    return atomic_load_explicit(&pages_lost, memory_order_relaxed) << PAGE_SHIFT;
}

/* `bytes` physically contiguous, base aligned to `align` (a power of two, >= 4K); freed piecewise or by
 * page_free_range. */
MUST_CHECK enum err page_alloc_range(u64 bytes, u64 align, hpa_t *base);
MUST_CHECK enum err page_alloc_range_on(unsigned node, u64 bytes, u64 align, hpa_t *base);
void page_free_range(hpa_t base, u64 bytes);

/* Memory of the VMM's own, whole pages, zeroed; NULL: there is none. `bytes` as taken. Giving NULL back is nothing.
 * What is given back here has never been the TDX module's: taken again it needs no reset. */
MUST_CHECK void *page_take(u64 bytes);
void page_give(void *taken, u64 bytes);

struct page_use {
    u64 total, free; /* bytes */
    u64 blocks[3];   /* free blocks of each level that are whole */
};
struct page_use page_use(unsigned node); /* or PAGE_ANY_NODE */

u64 page_total_bytes(void);
u64 page_free_bytes(void);
u64 page_free_blocks(level_t level);
/* The largest that page_alloc_range_on() could give with this alignment; looks at every page. */
u64 page_largest_range(unsigned node, u64 align);

#endif
