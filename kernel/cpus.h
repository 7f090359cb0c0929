/*
 * The CPUs of the machine: starting them, giving them work, calling them away from it. Indexes are dense; CPU 0 is the
 * one that the firmware started on, and runs the console. In a host process tests/host/cpus.c, where each CPU is a thread.
 *
 *     start:  CPU_STARTING -> CPU_IDLE, or CPU_FAILED where it does not come up in time
 *     work:   CPU_IDLE -> CPU_WORKS (cpus_assign, by any CPU) -> CPU_IDLE (the CPU itself, when the work returns)
 *
 * Every wait here is bounded.
 */
#ifndef KERNEL_CPUS_H
#define KERNEL_CPUS_H

#include "lib/err.h"
#include "lib/types.h"

enum cpu_state { CPU_STARTING, CPU_IDLE, CPU_WORKS, CPU_FAILED };

/* Once, after interrupts are on: starts all CPUs that ACPI lists. One that does not come is named in a warning. */
void cpus_start(void);

/* How many CPUs the list has, failed ones included; at least 1. */
unsigned cpus_count(void);
/* How many of them are there for work, CPU 0 included. */
unsigned cpus_online(void);
enum cpu_state cpus_state(unsigned cpu);
u32 cpus_apic_id(unsigned cpu);
/* CPUs of one package have one number. */
u32 cpus_package(unsigned cpu);

/* Starts `work` on an idle CPU other than this one and returns at once. ERR_NOT_FOUND: there is no such CPU, or it
 * failed; ERR_BUSY: it works. `arg` is the caller's to keep until the work has returned. */
MUST_CHECK enum err cpus_assign(unsigned cpu, void (*work)(void *arg), void *arg);

/* Interrupts the CPU: it leaves the TD, or irq_wait(). */
void cpus_kick(unsigned cpu);
/* Tells the CPU inside a TD that interrupts are posted there (tdx/posted.h): the vCPU stays inside. */
void cpus_notify(unsigned cpu);

/*
 * Runs a short function on every CPU that is there, this one included, with interrupts off: whatever a CPU does, it is
 * called away from it. So the function must not take a lock that other code holds with interrupts on, nor wait. Returns
 * when it has run everywhere; ERR_TIMEOUT: a CPU did not answer, and *late says which.
 */
MUST_CHECK enum err cpus_call_each(void (*work)(void *arg), void *arg, unsigned *late);
/* The same on one CPU alone. ERR_NOT_FOUND: it is not there. */
MUST_CHECK enum err cpus_call(unsigned cpu, void (*work)(void *arg), void *arg);

/* Runs `work` on all idle CPUs and this one, each call in its own time with interrupts on; returns when all have ended. */
void cpus_share(void (*work)(void *arg), void *arg);

/* The interrupt handler's part of it (kernel/guard/trap.c). */
void cpus_answer(void);

#endif
