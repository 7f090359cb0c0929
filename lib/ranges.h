/*
 * Sorted lists of physical ranges that neither overlap nor touch. The memory of a list is its owner's; where a list is full,
 * its smallest range gives way to a larger one, and the sum of what was given up is kept: nothing goes by where it stands.
 */
#ifndef LIB_RANGES_H
#define LIB_RANGES_H

#include "lib/addr.h"

struct phys_range {
    hpa_t base;
    u64 bytes;
};

struct phys_ranges {
    struct phys_range *r;
    unsigned count, max; /* max: at least 1 */
    u64 given_up_bytes;  /* in ranges that found no room */
    unsigned given_up;   /* ranges */
};

static inline u64 range_end(const struct phys_range *r)
{
    return r->base.raw + r->bytes;
}

/* [from, to) belongs to the list, whatever part of it did before: gives the bytes of that part. */
u64 ranges_add(struct phys_ranges *l, u64 from, u64 to);
/* [from, to) does not: gives the bytes that did. */
u64 ranges_cut(struct phys_ranges *l, u64 from, u64 to);
/* Gives up the smallest ranges until at most `max` are left. */
void ranges_trim(struct phys_ranges *l, unsigned max);

/* All of [from, to) lies in one range. */
bool ranges_hold(const struct phys_ranges *l, u64 from, u64 to);
u64 ranges_bytes(const struct phys_ranges *l);
/* How many aligned units of 2^shift bytes hold a part of the list. */
u64 ranges_units(const struct phys_ranges *l, unsigned shift);

#endif
