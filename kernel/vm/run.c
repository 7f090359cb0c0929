/*
 * Running vCPUs on this CPU. See vm.h. One turn of the loop is one VP.ENTER and the answer to its exit. ^C sets the
 * abort flag in the payload's mailbox; a payload that does not react within ABORT_US is left where it is, and the
 * console says so.
 */
#include "kernel/vm/vm.h"

#include "kernel/console/console.h"
#include "kernel/vm/ghci.h"
#include "kernel/hw/traps.h"
#include "kernel/time.h"
#include "lib/log.h"
#include "lib/string.h"

#define ABORT_US 2000000ull

enum turn { TURN_AGAIN, TURN_IDLE, TURN_ENDED };

struct run {
    unsigned index;
    struct vm_vcpu *vcpu;
    bool aborted;
    u64 abort_at;
};

static enum turn end_turn(struct run *run, enum vm_vcpu_state state)
{
    run->vcpu->state = state;
    return TURN_ENDED;
}

static enum turn fault_turn(struct run *run, const struct vcpu_exit *exit)
{
    struct tdp_report r = tdp_fault(vm.tdp, exit, run->index);
    struct fault_text *why = &run->vcpu->why;

    vm_cost_add(&r);
    vm.cost.faults++;
    switch (r.err) {
    case ERR_OK:
        return TURN_AGAIN;
    case ERR_STATE:
        (void)fault_say(why, r.err, "vCPU %u waits: 0x%llx is blocked by hand; `unblock` it, then `td run`", run->index,
                        (unsigned long long)exit->gpa.raw);
        return end_turn(run, VCPU_WAITS);
    case ERR_ATTR_MISMATCH:
        (void)fault_say(why, r.err, "vCPU %u stopped: attr_mismatch: %s access to 0x%llx, which is %s", run->index,
                        exit->shared ? "shared" : "private", (unsigned long long)exit->gpa.raw,
                        exit->shared ? "private" : "shared");
        return end_turn(run, VCPU_WAITS);
    case ERR_TD_DEAD:
        vm.state = VM_DEAD;
        break;
    default:
        break;
    }
    (void)fault_tdp(why, "serving a fault of the TD", &r);
    return end_turn(run, r.err == ERR_TD_DEAD ? VCPU_HALTED : VCPU_WAITS);
}

static enum turn vmcall_turn(struct run *run)
{
    switch (ghci_vmcall(run->index, &run->vcpu->why)) {
    case GHCI_RESUME:
        return TURN_AGAIN;
    case GHCI_PAUSE:
        irq_wait();
        return TURN_AGAIN;
    case GHCI_IDLE:
        run->vcpu->state = VCPU_IDLE;
        return TURN_IDLE;
    default:
        return end_turn(run, VCPU_HALTED);
    }
}

static enum turn one_turn(struct run *run)
{
    struct vcpu_exit exit = vcpu_enter(&vm.td.vcpus[run->index]);
    struct fault_text *why = &run->vcpu->why;

    switch (exit.kind) {
    case VCPU_EXIT_EPT_VIOLATION:
        return fault_turn(run, &exit);
    case VCPU_EXIT_VMCALL:
        return vmcall_turn(run);
    case VCPU_EXIT_HELD:
    case VCPU_EXIT_INTERRUPT:
        return TURN_AGAIN;
    case VCPU_EXIT_TRIPLE_FAULT:
        (void)fault_say(why, ERR_STATE, "vCPU %u stopped by a triple fault", run->index);
        return end_turn(run, VCPU_HALTED);
    case VCPU_EXIT_TD_DEAD:
        vm.state = VM_DEAD;
        (void)fault_leaf(why, "the TD is dead", "TDH.VP.ENTER", exit.status);
        return end_turn(run, VCPU_HALTED);
    case VCPU_EXIT_REFUSED:
        (void)fault_leaf(why, "entering the TD", "TDH.VP.ENTER", exit.status);
        return end_turn(run, VCPU_WAITS);
    default:
        (void)fault_say(why, ERR_UNSUPPORTED, "vCPU %u stopped: exit %s (%u), qualification 0x%llx", run->index,
                        vcpu_exit_name(exit.reason), exit.reason, (unsigned long long)exit.qualification);
        return end_turn(run, VCPU_WAITS);
    }
}

static void ask_to_abort(struct run *run)
{
    struct probe_mailbox *box = vm_mailbox(run->index);

    run->aborted = true;
    run->abort_at = time_us();
    if (box != NULL)
        box->abort = 1;
}

