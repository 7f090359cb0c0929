/*
 * Running vCPUs. See vm.h. One turn is one VP.ENTER and the answer to its exit. A vCPU runs until it asks for work, waits
 * or halts: on a CPU of its own, or, where there is only one CPU, in turn with the others while the console waits.
 *
 * A payload that is to be taken out of its work (^C) finds the abort flag in its mailbox; one that does not react within
 * ABORT_US is left where it is, and the console says so.
 */
#include "kernel/vm/vm.h"

#include "kernel/console/console.h"
#include "kernel/cpus.h"
#include "kernel/hw/traps.h"
#include "kernel/time.h"
#include "kernel/vm/ghci.h"
#include "lib/hw/cpu.h"
#include "lib/log.h"
#include "lib/string.h"

#define ABORT_US       2000000ull
#define STOP_US        2000000ull
#define ASSIGN_US      5000000ull /* a few instructions; a CPU that is emulated may not get to them for long */
#define BUSY_TURNS_MAX 100000u    /* faults of a vCPU in a row that meet other operations at work on the entry */
#define PAUSE_SPINS    1000u      /* a vCPU that halts on a CPU without a timer looks again after so many */

enum turn { TURN_AGAIN, TURN_IDLE, TURN_ENDED };

static unsigned index_of(const struct vm_vcpu *v)
{
    return (unsigned)(v - vm.vcpus);
}

static enum turn end_turn(struct vm_vcpu *v, enum vm_vcpu_state state)
{
    v->state = state;
    return TURN_ENDED;
}

/* --- faults ------------------------------------------------------------------------------------------------------- */

/* The vCPU is not entered before this fault has been answered: each entry in vain counts for the module's zero-step
 * filter. */
static enum turn park(struct vm_vcpu *v)
{
    v->parked = true;
    return end_turn(v, VCPU_WAITS);
}

static enum turn again_when_busy(struct vm_vcpu *v, const struct tdp_report *r)
{
    if (++v->busy < BUSY_TURNS_MAX) {
        cpu_relax();
        return TURN_AGAIN;
    }
    (void)fault_tdp(&v->why, "serving a fault of the TD", r);
    return park(v);
}

static enum turn fault_turn(struct vm_vcpu *v)
{
    const struct vcpu_exit *exit = &v->fault;
    struct tdp_report r = tdp_fault(vm.tdp, exit, index_of(v));
    unsigned long long at = exit->gpa.raw;

    vm_cost_add(&v->cost, &r);
    v->cost.faults++;
    v->parked = false;
    switch (r.err) {
    case ERR_OK:
        v->busy = 0;
        return TURN_AGAIN;
    case ERR_BUSY:
        return again_when_busy(v, &r);
    case ERR_STATE:
        (void)fault_say(&v->why, r.err, "vCPU %u waits: 0x%llx is blocked by hand; `unblock` it, then `td run`",
                        index_of(v), at);
        return park(v);
    case ERR_ATTR_MISMATCH:
        (void)fault_say(&v->why, r.err, "vCPU %u stopped: attr_mismatch: %s access to 0x%llx, which is %s", index_of(v),
                        exit->shared ? "shared" : "private", at, exit->shared ? "private" : "shared");
        return park(v);
    case ERR_TD_DEAD:
        vm.state = VM_DEAD;
        (void)fault_tdp(&v->why, "serving a fault of the TD", &r);
        return end_turn(v, VCPU_HALTED);
    default:
        (void)fault_tdp(&v->why, "serving a fault of the TD", &r);
        return park(v);
    }
}

/* --- exits -------------------------------------------------------------------------------------------------------- */

/* A TD that halts waits for an interrupt, which is at the latest the timer's where there is one. */
static void pause_vcpu(void)
{
    if (cpu_index() == 0) {
        irq_wait();
        return;
    }
    for (unsigned i = 0; i < PAUSE_SPINS; i++)
        cpu_relax();
}

static enum turn vmcall_turn(struct vm_vcpu *v)
{
    switch (ghci_vmcall(index_of(v), &v->why)) {
    case GHCI_RESUME:
        return TURN_AGAIN;
    case GHCI_PAUSE:
        pause_vcpu();
        return TURN_AGAIN;
    case GHCI_IDLE:
        v->state = VCPU_IDLE;
        return TURN_IDLE;
    default:
        return end_turn(v, VCPU_HALTED);
    }
}

static enum turn enter_turn(struct vm_vcpu *v)
{
    struct vcpu_exit exit = vcpu_enter(&vm.td.vcpus[index_of(v)]);
    struct fault_text *why = &v->why;

