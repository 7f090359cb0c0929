/* Host twin of kernel/hw/traps.c: there are no interrupts to wait for, so whoever waits gives way to other
 * threads, and a halted CPU ends the process. */
#include "kernel/hw/traps.h"

#include "kernel/hw/firmware.h"
#include "kernel/hw/paging.h"
#include "tests/host/io.h"
#include "tests/host/traps.h"

#include <sched.h>
#include <stdio.h>
#include <stdlib.h>

void irq_enable(void) {}

void irq_disable(void) {}

void (*traps_host_wait)(void);

void irq_wait(void)
{
    if (traps_host_wait != NULL)
        traps_host_wait();
    (void)sched_yield();
}

unsigned traps_host_nmis;

void nmi_take(void)
{
    traps_host_nmis++;
}

void cpu_halt(void)
{
    fputs("host: the CPU is halted\n", stderr);
    abort();
}

void paging_let_firmware_run(void) {}

/* Remembered among the ports: 0. It fails. */
bool firmware_call(u64 service, u64 a)
{
    io_host_note_write(0, (u32)a);
    return false;
}

bool firmware_give_up(struct trap_frame *frame)
{
    return false;
}
