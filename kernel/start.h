/* The start of the VMM proper, when boot/ has left the firmware. */
#ifndef KERNEL_START_H
#define KERNEL_START_H

/* On the final stack, boot services gone, interrupts off. Takes a `const struct boot_info *`; never returns. */
void kernel_start(void *boot_info);

#endif
