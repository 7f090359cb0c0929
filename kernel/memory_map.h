/*
 * The firmware's memory map, read out of its bytes: UEFI 2.10, section 7.2.3. The firmware is not believed: descriptors may come
 * in any order, overlap, be larger than their structure or make no sense at all. Pure: no firmware is called, and nothing else
 * than the given bytes is read.
 */
#ifndef KERNEL_MEMORY_MAP_H
#define KERNEL_MEMORY_MAP_H

#include "lib/ranges.h"

#define MEMORY_MAP_END (1ull << 47) /* what can be mapped one to one by four levels of page tables */

/* The lists' memory is the caller's: memory_map_room() ranges each are never too few. */
struct memory_map {
    struct phys_ranges free;      /* once boot services have ended, above 1 MiB, in whole pages */
    struct phys_ranges described; /* what is no device: free or used, from 0 on */
    u64 overlap_bytes;            /* free memory that several descriptors name: free only where all of them say so */
    u64 set_aside_bytes; /* earmarked by the firmware: persistent, for a special purpose, or its own at runtime */
    u64 beyond_bytes;    /* behind MEMORY_MAP_END */
    unsigned bad;        /* descriptors without pages, unaligned, or past the end of all addresses: not used */
};

static inline unsigned memory_map_room(u64 map_bytes, u64 step)
{
    return (unsigned)(2 * (map_bytes / step) + 2);
}

/* Reads a map of `bytes` in descriptors of `step` bytes each; false: `step` is less than a descriptor has. What the lists
 * held is forgotten. */
MUST_CHECK bool memory_map_read(struct memory_map *m, const void *map, u64 bytes, u64 step);

#endif
