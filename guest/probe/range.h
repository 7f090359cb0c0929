/*
 * Which ranges of TD memory the probe may work on: inside memory, not where it lives itself. Pure.
 */
#ifndef GUEST_PROBE_RANGE_H
#define GUEST_PROBE_RANGE_H

#include <stdbool.h>
#include <stdint.h>

#define PROBE_PAGE_4K 0x1000ull
#define PROBE_PAGE_2M 0x200000ull

struct probe_range {
    uint64_t start, bytes;
};

/* True if the ranges share a byte. Neither may wrap. */
bool probe_range_overlaps(struct probe_range a, struct probe_range b);

/*
 * True if `range` is not empty, aligned to `unit` bytes (a power of two) at both ends, inside `memory` and clear of all
 * `count` `kept` ranges.
 */
bool probe_range_is_free(struct probe_range range, uint64_t unit, struct probe_range memory,
                         const struct probe_range *kept, unsigned count);

#endif
