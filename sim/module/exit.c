/*
 * VM exits of a TD: which go to the VMM, which become an exception in the TD, which the module answers itself (Intel
 * TDX Module v1.5 Base Architecture Specification, "TD Non-Root Mode Operation", and ABI Specification, "TDH.VP.ENTER",
 * tables of TD exits).
 *
 * Where the genuine module shuts itself down because the exit cannot happen (an exception in a production TD, EPT
 * misconfiguration of private memory, an interrupted event delivery with another exit reason) the model kills the TD
 * instead.
 */
#include "sim/module/metadata.h"
#include "sim/module/tdcall.h"

/* clang-format off */
enum exit_reason {
    EXIT_EXCEPTION = 0, EXIT_INTERRUPT = 1, EXIT_TRIPLE_FAULT = 2, EXIT_INIT = 3, EXIT_SMI = 6, EXIT_NMI_WINDOW = 8,
    EXIT_TASK_SWITCH = 9, EXIT_CPUID = 10, EXIT_GETSEC = 11, EXIT_HLT = 12, EXIT_INVD = 13, EXIT_RDPMC = 15,
    EXIT_RSM = 17, EXIT_VMCALL = 18, EXIT_VMCLEAR = 19, EXIT_VMXON = 27, EXIT_CR_ACCESS = 28, EXIT_IO = 30,
    EXIT_RDMSR = 31, EXIT_WRMSR = 32, EXIT_ENTRY_FAIL_STATE = 33, EXIT_MWAIT = 36, EXIT_MONITOR = 39,
    EXIT_ENTRY_FAIL_MC = 41, EXIT_C_STATE_SMI = 42, EXIT_EPT_VIOLATION = 48, EXIT_EPT_MISCONFIG = 49,
    EXIT_INVEPT = 50, EXIT_INVVPID = 53, EXIT_WBINVD = 54, EXIT_XSETBV = 55, EXIT_APIC_WRITE = 56, EXIT_VMFUNC = 59,
    EXIT_ENCLS = 60, EXIT_PML_FULL = 62, EXIT_PCONFIG = 65, EXIT_ENCLV = 70, EXIT_ENQCMD = 72, EXIT_ENQCMDS = 73,
    EXIT_BUS_LOCK = 74, EXIT_NOTIFY = 75, EXIT_SEAMCALL = 76, EXIT_TDCALL = 77,
};
/* clang-format on */

#define REASON_BASIC      0xffffu
#define REASON_BUS_LOCK   (1u << 26)
#define REASON_ENTRY_FAIL (1u << 31)
#define REASON_RESERVED   (0x73ffu << 16) /* all upper bits but these two and "enclave" */

#define QUAL_GLA_VALID     (1ull << 7)
#define QUAL_LINEAR        0x1f80ull /* bits 12:7 of an EPT violation: about the linear address */
#define QUAL_MSMI          1ull
#define QUAL_NOTIFY_NMI    (1ull << 12)
#define QUAL_NOTIFY_BROKEN 1ull
#define QUAL_VM            (3ull << 32) /* which VM exited, on top of the CPU's bits: always the TD itself */
#define EEQ_PENDING        6
#define STATUS_HINT        (1ull << 60)

/* Registers that an asynchronous exit clears. */
static const u8 cleared[] = {RBX, RBP, RSI, RDI, R10, R11, R12, R13, R14, R15};

static void release(struct seam_lp *lp, struct lp_local *local)
{
    mdl_unlock_to(lp, &local->inside, 0);
    local->tdr = NULL;
    local->tdcs = NULL;
    local->tdvps = NULL;
    local->vmcs = NULL;
    lp->td = NULL;
}

static void leave_epoch(struct seam_lp *lp)
{
    struct lp_local *local = mdl_lp(lp);
    plat_atomic_point(lp);
    __atomic_sub_fetch(&local->tdcs->epoch_refcount[local->tdvps->vcpu_epoch & 1], 1, __ATOMIC_SEQ_CST);
    release(lp, local);
}

void mdl_leave_td(struct seam_lp *lp, enum vcpu_state state, enum last_td_exit how)
{
    struct lp_local *local = mdl_lp(lp);
    tdvps_set_state(local->tdvps, state);
    local->tdvps->last_td_exit = how;
    if (how != LAST_EXIT_FAULT)
        mdl_advance_rip(&local->vmcs->run);
    leave_epoch(lp);
}

