/*
 * What the console has the vCPUs do: td run, td stop, work for the payload. See vm.h. Each vCPU runs on a CPU of its own, or,
 * where there is only one, in turn with the others while the console waits. Every wait for a CPU is bounded.
 */
#include <stdatomic.h>

#include "kernel/console/console.h"
#include "kernel/cpus.h"
#include "kernel/hw/traps.h"
#include "kernel/time.h"
#include "kernel/vm/run.h"
#include "lib/hw/cpu.h"
#include "lib/string.h"

#define LEAVE_US  2000000ull
#define REMIND_US 100000ull  /* far above the way to a halted CPU; once too often does no harm */
#define ASSIGN_US 5000000ull /* a few instructions; a CPU that is emulated may not get to them for long */

static bool have_own_cpus(void)
{
    return cpus_online() > 1;
}

/* Its CPU may be on the way out of the vCPU's last run still. */
static enum err assign(struct vm_vcpu *v)
{
    u64 from = time_us();
    enum err e;

    do
        e = cpus_assign(v->cpu, run_here, v);
    while (e == ERR_BUSY && time_us() - from < ASSIGN_US);
    return e;
}

/* Lets the vCPU run from where it is. */
static enum err begin_run(struct vm_vcpu *v, struct fault_text *fault)
{
    v->abort = false;
    v->abort_until = v->aborted_at = 0;
    v->left_at = 0;
    v->busy = 0;
    v->begun = !have_own_cpus();
    v->reminded_at = time_us();
    v->runs = true;
    if (v->begun)
        return ERR_OK;
    enum err e = assign(v);
    if (e == ERR_OK)
        return e;
    v->runs = false;
    return fault_say(fault, e, "vCPU %u: CPU %u %s", run_index(v), v->cpu,
                     e == ERR_BUSY ? "is at other work" : "is not there");
}

/* A CPU that an interrupt has not reached stays halted beside its work: it is sent another one. */
void vm_remind(void)
{
    for (unsigned i = 0; i < vm.vcpu_count; i++) {
        struct vm_vcpu *v = &vm.vcpus[i];
        if (!v->runs || v->begun || time_us() - v->reminded_at < REMIND_US)
            continue;
        v->reminded_at = time_us();
        cpus_kick(v->cpu);
    }
}

/* --- ^C ----------------------------------------------------------------------------------------------------------- */

/* On CPUs of their own they are told here too, so that one which no IPI reaches still learns of it; first all flags, since
 * an operation of one may hold the mailbox of another until it ends. On the one CPU an operation under way may hold it. */
unsigned vm_abort(void)
{
    unsigned count = 0;

    if (vm.state == VM_NONE || vm.kind != VM_PROBE)
        return 0;
    for (unsigned i = 0; i < vm.vcpu_count; i++) {
        vm.vcpus[i].abort = vm.vcpus[i].runs;
        count += vm.vcpus[i].abort;
    }
    for (unsigned i = 0; have_own_cpus() && i < vm.vcpu_count; i++) {
        struct vm_vcpu *v = &vm.vcpus[i];
        if (!v->abort)
            continue;
        run_tell_abort(v);
        v->aborted_inside = vm.td.vcpus[i].exits;
        v->aborted_at = time_us();
        cpus_kick(v->cpu);
    }
    return count;
}

/* A vCPU on its own CPU has its own flag, and stops where the TD does; what the console does itself, or a vCPU on the console's CPU,
 * ends by ^C at once. */
bool vm_is_stopped(void)
{
    const struct vm_vcpu *v = run_current();

    if (cpu_index() != 0)
        return v != NULL && (v->abort || vm.state != VM_RUNNING);
    if (!console_take_interrupt())
        return v != NULL && v->abort;
    if (v != NULL)
        (void)vm_abort();
    return true;
}

