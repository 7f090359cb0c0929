/* The start of the VMM proper, when boot/ has left the firmware. */
#ifndef KERNEL_START_H
#define KERNEL_START_H

#include "lib/types.h"

/* On the final stack, boot services gone, interrupts off. Takes a `const struct boot_info *`; never returns. */
void kernel_start(void *boot_info);

/* TSC ticks from there until it was ready for a command, without those that it waited for devices. */
u64 start_ticks(void);

#endif