    switch (exit.kind) {
    case VCPU_EXIT_EPT_VIOLATION:
        v->fault = exit;
        return fault_turn(v);
    case VCPU_EXIT_VMCALL:
        return vmcall_turn(v);
    case VCPU_EXIT_HELD:
        cpu_relax();
        return TURN_AGAIN;
    case VCPU_EXIT_INTERRUPT:
        return TURN_AGAIN;
    case VCPU_EXIT_TRIPLE_FAULT:
        (void)fault_say(why, ERR_STATE, "vCPU %u stopped by a triple fault", index_of(v));
        return end_turn(v, VCPU_HALTED);
    case VCPU_EXIT_TD_DEAD:
        vm.state = VM_DEAD;
        (void)fault_leaf(why, "the TD is dead", "TDH.VP.ENTER", exit.status);
        return end_turn(v, VCPU_HALTED);
    case VCPU_EXIT_REFUSED:
        (void)fault_leaf(why, "entering the TD", "TDH.VP.ENTER", exit.status);
        return end_turn(v, VCPU_WAITS);
    default:
        (void)fault_say(why, ERR_UNSUPPORTED, "vCPU %u stopped: exit %s (%u), qualification 0x%llx", index_of(v),
                        vcpu_exit_name(exit.reason), exit.reason, (unsigned long long)exit.qualification);
        return end_turn(v, VCPU_WAITS);
    }
}

/* --- runs --------------------------------------------------------------------------------------------------------- */

/* The payload finds the flag at its next look; how long it may take for that is counted from here. */
static void tell_to_abort(struct vm_vcpu *v)
{
    struct claim held;
    struct probe_mailbox *box = vm_mailbox_hold(index_of(v), &held);

    v->abort_until = time_us() + ABORT_US;
    if (box == NULL)
        return;
    box->abort = 1;
    vm_mailbox_release(&held);
}

static enum turn look_around(struct vm_vcpu *v)
{
    if (vm.state != VM_RUNNING) {
        (void)fault_say(&v->why, ERR_STATE, "vCPU %u was taken out of the TD; `td run` goes on with it", index_of(v));
        return end_turn(v, VCPU_WAITS);
    }
    if (!v->abort)
        return TURN_AGAIN;
    if (v->abort_until == 0)
        tell_to_abort(v);
    if (time_us() < v->abort_until)
        return TURN_AGAIN;
    (void)fault_say(&v->why, ERR_TIMEOUT, "vCPU %u did not react to ^C within 2 s; `td run` goes on with it",
                    index_of(v));
    return end_turn(v, VCPU_WAITS);
}

static void end_run(struct vm_vcpu *v, enum err how)
{
    v->ended = how;
    v->runs = false;
    cpus_kick(0); /* whoever waits there for it */
}

/* False: the run has ended, and the console may have begun the next one already. */
static bool one_turn(struct vm_vcpu *v)
{
    enum turn turn = v->parked ? fault_turn(v) : enter_turn(v);

    if (turn == TURN_AGAIN)
        turn = look_around(v);
    if (turn == TURN_AGAIN)
        return true;
    if (turn == TURN_IDLE)
        end_run(v, v->abort ? ERR_INTERRUPTED : ERR_OK);
    else
        end_run(v, v->abort_until && time_us() >= v->abort_until ? ERR_TIMEOUT : ERR_STATE);
    return false;
}

static void run_here(void *arg)
{
    while (one_turn(arg))
        ;
}

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
        e = cpus_assign(index_of(v) + 1, run_here, v);
    while (e == ERR_BUSY && time_us() - from < ASSIGN_US);
    return e;
}

/* Lets the vCPU run from where it is. */
static enum err begin_run(struct vm_vcpu *v, struct fault_text *fault)
{
    v->abort = false;
    v->abort_until = 0;
    v->busy = 0;
    v->runs = true;
    if (!have_own_cpus())
        return ERR_OK;
    enum err e = assign(v);
    if (e == ERR_OK)
        return e;
    v->runs = false;
    return fault_say(fault, e, "vCPU %u: CPU %u %s", index_of(v), index_of(v) + 1,
                     e == ERR_BUSY ? "is at other work" : "is not there");
}

static void abort_all(void)
{
    for (unsigned i = 0; i < vm.vcpu_count; i++) {
        if (!vm.vcpus[i].runs)
            continue;
        vm.vcpus[i].abort = true;
        if (have_own_cpus())
            cpus_kick(i + 1);
    }
}