/* What becomes of the vCPU after an exit with this status (tdx-module td_exit.c, async_tdexit_internal): one that is
 * lost, or whose TD is, keeps the kind of its exit before, and its RIP. */
static void leave_by_status(struct seam_lp *lp, u64 status)
{
    struct lp_local *local = mdl_lp(lp);
    switch (status) {
    case TDX_NON_RECOVERABLE_VCPU:
        tdvps_set_state(local->tdvps, VCPU_DISABLED);
        leave_epoch(lp);
        break;
    case TDX_HOST_PRIORITY_BUSY_TIMEOUT:
    case TDX_CROSS_TD_TRAP:
        mdl_leave_td(lp, VCPU_READY, LAST_EXIT_TRAP);
        break;
    case TDX_NON_RECOVERABLE_TD:
    case TDX_NON_RECOVERABLE_TD_WRONG_APIC_MODE:
        tdr_set_fatal(local->tdr);
        leave_epoch(lp);
        break;
    case TDX_NON_RECOVERABLE_TD_NON_ACCESSIBLE: /* the TD's memory is not touched any more, its epoch counter neither */
        tdr_set_fatal(local->tdr);
        release(lp, local);
        break;
    default:
        mdl_leave_td(lp, VCPU_READY, LAST_EXIT_FAULT);
    }
}

enum seam_next mdl_exit(struct seam_lp *lp, u64 status, u32 reason, u64 qualification, u64 extended, u64 gpa, u64 info)
{
    struct lp_local *local = mdl_lp(lp);
    bool of_tdcall = status & STATUS_HINT; /* the module ends a TDCALL: no exit reason of the CPU's */
    if (local->bus_lock && !of_tdcall)
        reason |= REASON_BUS_LOCK;
    local->bus_lock = false;
    lp->vmm[RAX] = status | reason;
    lp->vmm[RCX] = qualification & ~QUAL_VM;
    lp->vmm[RDX] = extended;
    lp->vmm[R8] = gpa;
    lp->vmm[R9] = info;
    for (unsigned i = 0; i < sizeof(cleared); i++)
        lp->vmm[cleared[i]] = 0;
    leave_by_status(lp, status);
    return SEAM_TO_VMM;
}

static enum seam_next pass_ept_violation(struct seam_lp *lp, u32 reason, u64 gpa, u64 qualification, u64 extended)
{
    return mdl_exit(lp, TDX_SUCCESS, reason, qualification & ~QUAL_LINEAR, extended, gpa & ~0xfffull, 0);
}

enum seam_next mdl_exit_ept_violation(struct seam_lp *lp, u64 gpa, u64 qualification, u64 extended)
{
    return pass_ept_violation(lp, EXIT_EPT_VIOLATION, gpa, qualification, extended);
}

void mdl_advance_rip(struct td_vmcs *td)
{
    td->rip += td->exit_instr_len;
    td->interruptibility &= ~(INTERRUPTIBILITY_STI | INTERRUPTIBILITY_MOV_SS);
    mdl_set_single_step(td);
}

void mdl_set_single_step(struct td_vmcs *td)
{
    bool step = (td->rflags & RFLAGS_TF) && !(td->debugctl & DEBUGCTL_BTF);
    td->pending_dbg = (td->pending_dbg & ~PENDING_DBG_STEP) | (step ? PENDING_DBG_STEP : 0);
}

/* The exit as it is, for the VMM. */
static enum seam_next pass(struct seam_lp *lp, u64 status, bool with_event)
{
    const struct td_vmcs *td = &mdl_lp(lp)->vmcs->run;
    return mdl_exit(lp, status, td->exit_reason, td->qualification, 0, 0, with_event ? td->exit_intr_info : 0);
}

/* An exit that a production TD cannot have; a TD under debug may, at its VMM's wish. */
static enum seam_next unexpected(struct seam_lp *lp)
{
    bool debug = mdl_lp(lp)->tdcs->attributes & ATTR_DEBUG;
    return pass(lp, debug ? TDX_SUCCESS : TDX_NON_RECOVERABLE_TD, false);
}

