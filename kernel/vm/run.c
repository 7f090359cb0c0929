/*
 * Running vCPUs. See run.h. One turn is one VP.ENTER and the answer to its exit. A payload that is to be taken out of its
 * work (^C) finds the abort flag in its mailbox; one that does not react within ABORT_US is left where it is, and the
 * console says so.
 */
#include "kernel/vm/run.h"

#include "kernel/cpus.h"
#include "kernel/hw/traps.h"
#include "kernel/guard/mca.h"
#include "kernel/time.h"
#include "kernel/timer.h"
#include "kernel/vm/ghci/ghci.h"
#include "kernel/vm/interrupt.h"
#include "lib/bits.h"
#include "lib/hw/cpu.h"
#include "lib/log.h"
#include "mm/page.h"

#define ABORT_US       2000000ull
#define BUSY_TURNS_MAX 100000u /* faults of a vCPU in a row that meet other operations at work on the entry */
#define EPT_WRITE      2u      /* exit qualification */
#define DEAF_MS        10ull   /* what waits for a word in memory, as firmware's parked CPUs do, may look so often */
#define PAUSE_SPINS    1000u   /* a vCPU that halts on a CPU without a timer looks again after so many */

enum turn { TURN_AGAIN, TURN_IDLE, TURN_ENDED };

static struct vm_vcpu *current[CPU_COUNT_MAX]; /* by CPU, which alone changes it */

unsigned run_index(const struct vm_vcpu *v)
{
    return (unsigned)(v - vm.vcpus);
}

unsigned run_cpu(unsigned index)
{
    return vm.vcpus[index].cpu;
}

struct vm_vcpu *run_current(void)
{
    return current[cpu_index()];
}

bool run_is_inside(unsigned cpu)
{
    for (unsigned i = 0; i < vm.td.vcpu_count; i++)
        if (vm.td.vcpus[i].inside && vm.td.vcpus[i].cpu == (int)cpu)
            return true;
    return false;
}

static enum turn end_turn(struct vm_vcpu *v, enum vm_vcpu_state state)
{
    v->state = state;
    return TURN_ENDED;
}

/* The end of the probe is that of a vCPU, for the console asks it more; a guest that is a system ends as a whole. */
static enum turn guest_ends(struct vm_vcpu *v, bool is_power_off)
{
    if (vm.kind == VM_LINUX)
        vm_end(&v->why, is_power_off);
    return end_turn(v, VCPU_HALTED);
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
        v->parked = true;
        cpu_relax();
        return TURN_AGAIN;
    }
    (void)vm_say(&v->why, "serving a fault of the TD", r);
    return park(v);
}

/* After faults without progress: does the page wait for the TD's ACCEPT, which is nothing that the VMM can answer? */
static bool is_pending_still(const struct vm_vcpu *v)
{
    struct tdp_walk walk;
    struct tdp_report r = tdp_walk(vm.tdp, v->fault.gpa, &walk);

    return r.err == ERR_OK && walk.state == TDP_PENDING;
}

/* Why a fault was not answered, and what comes of it. */
static enum turn fail_turn(struct vm_vcpu *v, const struct tdp_report *r)
{
    const struct vcpu_exit *exit = &v->fault;
    unsigned long long at = exit->gpa.raw;

    switch (r->err) {
    case ERR_STATE:
        (void)fault_say(&v->why, r->err, "vCPU %u waits: 0x%llx is blocked by hand; `unblock` it, then `td run`",
                        run_index(v), at);
        return park(v);
    case ERR_ATTR_MISMATCH:
        (void)fault_say(&v->why, r->err, "vCPU %u stopped: attr_mismatch: %s access to 0x%llx, which is %s",
                        run_index(v), exit->shared ? "shared" : "private", at, exit->shared ? "private" : "shared");
        return park(v);
    case ERR_NO_PROGRESS:
        v->got_nowhere = true;
        (void)fault_say(&v->why, r->err,
                        "vCPU %u waits: %s at 0x%llx; more such faults at one instruction, and the module's zero-step "
                        "filter keeps the vCPU out until the TD has accepted the page",
                        run_index(v), r->what, at);
        return park(v);
    case ERR_TD_DEAD:
        vm_dies();
        (void)vm_say(&v->why, "serving a fault of the TD", r);
        return end_turn(v, VCPU_HALTED);
    case ERR_RANGE:
        (void)fault_say(&v->why, r->err, "vCPU %u went to %s address 0x%llx, where the TD has no memory and no device",
                        run_index(v), exit->shared ? "shared" : "private", at);
        return vm.kind == VM_LINUX ? guest_ends(v, false) : park(v);
    default:
        (void)vm_say(&v->why, "serving a fault of the TD", r);
        return park(v);
    }
}

static enum turn fault_turn(struct vm_vcpu *v)
{
    if (v->parked && v->got_nowhere && is_pending_still(v))
        return park(v);
    struct tdp_report r = tdp_fault(vm.tdp, &v->fault, run_index(v));

