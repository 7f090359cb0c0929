/*
 * Secure EPT pages of L2 VMs: one tree a VM, its root in the TDCS, its tables added, removed and merged with those of
 * the L1 tree. TDX Module v1.5 Base Architecture Specification, "L2 Secure EPT". No record shows them; checks and their
 * order are those of the TDH.MEM functions of the module's public source (1.5.01).
 *
 * What is left out: leafs, which only TDG.MEM.PAGE.ATTR.WR for an L2 VM could make. So a table here is always empty but
 * for tables, and whether it is blocked makes no difference: nothing walks through it while the L1 entry is blocked.
 */
#include "sim/module/bytes.h"
#include "sim/module/sept.h"

#define L2_XU          (1ull << 10) /* execute in user mode, shown for tables */
#define L2_STATE_FREE  64ull
#define L2_STATE_TABLE 196ull

static u64 refuse(struct call *c, u64 status, unsigned vm, const struct sept_walk *at)
{
    u64 state = at->value ? L2_STATE_TABLE : L2_STATE_FREE;
    c->out[RCX] = at->value ? SEPT_RWX | L2_XU : SEPT_SUPPRESS_VE;
    c->out[RDX] = (u64)vm << 16 | state << 8 | at->level;
    return status | (u64)vm << 16 | at->level;
}

u64 sept_l2_walk(struct call *c, const struct sept_op *op, unsigned vm, struct sept_walk *at)
{
    u64 table = op->td.tdr->tdcx_pa[TDCS_PAGE_L2_SEPT_ROOT + vm - 1];
    at->level = sept_top_level(op->td.tdcs);
    for (;;) {
        at->entry = sept_slot(table, op->gpa, at->level);
        at->value = __atomic_load_n(at->entry, __ATOMIC_SEQ_CST);
        if (at->level == op->walk.level)
            return TDX_SUCCESS;
        if (!at->value)
            return refuse(c, TDX_L2_SEPT_WALK_FAILED, vm, at);
        table = at->value & SEPT_HPA;
        at->level--;
    }
}

u64 sept_l2_check_new(struct call *c, const struct sept_op *op, unsigned vm, bool allow_existing, u64 *shown,
                      struct sept_l2 *l2)
{
    if (vm > op->td.tdcs->num_l2_vms)
        return status_operand(TDX_OPERAND_INVALID, R8 + vm);
    u64 status = sept_l2_walk(c, op, vm, &l2->walk);
    if (status)
        return status;
    if (!l2->walk.value)
        return pamt_open(c, *shown, LEVEL_4K, LOCK_EXCLUSIVE, PT_NDA, R8 + vm, &l2->page);
    if (!allow_existing)
        return refuse(c, TDX_L2_SEPT_ENTRY_NOT_FREE, vm, &l2->walk);
    *shown |= SEPT_PAGE_NOT_USED;
    return TDX_SUCCESS;
}

void sept_l2_fill(u64 hpa)
{
    plat_own(hpa, PAGE_4K);
    mdl_fill(plat_page(hpa), 0, SEPT_ENTRIES);
}

void sept_l2_link(struct call *c, const struct sept_op *op, unsigned vm, u64 hpa, const struct sept_l2 *l2)
{
    __atomic_fetch_or(op->walk.entry, SEPT_ALIAS(vm), __ATOMIC_SEQ_CST);
    __atomic_store_n(l2->walk.entry, hpa | SEPT_RWX, __ATOMIC_SEQ_CST);
    pamt_set(l2->page, PT_EPT, op->td.tdr_hpa);
    tdr_count_pages(c, op->td.tdr, 1);
}

u64 sept_l2_open(struct call *c, const struct sept_op *op, unsigned vm, struct sept_l2 *l2)
{
    u64 status = sept_l2_walk(c, op, vm, &l2->walk);
    MDL_CHECK(status == TDX_SUCCESS && l2->walk.value, "an alias names an L2 table that is not there");
    l2->page = pamt_known(l2->walk.value & SEPT_HPA, LEVEL_4K);
    return mdl_call_lock(c, &l2->page->lock, LOCK_HOST_PRIORITY, LOCK_EXCLUSIVE, RCX);
}

void sept_l2_free(struct call *c, const struct sept_op *op, const struct sept_l2 l2[VMS_MAX])
{
    for (unsigned vm = op->td.tdcs->num_l2_vms; vm > 0; vm--) {
        if (!l2[vm].page)
            continue;
        __atomic_store_n(l2[vm].walk.entry, 0, __ATOMIC_SEQ_CST);
        tdr_count_pages(c, op->td.tdr, -1);
        l2[vm].page->type = PT_NDA;
        if (c->version)
            c->out[R8 + vm] = l2[vm].walk.value & SEPT_HPA;
    }
}
