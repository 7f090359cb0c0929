/*
 * The devices that a TD sees (drivers/virt), where they are (guest/shim/machine.h), and how an interrupt of theirs finds its vCPUs.
 * A port or address where nothing is reads as 0. On any CPU.
 */
#ifndef KERNEL_VM_DEVICES_H
#define KERNEL_VM_DEVICES_H

#include "drivers/virt/vapic.h"
#include "drivers/virt/vpower.h"
#include "lib/addr.h"

/* As they are when the TD starts. */
void devices_reset(void);

u32 devices_in(u16 port, unsigned bytes);
/* What the guest asks for with it. */
enum vpower devices_out(u16 port, unsigned bytes, u32 value);
u64 devices_read(gpa_t gpa);
void devices_write(gpa_t gpa, u64 value);

/* To each vCPU that it is for. INIT and SIPI are nothing here: a vCPU waits in the guest's own mailbox. */
void devices_send(const struct vapic_ipi *ipi, unsigned sender);

#endif
