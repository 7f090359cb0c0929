/*
 * Host twin of tdx/hw/: see seamcall.h. The calling thread's logical processor (cpu_index()) enters the module model;
 * INVEPT is counted there, and VMX operation is a flag a CPU.
 */
#include "tests/host/seamcall.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/hw/cpu.h"
#include "tests/host/cpu.h"
#include "tests/host/platform.h"

#define INJECTIONS_MAX 16
#define GUESTS_MAX     64
#define ACTIONS_MAX    256

#define LEAF_VP_ENTER   0u
#define TDVPR_MASK      0x000ffffffffff000ull
#define RFLAGS_IF       (1ull << 9)
#define REASON_INTR     1u
#define REASON_EPT      48u
#define REASON_TDCALL   77u
#define INTR_VALID      (1u << 31)
#define INTR_VECTOR     0xecu
#define TDCALL_BYTES    4u
#define PROGRESS_BYTES  200u /* between actions: more than the stepping filters count as none */
#define CR0_PE_PG       (1ull << 31 | 1)
#define CR4_PAE         (1ull << 5)
#define EFER_LME_LMA    (1ull << 8 | 1ull << 10)
#define CS_LONG         (1u << 13)
#define CS_DEFAULT_BIG  (1u << 14)
#define ACCESS_DPL_MASK (3u << 5)

enum seamcall_fault seamcall_host_fault;
void (*seamcall_host_watch)(const struct seamcall_regs *regs);
void (*guest_program)(struct seam_lp *lp);
bool seamcall_host_forget_invept;
bool (*seamcall_host_answer)(struct seamcall_regs *regs);
bool (*seamcall_host_loader)(struct seam_lp *lp, struct seamcall_regs *regs, enum seamcall_fault *fault);

static struct {
    bool armed;
    unsigned leaf, calls_before, times;
    u64 status;
} injections[INJECTIONS_MAX];

/* One vCPU's script: actions first..count wait, `flying` is the one whose outcome the next entry tells. */
static struct guest {
    u64 tdvpr;
    struct guest_action *actions[ACTIONS_MAX];
    unsigned first, count;
    struct guest_action *flying;
    u64 rip; /* where the flying action's instruction stands */
} guests[GUESTS_MAX];

static bool vmx_on[PLATFORM_HOST_LPS];
static _Thread_local u64 entered_tdvpr;

static _Noreturn void broken(const char *what)
{
    fprintf(stderr, "host seamcall: %s\n", what);
    abort();
}

void seamcall_host_reset(void)
{
    memset(injections, 0, sizeof(injections));
    memset(guests, 0, sizeof(guests));
    memset(vmx_on, 0, sizeof(vmx_on));
    seamcall_host_fault = SEAMCALL_RAN;
    seamcall_host_watch = NULL;
    seamcall_host_answer = NULL;
    seamcall_host_loader = NULL;
    seamcall_host_forget_invept = false;
    guest_program = NULL;
}

void seamcall_host_inject_times(unsigned leaf, unsigned nth, unsigned times, u64 status)
{
    for (unsigned i = 0; i < INJECTIONS_MAX; i++)
        if (!injections[i].armed) {
            injections[i].armed = true;
            injections[i].leaf = leaf;
            injections[i].calls_before = nth;
            injections[i].times = times;
            injections[i].status = status;
            return;
        }
    broken("too many injections");
}

void seamcall_host_inject(unsigned leaf, unsigned nth, u64 status)
{
    seamcall_host_inject_times(leaf, nth, 1, status);
}

void seamcall_host_inject_none(void)
{
    memset(injections, 0, sizeof(injections));
}

unsigned seamcall_host_injections_left(void)
{
    unsigned left = 0;
    for (unsigned i = 0; i < INJECTIONS_MAX; i++)
        left += injections[i].armed;
    return left;
}

/* Counts the call down in every injection of its leaf; true when one of them is due. */
static bool injected(struct seamcall_regs *regs)
{
    bool due = false;
    for (unsigned i = 0; i < INJECTIONS_MAX; i++) {
        if (!injections[i].armed || injections[i].leaf != (regs->rax & 0xffff))
            continue;
        if (injections[i].calls_before > 0) {
            injections[i].calls_before--;
        } else if (!due) {
            injections[i].armed = --injections[i].times > 0;
            regs->rax = injections[i].status;
            due = true;
        }
    }
    return due;
}

/* --- the guest --------------------------------------------------------------------------------------------------- */

static struct guest *guest_of(u64 tdvpr)
{
    for (unsigned i = 0; i < GUESTS_MAX; i++)
        if (guests[i].tdvpr == tdvpr || guests[i].tdvpr == 0) {
            guests[i].tdvpr = tdvpr;
            return &guests[i];
        }
    broken("too many vCPUs");
}

void guest_push(u64 tdvpr, struct guest_action *action)
{
    struct guest *g = guest_of(tdvpr);
    if (g->first == g->count && !g->flying)
        g->first = g->count = 0;
    if (g->count == ACTIONS_MAX)
        broken("the script of a vCPU is too long");
    action->done = false;
    action->injected = 0;
    g->actions[g->count++] = action;
}

unsigned guest_waiting(u64 tdvpr)
{
    const struct guest *g = guest_of(tdvpr);
    return g->count - g->first;
}

