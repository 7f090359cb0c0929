/*
 * The lab's machine: CPUs with clocks of their own that take turns in one thread, always the one whose clock is least, so that
 * a run is the same each time and no time passes but what the profile (cost.h) says. A CPU's clock is its TSC.
 *
 * A CPU gives way wherever its time passes: machine_pass(). Interrupts come to the VMM where it asks the CPU for
 * something (lab/cpu.c), to a vCPU at each of its accesses and TDCALLs.
 */
#ifndef LAB_MACHINE_H
#define LAB_MACHINE_H

#include "lab/stack.h"
#include "lib/types.h"

#define MACHINE_CPUS_MAX 34u /* the console's, one for each of the payload's 32 vCPUs, and one for the merge policy */
#define MACHINE_NEVER    (~0ull)

struct machine_cpu {
    u64 clock;
    struct stack *runs; /* what it runs: the VMM's stack or a vCPU's */
    struct stack vmm;
    bool is_up, is_halted, interrupts_on;
    u64 ipi_at; /* when the first IPI arrives that it has not taken; MACHINE_NEVER: none */
    u8 ipi_vector;
    u64 timer_at;                /* when its timer's next interrupt arrives; MACHINE_NEVER: stopped */
    u64 timer_due, timer_period; /* timer_at without what machine_jitter adds */
    u8 timer_vector;
    u64 call_left, call_step; /* of the SEAMCALL or TDCALL that is under way */
};

extern struct machine_cpu machine_cpus[MACHINE_CPUS_MAX];
extern unsigned machine_cpu_count;
extern struct machine_cpu *machine_self; /* the CPU that runs */

static inline unsigned machine_index(void)
{
    return (unsigned)(machine_self - machine_cpus);
}

/* CPU 0 runs to(arg) from now on; never returns. */
_Noreturn void machine_start(unsigned cpus, void (*to)(void *arg), void *arg);
/* Another CPU runs to(arg) from now on, as if it had just been started. */
void machine_start_cpu(unsigned cpu, void (*to)(void *arg), void *arg);

/* `ticks` pass on this CPU; others whose turn it is run meanwhile. */
void machine_pass(u64 ticks);
/* The same for work that no other CPU has a part in: whoever is behind has its turn a little later, but no IPI of theirs does. */
void machine_pass_alone(u64 ticks);
/* Sleeps until the next interrupt, which is not taken yet. */
void machine_halt(void);
/* An interrupt waits for this CPU. */
bool machine_is_interrupted(void);
/* Its vector: it waits no longer, and goes to machine_handle(). */
u8 machine_acknowledge(void);
void machine_handle(u8 vector);
/* Those that wait and are let in come to the VMM. */
void machine_take_interrupts(void);
void machine_send_ipi(unsigned cpu, u8 vector);
/* The periodic interrupt of this CPU; period 0 stops it. */
void machine_set_timer(u8 vector, u64 period);
/* Not 0: each interrupt of the timer comes late by a part of the period, drawn with this seed, so that work falls between them
 * otherwise for each seed. Constant after start. */
extern u64 machine_jitter;

/* Around the module's work: its time passes in pieces, so that the calls of several CPUs overlap. */
void machine_call_begin(u64 ticks);
void machine_call_point(void);
void machine_call_end(void);

/* Ends the process with a message; status 1. */
_Noreturn void machine_stop(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

#endif
