/*
 * The timers of the CPUs. CPU 0 has a periodic interrupt: it polls the serial line, and it takes the CPU out of the TD now and
 * then, so that a ^C is seen while the TD works. One other CPU may have one for the watchdog. Each but CPU 0 has an alarm, for the vCPU
 * that it runs, beside that.
 */
#ifndef KERNEL_TIMER_H
#define KERNEL_TIMER_H

#include "lib/err.h"
#include "lib/types.h"

#define TIMER_HZ 500u
#define TIMER_POLL_HZ                                                                                                  \
    1000u /* where it has to be in time for the serial line: 115200 baud fill the UART's 16 bytes in 1.4 ms */

/* After time_init() and apic_init(). ERR_PLATFORM: the timer does not count. */
MUST_CHECK enum err timer_init(unsigned hz);
/* After that, on any CPU: an interrupt of this vector every so many microseconds. */
void timer_start(u8 vector, u64 us);

/* Interrupts this CPU once when its TSC has come to `tsc`, or earlier, so that whoever waits looks and sets it again; one that was
 * set before is forgotten. On CPU 0 the periodic interrupt has to do. */
void timer_set_alarm(u64 tsc);
/* The interrupt handler's part of it. True: what timer_start() was to bring has become due meanwhile. */
bool timer_take_alarm(void);

#endif
