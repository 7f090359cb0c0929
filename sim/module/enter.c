/*
 * TDH.VP.ENTER: the checks before a vCPU runs, the registers that the VMM hands to it, and what the stepping filter has
 * to say (Intel TDX Module v1.5 ABI Specification, "TDH.VP.ENTER Leaf"; Base Architecture Specification, "TD Entry" and
 * "TLB Tracking"). Extended state is the machine's affair; there are no L2 VMs, so bit 53 of RCX (resume L1) is refused.
 */
#include "sim/module/guest.h"
#include "sim/module/leaves.h"

#define ENTER_TDVPR     0x000ffffffffff000ull
#define ENTER_HOST_HINT (1ull << 52)
#define ENTER_RESUME_L1 (1ull << 53)
#define ENTER_RESERVED  0xffc0000000000fffull
#define STATUS_HINT     (1ull << 60)
#define EXIT_EPT_FAULT  48
#define EPT_WRITE       2

struct entry {
    struct call *c;
    struct td td;
    struct vcpu vcpu;
    bool newly_associated, tree_locked, notify;
};

static u64 open_vcpu(struct entry *e)
{
    struct call *c = e->c;
    u64 rcx = c->in[RCX];
    if (rcx & ENTER_RESERVED)
        return status_operand(TDX_OPERAND_INVALID, RCX);
    u64 status = tdvps_open(c, rcx & ENTER_TDVPR, LOCK_SHARED, RCX, &e->vcpu, &e->td);
    if (status == TDX_SUCCESS)
        status = tdcs_open(c, &e->td, LOCK_SHARED);
    if (status == TDX_SUCCESS)
        status = tdvps_check_pages(&e->vcpu, e->td.tdcs);
    if (status != TDX_SUCCESS)
        return status;
    if (tdvps_state(e->vcpu.tdvps) != VCPU_READY)
        return TDX_VCPU_STATE_INCORRECT;
    e->newly_associated = __atomic_load_n(&e->vcpu.tdvps->assoc_lpid, __ATOMIC_SEQ_CST) == NO_LP;
    return tdvps_associate(c, &e->vcpu, e->td.tdcs);
}

static u64 check_flags(const struct entry *e)
{
    u64 rcx = e->c->in[RCX];
    if ((rcx & ENTER_HOST_HINT) && e->vcpu.tdvps->last_td_exit != LAST_EXIT_TRAP)
        return status_operand(TDX_OPERAND_INVALID, RCX);
    if (rcx & ENTER_RESUME_L1)
        return status_operand(TDX_OPERAND_INVALID, RCX);
    if ((s64)(plat_tsc() - e->vcpu.tdvps->last_exit_tsc) < 0)
        return TDX_TSC_ROLLBACK;
    return TDX_SUCCESS;
}

/* The vCPU joins the current epoch; translations from an older one are dropped. */
static u64 join_epoch(struct entry *e)
{
    struct tdcs *tdcs = e->td.tdcs;
    struct tdvps *tdvps = e->vcpu.tdvps;
    u64 status = mdl_call_lock(e->c, &tdcs->epoch_lock, LOCK_PLAIN, LOCK_SHARED, OPERAND_TD_EPOCH);
    if (status != TDX_SUCCESS)
        return status;
    u64 epoch = tdcs->td_epoch;
    plat_atomic_point(e->c->lp);
    __atomic_add_fetch(&tdcs->epoch_refcount[epoch & 1], 1, __ATOMIC_SEQ_CST);
    mdl_call_unlock(e->c, &tdcs->epoch_lock);
    if (epoch != tdvps->vcpu_epoch) {
        if (!e->newly_associated)
            plat_invept(e->c->lp, tdcs->eptp);
        tdvps->vcpu_epoch = epoch;
    }
    return TDX_SUCCESS;
}

static void leave_epoch(struct entry *e)
{
    plat_atomic_point(e->c->lp);
    __atomic_sub_fetch(&e->td.tdcs->epoch_refcount[e->vcpu.tdvps->vcpu_epoch & 1], 1, __ATOMIC_SEQ_CST);
}

/* Would an access to this private GPA still fault, a convertible violation apart? A PENDING page counts as faulting. */
static bool would_fault(const struct tdcs *tdcs, u64 gpa)
{
    struct sept_walk walk;
    sept_walk(tdcs, gpa, LEVEL_4K, &walk);
    return !sept_is_leaf(walk.value) || (walk.value & SEPT_RWX) != SEPT_RWX;
}

/* The answer of a TD exit by EPT violation although the TD did not run. */
static u64 answer_fault(struct entry *e, u64 gpa)
{
    static const u8 cleared[] = {RBX, RSI, RDI, R9, R10, R11, R12, R13, R14, R15};
    u64 *out = e->c->out;
    e->vcpu.tdvps->last_td_exit = LAST_EXIT_FAULT;
    for (unsigned i = 0; i < sizeof(cleared); i++)
        out[cleared[i]] = 0;
    out[RCX] = EPT_WRITE;
    out[RDX] = 0;
    out[R8] = gpa & ~0xfffull;
    leave_epoch(e);
    return EXIT_EPT_FAULT;
}

