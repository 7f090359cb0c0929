/*
 * Instructions that may fault, and where to go on when they do. An assembly file lists a pair with the FIXUP macro of
 * lib/hw/fixup.inc; the linker script gathers the pairs between fixup_table and fixup_table_end.
 *
 * The exception handler's part (kernel/hw): on #UD or #GP taken at ring 0, before anything else, ask fixup_find(rip).
 * If it is not 0, set the saved RIP to it, the saved RAX to the vector number (6 or 13), and return from the exception;
 * all other registers stay as the faulting instruction found them. For any other vector the table does not count.
 */
#ifndef LIB_HW_FIXUP_H
#define LIB_HW_FIXUP_H

#include "lib/types.h"

/* Each offset counts from the member that holds it, so the image runs wherever it is loaded. */
struct fixup {
    int32_t fault, resume;
};

/* Where to go on after a fault at `rip`, 0: no fixup for it. Takes no lock, so that it works in any context. */
u64 fixup_find(u64 rip);

#endif
