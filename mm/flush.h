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
#include "lib/err.h"
#include "tdx/td.h"

/* A page of the VMM goes to the module: PAGE.AUG, SEPT.ADD, DEMOTE. */
void flush_into_td(hpa_t page, u64 bytes);

/* A page of the VMM that was shared with the TD, and so has been written through other CPUs' caches, becomes
 * private. */
void flush_shared(hpa_t page, u64 bytes);

/*
 * The module gave back what was the TD's: before the VMM or anyone else touches it. A 4K page whose flush fails is lost for
 * good (page_lose()): a dirty line of it might be written over whatever it is used for next. `lost` counts them, `first`
 * is the first; `err`, `what` and, with ERR_TDX, `status` say why. `ipis` gets the IPIs that were sent added to it.
 */
struct flush_result {
    u64 lost;
    hpa_t first;
    enum err err;
    const char *what;
    tdx_status_t status;
};
MUST_CHECK struct flush_result flush_from_td(struct td *td, hpa_t page, level_t level, u64 *ipis);

#endif
