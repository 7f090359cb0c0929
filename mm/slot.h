/*
 * A memory slot of a TD: which host page backs each guest page, and which guest pages are shared.
 *
 * Every region that may become one page has a home: the contiguous, aligned host memory that it would be mapped to. A
 * page is at home where it is backed by its own place in that, the one at the same offset.
 *
 * Backing `inplace`: each GiB window of guest-physical addresses has one contiguous, equally aligned host range, its
 * home, that serves both private and shared use: contiguity survives conversion, and merging needs no copy. Backing
 * `scatter`: 4K pages from anywhere. There a 2M region gets a home when it is to be merged for the first time
 * (slot_take_home), and its pages are relocated into it one by one (slot_move):
 *
 *     inplace                                         scatter, region 0 has a home
 *     GPA 0        2M        4M        6M             GPA 0     1     2     3 ..      512 ..
 *         |---------|---------|---------|                 |     |     |     |         |
 *         v         v         v         v                 v     |     v     |         v
 *     HPA h        h+2M      h+4M                     home[0]   |  home[0]+2|       anywhere
 *     back[0] = h, aligned as GPA 0: all is at home          anywhere     anywhere
 *                                                     back[0] = place of 0 (at home), back[1] not yet moved;
 *                                                     at_home[0] counts pages in place: 512 make it mergeable
 *
 * Locks: what is about one 2M region changes under an exclusive claim of it (mm/claim.h), and is read under any. The counts
 * of 1G regions, in which several claims meet, change by atomic addition.
 *
 * Left out: the mappings themselves (mm/mirror.h, mm/shared_ept.h).
 */
#ifndef MM_SLOT_H
#define MM_SLOT_H

#include "lib/addr.h"
#include "lib/err.h"
#include "mm/bitmap.h"
#include "mm/page.h"
#include "mm/tdp.h"

struct slot {
    gpa_t base;        /* 4K aligned; 2M aligned where max_level is not 4K */
    u64 bytes;         /* a 4K multiple, not 0 */
    level_t max_level; /* the largest mapping allowed */
    enum tdp_backing backing;
    unsigned node; /* that backs it, or PAGE_ANY_NODE */
    u64 back_count;
    hpa_t *back;       /* what backs each GiB window (inplace) or page (scatter); HPA_NONE: nothing yet */
    hpa_t *home;       /* scatter: each 2M region's home, HPA_NONE before it has one */
    u32 *at_home;      /* scatter: how many of each 2M region's pages are there */
    u64 *shared;       /* one bit a page: set for shared */
    u32 *shared_in[2]; /* how many are set: in each 2M region, in each 1G region that the slot touches */
};

/* Takes the backing, of `node` or PAGE_ANY_NODE, and the side tables from mm/page.h. ERR_NO_MEMORY: nothing is taken. All pages
 * begin private. */
MUST_CHECK enum err slot_create(struct slot *s, gpa_t base, u64 bytes, level_t max_level, enum tdp_backing backing,
                                unsigned node);
/* All backing goes back: none of it may be the TD's any more. Also of a slot that slot_create() left half done. */
void slot_destroy(struct slot *s);

static inline gpa_t slot_end(const struct slot *s)
{
    return gpa_add(s->base, s->bytes);
}
static inline bool slot_holds(const struct slot *s, gpa_t gpa, u64 bytes)
{
    u64 offset = gpa.raw - s->base.raw;
    return gpa.raw >= s->base.raw && offset < s->bytes && bytes <= s->bytes - offset;
}

/* What backs one page of the slot. */
hpa_t slot_page(const struct slot *s, gpa_t gpa);

/* Is `page`, which backs the page of `level` at `gpa`, its place in the region above, so that it could be merged? */
bool slot_is_at_home(const struct slot *s, gpa_t gpa, level_t level, hpa_t page);

/* Scattered backing only. The place of a page in its 2M region's home, HPA_NONE while that has none; a home for a
 * region that lies inside the slot whole (ERR_NO_MEMORY: no free 2M block), given back where no page has been moved
 * there; and: the page at `gpa` is backed by its place at home from now on, what backed it before is the caller's. */
hpa_t slot_place(const struct slot *s, gpa_t gpa);
MUST_CHECK enum err slot_take_home(struct slot *s, gpa_t gpa);
void slot_give_empty_home(struct slot *s, gpa_t gpa);
void slot_move(struct slot *s, gpa_t gpa);
/* May the pages of the 2M region around `gpa` be gathered in one place by relocating them? */
bool slot_may_gather(const struct slot *s, gpa_t gpa);

/* May the region of `level` around `gpa` be one mapping as far as slot and backing go (attributes aside), none of it
 * being lost? */
bool slot_may_be(const struct slot *s, gpa_t gpa, level_t level);

/* The first page of [gpa, end) whose backing is lost (mm/page.h), or `end`: it stays private, and is never mapped again. */
gpa_t slot_first_lost(const struct slot *s, gpa_t gpa, gpa_t end);

/* The bit of a page in `shared`, counted from a 2M boundary: no word has bits of two 2M regions, which change under claims
 * of their own. */
static inline u64 slot_bit(const struct slot *s, gpa_t gpa)
{
    return (gpa.raw - gpa_floor(s->base, LEVEL_2M).raw) >> PAGE_SHIFT;
}

/* Attributes. How many 4K pages of the region of `level` around `gpa` are shared: O(1). */
static inline bool slot_is_shared(const struct slot *s, gpa_t gpa)
{
    return bitmap_get(s->shared, slot_bit(s, gpa));
}
u64 slot_shared_count(const struct slot *s, gpa_t gpa, level_t level);
void slot_set_attr(struct slot *s, gpa_t gpa, u64 bytes, enum tdp_attr to);
/* The end of the run of pages with the attribute of the one at `gpa`, at most `end`. */
gpa_t slot_attr_run(const struct slot *s, gpa_t gpa, gpa_t end);

#endif
