/*
 * NMIs of the VMM: from one's delivery to the next IRET others are blocked, and wait as one. SDM vol. 3, section 6.7.1 ("Handling
 * multiple NMIs"). The NMI that takes a TD out blocks too: its handler is the VMM's.
 */
#ifndef SIM_MACHINE_NMI_H
#define SIM_MACHINE_NMI_H

#include "sim/machine/cpu.h"

/* The exit that an NMI makes, the one before an IRET of the VMM, the #DB behind it; this last is false where it is not for this. */
void nmi_exit(struct cpu *cpu);
void nmi_iret_exit(struct cpu *cpu);
bool nmi_step_exit(struct cpu *cpu);

/* An NMI has come to this CPU and been told to the VMM, or INIT has: none, or all come through from here on. */
void nmi_block(struct cpu *cpu);
void nmi_reset(struct cpu *cpu);

#endif
