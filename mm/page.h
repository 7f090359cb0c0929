/*
 * The page allocator: power-of-two blocks of 4K to 1G, aligned to their size. Physical memory only; content is undefined
 * and may have belonged to a TD, so whoever maps a page for the VMM's own use resets it first (page_alloc_zeroed).
 */
#ifndef MM_PAGE_H
#define MM_PAGE_H

#include "lib/addr.h"
#include "lib/err.h"

/* Gives a range to the allocator; at boot, from the memory map. */
void page_add_range(hpa_t base, u64 bytes);

MUST_CHECK enum err page_alloc(level_t level, hpa_t *page);
MUST_CHECK enum err page_alloc_zeroed(hpa_t *page); /* 4K, by cpu_reset_pages */
void page_free(hpa_t page, level_t level);

/* `bytes` physically contiguous, base aligned to `align` (a power of two, >= 4K); freed piecewise or by page_free_range. */
MUST_CHECK enum err page_alloc_range(u64 bytes, u64 align, hpa_t *base);
void page_free_range(hpa_t base, u64 bytes);

u64 page_total_bytes(void);
u64 page_free_bytes(void);
/* Free blocks of `level` that are whole: what a `mem` command shows. */
u64 page_free_blocks(level_t level);

#endif