    vm_cost_add(&v->cost, &r);
    v->cost.faults++;
    v->parked = v->got_nowhere = false;
    if (r.err == ERR_BUSY)
        return again_when_busy(v, &r);
    if (r.err != ERR_OK)
        return fail_turn(v, &r);
    v->busy = 0;
    return TURN_AGAIN;
}

/* --- pauses ------------------------------------------------------------------------------------------------------- */

void vm_pauses_add(struct vm_pauses *p, u64 ticks)
{
    unsigned bin = ticks == 0 ? 0 : 64 - (unsigned)__builtin_clzll(ticks);

    p->count++;
    p->total += ticks;
    p->longest = max_u64(p->longest, ticks);
    p->bins[min_u64(bin, VM_PAUSE_BINS - 1)]++;
}

/* Did the interrupt take it out for its memory, as mm/hold.h does, and not for a timer of its own? */
static bool is_kicked(const struct vm_vcpu *v)
{
    return vm.td.held || vm.td.vcpus[run_index(v)].epoch < vm.td.epoch;
}

/* A pause begins where the vCPU leaves because of its memory, or is held out, and ends where it is let in again; it wanted in
 * at `asked`. */
static void note_pause(struct vm_vcpu *v, enum vcpu_exit_kind kind, u64 asked)
{
    if (kind == VCPU_EXIT_HELD) {
        v->left_at = v->left_at ? v->left_at : asked;
        return;
    }
    if (v->left_at)
        vm_pauses_add(&v->pauses, asked - v->left_at);
    bool is_out = kind == VCPU_EXIT_EPT_VIOLATION || (kind == VCPU_EXIT_INTERRUPT && is_kicked(v));
    v->left_at = is_out ? cpu_tsc() : 0;
}

/* --- exits -------------------------------------------------------------------------------------------------------- */

/* No interrupt can be posted to it, so it looks again soon. */
static void pause_vcpu(void)
{
    if (cpu_index() == 0) {
        irq_wait();
        return;
    }
    for (unsigned i = 0; i < PAUSE_SPINS; i++)
        cpu_relax();
}

/* An interrupt that it has taken over right behind STI, and not delivered, is seen by nobody else. */
static void halt(struct vm_vcpu *v)
{
    v->deaf_until = cpu_tsc() + DEAF_MS * time_tsc_khz();
    if (vm.posted == NULL)
        pause_vcpu();
    else
        v->is_halted = v->halts_deaf || !vcpu_has_interrupt(&vm.td.vcpus[run_index(v)]);
}

static enum turn vmcall_turn(struct vm_vcpu *v)
{
    enum ghci_next next = ghci_vmcall(run_index(v), &v->why);

    switch (next) {
    case GHCI_RESUME:
        return TURN_AGAIN;
    case GHCI_HALT:
        halt(v);
        return TURN_AGAIN;
    case GHCI_IDLE:
        v->state = VCPU_IDLE;
        return TURN_IDLE;
    default:
        return guest_ends(v, next == GHCI_OFF);
    }
}

/* The page that the TD met is not used again, by whoever gets it back from the TD. */
static void say_machine_check(struct vm_vcpu *v)
{
    u64 irq = cpu_irq_save();
    struct mca_report r = mca_take();
    char text[MCA_TEXT_BYTES];

    cpu_irq_restore(irq);
    mca_text(&r, text);
    if (r.verdict == MCA_FATAL)
        panic("machine check while vCPU %u ran, fatal: %s", run_index(v), text);
    if (r.verdict == MCA_MEMORY && page_poison(r.at))
        (void)fault_say(&v->why, ERR_TD_DEAD,
                        "the TD is dead: vCPU %u met a machine check (%s); that page is kept out of use", run_index(v),
                        text);
    else
        (void)fault_say(&v->why, ERR_TD_DEAD, "the TD is dead: vCPU %u met a machine check (%s)", run_index(v), text);
}

/* Whatever comes between the look at timer and NMIs and the entry makes the vCPU leave at once. */
static struct vcpu_exit enter(struct vm_vcpu *v)
{
    struct vcpu *inner = &vm.td.vcpus[run_index(v)];

    if (vm.posted == NULL)
        return vcpu_enter(inner);
    u64 irq = cpu_irq_save();
    interrupt_tick(v);
    struct vcpu_exit exit = vcpu_enter(inner);
    cpu_irq_restore(irq);
    return exit;
}

static enum turn enter_turn(struct vm_vcpu *v)
{
    u64 asked = cpu_tsc();
    struct vcpu_exit exit = enter(v);
    struct fault_text *why = &v->why;

