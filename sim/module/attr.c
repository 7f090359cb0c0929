/*
 * TDG.MEM.PAGE.ATTR.RD and ATTR.WR in a TD without L2 VMs: there is no attribute to set, but level, state and operand
 * checks are as with them (Intel TDX Module v1.5 ABI Specification). Also TDG.VP.INVEPT with nothing to invalidate.
 */
#include "sim/module/tdcall.h"

#define PAGE_IS_PENDING (1ull << 62)
#define EEQ_ATTR_WR     5ull

/* May the TD ask about a page in this state? */
static bool is_attr_state(u64 entry)
{
    enum sept_state state = sept_state(entry);
    return sept_is_leaf(entry) && (state == SEPT_MAPPED || state == SEPT_PENDING);
}

static void answer(struct tdcall *t, u64 gpa, const struct sept_walk *walk)
{
    t->call.out[RCX] = gpa | walk->level | (sept_state(walk->value) == SEPT_PENDING ? PAGE_IS_PENDING : 0);
    t->call.out[RDX] = 0;
}

static u64 refuse(struct tdcall *t, u64 status)
{
    t->call.out[RCX] = t->call.out[RDX] = 0;
    return status;
}

static u64 leave(struct tdcall *t, u64 gpa, u64 qualification, u64 extended)
{
    mdl_unlock_to(t->call.lp, &t->call.locks, 0);
    mdl_exit_ept_violation(t->call.lp, gpa, qualification, extended);
    t->end = TDCALL_EXITED;
    return TDX_SUCCESS;
}

u64 mdl_tdg_page_attr_rd(struct tdcall *t)
{
    u64 gpa = t->call.in[RCX] & ~0xfffull;
    struct sept_walk walk;
    if (!sept_gpa_is_private(t->local->tdcs, gpa))
        return refuse(t, status_operand(TDX_OPERAND_INVALID, RCX));
    sept_walk(t->local->tdcs, gpa, LEVEL_4K, &walk);
    u64 status = sept_lock_entry(&t->call, &walk, RCX);
    if (status != TDX_SUCCESS)
        return refuse(t, status);
    if (!is_attr_state(walk.value))
        return leave(t, gpa, 0, 0);
    answer(t, gpa & ~(sept_level_bytes(walk.level) - 1), &walk);
    return TDX_SUCCESS;
}

static u64 ask_vmm(struct tdcall *t, u64 gpa, unsigned asked, const struct sept_walk *walk)
{
    u64 info = asked | walk->level << 3 | (u64)sept_state(walk->value) << 6 | (u64)sept_is_leaf(walk->value) << 14;
    return leave(t, gpa, GPA_WRITE | (walk->value & SEPT_RWX) << 3, EEQ_ATTR_WR | info << 32);
}

/* Attributes of VM n in bits 16n+15:16n of RDX, flags in R8: none may be set, as there is no VM but the TD itself. */
static u64 check_attributes(const struct tdcall *t)
{
    for (unsigned vm = 0; vm < VMS_MAX; vm++) {
        if (t->call.in[RDX] >> 16 * vm & 0xffff)
            return status_operand(TDX_OPERAND_INVALID, RDX);
        if (t->call.in[R8] >> 16 * vm & 0xffff)
            return status_operand(TDX_OPERAND_INVALID, R8);
    }
    return TDX_SUCCESS;
}

u64 mdl_tdg_page_attr_wr(struct tdcall *t)
{
    u64 rcx = t->call.in[RCX], gpa = rcx & ~0xfffull;
    unsigned level = rcx & 7;
    struct sept_walk walk;
    u64 status = check_attributes(t);
    if (status == TDX_SUCCESS)
        status = sept_check_gpa(rcx, LEVEL_4K, LEVEL_1G, RCX);
    if (status == TDX_SUCCESS && !sept_gpa_is_private(t->local->tdcs, gpa))
        status = status_operand(TDX_OPERAND_INVALID, RCX);
    if (status != TDX_SUCCESS)
        return refuse(t, status);
    sept_walk(t->local->tdcs, gpa, level, &walk);
    if (walk.level != level)
        return ask_vmm(t, gpa, level, &walk);
    status = sept_lock_entry(&t->call, &walk, RCX);
    if (status != TDX_SUCCESS)
        return refuse(t, status);
    if (!sept_is_leaf(walk.value) && sept_state(walk.value) != SEPT_FREE)
        return refuse(t, status_operand(TDX_PAGE_SIZE_MISMATCH, walk.level));
    if (!is_attr_state(walk.value))
        return ask_vmm(t, gpa, level, &walk);
    answer(t, gpa, &walk);
    return TDX_SUCCESS;
}
