/*
 * Dirty logging by BLOCK: every private page of a TD is mapped at 4K and blocked; the vCPU that touches one unblocks it in its
 * fault, and marks it. The bitmap is a superset of what was written, since a touch that reads unblocks and marks as well.
 *
 *      off --tdp_dirty_on()--> splits 2M and 1G pages, blocks 4K pages, piece by piece
 *       ^                        |  a page that is mapped from now on is mapped at 4K, and marked
 *       |                        v
 *       +---tdp_dirty_off()--- on ---tdp_dirty_get()--> tells the marks, clears them and blocks those pages again
 *
 * While it is on no merge policy has a candidate.
 */
#ifndef MM_DIRTY_H
#define MM_DIRTY_H

#include "mm/tdp.h"

/* A bit a page of the first slot. Set under any claim of the page, cleared under an exclusive one. */
struct dirty {
    _Atomic bool on;
    _Atomic u64 *bits;
    u64 words;
    _Atomic u64 by_read; /* pages that a read marked, since logging began */
};

/* The page is the TD's anew, or was touched. Nothing where logging is off. `level`: of the leaf. */
void dirty_mark(struct tdp *t, gpa_t gpa, level_t level, bool by_read);
void dirty_destroy(struct tdp *t);

#endif
