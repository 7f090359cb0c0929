/*
 * Opening TDs and vCPUs: see td.h. Which leaf is allowed in which op state stands in one table here; the op states of
 * migration do not occur, so that leafs for those alone have no line.
 */
#include "sim/module/td.h"
#include "sim/module/sys_info.h"

#define IN(state) (1u << (state))
#define BUILD     IN(OP_INITIALIZED)
#define BUILT     (IN(OP_INITIALIZED) | IN(OP_RUNNABLE))

static const u8 allowed_op_states[SEAMCALL_LEAVES] = {
    [TDH_VP_ENTER] = IN(OP_RUNNABLE),
    [TDH_MNG_ADDCX] = IN(OP_UNINITIALIZED),
    [TDH_MEM_PAGE_ADD] = BUILD,
    [TDH_MEM_SEPT_ADD] = BUILT,
    [TDH_VP_ADDCX] = BUILD,
    [TDH_MEM_PAGE_RELOCATE] = BUILT,
    [TDH_MEM_PAGE_AUG] = BUILT,
    [TDH_MEM_RANGE_BLOCK] = BUILT,
    [TDH_VP_CREATE] = BUILD,
    [TDH_MNG_RD] = BUILT,
    [TDH_MEM_RD] = BUILT,
    [TDH_MNG_WR] = BUILT,
    [TDH_MEM_WR] = BUILT,
    [TDH_MEM_PAGE_DEMOTE] = BUILT,
    [TDH_MR_EXTEND] = BUILD,
    [TDH_MR_FINALIZE] = BUILD,
    [TDH_MNG_INIT] = IN(OP_UNINITIALIZED),
    [TDH_VP_INIT] = BUILD,
    [TDH_MEM_PAGE_PROMOTE] = BUILT,
    [TDH_MEM_SEPT_RD] = BUILT,
    [TDH_VP_RD] = BUILT,
    [TDH_MEM_PAGE_REMOVE] = BUILT,
    [TDH_MEM_SEPT_REMOVE] = BUILT,
    [TDH_MEM_TRACK] = BUILT,
    [TDH_MEM_RANGE_UNBLOCK] = BUILT,
    [TDH_VP_WR] = BUILT,
    [TDH_SERVTD_BIND] = IN(OP_UNINITIALIZED) | BUILT,
    [TDH_SERVTD_PREBIND] = IN(OP_UNINITIALIZED) | BUILD,
    [TDH_EXPORT_RESTORE] = IN(OP_RUNNABLE),
    [TDH_EXPORT_STATE_IMMUTABLE] = IN(OP_RUNNABLE),
    [TDH_EXPORT_UNBLOCKW] = IN(OP_RUNNABLE),
    [TDH_IMPORT_STATE_IMMUTABLE] = IN(OP_UNINITIALIZED),
    [TDH_MIG_STREAM_CREATE] = IN(OP_UNINITIALIZED) | BUILT,
};

u64 tdr_open(struct call *c, u64 hpa, enum lock_mode mode, unsigned operand, struct td *td)
{
    td->tdr_hpa = hpa;
    u64 status = pamt_open(c, hpa, LEVEL_4K, mode, PT_TDR, operand, &td->pamt);
    if (status == TDX_SUCCESS)
        td->tdr = plat_page(hpa);
    return status;
}

u64 tdr_open_owner(struct call *c, const struct pamt_entry *page, enum lock_mode mode, struct td *td)
{
    td->tdr_hpa = pamt_owner(page);
    td->pamt = pamt_known(td->tdr_hpa, LEVEL_4K);
    td->tdr = plat_page(td->tdr_hpa);
    return mdl_call_lock(c, &td->pamt->lock, LOCK_HOST_PRIORITY, mode, OPERAND_TDR);
}

bool tdcs_leaf_allowed(const struct tdcs *tdcs, u16 leaf)
{
    return allowed_op_states[leaf] & IN(tdcs->op_state);
}

static u64 check_built(const struct tdr *tdr)
{
    if (tdr->fatal)
        return TDX_TD_FATAL;
    if (tdr->lifecycle != TD_KEYS_CONFIGURED)
        return TDX_TD_KEYS_NOT_CONFIGURED;
    if (tdr->num_tdcx < mdl_tdcs_pages())
        return TDX_TDCS_NOT_ALLOCATED;
    return TDX_SUCCESS;
}

