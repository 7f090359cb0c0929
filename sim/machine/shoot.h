/*
 * Shootdowns: what one CPU has changed reaches a guest that another CPU runs. A channel has a generation; a CPU takes note of it
 * when it lets its guest run, with shoot_enter(), and takes it back with shoot_leave(). Whoever has made a change calls
 * shoot_down(): a CPU whose guest still runs under an older generation is taken out of it by an NMI and waited for.
 *
 * A CPU in the core waits for nobody here but for guests, which an NMI always takes out: two CPUs may shoot at each other, and
 * may hold locks meanwhile.
 */
#ifndef SIM_MACHINE_SHOOT_H
#define SIM_MACHINE_SHOOT_H

#include "sim/machine/cpu.h"

/* The guest runs from here on. True: something changed since the last time, so the CPU has to drop its translations. */
bool shoot_enter(struct cpu *cpu, enum shoot_channel channel);
void shoot_leave(struct cpu *cpu, enum shoot_channel channel);

/* Returns when no guest of another CPU runs with what was before the call. The caller's own sees it at its next entry. */
void shoot_down(enum shoot_channel channel);

/* Takes the CPU out of the guest that it may be in. */
void shoot_send_nmi(struct cpu *from, struct cpu *to);

/* After an NMI exit, takes the NMI. Does it have to go to the guest, or did only the platform want the CPU out? */
bool shoot_take_nmi(struct cpu *cpu);

/* What has been sent to this CPU and not been taken goes to its APIC ID once more, which another CPU has now. */
void shoot_send_on(struct cpu *cpu);

/* Acknowledges the interrupt that waits at this CPU's local APIC: its vector, 0 where none waits any more. It is without its EOI
 * yet. */
u32 shoot_take_interrupt(struct cpu *cpu);

#endif