/* --- event delivery that the exit cut short --- */

static void deliver_again(struct td_vmcs *td)
{
    if ((td->idt_vectoring_info & EVENT_TYPE) == EVENT_TYPE_NMI)
        td->interruptibility &= ~INTERRUPTIBILITY_NMI;
    td->entry_intr_info = td->idt_vectoring_info & ~0x7ffff000u;
    if (td->idt_vectoring_info & EVENT_HAS_ERROR)
        td->entry_error_code = td->idt_vectoring_error;
    td->entry_instr_len = td->exit_instr_len;
}

static bool can_cut_delivery(const struct td_vmcs *td)
{
    unsigned reason = td->exit_reason & REASON_BASIC;
    return reason == EXIT_TASK_SWITCH || reason == EXIT_EPT_VIOLATION || reason == EXIT_EPT_MISCONFIG;
}

/* --- EPT violations --- */

static bool is_shared(const struct tdcs *tdcs, u64 gpa)
{
    return gpa >> (tdcs->gpaw ? 51 : 47) & 1;
}

static bool above_shared_bit(const struct tdcs *tdcs, u64 gpa)
{
    unsigned first = tdcs->gpaw ? 52 : 48;
    return gpa >> first & ((1ull << (plat_info()->maxpa > first ? plat_info()->maxpa - first : 0)) - 1);
}

static u32 page_fault_error(const struct td_vmcs *td)
{
    u64 q = td->qualification;
    u32 user = mdl_td_cpl(td) == 3;
    return 1 | (u32)(q >> 1 & 1) << 1 | user << 2 | 1u << 3 | (u32)(q >> 2 & 1) << 4 | (u32)(q >> 13 & 1) << 6;
}

static enum seam_next ept_violation(struct seam_lp *lp, struct lp_local *local)
{
    struct td_vmcs *td = &local->vmcs->run;
    u64 gpa = td->guest_physical, extended = 0;
    if (td->qualification & EPT_NMI_UNBLOCKED)
        td->interruptibility |= INTERRUPTIBILITY_NMI;
    if (above_shared_bit(local->tdcs, gpa) && (td->qualification & QUAL_GLA_VALID)) {
        if (mdl_inject_pf(td, td->guest_linear, page_fault_error(td)))
            return SEAM_TO_TD;
        return mdl_exit(lp, TDX_NON_RECOVERABLE_VCPU, EXIT_TRIPLE_FAULT, 0, 0, 0, 0);
    }
    if (!is_shared(local->tdcs, gpa)) {
        struct sept_walk walk;
        sept_walk(local->tdcs, gpa, LEVEL_4K, &walk);
        if (sept_state(walk.value) == SEPT_PENDING) {
            if (!(local->tdcs->td_ctls & TD_CTLS_PENDING_VE_DISABLE)) {
                mdl_inject_ve(local, td->exit_reason, td->qualification, gpa, td->guest_linear);
                return SEAM_TO_TD;
            }
            extended = EEQ_PENDING;
        }
        mdl_step_log_fault(local, gpa);
    }
    return pass_ept_violation(lp, td->exit_reason, gpa, td->qualification, extended);
}

static enum seam_next ept_misconfiguration(struct seam_lp *lp, struct lp_local *local)
{
    u64 gpa = local->vmcs->run.guest_physical;
    if (!is_shared(local->tdcs, gpa))
        return pass(lp, TDX_NON_RECOVERABLE_TD, false);
    return mdl_exit(lp, TDX_SUCCESS, local->vmcs->run.exit_reason, 0, 0, gpa & ~0xfffull, 0);
}

/* --- other exits with a handler of their own --- */

static enum seam_next exception_or_nmi(struct seam_lp *lp, struct lp_local *local)
{
    u32 info = local->vmcs->run.exit_intr_info;
    if ((info & EVENT_TYPE) == EVENT_TYPE_NMI)
        return pass(lp, TDX_SUCCESS, true);
    if ((info & 0xff) == VECTOR_MC)
        return pass(lp, TDX_NON_RECOVERABLE_TD_NON_ACCESSIBLE, true);
    return pass(lp, local->tdcs->attributes & ATTR_DEBUG ? TDX_SUCCESS : TDX_NON_RECOVERABLE_TD, true);
}

