/*
 * A hang becomes a panic: a CPU on which no interrupt has come for ten seconds, though one was sent, has had them off all that
 * time. Who looks, every two seconds:
 *
 *     at the other CPUs   CPU 0, by its timer: it sends an interrupt to the one without a sign of life, then an NMI
 *     at CPU 0            itself, by NMIs of a counter of its cycles (counter.h); where none counts, the last CPU that is there,
 *                         by a timer of its own
 *
 * Left out: a CPU that is inside the TD, or in the module, which lets interrupts take it out or not; CPU 0 and the one that
 * looks at it hanging both; a loop that leaves interrupts on.
 */
#ifndef KERNEL_GUARD_WATCHDOG_H
#define KERNEL_GUARD_WATCHDOG_H

#include "lib/types.h"

#define WATCHDOG_LOOK_S 2u  /* at most */
#define WATCHDOG_S      10u /* without a beat are a hang */

enum watchdog_keeper { WATCHDOG_COUNTER, WATCHDOG_OTHER_CPU, WATCHDOG_NOBODY }; /* who looks at CPU 0 */

/* On CPU 0, when all CPUs are there; `is_inside(cpu)`: is it inside the TD? Says where nobody looks at CPU 0. */
enum watchdog_keeper watchdog_start(bool (*is_inside)(unsigned cpu));

/* An interrupt came to this CPU. */
void watchdog_beat(void);
/* By CPU 0's timer, however often it comes; by that of the CPU that looks at it. */
void watchdog_look_at_others(void);
void watchdog_look_at_first(void);

enum watchdog_verdict { WATCHDOG_NOT_MINE, WATCHDOG_FINE, WATCHDOG_HANGS };
/* What an NMI on this CPU has to do with it. */
enum watchdog_verdict watchdog_nmi(void);

#endif
