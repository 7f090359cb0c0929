/* Range checks: see range.h. */
#include "guest/probe/range.h"

bool probe_range_overlaps(struct probe_range a, struct probe_range b)
{
    return a.bytes && b.bytes && a.start < b.start + b.bytes && b.start < a.start + a.bytes;
}

bool probe_range_is_free(struct probe_range range, uint64_t unit, struct probe_range memory,
                         const struct probe_range *kept, unsigned count)
{
    if (!range.bytes || ((range.start | range.bytes) & (unit - 1)) || range.start < memory.start) {
        return false;
    }
    /* Written so that nothing wraps, whatever came in. */
    if (range.start - memory.start > memory.bytes || range.bytes > memory.bytes - (range.start - memory.start)) {
        return false;
    }
    for (unsigned i = 0; i < count; i++) {
        if (probe_range_overlaps(range, kept[i])) {
            return false;
        }
    }
    return true;
}
