/*
 * The one place where answers with the verdict TDX_REPEAT are bounded, counted (tdx_counts.retries) and traced
 * (TRACE_REPEAT). It repeats nothing itself: it tells the caller whether to.
 *
 *     struct tdx_retry again = tdx_retry(TDH_MEM_PAGE_AUG, gpa.raw);
 *     struct tdx_entry_answer a;
 *     do
 *         a = tdh_mem_page_aug(tdr, gpa, level, page);
 *     while (tdx_again(&again, a.status));
 *
 * After the loop a status that still has the verdict TDX_REPEAT means that the bound was reached: hold the vCPUs out
 * and start over, or give up with ERR_BUSY.
 */
#ifndef TDX_RETRY_H
#define TDX_RETRY_H

#include "tdx/abi_leaf.h"
#include "tdx/status.h"

struct tdx_retry {
    enum tdx_leaf leaf;
    u64 at;            /* what the call is about, for the trace: a GPA or HPA */
    unsigned attempts; /* calls repeated so far */
};

/* Bounds, in repeated calls of one operation. An interrupt needs one repetition each; a lock is held for microseconds.
 */
#define TDX_RETRIES_BUSY      512u
#define TDX_RETRIES_INTERRUPT 4096u
#define TDX_RETRIES_ENTROPY   64u

static inline struct tdx_retry tdx_retry(enum tdx_leaf leaf, u64 at)
{
    return (struct tdx_retry){.leaf = leaf, .at = at};
}

/* Call the leaf again? Waits a little first where that helps: longer with each attempt. */
MUST_CHECK bool tdx_again(struct tdx_retry *retry, tdx_status_t status);

#endif
