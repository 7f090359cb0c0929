/*
 * Cache flushes around the hand-over of pages between VMM and TDX module; counted in tdx_counts.flushed_bytes, apart
 * from the calls that a plan comes to. TDX Module Base Architecture Specification, "Cache flush requirements".
 *
 * The module enforces none of them. Into the TD: asked for by the platform with TDX_FEATURES0.CLFLUSH_BEFORE_ALLOC
 * only. Out of the TD: always, for a dirty line under the TD's KeyID would be written over the next owner's data.
 */
#ifndef MM_FLUSH_H
#define MM_FLUSH_H

#include "lib/addr.h"
#include "tdx/td.h"

/* A page of the VMM goes to the module: PAGE.AUG, SEPT.ADD, DEMOTE. */
void flush_into_td(hpa_t page, u64 bytes);

/* A page of the VMM that was shared with the TD, and so has been written through other CPUs' caches, becomes
 * private. */
void flush_shared(hpa_t page, u64 bytes);

/* The module gave back what was the TD's: before the VMM or anyone else touches it. */
void flush_from_td(const struct td *td, hpa_t page, level_t level);

#endif
