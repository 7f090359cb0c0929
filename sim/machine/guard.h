/*
 * Who owns which 4K page of memory, and what happens when the VMM touches one that is not its own. Integrity protection and
 * SEAMRR as a VMM can observe them, not their cryptography.
 */
#ifndef SIM_MACHINE_GUARD_H
#define SIM_MACHINE_GUARD_H

#include "sim/machine/cpu.h"

/* `top` is the end of RAM: the table of owners covers what is below. */
void guard_init(u64 top);

/* RAM pages of [base, base + bytes) are the core's: the VMM never sees them. Ranges are 4K aligned. */
void guard_hide(u64 base, u64 bytes);

/* See plat_own(). */
void guard_own(u64 hpa, u64 bytes);

/* The VMM wrote this page while the module used it: a TD that reads it now meets a machine check. */
bool guard_is_poisoned(u64 hpa);
/* Was any page ever? Spares a TD's large pages a look at each 4K. */
bool guard_has_poisoned(void);
/* Owned by the module: an access under a shared KeyID does not see the plain content. */
bool guard_is_owned(u64 hpa);
/* Owned or hidden: the VMM cannot use it. */
bool guard_is_closed(u64 hpa);

/* The platform's own: not even the module may be led there. */
bool guard_is_hidden(u64 hpa);

/* An access of the VMM's by the platform's own hands: what the guard has to do about it is done. */
void guard_touch(struct cpu *cpu, u64 gpa, u64 info);

/*
 * A nested page fault of the VMM. What is not the guard's business (no RAM, so a device answers; or plain by now) is shown, before
 * a call on another CPU can take the page.
 */
void guard_fault(struct cpu *cpu, u64 gpa, u64 info);

/* At every exit of the VMM: stand-in pages that the last fault mapped are taken away again. */
void guard_exit(struct cpu *cpu);

#endif
