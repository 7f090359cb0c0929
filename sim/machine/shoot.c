/* Shootdowns: see shoot.h. */
#include "sim/machine/shoot.h"
#include "sim/machine/apic.h"
#include "sim/machine/hw/svm.h"
#include "sim/machine/log.h"

#define WAITS_MAX 2000000000u /* turns: seconds on any machine */

/* Atomic. Counts up, never down. */
static u64 generation[SHOOT_CHANNELS];

/* `inside` first, then the look at the generation; shoot_down() does it the other way round, so one of the two sees the other. */
bool shoot_enter(struct cpu *cpu, enum shoot_channel channel)
{
    struct shoot_state *state = &cpu->shoot[channel];
    __atomic_store_n(&state->inside, true, __ATOMIC_SEQ_CST);
    u64 now = __atomic_load_n(&generation[channel], __ATOMIC_SEQ_CST);
    bool changed = state->seen != now;
    __atomic_store_n(&state->seen, now, __ATOMIC_SEQ_CST);
    return changed;
}

void shoot_leave(struct cpu *cpu, enum shoot_channel channel)
{
    __atomic_store_n(&cpu->shoot[channel].inside, false, __ATOMIC_SEQ_CST);
}

static bool runs_the_old(struct cpu *cpu, enum shoot_channel channel, u64 now)
{
    return __atomic_load_n(&cpu->shoot[channel].inside, __ATOMIC_SEQ_CST) &&
           __atomic_load_n(&cpu->shoot[channel].seen, __ATOMIC_SEQ_CST) < now;
}

static void wait_for(struct cpu *cpu, enum shoot_channel channel, u64 now)
{
    for (u32 waits = 0; runs_the_old(cpu, channel, now); waits++) {
        if (waits == WAITS_MAX)
            sim_stop("broken: CPU %u does not leave its guest", cpu->index);
        __builtin_ia32_pause();
    }
}

void shoot_send_nmi(struct cpu *from, struct cpu *to)
{
    __atomic_add_fetch(&to->nmis_begun, 1, __ATOMIC_SEQ_CST);
    apic_send_nmi(from, to->real_apic_id);
    __atomic_add_fetch(&to->nmis_sent, 1, __ATOMIC_SEQ_CST);
}

void shoot_down(enum shoot_channel channel)
{
    struct cpu *self = cpu_this();
    u64 now = __atomic_add_fetch(&generation[channel], 1, __ATOMIC_SEQ_CST);
    for (unsigned i = 0; i < cpu_count(); i++) {
        struct cpu *cpu = cpu_at(i);
        if (cpu == self || !runs_the_old(cpu, channel, now))
            continue;
        shoot_send_nmi(self, cpu);
    }
    for (unsigned i = 0; i < cpu_count(); i++)
        if (cpu_at(i) != self)
            wait_for(cpu_at(i), channel, now);
}

/*
 * NMIs collapse into one while one waits: all that have come before this one is taken are met by it. One that was begun before
 * and comes later is the platform's too, though what it was sent for may be over: two CPUs may shoot at a third. Where it is
 * taken between its sender's two counts, the next one is taken for it: of a device's NMIs one may be met so, of a VMM's none.
 */
static bool is_for_guest(struct cpu *cpu, u32 come)
{
    bool is_ours = __atomic_load_n(&cpu->nmis_begun, __ATOMIC_SEQ_CST) != cpu->nmis_met;
    bool wanted = __atomic_exchange_n(&cpu->nmi_sent, false, __ATOMIC_SEQ_CST);

    cpu->nmis_met = come;
    return wanted || !is_ours;
}

bool shoot_take_nmi(struct cpu *cpu)
{
    bool for_guest = is_for_guest(cpu, __atomic_load_n(&cpu->nmis_sent, __ATOMIC_SEQ_CST));

    svm_take_nmi();
    return for_guest;
}

void shoot_send_on(struct cpu *cpu)
{
    bool waits = __atomic_load_n(&cpu->nmis_begun, __ATOMIC_SEQ_CST) != cpu->nmis_met;
    if (waits || __atomic_load_n(&cpu->nmi_sent, __ATOMIC_SEQ_CST))
        apic_send_nmi(cpu, cpu->real_apic_id);
}

/* An NMI that came in beside it and was the VMM's is sent anew. */
u32 shoot_take_interrupt(struct cpu *cpu)
{
    u32 come = __atomic_load_n(&cpu->nmis_sent, __ATOMIC_SEQ_CST);
    bool nmi;
    u32 vector = svm_take_interrupt(&nmi);

    if (nmi && is_for_guest(cpu, come)) {
        __atomic_store_n(&cpu->nmi_sent, true, __ATOMIC_SEQ_CST);
        shoot_send_nmi(cpu, cpu);
    }
    return vector;
}
