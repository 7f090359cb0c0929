/*
 * Counters of the TDX interface: the numbers that `stats` prints and that benchmarks compare with the lower bound.
 */
#ifndef TDX_COUNT_H
#define TDX_COUNT_H

#include "tdx/status.h"

#define TDX_LEAF_COUNT_MAX        64
#define TDX_STATUS_KINDS_MAX      64
#define TDX_EXIT_REASON_COUNT_MAX 96

struct tdx_counts {
    u64 leaf[TDX_LEAF_COUNT_MAX]; /* SEAMCALLs by leaf number */
    struct {
        u32 code;
        u64 count;
    } status[TDX_STATUS_KINDS_MAX];       /* those that are not success, by upper dword */
    u64 exits[TDX_EXIT_REASON_COUNT_MAX]; /* TD exits by VMX basic reason */
    u64 ipis;
    u64 kicks;         /* rounds */
    u64 retries;       /* calls repeated because of a REPEAT verdict */
    u64 flushed_bytes; /* cache flushes */
};

extern struct tdx_counts tdx_counts;

/* One SEAMCALL of `leaf` answered `status`. A status that finds no slot is counted in the last one, under code ~0. */
void tdx_count_status(u32 code);
static inline void tdx_count_call(unsigned leaf, tdx_status_t status)
{
    if (leaf < TDX_LEAF_COUNT_MAX)
        __atomic_fetch_add(&tdx_counts.leaf[leaf], 1, __ATOMIC_RELAXED);
    if (!tdx_is(status, TDX_SUCCESS))
        tdx_count_status((u32)(status.raw >> 32));
}
void tdx_count_exit(u32 reason);
void tdx_count_retry(void);

/* How often calls were answered so, by upper dword. */
u64 tdx_counts_status(u32 code);

void tdx_counts_reset(void);
u64 tdx_counts_seamcalls(void);
/* "TDH.MEM.PAGE.AUG"; NULL for a number that is no leaf. */
const char *tdx_leaf_name(unsigned leaf);

#endif