static enum seam_next notification(struct seam_lp *lp, struct td_vmcs *td)
{
    if (td->qualification & QUAL_NOTIFY_NMI)
        td->interruptibility |= INTERRUPTIBILITY_NMI;
    return pass(lp, td->qualification & QUAL_NOTIFY_BROKEN ? TDX_NON_RECOVERABLE_TD : TDX_SUCCESS, false);
}

static void nmi_window(struct lp_local *local)
{
    struct td_vmcs *td = &local->vmcs->run;
    if (local->tdvps->pend_nmi && local->tdvps->ve_info.valid == 0) {
        td->entry_intr_info = EVENT_VALID | EVENT_TYPE_NMI | VECTOR_NMI;
        local->tdvps->pend_nmi = false;
    }
    td->nmi_window = false;
}

static enum seam_next rdpmc(struct seam_lp *lp, struct lp_local *local)
{
    if (local->tdcs->attributes & ATTR_PERFMON)
        return unexpected(lp);
    mdl_inject_gp(&local->vmcs->run, 0);
    return SEAM_TO_TD;
}

static enum seam_next entry_failure(struct seam_lp *lp, struct lp_local *local)
{
    unsigned reason = local->vmcs->run.exit_reason & REASON_BASIC;
    if (reason == EXIT_ENTRY_FAIL_MC)
        return pass(lp, TDX_NON_RECOVERABLE_TD_NON_ACCESSIBLE, false);
    return unexpected(lp);
}

/* The exits that have no state of their own. `*again`: the TDCALL is executed once more. */
/* Instructions that the TD gets an exception for. False: the exit is for something else. */
static bool inject_for_instruction(struct lp_local *local)
{
    struct td_vmcs *td = &local->vmcs->run;
    switch (td->exit_reason & REASON_BASIC) {
    case EXIT_IO:
    case EXIT_HLT:
    case EXIT_INVD:
    case EXIT_VMCALL:
    case EXIT_WBINVD:
    case EXIT_MWAIT:
    case EXIT_MONITOR:
    case EXIT_PCONFIG:
    case EXIT_APIC_WRITE:
        mdl_inject_ve(local, td->exit_reason, td->qualification, 0, 0);
        return true;
    case EXIT_GETSEC:
    case EXIT_RSM:
    case EXIT_VMCLEAR ... EXIT_VMXON:
    case EXIT_INVEPT:
    case EXIT_INVVPID:
    case EXIT_VMFUNC:
    case EXIT_ENCLS:
    case EXIT_ENCLV:
    case EXIT_ENQCMDS:
    case EXIT_SEAMCALL:
        mdl_inject_ud(td);
        return true;
    case EXIT_ENQCMD:
        mdl_inject_gp(td, 0);
        return true;
    default:
        return false;
    }
}

/* What the module does in the CPU's place. False: the exit is for something else. */
static bool emulate(struct lp_local *local)
{
    switch (local->vmcs->run.exit_reason & REASON_BASIC) {
    case EXIT_CPUID:
        mdl_exit_cpuid(local);
        return true;
    case EXIT_XSETBV:
        mdl_exit_xsetbv(local);
        return true;
    case EXIT_RDMSR:
        mdl_exit_rdmsr(local);
        return true;
    case EXIT_WRMSR:
        mdl_exit_wrmsr(local);
        return true;
    case EXIT_NMI_WINDOW:
        nmi_window(local);
        return true;
    default:
        return false;
    }
}

