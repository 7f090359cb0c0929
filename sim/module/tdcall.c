/*
 * TDCALL: the table of leafs, and how their statuses reach the TD (Intel TDX Module v1.5 ABI Specification, "TDCALL
 * Instruction (Guest-Side Interfaces)"). TDG.VP.ENTER, INVEPT and INVVPID check their operands: L2 VMs never run.
 */
#include "sim/module/tdcall.h"

#define EXIT_TDCALL 77

static u64 tdg_vp_info(struct tdcall *t)
{
    const struct tdcs *tdcs = t->local->tdcs;
    u64 *out = t->call.out;
    out[RCX] = tdcs->gpaw ? 52 : 48;
    out[RDX] = tdcs->attributes;
    out[R8] = (u64)tdcs->max_vcpus << 32 | tdcs->num_vcpus;
    out[R9] = t->local->tdvps->vcpu_index;
    out[R10] = 1; /* TDG.SYS.RD is there */
    out[R11] = 0;
    return TDX_SUCCESS;
}

static u64 tdg_vp_veinfo_get(struct tdcall *t)
{
    struct ve_info *info = &t->local->tdvps->ve_info;
    u64 *out = t->call.out;
    bool valid = info->valid != 0;
    out[RCX] = valid ? info->exit_reason : 0;
    out[RDX] = valid ? info->qualification : 0;
    out[R8] = valid ? info->gla : 0;
    out[R9] = valid ? info->gpa : 0;
    out[R10] = valid ? (u64)info->instruction_info << 32 | info->instruction_length : 0;
    info->valid = 0;
    return valid ? TDX_SUCCESS : TDX_NO_VALID_VE_INFO;
}

#define CPUIDVE_SUPERVISOR 1ull
#define CPUIDVE_USER       2ull

static u64 tdg_vp_cpuidve_set(struct tdcall *t)
{
    u64 rcx = t->call.in[RCX];
    if (rcx & ~(CPUIDVE_SUPERVISOR | CPUIDVE_USER))
        return status_operand(TDX_OPERAND_INVALID, RCX);
    t->local->tdvps->cpuid_supervisor_ve = rcx & CPUIDVE_SUPERVISOR;
    t->local->tdvps->cpuid_user_ve = rcx & CPUIDVE_USER ? 1 : 0;
    return TDX_SUCCESS;
}

/* Registers that the mask in RCX selects go to the VMM, the others are cleared there. */
static u64 tdg_vp_vmcall(struct tdcall *t)
{
    struct seam_lp *lp = t->call.lp;
    bool keep_rbp = t->local->tdcs->config_flags & CONFIG_FLAG_NO_RBP_MOD;
    u64 select = t->call.in[RCX];
    u64 refused = ~0xffffffffull | 1u << RAX | 1u << RCX | 1u << RSP | (keep_rbp ? 1u << RBP : 0);
    if (select & refused)
        return status_operand(TDX_OPERAND_INVALID, RCX);
    for (int i = RDX; i < SEAM_GPRS; i++)
        if (i != RSP && !(i == RBP && keep_rbp))
            lp->vmm[i] = select & 1ull << i ? t->call.in[i] : 0;
    lp->vmm[RCX] = select;
    lp->vmm[RAX] = EXIT_TDCALL | (t->local->bus_lock ? 1u << 26 : 0);
    t->local->bus_lock = false;
    mdl_leave_td(lp, VCPU_READY, LAST_EXIT_VMCALL);
    t->end = TDCALL_EXITED;
    return TDX_SUCCESS;
}

#define GUEST_STATE_ALIGN 256u
#define VM_NUMBER(rcx)    ((unsigned)((rcx) >> 52) & 3)
#define VM_RESERVED       0xffc0000000000000ull
#define ENTER_RESERVED    (VM_RESERVED | 0x000ffffffffffffcull)

/* The GPA of the L2 VM's registers is looked at first. A VM that the TD has never got a virtual APIC page (tdx-module
 * tdg_vp_enter.c). */
static u64 tdg_vp_enter(struct tdcall *t)
{
    u64 gpa = t->call.in[RDX], rcx = t->call.in[RCX];
    if ((gpa & (GUEST_STATE_ALIGN - 1)) || !sept_gpa_is_private(t->local->tdcs, gpa))
        return status_operand(TDX_OPERAND_INVALID, RDX);
    unsigned vm = VM_NUMBER(rcx);
    bool known = vm != 0 && vm <= t->local->tdcs->num_l2_vms && !(rcx & ENTER_RESERVED);
    return status_operand(TDX_OPERAND_INVALID, known ? OPERAND_L2_VAPIC_GPA : RCX);
}

/* L2 VMs never run, so that none of their translations is anywhere: only the operand is checked. */
static u64 tdg_vp_invept(struct tdcall *t)
{
    u64 vms = ((2ull << t->local->tdcs->num_l2_vms) - 1) & ~1ull;
    return t->call.in[RCX] & ~vms ? status_operand(TDX_OPERAND_INVALID, RCX) : TDX_SUCCESS;
}

