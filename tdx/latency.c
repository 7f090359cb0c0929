/* Histograms of SEAMCALL times: see tdx/latency.h. */
#include "tdx/latency.h"

#include "lib/bits.h"
#include "tdx/abi_leaf.h"
#include "tdx/abi_sept.h"

#define PARTS_SHIFT 3u
_Static_assert(1u << PARTS_SHIFT == TDX_LATENCY_PARTS, "bins to a power of two");

struct tdx_latencies *_Atomic tdx_latencies;

void tdx_latency_begin(struct tdx_latencies *to)
{
    tdx_latencies = to;
}

void tdx_latency_end(void)
{
    tdx_latencies = NULL;
}

/* --- bins --------------------------------------------------------------------------------------------------------- */

/* Below 8 a bin is one number; above, the three bits behind the first one that is set say which part of its power. */
static unsigned bin_of(u64 ticks)
{
    if (ticks < TDX_LATENCY_PARTS)
        return (unsigned)ticks;
    unsigned power = 63 - (unsigned)__builtin_clzll(ticks);
    u64 bin = (power - PARTS_SHIFT + 1) * TDX_LATENCY_PARTS + (ticks >> (power - PARTS_SHIFT)) % TDX_LATENCY_PARTS;
    return (unsigned)min_u64(bin, TDX_LATENCY_BINS - 1);
}

/* The largest number in it. */
static u64 end_of(unsigned bin)
{
    if (bin < TDX_LATENCY_PARTS)
        return bin;
    u64 part = bin % TDX_LATENCY_PARTS + TDX_LATENCY_PARTS;
    return ((part + 1) << (bin / TDX_LATENCY_PARTS - 1)) - 1;
}

u64 tdx_latency_percentile(const struct tdx_latency *l, u64 p)
{
    u64 rank = (l->count * p + 99) / 100, seen = 0;

    for (unsigned i = 0; i < TDX_LATENCY_BINS && rank; i++) {
        seen += l->bins[i];
        if (seen >= rank)
            return min_u64(end_of(i), l->longest);
    }
    return 0;
}

u64 tdx_latency_in_power(const struct tdx_latency *l, unsigned power)
{
    u64 sum = 0;

    if (power >= TDX_LATENCY_POWERS)
        return 0;
    for (unsigned i = power ? bin_of(1ull << power) : 0; i < TDX_LATENCY_BINS && end_of(i) < 2ull << power; i++)
        sum += l->bins[i];
    return sum;
}

/* --- adding ------------------------------------------------------------------------------------------------------- */

/* Leaves whose RCX names a level in its low bits. */
#define LEAF(leaf) (1ull << (leaf))
#define LEAVES_OF_A_LEVEL                                                                                              \
    (LEAF(TDH_MEM_PAGE_ADD) | LEAF(TDH_MEM_SEPT_ADD) | LEAF(TDH_MEM_PAGE_RELOCATE) | LEAF(TDH_MEM_PAGE_AUG) |          \
     LEAF(TDH_MEM_RANGE_BLOCK) | LEAF(TDH_MEM_PAGE_DEMOTE) | LEAF(TDH_MEM_PAGE_PROMOTE) | LEAF(TDH_MEM_SEPT_RD) |      \
     LEAF(TDH_MEM_PAGE_REMOVE) | LEAF(TDH_MEM_SEPT_REMOVE) | LEAF(TDH_MEM_RANGE_UNBLOCK))

static u64 level_of(unsigned leaf, u64 rcx)
{
    if (!(LEAVES_OF_A_LEVEL >> leaf & 1))
        return TDX_LATENCY_NO_LEVEL;
    return min_u64(FIELD_GET(SEPT_GPA_LEVEL, rcx), TDX_LATENCY_NO_LEVEL - 1);
}

static void raise_to(u64 *most, u64 value)
{
    u64 seen = __atomic_load_n(most, __ATOMIC_RELAXED);

    while (seen < value && !__atomic_compare_exchange_n(most, &seen, value, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED))
        ;
}

/* 0 says that there is none yet, so a call of no tick counts as one of one. */
static void lower_to(u64 *least, u64 value)
{
    u64 seen = __atomic_load_n(least, __ATOMIC_RELAXED);

    while ((seen == 0 || seen > value) &&
           !__atomic_compare_exchange_n(least, &seen, value, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED))
        ;
}

void tdx_latency_add(struct tdx_latencies *to, unsigned leaf, u64 rcx, tdx_status_t status, u64 ticks)
{
    if (leaf >= TDX_LEAF_COUNT_MAX)
        return;
    struct tdx_latency *l = &to->of[leaf][level_of(leaf, rcx)];
    if (!tdx_is(status, TDX_SUCCESS)) {
        __atomic_fetch_add(&l->others, 1, __ATOMIC_RELAXED);
        return;
    }
    __atomic_fetch_add(&l->count, 1, __ATOMIC_RELAXED);
    __atomic_fetch_add(&l->total, ticks, __ATOMIC_RELAXED);
    __atomic_fetch_add(&l->bins[bin_of(ticks)], 1, __ATOMIC_RELAXED);
    raise_to(&l->longest, ticks);
    lower_to(&l->least, ticks ? ticks : 1);
}
