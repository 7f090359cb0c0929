/* The end of the road (lib/log.h), when it starts from an exception: the registers of `frame` are printed too. */
#ifndef KERNEL_GUARD_PANIC_H
#define KERNEL_GUARD_PANIC_H

#include "kernel/hw/traps.h"

_Noreturn void panic_trap(const struct trap_frame *frame, const char *what);

/* By the NMI handler: where another CPU panics this one stops, and says where it was. */
void panic_join(const struct trap_frame *frame);

#endif
