/* Host twin of kernel/hw/traps.c: there are no interrupts to wait for, so whoever waits gives way to other
 * threads, and a halted CPU ends the process. */
#include "kernel/hw/traps.h"

#include <sched.h>
#include <stdio.h>
#include <stdlib.h>

void irq_enable(void) {}

void irq_disable(void) {}

void irq_wait(void)
{
    (void)sched_yield();
}

void cpu_halt(void)
{
    fputs("host: the CPU is halted\n", stderr);
    abort();
}