/* Until the vCPU asks for work (ERR_OK, or ERR_INTERRUPTED after ^C), or stops (ERR_STATE; its `why` says what for). */
static enum err run_vcpu(unsigned index, struct fault_text *fault)
{
    struct run run = {.index = index, .vcpu = &vm.vcpus[index]};

    for (;;) {
        enum turn turn = one_turn(&run);
        if (turn == TURN_IDLE)
            return run.aborted ? ERR_INTERRUPTED : ERR_OK;
        if (turn == TURN_ENDED)
            return fault_say(fault, ERR_STATE, "%s", run.vcpu->why.text);
        if (console_take_interrupt() && !run.aborted)
            ask_to_abort(&run);
        if (run.aborted && time_us() - run.abort_at > ABORT_US) {
            (void)fault_say(&run.vcpu->why, ERR_TIMEOUT,
                            "vCPU %u did not react to ^C within 2 s; `td run` goes on with it", index);
            run.vcpu->state = VCPU_WAITS;
            return fault_say(fault, ERR_TIMEOUT, "%s", run.vcpu->why.text);
        }
    }
}

/* The vCPU asks for work: what it did until now is done. False: its mailbox is gone. */
static bool take_result(unsigned index, struct probe_result *result)
{
    struct probe_mailbox *box = vm_mailbox(index);

    vm.vcpus[index].has_work = false;
    if (box == NULL)
        return false;
    memcpy(result, &box->result, sizeof(*result));
    box->abort = 0;
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

static enum err resume_vcpu(unsigned index, struct fault_text *fault)
{
    struct vm_vcpu *v = &vm.vcpus[index];
    bool had_work = v->has_work;

    v->finished = false;
    if (v->state == VCPU_HALTED)
        return fault_say(fault, ERR_STATE, "%s", v->why.text);
    if (v->state == VCPU_IDLE)
        return ERR_OK;
    enum err e = run_vcpu(index, fault);
    if (e != ERR_OK && e != ERR_INTERRUPTED)
        return e;
    v->finished = take_result(index, &v->result) && had_work;
    return e == ERR_OK ? e : fault_say(fault, e, "stopped by ^C");
}

/* A vCPU that waits or halted keeps no other from running; ^C and a dead TD do. The first failure is the one that is
 * told. */
enum err vm_run(struct fault_text *fault)
{
    enum err first = check_runnable(fault);

    if (first != ERR_OK)
        return first;
    vm.state = VM_RUNNING;
    for (unsigned i = 0; i < vm.vcpu_count && vm.state == VM_RUNNING; i++) {
        struct fault_text text;
        enum err e = resume_vcpu(i, &text);
        if (e != ERR_OK && first == ERR_OK) {
            first = e;
            *fault = text;
        }
        if (e == ERR_INTERRUPTED || e == ERR_TIMEOUT)
            break;
    }
    return first;
}

void vm_stop(void)
{
    if (vm.state == VM_RUNNING)
        vm.state = VM_STOPPED;
}

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
    if (v->state == VCPU_WAITS || v->state == VCPU_HALTED)
        return fault_say(fault, ERR_STATE, "%s", v->why.text);
    if (v->state != VCPU_IDLE)
        return fault_say(fault, ERR_STATE, "vCPU %u is %s", index, vm_vcpu_state_name(v->state));
    return ERR_OK;
}

enum err vm_work(unsigned index, const struct probe_work *work, struct probe_result *result, struct fault_text *fault)
{
    enum err e = check_ready(index, fault);

    if (e != ERR_OK)
        return e;
    struct probe_mailbox *box = vm_mailbox(index);
    if (box == NULL)
        return fault_say(fault, ERR_STATE, "the mailbox of vCPU %u is not shared any more", index);
    box->abort = 0;
    memset(&box->result, 0, sizeof(box->result));
    memcpy(&box->work, work, sizeof(*work));
    vm.vcpus[index].state = VCPU_WORKS;
    vm.vcpus[index].has_work = true;
    (void)console_take_interrupt(); /* a ^C from before the work is not about it */
    e = run_vcpu(index, fault);
    if (e != ERR_OK && e != ERR_INTERRUPTED)
        return e;
    if (!take_result(index, result))
        return fault_say(fault, ERR_STATE, "the mailbox of vCPU %u is not shared any more", index);
    return e;
}
