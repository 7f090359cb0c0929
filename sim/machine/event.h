/*
 * What an exit of the VMM cuts off, and goes on when the VMM runs again: an event that was being delivered, and the shadow of STI
 * or MOV SS, in which no interrupt comes. AMD64 APM vol. 2, sections 15.7.2 (EXITINTINFO), 15.20 (EVENTINJ), 15.21.5 (shadow).
 */
#ifndef SIM_MACHINE_EVENT_H
#define SIM_MACHINE_EVENT_H

#include "sim/machine/cpu.h"

/* Was an event being delivered when the VMM left? */
bool event_is_cut(const struct vmcb *v);

/* After the exit has been answered: the event is delivered anew, unless the answer has another one come. */
void event_again(struct vmcb *v);

/* Before the exit is answered: an instruction that runs anew stays in the shadow, one that is skipped ends it. */
void event_keep_shadow(struct cpu *cpu);

#endif
