/* CPUs that take turns: see machine.h. */
#include "lab/machine.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kernel/guard/trap.h"
#include "lab/cost.h"
#include "lab/memory.h"
#include "lib/bits.h"

#define CALL_PIECES 8u /* about as many as a call takes and gives back locks */

struct machine_cpu machine_cpus[MACHINE_CPUS_MAX];
unsigned machine_cpu_count;
struct machine_cpu *machine_self;
u64 machine_jitter;

/* All CPUs but the one that runs, in the order in which they have their turns: at ready[cpu], of several the first. */
static u8 waiting[MACHINE_CPUS_MAX];
static unsigned waiting_count;
static u64 ready[MACHINE_CPUS_MAX];
static u64 horizon;     /* when the first of the others has its turn */
static u64 ipi_horizon; /* when the first IPI of the others could arrive */

_Noreturn void machine_stop(const char *fmt, ...)
{
    va_list args;

    fflush(stdout);
    va_start(args, fmt);
    fputs("lab: ", stderr);
    vfprintf(stderr, fmt, args);
    fputc('\n', stderr);
    va_end(args);
    exit(1);
}

/* --- turns -------------------------------------------------------------------------------------------------------- */

static u64 event_at(const struct machine_cpu *c)
{
    return min_u64(c->ipi_at, c->timer_at);
}

static u64 ready_at(const struct machine_cpu *c)
{
    if (!c->is_up)
        return MACHINE_NEVER;
    return c->is_halted ? max_u64(c->clock, event_at(c)) : c->clock;
}

static void set_horizon(u64 at)
{
    u64 latency = cost_of(COST_IPI);

    horizon = at;
    ipi_horizon = at < MACHINE_NEVER - latency ? at + latency : MACHINE_NEVER;
}

static bool is_before(unsigned a, unsigned b)
{
    return ready[a] != ready[b] ? ready[a] < ready[b] : a < b;
}

/* Most often far back: it has just had its turn. */
static void queue(unsigned cpu)
{
    unsigned at = waiting_count++;

    for (; at > 0 && is_before(cpu, waiting[at - 1]); at--)
        waiting[at] = waiting[at - 1];
    waiting[at] = (u8)cpu;
    set_horizon(ready[waiting[0]]);
}

static void unqueue(unsigned cpu)
{
    unsigned at = 0;

    while (waiting[at] != cpu)
        at++;
    memmove(&waiting[at], &waiting[at + 1], --waiting_count - at);
    set_horizon(waiting_count ? ready[waiting[0]] : MACHINE_NEVER);
}

/* Something will happen to another CPU earlier than what it waits for. */
static void requeue(struct machine_cpu *c)
{
    unsigned cpu = (unsigned)(c - machine_cpus);

    unqueue(cpu);
    ready[cpu] = ready_at(c);
    queue(cpu);
}

static void give_way(void)
{
    struct machine_cpu *from = machine_self;

    ready[machine_index()] = ready_at(from);
    queue(machine_index());
    unsigned turn = waiting[0];
    if (ready[turn] == MACHINE_NEVER)
        machine_stop("all CPUs are halted, and nothing is left to happen");
    unqueue(turn);
    machine_self = &machine_cpus[turn];
    machine_self->clock = ready[turn];
    machine_self->is_halted = false;
    if (machine_self != from)
        stack_switch_to(from->runs, machine_self->runs);
}

void machine_pass(u64 ticks)
{
    machine_self->clock += ticks;
    if (machine_self->clock > horizon)
        give_way();
}

void machine_pass_alone(u64 ticks)
{
    machine_self->clock += ticks;
    if (machine_self->clock > ipi_horizon)
        give_way();
}

void machine_halt(void)
{
    if (machine_is_interrupted())
        return;
    machine_self->is_halted = true;
    give_way();
}

/* --- interrupts --------------------------------------------------------------------------------------------------- */

bool machine_is_interrupted(void)
{
    return event_at(machine_self) <= machine_self->clock;
}