/* Was it kicked for ^C, and has not begun or is inside still by the same entry, for longer than any CPU takes to see an IPI? */
static bool is_stuck(const struct vm_vcpu *v)
{
    const struct vcpu *inner = &vm.td.vcpus[run_index(v)];
    bool has_moved = v->begun && (!inner->inside || inner->exits != v->aborted_inside);

    return v->runs && v->aborted_at != 0 && time_us() - v->aborted_at > LEAVE_US && !has_moved;
}

static enum err say_stuck(unsigned index, struct fault_text *fault)
{
    const struct vm_vcpu *v = &vm.vcpus[index];

    if (!v->begun)
        return fault_say(fault, ERR_TIMEOUT, "CPU %u does not take up vCPU %u", v->cpu, index);
    return fault_say(fault, ERR_TIMEOUT, "vCPU %u does not leave the TD on CPU %u", index, v->cpu);
}

void vm_wait(void)
{
    bool any = false;

    vm_tick();
    for (unsigned i = 0; !have_own_cpus() && i < vm.vcpu_count; i++) {
        if (!vm.vcpus[i].runs)
            continue;
        (void)run_turn(&vm.vcpus[i]);
        any |= !vm.vcpus[i].is_halted;
    }
    if (!any)
        irq_wait();
}

void vm_idle(void)
{
    if (vm.state == VM_RUNNING && vm.kind == VM_LINUX) {
        vm_wait();
        return;
    }
    vm_tick();
    irq_wait();
}

/* What the console does while it waits for vCPUs. ^C takes all of them out of their work: true. */
static bool while_waiting(void)
{
    bool stopped = console_take_interrupt();

    if (stopped)
        (void)vm_abort();
    vm_wait();
    return stopped;
}

/* Where ^C found the work done, it is about what comes behind: an experiment's next work, a script's next line. */
static enum err waited(bool stopped, enum err e)
{
    if (stopped && e == ERR_OK)
        console_give_interrupt_back();
    return e;
}

enum err vm_kick(unsigned index, bool *inside, struct fault_text *fault)
{
    const struct vcpu *v = &vm.td.vcpus[index];
    u64 exits = v->exits, from = time_us();

    *inside = v->inside;
    if (!*inside)
        return ERR_OK;
    cpus_kick(vm.vcpus[index].cpu);
    while (v->inside && v->exits == exits) {
        if (time_us() - from > LEAVE_US)
            return say_stuck(index, fault);
        cpu_relax();
    }
    return ERR_OK;
}

void vm_dies(void)
{
    vm.state = VM_DEAD;
    for (unsigned i = 0; have_own_cpus() && i < vm.vcpu_count; i++)
        if (vm.vcpus[i].runs)
            cpus_kick(vm.vcpus[i].cpu);
}

/* --- td run, td stop ---------------------------------------------------------------------------------------------- */

/* The vCPU asks for work: what it did until now is done. False: its mailbox is gone. */
static bool take_result(struct vm_vcpu *v, struct probe_result *result)
{
    struct claim held;
    struct probe_mailbox *box = vm_mailbox_hold(run_index(v), &held);

    v->has_work = false;
    if (box == NULL)
        return false;
    memcpy(result, &box->result, sizeof(*result));
    __atomic_store_n(&box->abort, 0, __ATOMIC_RELAXED);
    vm_mailbox_release(&held);
    return true;
}

/* A vCPU's CPU may say VM_DEAD meanwhile, which stays. */
static void change_state(enum vm_state from, enum vm_state to)
{
    (void)atomic_compare_exchange_strong(&vm.state, &from, to);
}

static enum err check_runnable(struct fault_text *fault)
{
    switch (atomic_load(&vm.state)) {
    case VM_NONE:
        return fault_say(fault, ERR_STATE, "there is no TD: `td create` comes first");
    case VM_DEAD:
        return fault_say(fault, ERR_TD_DEAD, "the TD is dead: only `td destroy` is left");
    case VM_ENDED:
        return fault_say(fault, ERR_STATE, "the guest has ended: only `td destroy` is left");
    default:
        return ERR_OK;
    }
}

