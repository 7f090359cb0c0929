/* The VMM's life as a guest: VMRUN, answer the exit, again. */
#ifndef SIM_MACHINE_EXITS_H
#define SIM_MACHINE_EXITS_H

#include "sim/machine/cpu.h"

/* Intercepts, bitmaps and nested paging of the VMM's VMCB; its state save area is the caller's. */
void exits_init(struct cpu *cpu);

/* The core's image, which the guest still runs in until it has returned to the firmware. */
void exits_set_image(u64 base, u64 bytes);

_Noreturn void exits_loop(struct cpu *cpu);

/*
 * Before VMRUN: an emulator flushes translations whenever VMRUN or #VMEXIT changes certain bits of CR0 and CR4, so the core's
 * own registers follow those of the VMCB that runs next.
 */
void exits_follow_control_registers(const struct vmcb *v);

#endif
