/*
 * A vCPU that stands in a fault and is entered again and again with nothing done about it: see vm.h. TDX Module Base Architecture
 * Specification, "Zero-Step Attack Mitigation".
 */
#include "kernel/cpus.h"
#include "kernel/hw/traps.h"
#include "kernel/time.h"
#include "kernel/vm/run.h"
#include "lib/hw/cpu.h"

/* Of entries that are held out or interrupted: under a hypervisor the CPU that holds them out may rest for long. */
#define EMPTY_US   10000000ull
#define END_US     (2 * EMPTY_US)
#define EPT_READ   1u /* exit qualification */
#define EPT_WRITE  2u
#define ACCESS_ANY 7u

/* The filter's answer is that of a violation by a write, whatever the TD's access was. */
static bool is_of_the_filter(const struct vcpu_exit *exit)
{
    return (exit->qualification & ACCESS_ANY) == EPT_WRITE;
}

static void note(struct vm_stuck *s, const struct vcpu_exit *exit, u64 ticks)
{
    bool refused = is_of_the_filter(exit);

    if (exit->kind != VCPU_EXIT_EPT_VIOLATION) {
        s->err = ERR_STATE;
        s->other = *exit;
        return;
    }
    s->entered++;
    if (!refused && s->refused == 0)
        s->ran_first++;
    s->ran += !refused;
    s->refused += refused;
    vm_pauses_add(refused ? &s->refused_ticks : &s->ran_ticks, ticks);
}

static void enter_again(void *arg)
{
    struct vm_stuck *s = arg;

    for (u64 last = time_us(); s->entered < s->times && s->err == ERR_OK;) {
        u64 from = cpu_tsc();
        struct vcpu_exit exit = vcpu_enter(&vm.td.vcpus[s->vcpu]);
        u64 ticks = cpu_tsc() - from;
        if (exit.kind == VCPU_EXIT_NMI)
            nmi_take();
        if (exit.kind != VCPU_EXIT_HELD && exit.kind != VCPU_EXIT_INTERRUPT && exit.kind != VCPU_EXIT_NMI) {
            note(s, &exit, ticks);
            last = time_us();
        } else if (time_us() - last > EMPTY_US) {
            s->err = ERR_TIMEOUT;
        } else {
            cpu_relax();
        }
    }
    s->done = true;
}

enum err vm_stuck_begin(struct vm_stuck *s, unsigned vcpu, unsigned times, struct fault_text *fault)
{
    const struct vm_vcpu *v = &vm.vcpus[vcpu];
    u64 from = time_us();
    enum err e;

    *s = (struct vm_stuck){.vcpu = vcpu, .times = times};
    if (v->runs || !v->parked || (v->fault.qualification & ACCESS_ANY) != EPT_READ)
        return fault_say(fault, ERR_STATE, "vCPU %u does not stand in a fault of a read", vcpu);
    if (cpus_online() == 1) {
        enter_again(s);
        return ERR_OK;
    }
    do
        e = cpus_assign(v->cpu, enter_again, s);
    while (e == ERR_BUSY && time_us() - from < END_US);
    return e == ERR_OK ? e : fault_say(fault, e, "vCPU %u: CPU %u takes no work", vcpu, v->cpu);
}

static enum err say_other(const struct vm_stuck *s, struct fault_text *fault)
{
    if (s->err != ERR_STATE)
        return fault_say(fault, s->err, "vCPU %u did not come into the TD for %llu s", s->vcpu, EMPTY_US / 1000000);
    if (s->other.kind == VCPU_EXIT_REFUSED || s->other.kind == VCPU_EXIT_TD_DEAD)
        return fault_leaf(fault, "entering the vCPU that stands in a fault", "TDH.VP.ENTER", s->other.status);
    return fault_say(fault, s->err, "vCPU %u left the TD by something else than its fault: exit %s (%u)", s->vcpu,
                     vcpu_exit_name(s->other.reason), s->other.reason);
}

enum err vm_stuck_end(struct vm_stuck *s, struct fault_text *fault)
{
    u64 from = time_us();

    while (!s->done && time_us() - from < END_US)
        cpu_relax();
    if (!s->done)
        return fault_say(fault, ERR_TIMEOUT, "vCPU %u does not leave the TD on CPU %u", s->vcpu, vm.vcpus[s->vcpu].cpu);
    if (s->err != ERR_OK)
        return say_other(s, fault);
    return ERR_OK;
}