/* The vCPUs that this `td run` sets going; those that work already go on with it. */
static enum err begin_all(bool started[TD_VCPUS_MAX], struct fault_text *fault)
{
    enum err first = ERR_OK;

    for (unsigned i = 0; i < vm.vcpu_count; i++) {
        struct vm_vcpu *v = &vm.vcpus[i];
        started[i] = false;
        v->finished = v->finished && v->runs;
        if (v->state == VCPU_HALTED && first == ERR_OK)
            first = fault_say(fault, ERR_STATE, "%s", v->why.text);
        if (v->runs || v->state == VCPU_HALTED || v->state == VCPU_IDLE)
            continue;
        struct fault_text text;
        if (vm.kind == VM_LINUX)
            v->state = VCPU_WORKS;
        enum err e = begin_run(v, &text);
        started[i] = e == ERR_OK;
        if (e != ERR_OK && first == ERR_OK) {
            first = e;
            *fault = text;
        }
    }
    return first;
}

/* Waits for those that were started. A vCPU that halts for good may be waited for by the others: then nobody waits here
 * any longer. True: ^C came. */
static bool wait_for_all(const bool started[TD_VCPUS_MAX])
{
    bool stopped = false;

    for (bool any = true, halted = false; any && !halted;) {
        any = false;
        for (unsigned i = 0; i < vm.vcpu_count; i++) {
            any |= started[i] && vm.vcpus[i].runs && !is_stuck(&vm.vcpus[i]);
            halted |= started[i] && vm.vcpus[i].state == VCPU_HALTED;
        }
        if (any && !halted)
            stopped |= while_waiting();
    }
    return stopped;
}

static enum err outcome_of(struct vm_vcpu *v, struct fault_text *fault)
{
    bool had_work = v->has_work;

    if (is_stuck(v))
        return say_stuck(run_index(v), fault);
    if (v->runs)
        return fault_say(fault, ERR_STATE, "vCPU %u runs on", run_index(v));
    if (v->ended == ERR_OK || v->ended == ERR_INTERRUPTED)
        v->finished = take_result(v, &v->result) && had_work;
    if (v->ended == ERR_OK)
        return ERR_OK;
    return v->ended == ERR_INTERRUPTED ? fault_say(fault, v->ended, "stopped by ^C")
                                       : fault_say(fault, v->ended, "%s", v->why.text);
}

/* The vCPU whose failure is told: one that halted before all others. */
static bool tells_more(const struct vm_vcpu *v, enum err first)
{
    return first == ERR_OK || (v->state == VCPU_HALTED && !v->runs);
}

enum err vm_run(struct fault_text *fault)
{
    bool started[TD_VCPUS_MAX];
    enum err first = check_runnable(fault);

    if (first != ERR_OK)
        return first;
    change_state(VM_CREATED, VM_RUNNING);
    change_state(VM_STOPPED, VM_RUNNING);
    first = begin_all(started, fault);
    if (vm.kind == VM_LINUX)
        return first;
    bool stopped = wait_for_all(started);
    for (unsigned i = 0; i < vm.vcpu_count; i++) {
        struct fault_text text;
        if (!started[i])
            continue;
        enum err e = outcome_of(&vm.vcpus[i], &text);
        if (e != ERR_OK && tells_more(&vm.vcpus[i], first)) {
            first = e;
            *fault = text;
        }
    }
    return waited(stopped, first);
}

static const struct vm_vcpu *find_running(void)
{
    for (unsigned i = 0; i < vm.vcpu_count; i++)
        if (vm.vcpus[i].runs)
            return &vm.vcpus[i];
    return NULL;
}

bool vm_is_at_work(void)
{
    return vm.state != VM_NONE && find_running() != NULL;
}

