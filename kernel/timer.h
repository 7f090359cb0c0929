/*
 * The periodic interrupt of CPU 0: it polls the serial line, and it takes the CPU out of the TD now and then, so that a ^C is
 * seen while the TD works. One other CPU may have one for the watchdog.
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

#endif