/* What the console does while it waits for vCPUs: on the one CPU they take turns here. ^C takes all of them out of their
 * work. */
static void while_waiting(void)
{
    if (console_take_interrupt())
        abort_all();
    if (have_own_cpus()) {
        irq_wait();
        return;
    }
    for (unsigned i = 0; i < vm.vcpu_count; i++)
        if (vm.vcpus[i].runs)
            (void)one_turn(&vm.vcpus[i]);
}

/* --- td run, td stop ---------------------------------------------------------------------------------------------- */

/* The vCPU asks for work: what it did until now is done. False: its mailbox is gone. */
static bool take_result(struct vm_vcpu *v, struct probe_result *result)
{
    struct claim held;
    struct probe_mailbox *box = vm_mailbox_hold(index_of(v), &held);

    v->has_work = false;
    if (box == NULL)
        return false;
    memcpy(result, &box->result, sizeof(*result));
    box->abort = 0;
    vm_mailbox_release(&held);
    return true;
}

static enum err check_runnable(struct fault_text *fault)
{
    switch (vm.state) {
    case VM_NONE:
        return fault_say(fault, ERR_STATE, "there is no TD: `td create` comes first");
    case VM_DEAD:
        return fault_say(fault, ERR_TD_DEAD, "the TD is dead: only `td destroy` is left");
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
 * any longer. */
static void wait_for_all(const bool started[TD_VCPUS_MAX])
{
    for (bool any = true, halted = false; any && !halted;) {
        any = false;
        for (unsigned i = 0; i < vm.vcpu_count; i++) {
            any |= started[i] && vm.vcpus[i].runs;
            halted |= started[i] && vm.vcpus[i].state == VCPU_HALTED;
        }
        if (any && !halted)
            while_waiting();
    }
}

static enum err outcome_of(struct vm_vcpu *v, struct fault_text *fault)
{
    bool had_work = v->has_work;

    if (v->runs)
        return fault_say(fault, ERR_STATE, "vCPU %u runs on", index_of(v));
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
    vm.state = VM_RUNNING;
    (void)console_take_interrupt(); /* a ^C from before is not about this */
    first = begin_all(started, fault);
    wait_for_all(started);
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
    return first;
}

static const struct vm_vcpu *find_running(void)
{
    for (unsigned i = 0; i < vm.vcpu_count; i++)
        if (vm.vcpus[i].runs)
            return &vm.vcpus[i];
    return NULL;
}

/* On the one CPU a vCPU that is not waited for does not run anyway. */
static void drop_shared_runs(void)
{
    for (unsigned i = 0; i < vm.vcpu_count; i++)
        if (vm.vcpus[i].runs)
            (void)look_around(&vm.vcpus[i]), end_run(&vm.vcpus[i], ERR_STATE);
}

enum err vm_stop(struct fault_text *fault)
{
    u64 from = time_us();
    const struct vm_vcpu *v;

    if (vm.state == VM_RUNNING)
        vm.state = VM_STOPPED;
    if (!have_own_cpus())
        drop_shared_runs();
    while ((v = find_running()) != NULL) {
        if (time_us() - from > STOP_US)
            return fault_say(fault, ERR_TIMEOUT, "vCPU %u does not leave CPU %u", index_of(v), index_of(v) + 1);
        cpus_kick(index_of(v) + 1);
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

enum err vm_work_begin(unsigned index, const struct probe_work *work, struct fault_text *fault)
{
    enum err e = check_ready(index, fault);
    struct claim held;

    if (e != ERR_OK)
        return e;
    struct vm_vcpu *v = &vm.vcpus[index];
    struct probe_mailbox *box = vm_mailbox_hold(index, &held);
    if (box == NULL)
        return fault_say(fault, ERR_STATE, "the mailbox of vCPU %u is not shared any more", index);
    box->abort = 0;
    memset(&box->result, 0, sizeof(box->result));
    memcpy(&box->work, work, sizeof(*work));
    vm_mailbox_release(&held);
    v->cost = (struct vm_cost){0};
    v->has_work = true;
    v->state = VCPU_WORKS;
    (void)console_take_interrupt(); /* a ^C from before the work is not about it */
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

    while (v->runs)
        while_waiting();
    if (v->ended != ERR_OK && v->ended != ERR_INTERRUPTED)
        return fault_say(fault, v->ended, "%s", v->why.text);
    if (!take_result(v, result))
        return fault_say(fault, ERR_STATE, "the mailbox of vCPU %u is not shared any more", index);
    return v->ended;
}