static enum seam_next handle(struct seam_lp *lp, struct lp_local *local, bool *again)
{
    struct td_vmcs *td = &local->vmcs->run;
    if (inject_for_instruction(local) || emulate(local))
        return SEAM_TO_TD;
    switch (td->exit_reason & REASON_BASIC) {
    case EXIT_TASK_SWITCH:
    case EXIT_BUS_LOCK:
    case EXIT_INIT:
        return pass(lp, TDX_SUCCESS, false);
    case EXIT_NOTIFY:
        return notification(lp, td);
    case EXIT_TRIPLE_FAULT:
        return pass(lp, TDX_NON_RECOVERABLE_VCPU, false);
    case EXIT_SMI:
        return pass(lp, td->qualification & QUAL_MSMI ? TDX_NON_RECOVERABLE_TD_NON_ACCESSIBLE : TDX_SUCCESS, true);
    case EXIT_INTERRUPT:
    case EXIT_C_STATE_SMI:
        return pass(lp, TDX_SUCCESS, true);
    case EXIT_RDPMC:
        return rdpmc(lp, local);
    case EXIT_EPT_MISCONFIG:
        return ept_misconfiguration(lp, local);
    case EXIT_EPT_VIOLATION:
        return ept_violation(lp, local);
    case EXIT_CR_ACCESS:
        return mdl_exit_cr_access(local) ? SEAM_TO_TD : unexpected(lp);
    case EXIT_EXCEPTION:
        return exception_or_nmi(lp, local);
    case EXIT_TDCALL:
        return mdl_tdcall(lp, again);
    default:
        return unexpected(lp);
    }
}

/* Does the debugger's exception bitmap have the event that waits? Page faults also pass the error-code filter, which
 * the module feeds with the exit's error code (tdx-module helpers.c, is_voe_in_exception_bitmap). */
static bool debugger_wants_event(const struct tdvps_vmcs *vmcs)
{
    u32 info = vmcs->run.entry_intr_info;
    if (!(info & EVENT_VALID) || (info & EVENT_TYPE) != EVENT_TYPE_FAULT)
        return false;
    if (!(vmcs->run.exception_bitmap >> (info & 31) & 1))
        return false;
    return (info & 0xff) != VECTOR_PF ||
           (vmcs->run.exit_error_code & vmcs->other[VMCS_OTHER_PF_MASK]) == vmcs->other[VMCS_OTHER_PF_MATCH];
}

/* The debugger asked for exceptions: those that the module injects count too. */
static enum seam_next enter_again(struct seam_lp *lp, struct lp_local *local)
{
    u32 info = local->vmcs->run.entry_intr_info;
    if (!(local->tdcs->attributes & ATTR_DEBUG) || !debugger_wants_event(local->vmcs))
        return SEAM_TO_TD;
    return mdl_exit(lp, TDX_SUCCESS, EXIT_EXCEPTION, 0, 0, 0, info);
}

/* Back into the TD behind the instruction, if nothing was injected. */
static enum seam_next resume(struct seam_lp *lp, struct lp_local *local, bool again)
{
    struct td_vmcs *td = &local->vmcs->run;
    if (!(td->entry_intr_info & EVENT_VALID) && !again) {
        if (local->tdvps->pend_nmi && local->tdvps->ve_info.valid == 0)
            td->nmi_window = true;
        mdl_advance_rip(td);
    }
    if (local->bus_lock)
        return mdl_exit(lp, TDX_SUCCESS, EXIT_BUS_LOCK, 0, 0, 0, 0);
    return enter_again(lp, local);
}

enum seam_next module_td_exit(struct seam_lp *lp)
{
    struct lp_local *local = mdl_lp(lp);
    struct td_vmcs *td = &local->vmcs->run;
    bool again = false;
    local->tdvps->last_exit_tsc = plat_tsc();
    td->entry_intr_info = 0;
    if (local->tdr->fatal)
        return pass(lp, TDX_NON_RECOVERABLE_TD_NON_ACCESSIBLE, true);
    if (td->exit_reason & REASON_BUS_LOCK)
        local->bus_lock = true;
    if ((td->exit_reason & REASON_RESERVED) && !(local->tdcs->attributes & ATTR_DEBUG))
        return pass(lp, TDX_NON_RECOVERABLE_TD, true);
    enum step_verdict verdict = mdl_step_at_exit(lp, local);
    if (verdict == STEP_WRONG_APIC_MODE)
        return pass(lp, TDX_NON_RECOVERABLE_TD_WRONG_APIC_MODE, true);
    if (verdict == STEP_RESUME_TD)
        return enter_again(lp, local);
    if (td->idt_vectoring_info & EVENT_VALID) {
        if (!can_cut_delivery(td))
            return unexpected(lp);
        deliver_again(td);
    }
    if (td->exit_reason & REASON_ENTRY_FAIL)
        return entry_failure(lp, local);
    enum seam_next next = handle(lp, local, &again);
    return next == SEAM_TO_TD ? resume(lp, local, again) : next;
}