u64 tdcs_open_exclusive(struct call *c, struct td *td)
{
    u64 status = check_built(td->tdr);
    if (status)
        return status;
    td->tdcs = tdcs_page(td->tdr, TDCS_PAGE_FIELDS);
    return tdcs_leaf_allowed(td->tdcs, c->leaf) ? TDX_SUCCESS : TDX_OP_STATE_INCORRECT;
}

static u64 open_and_lock(struct call *c, struct td *td, enum lock_mode op_state_mode)
{
    u64 status = check_built(td->tdr);
    if (status)
        return status;
    td->tdcs = tdcs_page(td->tdr, TDCS_PAGE_FIELDS);
    return mdl_call_lock(c, &td->tdcs->op_state_lock, LOCK_HOST_PRIORITY, op_state_mode, OPERAND_OP_STATE);
}

u64 tdcs_open(struct call *c, struct td *td, enum lock_mode op_state_mode)
{
    u64 status = open_and_lock(c, td, op_state_mode);
    if (status)
        return status;
    return tdcs_leaf_allowed(td->tdcs, c->leaf) ? TDX_SUCCESS : TDX_OP_STATE_INCORRECT;
}

u64 tdcs_open_service(struct call *c, struct td *td)
{
    u64 status = open_and_lock(c, td, LOCK_SHARED);
    if (status)
        return status;
    return td->tdcs->op_state == OP_RUNNABLE ? TDX_SUCCESS : TDX_OP_STATE_INCORRECT;
}

u64 td_open(struct call *c, u64 tdr_hpa, unsigned operand, struct td *td)
{
    u64 status = tdr_open(c, tdr_hpa, LOCK_SHARED, operand, td);
    return status ? status : tdcs_open(c, td, LOCK_SHARED);
}

void tdr_set_fatal(struct tdr *tdr)
{
    __atomic_store_n(&tdr->fatal, true, __ATOMIC_SEQ_CST);
}

void tdr_count_pages(struct call *c, struct tdr *tdr, s64 pages)
{
    plat_atomic_point(c->lp);
    __atomic_fetch_add(&tdr->chldcnt, (u64)pages, __ATOMIC_SEQ_CST);
}

u64 tdvps_open(struct call *c, u64 hpa, enum lock_mode mode, unsigned operand, struct vcpu *vcpu, struct td *td)
{
    vcpu->tdvpr_hpa = hpa;
    vcpu->vmcs = NULL;
    u64 status = pamt_open(c, hpa, LEVEL_4K, mode, PT_TDVPR, operand, &vcpu->pamt);
    if (status)
        return status;
    vcpu->tdvps = plat_page(hpa);
    return tdr_open_owner(c, vcpu->pamt, LOCK_SHARED, td);
}

u64 tdvps_check_pages(struct vcpu *vcpu, const struct tdcs *tdcs)
{
    if (vcpu->tdvps->num_tdvps_pages < TDVPS_PAGES_MIN + TDVPS_PAGES_PER_L2 * tdcs->num_l2_vms)
        return TDX_TDCX_NUM_INCORRECT;
    vcpu->vmcs = tdvps_page(vcpu->tdvps, TDVPS_PAGE_VMCS);
    return TDX_SUCCESS;
}

u64 tdvps_associate(struct call *c, struct vcpu *vcpu, struct tdcs *tdcs)
{
    u32 seen = NO_LP;
    plat_atomic_point(c->lp);
    if (!__atomic_compare_exchange_n(&vcpu->tdvps->assoc_lpid, &seen, c->lp->index, false, __ATOMIC_SEQ_CST,
                                     __ATOMIC_SEQ_CST))
        return seen == c->lp->index ? TDX_SUCCESS : TDX_VCPU_ASSOCIATED;
    plat_atomic_point(c->lp);
    __atomic_fetch_add(&tdcs->num_assoc_vcpus, 1, __ATOMIC_SEQ_CST);
    return TDX_SUCCESS;
}

bool tdcs_is_tracked(const struct tdcs *tdcs, u64 bepoch)
{
    u64 epoch = __atomic_load_n(&tdcs->td_epoch, __ATOMIC_SEQ_CST);
    if (bepoch == epoch - 1)
        return __atomic_load_n(&tdcs->epoch_refcount[bepoch & 1], __ATOMIC_SEQ_CST) == 0;
    return bepoch < epoch - 1;
}