/* On the one CPU a vCPU that is not waited for does not run anyway. */
static void drop_shared_runs(void)
{
    for (unsigned i = 0; i < vm.vcpu_count; i++)
        if (vm.vcpus[i].runs)
            run_drop(&vm.vcpus[i]);
}

enum err vm_stop(struct fault_text *fault)
{
    u64 from = time_us();
    const struct vm_vcpu *v;

    change_state(VM_RUNNING, VM_STOPPED);
    if (!have_own_cpus())
        drop_shared_runs();
    while ((v = find_running()) != NULL) {
        if (time_us() - from > LEAVE_US)
            return say_stuck(run_index(v), fault);
        cpus_kick(v->cpu);
        irq_wait();
    }
    return ERR_OK;
}

/* --- work --------------------------------------------------------------------------------------------------------- */

static enum err check_ready(unsigned index, struct fault_text *fault)
{
    enum err e = check_runnable(fault);

    if (e != ERR_OK)
        return e;
    if (vm.kind != VM_PROBE)
        return fault_say(fault, ERR_STATE, "a Linux runs in the TD: only the payload probe takes work from here");
    if (vm.state != VM_RUNNING)
        return fault_say(fault, ERR_STATE, "the TD is %s: `td run` comes first", vm_state_name(vm.state));
    if (index >= vm.vcpu_count)
        return fault_say(fault, ERR_RANGE, "cpu=%u: the TD has %u vCPU%s, counted from 0", index, vm.vcpu_count,
                         vm.vcpu_count == 1 ? "" : "s");
    const struct vm_vcpu *v = &vm.vcpus[index];
    if (!v->runs && (v->state == VCPU_WAITS || v->state == VCPU_HALTED))
        return fault_say(fault, ERR_STATE, "%s", v->why.text);
    if (v->runs || v->state != VCPU_IDLE)
        return fault_say(fault, ERR_STATE, "vCPU %u is %s", index, vm_vcpu_state_name(v->state));
    return ERR_OK;
}

/* False: the mailbox is gone. */
static bool put_work(unsigned index, const struct probe_work *work)
{
    struct claim held;
    struct probe_mailbox *box = vm_mailbox_hold(index, &held);

    if (box == NULL)
        return false;
    __atomic_store_n(&box->abort, 0, __ATOMIC_RELAXED);
    memset(&box->result, 0, sizeof(box->result));
    memcpy(&box->work, work, sizeof(*work));
    vm_mailbox_release(&held);
    return true;
}

enum err vm_work_begin(unsigned index, const struct probe_work *work, struct fault_text *fault)
{
    enum err e = check_ready(index, fault);

    if (e != ERR_OK)
        return e;
    if (!put_work(index, work))
        return fault_say(fault, ERR_STATE, "the mailbox of vCPU %u is not shared any more", index);
    struct vm_vcpu *v = &vm.vcpus[index];
    v->cost = (struct vm_cost){0};
    v->has_work = true;
    v->state = VCPU_WORKS;
    e = begin_run(v, fault);
    if (e != ERR_OK) {
        v->has_work = false;
        v->state = VCPU_IDLE;
    }
    return e;
}

bool vm_work_is_done(unsigned index)
{
    return !vm.vcpus[index].runs;
}

enum err vm_work_end(unsigned index, struct probe_result *result, struct fault_text *fault)
{
    struct vm_vcpu *v = &vm.vcpus[index];
    bool stopped = false;

    while (v->runs && !is_stuck(v))
        stopped |= while_waiting();
    if (v->runs)
        return say_stuck(index, fault);
    if (v->ended != ERR_OK && v->ended != ERR_INTERRUPTED)
        return fault_say(fault, v->ended, "%s", v->why.text);
    if (!take_result(v, result))
        return fault_say(fault, ERR_STATE, "the mailbox of vCPU %u is not shared any more", index);
    return waited(stopped, v->ended);
}