/*
 * Zero-step filter: while any listed GPA still faults the TD does not run. `*stop` tells that the status returned is
 * the call's answer.
 */
static u64 zero_step_filter(struct entry *e, bool *stop)
{
    struct tdvps *tdvps = e->vcpu.tdvps;
    struct tdcs *tdcs = e->td.tdcs;
    struct td_vmcs *run = &e->vcpu.vmcs->run;
    tdvps->last_entry_rip = run->rip;
    if (tdvps->epf_listed == 0)
        return TDX_SUCCESS;
    *stop = true;
    u64 status = mdl_call_lock(e->c, &tdcs->sept_lock, LOCK_PLAIN, LOCK_EXCLUSIVE, OPERAND_SEPT_TREE);
    if (status != TDX_SUCCESS) {
        leave_epoch(e);
        return status;
    }
    for (unsigned i = 0; i < tdvps->epf_listed; i++)
        if (would_fault(tdcs, tdvps->epf_gpa[i]))
            return answer_fault(e, tdvps->epf_gpa[i]);
    *stop = false;
    e->tree_locked = true;
    e->notify = (tdcs->notify_enables & 1) && (u16)run->exit_reason == EXIT_EPT_FAULT &&
                sept_gpa_is_private(tdcs, run->guest_physical);
    return TDX_SUCCESS;
}

/* The VMM's answer to TDG.VP.VMCALL: registers selected by the TD's RCX. */
static void take_vmcall_answer(struct entry *e)
{
    u64 *gpr = e->vcpu.vmcs->run.gpr, select = gpr[RCX];
    for (int i = RDX; i < SEAM_GPRS; i++)
        if (i != RSP && (select & 1ull << i))
            gpr[i] = e->c->in[i];
    gpr[RAX] = TDX_SUCCESS;
}

static void remember_inside(struct entry *e)
{
    struct lp_local *local = mdl_lp(e->c->lp);
    mdl_call_unlock(e->c, &e->td.tdcs->op_state_lock);
    if (e->tree_locked)
        mdl_call_unlock(e->c, &e->td.tdcs->sept_lock);
    local->inside = e->c->locks;
    e->c->locks.count = 0;
    local->tdr_hpa = e->td.tdr_hpa;
    local->tdvpr_hpa = e->vcpu.tdvpr_hpa;
    local->tdr = e->td.tdr;
    local->tdcs = e->td.tdcs;
    local->tdvps = e->vcpu.tdvps;
    local->vmcs = e->vcpu.vmcs;
    local->bus_lock = false;
    if (local->last_tdvpr_hpa != e->vcpu.tdvpr_hpa) {
        plat_invept(e->c->lp, e->td.tdcs->eptp);
        local->last_tdvpr_hpa = e->vcpu.tdvpr_hpa;
    }
}

static void run_vcpu(struct entry *e)
{
    struct tdvps *tdvps = e->vcpu.tdvps;
    struct td_vmcs *run = &e->vcpu.vmcs->run;
    remember_inside(e);
    if (e->notify && tdvps->ve_info.valid == 0 && !(run->interruptibility & INTERRUPTIBILITY_NMI) &&
        !(run->qualification & EPT_NMI_UNBLOCKED) && !(run->idt_vectoring_info & EVENT_VALID))
        mdl_inject_ve(mdl_lp(e->c->lp), run->exit_reason, run->qualification, run->guest_physical, 0);
    if (tdvps->last_td_exit == LAST_EXIT_VMCALL)
        take_vmcall_answer(e);
    else if (tdvps->last_td_exit == LAST_EXIT_TRAP)
        run->gpr[RAX] = (run->gpr[RAX] & ~STATUS_HINT) | (e->c->in[RCX] & ENTER_HOST_HINT ? STATUS_HINT : 0);
    if (tdvps->pend_nmi && tdvps->ve_info.valid == 0)
        run->nmi_window = true;
    tdvps_set_state(tdvps, VCPU_ACTIVE);
    tdvps->last_entry_tsc = plat_tsc();
    e->c->lp->td = run;
    e->c->enters_td = true;
}

u64 leaf_vp_enter(struct call *c)
{
    struct entry e = {.c = c};
    bool stop = false;
    u64 status = open_vcpu(&e);
    if (status == TDX_SUCCESS)
        status = check_flags(&e);
    if (status == TDX_SUCCESS)
        status = join_epoch(&e);
    if (status == TDX_SUCCESS)
        status = zero_step_filter(&e, &stop);
    if (status != TDX_SUCCESS || stop)
        return status;
    run_vcpu(&e);
    return TDX_SUCCESS;
}
