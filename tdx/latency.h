/*
 * How long SEAMCALLs take: for each leaf, and each level that it is asked for, a histogram of TSC ticks from the instruction
 * before SEAMCALL to the one behind it. Off unless somebody asks; then one test a call is all that it costs.
 */
#ifndef TDX_LATENCY_H
#define TDX_LATENCY_H

#include "tdx/count.h"

#define TDX_LATENCY_PARTS    8u  /* bins to a power of two: what a bin says is right to an eighth */
#define TDX_LATENCY_POWERS   42u /* what took longer is in the last */
#define TDX_LATENCY_BINS     ((TDX_LATENCY_POWERS - 2) * TDX_LATENCY_PARTS)
#define TDX_LATENCY_NO_LEVEL 4u
#define TDX_LATENCY_LEVELS   5u /* 0 to 3 as the operand has them: 4K, 2M, 1G, 512G; and none */

/* Of the calls that succeeded; the others are only counted. Added to on any CPU. */
struct tdx_latency {
    u64 count, others, total, least, longest;
    u32 bins[TDX_LATENCY_BINS];
};

struct tdx_latencies {
    struct tdx_latency of[TDX_LEAF_COUNT_MAX][TDX_LATENCY_LEVELS];
};

/* Where calls are noted now; NULL: they are not. */
extern struct tdx_latencies *_Atomic tdx_latencies;

/* `to`: zeroed, and the recorder's until tdx_latency_end(), which is for a time when no other CPU makes SEAMCALLs. */
void tdx_latency_begin(struct tdx_latencies *to);
void tdx_latency_end(void);

/* `rcx` as it went in. */
void tdx_latency_add(struct tdx_latencies *to, unsigned leaf, u64 rcx, tdx_status_t status, u64 ticks);

/* What p of 100 calls did not exceed, to an eighth; 0: there were none. */
u64 tdx_latency_percentile(const struct tdx_latency *l, u64 p);
/* How many took at least 2^power and less than twice that; with power 0 those of no tick too. */
u64 tdx_latency_in_power(const struct tdx_latency *l, unsigned power);

#endif
