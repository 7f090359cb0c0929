/*
 * The VMM's nested page table: identity, in the largest pages that what is hidden allows. APM vol. 2, section 15.25. One table
 * for all CPUs. A change is there for all of them when the call returns (shoot.h).
 */
#ifndef SIM_MACHINE_NPT_H
#define SIM_MACHINE_NPT_H

#include "sim/machine/cpu.h"

/* Identity for everything below `limit` (a multiple of 1 GiB); nothing above it until npt_map() says so. */
void npt_init(u64 limit);
u64 npt_root(void);

/* [gpa, gpa + bytes), multiples of 4K: identity mapped, or absent. Large pages are split where the range needs it. */
void npt_show(u64 gpa, u64 bytes);
void npt_hide(u64 gpa, u64 bytes);

/* One 4K page at `gpa`: `hpa`, writable or not. */
void npt_map(u64 gpa, u64 hpa, bool writable);

#endif
