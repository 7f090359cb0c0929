/*
 * Blocking and tracking: TDH.MEM.RANGE.BLOCK, RANGE.UNBLOCK, TRACK; and TDH.MEM.SEPT.RD. TDX Module v1.5 Base
 * Architecture Specification, "Secure EPT Concurrency" and "TLB Tracking".
 */
#include "sim/module/leaves.h"
#include "sim/module/sept.h"

/* The PAMT entry that remembers when an S-EPT entry was blocked: the page's own, or that of the table below. */
static struct pamt_entry *bepoch_entry(const struct sept_walk *walk)
{
    if (sept_is_leaf(walk->value))
        return pamt_known(sept_leaf_hpa(walk), walk->level);
    return pamt_known(walk->value & SEPT_HPA, LEVEL_4K);
}

static enum sept_state blocked(enum sept_state state)
{
    return state == SEPT_MAPPED ? SEPT_BLOCKED : state == SEPT_PENDING ? SEPT_PENDING_BLOCKED : SEPT_NL_BLOCKED;
}

static enum sept_state unblocked(enum sept_state state)
{
    return state == SEPT_BLOCKED ? SEPT_MAPPED : state == SEPT_PENDING_BLOCKED ? SEPT_PENDING : SEPT_NL_MAPPED;
}

u64 leaf_mem_range_block(struct call *c)
{
    struct sept_op op;
    u64 status = sept_begin(c, LEVEL_4K, SEPT_TOP, LOCK_EXCLUSIVE, &op);
    if (status == status_operand(TDX_EPT_ENTRY_STATE_INCORRECT, RCX) && sept_is_blocked(op.walk.value))
        return status_operand(TDX_GPA_RANGE_ALREADY_BLOCKED, RCX);
    if (status)
        return status;
    /* A 2M page that the TD has accepted in part starts over. */
    u64 clean = sept_without_count(&op.walk);
    struct pamt_entry *page = bepoch_entry(&op.walk);
    sept_store(c, op.walk.entry, sept_with_state(clean, blocked(sept_state(clean))));
    plat_atomic_point(c->lp);
    page->bepoch = __atomic_load_n(&op.td.tdcs->td_epoch, __ATOMIC_SEQ_CST);
    return TDX_SUCCESS;
}

u64 leaf_mem_range_unblock(struct call *c)
{
    struct sept_op op;
    u64 status = sept_begin(c, LEVEL_4K, SEPT_TOP, LOCK_EXCLUSIVE, &op);
    if (status)
        return status;
    if (op.td.tdcs->op_state == OP_RUNNABLE && !tdcs_is_tracked(op.td.tdcs, bepoch_entry(&op.walk)->bepoch))
        return status_operand(TDX_TLB_TRACKING_NOT_DONE, OPERAND_SEPT_TREE);
    sept_store_unlock(c, op.walk.entry, sept_with_state(op.walk.value, unblocked(sept_state(op.walk.value))));
    return TDX_SUCCESS;
}

u64 leaf_mem_track(struct call *c)
{
    struct td td;
    u64 status = td_open(c, c->in[RCX], RCX, &td);
    if (status == TDX_SUCCESS)
        status = mdl_call_lock(c, &td.tdcs->epoch_lock, LOCK_PLAIN, LOCK_EXCLUSIVE, OPERAND_TD_EPOCH);
    if (status)
        return status;
    if (__atomic_load_n(&td.tdcs->epoch_refcount[1 - (td.tdcs->td_epoch & 1)], __ATOMIC_SEQ_CST))
        return TDX_PREVIOUS_TLB_EPOCH_BUSY;
    plat_atomic_point(c->lp);
    __atomic_store_n(&td.tdcs->td_epoch, td.tdcs->td_epoch + 1, __ATOMIC_SEQ_CST);
    return TDX_SUCCESS;
}

#define READ_L2_ATTRIBUTES 1ull /* of RDX: asks for the L2 VMs' attributes too, for debuggers */

u64 leaf_mem_sept_rd(struct call *c)
{
    struct sept_op op;
    bool attributes = c->in[RDX] & READ_L2_ATTRIBUTES;
    c->out[RCX] = 0;
    c->out[RDX] = 0;
    u64 status = td_open(c, c->in[RDX] & ~READ_L2_ATTRIBUTES, RDX, &op.td);
    if (status)
        return status;
    if (attributes && !(op.td.tdcs->attributes & ATTR_DEBUG))
        return status_operand(TDX_OPERAND_INVALID, RDX);
    status = sept_check_gpa(c->in[RCX], LEVEL_4K, sept_top_level(op.td.tdcs), RCX);
    if (status)
        return status;
    op.gpa = c->in[RCX] & SEPT_HPA;
    status = sept_open(c, &op.td, op.gpa, c->in[RCX] & 7, LOCK_SHARED, RCX, &op.walk);
    if (status == TDX_SUCCESS)
        status = sept_lock_entry(c, &op.walk, RCX);
    if (status)
        return status;
    if (attributes)
        c->out[R8] = 0; /* no page is aliased to an L2 VM */
    sept_report(c, &op.walk);
    return TDX_SUCCESS;
}
