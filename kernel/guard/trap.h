/*
 * What the VMM does about an exception or interrupt of its own CPU: fix up a fault that was expected, serve the timer,
 * or panic. Runs with interrupts off. TD exits do not come here (kernel/vm/run.c).
 */
#ifndef KERNEL_GUARD_TRAP_H
#define KERNEL_GUARD_TRAP_H

#include "kernel/hw/traps.h"

void trap_handle(struct trap_frame *frame);

#endif