/* SplitMix64. */
static u64 draw(u64 below)
{
    u64 z = machine_jitter += 0x9e3779b97f4a7c15ull;

    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
    return (z ^ (z >> 31)) % below;
}

static void set_timer_due(struct machine_cpu *c, u64 due)
{
    c->timer_due = due;
    c->timer_at = due + (machine_jitter ? draw(c->timer_period) : 0);
}

/* The one that came first; those of the timer that were missed are one. */
static u8 take_vector(struct machine_cpu *c)
{
    if (c->ipi_at <= c->timer_at) {
        c->ipi_at = MACHINE_NEVER;
        return c->ipi_vector;
    }
    set_timer_due(c, c->clock - (c->clock - c->timer_due) % c->timer_period + c->timer_period);
    return c->timer_vector;
}

u8 machine_acknowledge(void)
{
    return take_vector(machine_self);
}

void machine_handle(u8 vector)
{
    struct trap_frame frame = {.vector = vector};

    machine_pass(cost_of(COST_INTERRUPT));
    trap_handle(&frame);
}

void machine_take_interrupts(void)
{
    while (machine_self->interrupts_on && machine_is_interrupted()) {
        u8 vector = machine_acknowledge();
        machine_self->interrupts_on = false;
        machine_handle(vector);
        machine_self->interrupts_on = true;
    }
}

void machine_send_ipi(unsigned cpu, u8 vector)
{
    struct machine_cpu *to = &machine_cpus[cpu];
    u64 arrival = machine_self->clock + cost_of(COST_IPI);

    if (cpu >= machine_cpu_count || !to->is_up)
        return;
    to->ipi_at = min_u64(to->ipi_at, arrival);
    to->ipi_vector = vector;
    if (to != machine_self)
        requeue(to);
}

void machine_set_timer(u8 vector, u64 period)
{
    machine_self->timer_vector = vector;
    machine_self->timer_period = period;
    if (period)
        set_timer_due(machine_self, machine_self->clock + period);
    else
        machine_self->timer_at = MACHINE_NEVER;
}

/* --- calls of the module ------------------------------------------------------------------------------------------ */

void machine_call_begin(u64 ticks)
{
    memory_end_row();
    machine_self->call_left = ticks;
    machine_self->call_step = ticks / CALL_PIECES;
}

/* Another CPU may meet what this one has locked by now. */
void machine_call_point(void)
{
    u64 step = min_u64(machine_self->call_left, machine_self->call_step);

    if (!step)
        return;
    machine_self->call_left -= step;
    machine_pass(step);
}

void machine_call_end(void)
{
    u64 left = machine_self->call_left;

    machine_self->call_left = machine_self->call_step = 0;
    machine_pass(left);
}

/* --- start -------------------------------------------------------------------------------------------------------- */

static void bring_up(struct machine_cpu *c, u64 clock, void (*to)(void *arg), void *arg)
{
    stack_aim(&c->vmm, to, arg);
    *c = (struct machine_cpu){
        .clock = clock, .vmm = c->vmm, .is_up = true, .ipi_at = MACHINE_NEVER, .timer_at = MACHINE_NEVER};
    c->runs = &c->vmm;
}

void machine_start_cpu(unsigned cpu, void (*to)(void *arg), void *arg)
{
    struct machine_cpu *c = &machine_cpus[cpu];

    if (cpu >= machine_cpu_count || c == machine_self || c->is_up)
        return;
    bring_up(c, machine_self->clock + cost_of(COST_IPI), to, arg);
    requeue(c);
}

_Noreturn void machine_start(unsigned cpus, void (*to)(void *arg), void *arg)
{
    struct stack outside = {0};

    machine_cpu_count = cpus;
    machine_self = &machine_cpus[0];
    bring_up(machine_self, 0, to, arg);
    set_horizon(MACHINE_NEVER);
    for (unsigned i = 1; i < cpus; i++) {
        ready[i] = MACHINE_NEVER;
        queue(i);
    }
    stack_switch_to(&outside, machine_self->runs);
    abort();
}
