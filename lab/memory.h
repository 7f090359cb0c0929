/*
 * The lab's physical memory: one sparse mapping, of which a page takes memory of the host when something other than zeros is
 * written to it. Much that becomes zero is given back.
 */
#ifndef LAB_MEMORY_H
#define LAB_MEMORY_H

#include "lib/types.h"

#define MEMORY_BASE 0x100000000ull /* what is free begins here; below lie the firmware's tables */

/* Once: room for [0, top). */
void memory_start(u64 top);
u64 memory_top(void);
/* NULL: there is no memory. */
void *memory_at(u64 pa);
/* ~0: no pointer into memory. */
u64 memory_address(const void *at);
/* Whole 4K pages become zero. */
void memory_clear(void *at, u64 bytes);
/* Before each call that may clear pages: what was learnt of those that the host has is old. */
void memory_end_row(void);

#endif