void guest_enter_long_mode(struct td_vmcs *td)
{
    td->cr0 |= CR0_PE_PG;
    td->cr4 |= CR4_PAE;
    td->efer |= EFER_LME_LMA;
    td->cs.access = (td->cs.access | CS_LONG) & ~(CS_DEFAULT_BIG | ACCESS_DPL_MASK);
    td->ss.access &= ~ACCESS_DPL_MASK;
}

/* What became of the action that left the TD, or was answered by the module, when the TD goes on. */
static void settle(struct guest *g, struct td_vmcs *td)
{
    struct guest_action *a = g->flying;
    bool has_event = td->entry_intr_info & INTR_VALID;
    u32 vector = has_event ? td->entry_intr_info & 0xff : 0;
    td->entry_intr_info = 0;
    if (!a || (a->kind == GUEST_TDCALL && !has_event && td->rip == g->rip))
        return; /* a TDCALL whose RIP stayed is executed again */
    a->injected = vector;
    a->done = true;
    if (a->kind == GUEST_TDCALL) {
        memcpy(a->gpr, td->gpr, sizeof(a->gpr));
        g->first++;
    }
    g->flying = NULL;
}

static void leave(struct td_vmcs *td, u32 reason, u64 qualification, u64 gpa, u32 instruction_bytes)
{
    td->exit_reason = reason;
    td->qualification = qualification;
    td->guest_physical = gpa;
    td->guest_linear = 0;
    td->exit_intr_info = reason == REASON_INTR ? INTR_VALID | INTR_VECTOR : 0;
    td->exit_error_code = td->idt_vectoring_info = td->idt_vectoring_error = td->exit_instr_info = 0;
    td->exit_instr_len = instruction_bytes;
}

static void start(struct guest *g, struct td_vmcs *td, struct guest_action *a)
{
    td->rip += PROGRESS_BYTES;
    g->rip = td->rip;
    g->flying = a;
    if (a->kind == GUEST_TDCALL) {
        memcpy(td->gpr, a->gpr, sizeof(td->gpr));
    } else { /* it takes part in nothing after its exit */
        a->done = true;
        g->first++;
    }
}

static void run_script(struct seam_lp *lp)
{
    struct guest *g = guest_of(entered_tdvpr);
    struct td_vmcs *td = lp->td;
    settle(g, td);
    guest_enter_long_mode(td);
    struct guest_action *a = g->flying;
    if (!a && g->first < g->count) {
        a = g->actions[g->first];
        start(g, td, a);
    }
    if (!a) {
        td->rip += PROGRESS_BYTES;
        leave(td, REASON_INTR, 0, 0, 0);
    } else if (a->kind == GUEST_TDCALL) {
        leave(td, REASON_TDCALL, 0, 0, TDCALL_BYTES);
    } else if (a->kind == GUEST_EPT_VIOLATION) {
        leave(td, REASON_EPT, a->qualification, a->gpa, 0);
    } else {
        leave(td, a->kind == GUEST_INTERRUPT ? REASON_INTR : a->reason, a->qualification, a->gpa, 0);
        td->exit_intr_info = a->kind == GUEST_EXIT ? a->event : td->exit_intr_info;
    }
}

/* --- SEAMCALL and VMX -------------------------------------------------------------------------------------------- */

static void run_module(struct seam_lp *lp)
{
    enum seam_next next = module_seamcall(lp);
    while (next == SEAM_TO_TD) {
        if (guest_program)
            guest_program(lp);
        else
            run_script(lp);
        next = module_td_exit(lp);
    }
}

enum seamcall_fault seamcall(struct seamcall_regs *regs)
{
    _Static_assert(sizeof(*regs) == SEAM_GPRS * sizeof(u64), "both count registers by their number");
    struct seam_lp *lp = &platform_host_lps[cpu_index()];
    if (!vmx_on[cpu_index()])
        return SEAMCALL_UD;
    if (seamcall_host_fault != SEAMCALL_RAN)
        return seamcall_host_fault;
    if (injected(regs) || (seamcall_host_answer && seamcall_host_answer(regs)))
        return SEAMCALL_RAN;
    enum seamcall_fault fault = SEAMCALL_VMFAILED; /* of a machine without P-SEAMLDR */
    if (seamcall_host_loader ? seamcall_host_loader(lp, regs, &fault) : regs->rax >> 63)
        return fault;
    if (seamcall_host_watch)
        seamcall_host_watch(regs);
    if ((regs->rax & 0xffff) == LEAF_VP_ENTER)
        entered_tdvpr = regs->rcx & TDVPR_MASK;
    memcpy(lp->vmm, regs, sizeof(lp->vmm));
    lp->vmm_rflags = cpu_host_interrupts_on() ? lp->vmm_rflags | RFLAGS_IF : lp->vmm_rflags & ~RFLAGS_IF;
    run_module(lp);
    u64 rsp = regs->rsp;
    memcpy(regs, lp->vmm, sizeof(*regs));
    regs->rsp = rsp;
    return SEAMCALL_RAN;
}

bool seam_vmxon(void *region)
{
    u64 control;
    (void)region;
    if (!cpu_read_msr(0x3a, &control) || !(control & 4) || vmx_on[cpu_index()])
        return false;
    vmx_on[cpu_index()] = true;
    return true;
}

void seam_vmxoff(void)
{
    if (!vmx_on[cpu_index()])
        broken("VMXOFF outside VMX operation");
    vmx_on[cpu_index()] = false;
}

void seam_invept(u64 eptp)
{
    if (!seamcall_host_forget_invept)
        plat_invept(&platform_host_lps[cpu_index()], eptp);
}
