/*
 * An NMI after so many cycles of this CPU's work, again and again: its first performance counter counts unhalted core cycles and
 * overflows. SDM vol. 3, chapter 20 ("Performance monitoring", architectural version 2). Left out: a TD with performance counters
 * of its own on this CPU, whose exit leaves the counter stopped.
 */
#ifndef KERNEL_GUARD_COUNTER_H
#define KERNEL_GUARD_COUNTER_H

#include "lib/types.h"

#define COUNTER_CYCLES_MAX 0x7fffffffull

/* After apic_init(). False: this CPU enumerates no such counter, or does not let it be set. By one CPU of the machine. */
MUST_CHECK bool counter_start(u64 cycles);

/* By the NMI handler of that CPU. True: the NMI is the counter's, and the next will come after as many cycles. */
MUST_CHECK bool counter_take(void);

#endif
