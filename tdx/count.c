/*
 * Counters of the TDX interface. Any CPU adds to them, so each addition is atomic; readers take what they find, and a
 * reset may lose a few events that happen meanwhile.
 */
#include "tdx/count.h"

#include "lib/string.h"
#include "tdx/abi_leaf.h"

#define CODE_OTHERS (~0u)

struct tdx_counts tdx_counts;

static void add(u64 *counter)
{
    __atomic_fetch_add(counter, 1, __ATOMIC_RELAXED);
}

/* Slots fill from the front and are never given back but by a reset; code 0, success, marks a free one. */
void tdx_count_status(u32 code)
{
    for (unsigned i = 0; i < TDX_STATUS_KINDS_MAX - 1; i++) {
        u32 found = 0;
        u32 *slot = &tdx_counts.status[i].code;
        if (__atomic_compare_exchange_n(slot, &found, code, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED) ||
            found == code) {
            add(&tdx_counts.status[i].count);
            return;
        }
    }
    tdx_counts.status[TDX_STATUS_KINDS_MAX - 1].code = CODE_OTHERS;
    add(&tdx_counts.status[TDX_STATUS_KINDS_MAX - 1].count);
}

void tdx_count_exit(u32 reason)
{
    if (reason < TDX_EXIT_REASON_COUNT_MAX)
        add(&tdx_counts.exits[reason]);
}

void tdx_count_retry(void)
{
    add(&tdx_counts.retries);
}

u64 tdx_counts_status(u32 code)
{
    for (unsigned i = 0; i < TDX_STATUS_KINDS_MAX; i++)
        if (tdx_counts.status[i].code == code)
            return tdx_counts.status[i].count;
    return 0;
}

void tdx_counts_reset(void)
{
    memset(&tdx_counts, 0, sizeof(tdx_counts));
}

u64 tdx_counts_seamcalls(void)
{
    u64 sum = 0;
    for (unsigned i = 0; i < TDX_LEAF_COUNT_MAX; i++)
        sum += tdx_counts.leaf[i];
    return sum;
}

const char *tdx_leaf_name(unsigned leaf)
{
    switch (leaf) {
#define X(number, symbol, name)                                                                                        \
    case number:                                                                                                       \
        return name;
        TDX_LEAF_LIST(X)
#undef X
    default:
        return NULL;
    }
}
