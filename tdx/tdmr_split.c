/*
 * Cutting large TDMRs: TDH.SYS.TDMR.INIT works for one CPU at a time on one TDMR, so a machine whose memory is one piece would have
 * it initialised by one CPU.
 */
#include "lib/bits.h"
#include "lib/string.h"
#include "tdx/module_internal.h"

/* [lo, hi) of the TDMR, offsets in it, as one of its own. False: it would be reserved as a whole. */
static bool cut_out(const struct tdmr_info *t, u64 lo, u64 hi, struct tdmr_info *part)
{
    unsigned count = 0;
    *part = (struct tdmr_info){.base = t->base + lo, .bytes = hi - lo};
    for (unsigned i = 0; i < TDMR_RESERVED_MAX && t->reserved[i].bytes; i++) {
        u64 from = max_u64(t->reserved[i].offset, lo), to = min_u64(t->reserved[i].offset + t->reserved[i].bytes, hi);
        if (from >= to)
            continue;
        part->reserved[count].offset = from - lo;
        part->reserved[count++].bytes = to - from;
    }
    return part->reserved[0].bytes != part->bytes;
}

/* Into two halves of whole GiBs; of which one alone is left where the other has no memory. */
static void halve(struct tdmr_layout *layout, unsigned i)
{
    struct tdmr_info *t = &layout->tdmrs[i], lower, upper;
    u64 middle = align_down(t->bytes / 2, GIB);
    bool has_lower = cut_out(t, 0, middle, &lower), has_upper = cut_out(t, middle, t->bytes, &upper);
    *t = has_lower ? lower : upper;
    if (!has_lower || !has_upper)
        return;
    memmove(t + 2, t + 1, (layout->count - i - 1) * sizeof(*t));
    t[1] = upper;
    layout->count++;
}

/* The largest, the first of several. */
static unsigned largest(const struct tdmr_layout *layout)
{
    unsigned found = 0;
    for (unsigned i = 1; i < layout->count; i++)
        if (layout->tdmrs[i].bytes > layout->tdmrs[found].bytes)
            found = i;
    return found;
}

void tdmr_split(struct tdmr_layout *layout, unsigned tdmrs_max, u64 bytes_max)
{
    unsigned max = (unsigned)min_u64(tdmrs_max, TDX_TDMRS_MAX);
    for (unsigned i = largest(layout); layout->count < max && layout->tdmrs[i].bytes > bytes_max; i = largest(layout))
        halve(layout, i);
}