static u64 tdg_vp_invvpid(struct tdcall *t)
{
    (void)t;
    return status_operand(TDX_OPERAND_INVALID, RCX);
}

static const struct {
    u64 (*handler)(struct tdcall *t);
    u8 versions;
} leaves[TDCALL_LEAVES] = {
    [TDG_VP_VMCALL] = {tdg_vp_vmcall, 0},
    [TDG_VP_INFO] = {tdg_vp_info, 0},
    [TDG_MR_RTMR_EXTEND] = {mdl_tdg_mr_rtmr_extend, 0},
    [TDG_VP_VEINFO_GET] = {tdg_vp_veinfo_get, 0},
    [TDG_MR_REPORT] = {mdl_tdg_mr_report, 0},
    [TDG_VP_CPUIDVE_SET] = {tdg_vp_cpuidve_set, 0},
    [TDG_MEM_PAGE_ACCEPT] = {mdl_tdg_mem_page_accept, 0},
    [TDG_VM_RD] = {mdl_tdg_vm_rd, 255},
    [TDG_VM_WR] = {mdl_tdg_vm_wr, 0},
    [TDG_VP_RD] = {mdl_tdg_vp_rd, 0},
    [TDG_VP_WR] = {mdl_tdg_vp_wr, 0},
    [TDG_SYS_RD] = {mdl_tdg_sys_rd, 0},
    [TDG_SYS_RDALL] = {mdl_tdg_sys_rdall, 0},
    [TDG_SERVTD_RD] = {mdl_tdg_servtd_rd, 0},
    [TDG_SERVTD_WR] = {mdl_tdg_servtd_wr, 0},
    [TDG_VP_ENTER] = {tdg_vp_enter, 0},
    [TDG_VP_INVEPT] = {tdg_vp_invept, 0},
    [TDG_VP_INVVPID] = {tdg_vp_invvpid, 0},
    [TDG_MR_VERIFYREPORT] = {mdl_tdg_mr_verifyreport, 0},
    [TDG_MEM_PAGE_ATTR_RD] = {mdl_tdg_page_attr_rd, 0},
    [TDG_MEM_PAGE_ATTR_WR] = {mdl_tdg_page_attr_wr, 0},
};

static u64 dispatch(struct tdcall *t)
{
    u64 rax = t->call.in[RAX];
    if (LEAF_RESERVED(rax) || t->call.leaf >= TDCALL_LEAVES || !leaves[t->call.leaf].handler ||
        t->call.version > leaves[t->call.leaf].versions)
        return status_operand(TDX_OPERAND_INVALID, RAX);
    return leaves[t->call.leaf].handler(t);
}

/* The TD keeps failing to take an entry that the VMM wants: true when it has done so for too long. */
static bool host_waits_too_long(struct lp_local *local)
{
    struct tdvps *tdvps = local->tdvps;
    if (!tdvps->hp_lock_busy) {
        tdvps->hp_lock_busy = true;
        tdvps->hp_lock_busy_start = plat_tsc();
        return false;
    }
    if (plat_tsc() - tdvps->hp_lock_busy_start < local->tdcs->hp_lock_timeout)
        return false;
    tdvps->hp_lock_busy = false;
    return true;
}

#define STATUS_CODE 0xffffffff00000000ull

enum seam_next mdl_tdcall(struct seam_lp *lp, bool *again)
{
    struct lp_local *local = mdl_lp(lp);
    struct td_vmcs *td = &local->vmcs->run;
    if (!mdl_td_is_64bit(td)) {
        mdl_inject_gp(td, 0);
        return SEAM_TO_TD;
    }
    struct tdcall t = {.call = {.lp = lp, .out = td->gpr, .guest = true}, .local = local, .end = TDCALL_DONE};
    for (int i = 0; i < SEAM_GPRS; i++)
        t.call.in[i] = td->gpr[i];
    t.call.leaf = LEAF_NUMBER(td->gpr[RAX]);
    t.call.version = LEAF_VERSION(td->gpr[RAX]);
    u64 status = dispatch(&t);
    mdl_unlock_to(lp, &t.call.locks, 0);
    if (t.end == TDCALL_EXITED)
        return SEAM_TO_VMM;
    if (t.end == TDCALL_AGAIN) {
        if (!(td->entry_intr_info & EVENT_VALID)) /* an interrupt: the TD did get its locks */
            local->tdvps->hp_lock_busy = false;
        *again = true;
        return SEAM_TO_TD;
    }
    if ((status & STATUS_CODE) != TDX_OPERAND_BUSY_HOST_PRIORITY) {
        local->tdvps->hp_lock_busy = false;
        td->gpr[RAX] = status;
        return SEAM_TO_TD;
    }
    td->gpr[RAX] = TDX_OPERAND_BUSY | (u32)status; /* what TDs have always known */
    if (host_waits_too_long(local))
        return mdl_exit(lp, TDX_HOST_PRIORITY_BUSY_TIMEOUT, 0, 0, 0, 0, 0);
    return SEAM_TO_TD;
}