    note_pause(v, exit.kind, asked);
    switch (exit.kind) {
    case VCPU_EXIT_EPT_VIOLATION:
        v->write_faults += !exit.accept && (exit.qualification & EPT_WRITE);
        v->fault = exit;
        return fault_turn(v);
    case VCPU_EXIT_VMCALL:
        return vmcall_turn(v);
    case VCPU_EXIT_HELD:
        cpu_relax();
        return TURN_AGAIN;
    case VCPU_EXIT_NMI:
        nmi_take();
        return TURN_AGAIN;
    case VCPU_EXIT_INTERRUPT:
        return TURN_AGAIN;
    case VCPU_EXIT_TRIPLE_FAULT:
        (void)fault_say(why, ERR_STATE, "vCPU %u stopped by a triple fault", run_index(v));
        return guest_ends(v, false);
    case VCPU_EXIT_TD_DEAD:
        vm_dies();
        if (exit.is_machine_check)
            say_machine_check(v);
        else
            (void)fault_leaf(why, "the TD is dead", "TDH.VP.ENTER", exit.status);
        return end_turn(v, VCPU_HALTED);
    case VCPU_EXIT_REFUSED:
        (void)fault_leaf(why, "entering the TD", "TDH.VP.ENTER", exit.status);
        return end_turn(v, VCPU_WAITS);
    case VCPU_EXIT_NOT_FLUSHED:
        (void)fault_leaf(why, "moving the vCPU to another CPU", "TDH.VP.FLUSH", exit.status);
        return end_turn(v, VCPU_WAITS);
    default:
        (void)fault_say(why, ERR_UNSUPPORTED, "vCPU %u stopped: exit %s (%u), qualification 0x%llx", run_index(v),
                        vcpu_exit_name(exit.reason), exit.reason, (unsigned long long)exit.qualification);
        return end_turn(v, VCPU_WAITS);
    }
}

/* --- halts -------------------------------------------------------------------------------------------------------- */

/* Is something asked of the vCPU that it cannot do asleep? */
static bool is_wanted(const struct vm_vcpu *v)
{
    return vm.state != VM_RUNNING || (v->abort && (v->abort_until == 0 || time_us() >= v->abort_until));
}

/* Its CPU sleeps; where all share one, whoever waits there does (vm_wait()). */
static enum turn halt_turn(struct vm_vcpu *v)
{
    u64 irq = cpu_irq_save();

    interrupt_tick(v);
    v->is_halted = !interrupt_wakes(v);
    if (v->is_halted && !is_wanted(v) && cpu_index() != 0)
        irq_wait();
    cpu_irq_restore(irq);
    return TURN_AGAIN;
}

/* --- runs --------------------------------------------------------------------------------------------------------- */

void run_tell_abort(struct vm_vcpu *v)
{
    struct claim held;
    struct probe_mailbox *box = vm_mailbox_hold(run_index(v), &held);

    if (box == NULL)
        return;
    __atomic_store_n(&box->abort, 1, __ATOMIC_RELAXED);
    vm_mailbox_release(&held);
}

static enum turn look_around(struct vm_vcpu *v)
{
    if (vm.state == VM_DEAD) {
        (void)fault_say(&v->why, ERR_TD_DEAD, "vCPU %u: the TD is dead: only `td destroy` is left", run_index(v));
        return end_turn(v, VCPU_HALTED);
    }
    if (vm.state == VM_ENDED) {
        (void)fault_say(&v->why, ERR_STATE, "vCPU %u: the guest has ended: only `td destroy` is left", run_index(v));
        return end_turn(v, VCPU_HALTED);
    }
    if (vm.state != VM_RUNNING) {
        (void)fault_say(&v->why, ERR_STATE, "vCPU %u was taken out of the TD; `td run` goes on with it", run_index(v));
        return end_turn(v, VCPU_WAITS);
    }
    if (!v->abort)
        return TURN_AGAIN;
    if (v->abort_until == 0) { /* how long the payload may take is counted from here */
        run_tell_abort(v);
        v->abort_until = time_us() + ABORT_US;
    }
    if (time_us() < v->abort_until)
        return TURN_AGAIN;
    (void)fault_say(&v->why, ERR_TIMEOUT, "vCPU %u did not react to ^C within 2 s; `td run` goes on with it",
                    run_index(v));
    return end_turn(v, VCPU_WAITS);
}

static void end_run(struct vm_vcpu *v, enum err how)
{
    v->ended = how;
    v->is_untold = vm.kind == VM_LINUX && vm.state == VM_RUNNING;
    v->runs = false;
    cpus_kick(0); /* whoever waits there for it */
}

bool run_turn(struct vm_vcpu *v)
{
    current[cpu_index()] = v;
    enum turn turn = v->parked ? fault_turn(v) : v->is_halted ? halt_turn(v) : enter_turn(v);
    current[cpu_index()] = NULL;

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

void run_here(void *vcpu)
{
    ((struct vm_vcpu *)vcpu)->begun = true;
    while (run_turn(vcpu))
        ;
}

void run_drop(struct vm_vcpu *v)
{
    (void)look_around(v);
    end_run(v, ERR_STATE);
}
