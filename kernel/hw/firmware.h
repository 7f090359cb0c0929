/*
 * Calls of the firmware's runtime services, at the very end: what the firmware does wrong must not keep the machine from the
 * other ways out. kernel/hw/firmware.asm on the machine; in a host process tests/host/traps.c.
 */
#ifndef KERNEL_HW_FIRMWARE_H
#define KERNEL_HW_FIRMWARE_H

#include "kernel/hw/traps.h"

#define FIRMWARE_LIMIT_US 10000000u

/* service(a, 0, 0, NULL) by the firmware's calling convention, after paging_let_firmware_run(). False: it was given up. By CPU 0. */
bool firmware_call(u64 service, u64 a);

/* By the trap handler: makes an exception or a timer's interrupt the end of the call. False: none is under way. */
bool firmware_give_up(struct trap_frame *frame);

#endif
