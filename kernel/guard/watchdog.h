/*
 * A hang of the console's CPU becomes a panic: a performance counter of its unhalted cycles overflows into an NMI every two
 * seconds of work or sooner, and where the timer's interrupt has not come for ten of them, interrupts have been off all that
 * time. SDM vol. 3, chapter 20 ("Performance monitoring", architectural version 2). Left out: machines that enumerate no such
 * counter, and a TD with performance counters of its own on this CPU, whose exit leaves the counter stopped.
 */
#ifndef KERNEL_GUARD_WATCHDOG_H
#define KERNEL_GUARD_WATCHDOG_H

#include "kernel/hw/traps.h"

#define WATCHDOG_LOOK_S 2u  /* at most */
#define WATCHDOG_S      10u /* of work without a beat are a hang */

/* On the console's CPU, after time_init() and timer_init(). False: there is no counter for it. */
bool watchdog_start(void);
/* The timer's interrupt came. */
void watchdog_beat(void);
/* By the NMI handler on any CPU. True: the NMI is the counter's; *hangs then says whether this was the last look. */
bool watchdog_nmi(bool *hangs);

#endif
