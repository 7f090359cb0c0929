/*
 * Pages of a TD: TDH.MEM.PAGE.ADD, AUG, REMOVE and RELOCATE, and the debugger's TDH.MEM.RD and WR. TDX Module v1.5 ABI
 * Specification, chapter 5.
 */
#include "sim/module/bytes.h"
#include "sim/module/leaves.h"
#include "sim/module/measure.h"
#include "sim/module/sept.h"

#define HPA_BITS ((1ull << 52) - 1)

static void own_page(struct pamt_entry *entry, u64 hpa, enum page_level level, u64 tdr_hpa)
{
    plat_own(hpa, sept_level_bytes(level));
    pamt_set(entry, PT_REG, tdr_hpa);
    entry->bepoch = 0;
}

/* The TDR is held exclusively, so that neither the tree nor the entry is locked. */
static u64 page_add_entry(struct call *c, struct sept_op *op)
{
    u64 status = tdr_open(c, c->in[RDX], LOCK_EXCLUSIVE, RDX, &op->td);
    if (status == TDX_SUCCESS)
        status = tdcs_open_exclusive(c, &op->td);
    if (status == TDX_SUCCESS)
        status = sept_check_gpa(c->in[RCX], LEVEL_4K, LEVEL_4K, RCX);
    if (status)
        return status;
    op->gpa = c->in[RCX] & SEPT_HPA;
    if (!sept_gpa_is_private(op->td.tdcs, op->gpa))
        return status_operand(TDX_OPERAND_INVALID, RCX);
    sept_walk(op->td.tdcs, op->gpa, LEVEL_4K, &op->walk);
    if (op->walk.level != LEVEL_4K)
        return sept_refuse(c, op, TDX_EPT_WALK_FAILED);
    if (!sept_leaf_allows(c->leaf, sept_state(op->walk.value)))
        return sept_refuse(c, op, TDX_EPT_ENTRY_STATE_INCORRECT);
    return TDX_SUCCESS;
}

u64 leaf_mem_page_add(struct call *c)
{
    struct sept_op op;
    struct pamt_entry *page;
    u64 hpa = c->in[R8];
    c->out[RCX] = 0;
    c->out[RDX] = 0;
    u64 status = page_add_entry(c, &op);
    if (status == TDX_SUCCESS)
        status = mdl_check_shared_hpa(c->in[R9], PAGE_4K, R9);
    if (status == TDX_SUCCESS)
        status = pamt_open(c, hpa, LEVEL_4K, LOCK_EXCLUSIVE, PT_NDA, R8, &page);
    if (status)
        return status;
    void *target = plat_page(hpa), *source = mdl_shared_pointer(c->lp, c->in[R9]);
    if (!source)
        return status_operand(TDX_OPERAND_INVALID, R9);
    own_page(page, hpa, LEVEL_4K, op.td.tdr_hpa);
    mdl_copy(target, source, PAGE_4K);
    plat_atomic_point(c->lp);
    __atomic_store_n(op.walk.entry, sept_make_leaf(SEPT_MAPPED, hpa), __ATOMIC_SEQ_CST);
    mdl_measure_page_add(op.td.tdcs, op.gpa);
    op.td.tdr->chldcnt++;
    return TDX_SUCCESS;
}

u64 leaf_mem_page_aug(struct call *c)
{
    struct sept_op op;
    struct pamt_entry *page;
    u64 hpa = c->in[R8];
    u64 status = sept_begin(c, LEVEL_4K, LEVEL_2M, LOCK_SHARED, &op);
    if (status == TDX_SUCCESS)
        status = pamt_open_free(c, hpa, op.walk.level, R8, &page);
    if (status)
        return status;
    own_page(page, hpa, op.walk.level, op.td.tdr_hpa);
    sept_store_unlock(c, op.walk.entry, sept_make_leaf(SEPT_PENDING, hpa));
    tdr_count_pages(c, op.td.tdr, 1ll << 9 * op.walk.level);
    return TDX_SUCCESS;
}

u64 leaf_mem_page_remove(struct call *c)
{
    struct sept_op op;
    u64 status = sept_begin(c, LEVEL_4K, LEVEL_1G, LOCK_SHARED, &op);
    if (status)
        return status;
    op.walk.value = sept_without_count(&op.walk); /* nor in a refusal */
    u64 hpa = sept_leaf_hpa(&op.walk);
    struct pamt_entry *page = pamt_known(hpa, op.walk.level);
    status = mdl_call_lock(c, &page->lock, LOCK_HOST_PRIORITY, LOCK_EXCLUSIVE, RCX);
    if (status == TDX_SUCCESS)
        status = sept_check_tracked(c, &op, page);
    if (status)
        return status;
    sept_store_unlock(c, op.walk.entry, SEPT_FREE_ENTRY);
    tdr_count_pages(c, op.td.tdr, -(1ll << 9 * op.walk.level));
    page->type = PT_NDA;
    c->out[RCX] = hpa;
    return TDX_SUCCESS;
}

/* The state of an entry that becomes reachable again. */
static enum sept_state unblocked(enum sept_state state)
{
    return state == SEPT_BLOCKED ? SEPT_MAPPED : state == SEPT_PENDING_BLOCKED ? SEPT_PENDING : state;
}

static u64 relocate_check(struct call *c, struct sept_op *op, struct pamt_entry **old, struct pamt_entry **page)
{
    u64 status = sept_begin(c, LEVEL_4K, LEVEL_4K, LOCK_SHARED, op);
    if (status)
        return status;
    u64 hpa = sept_leaf_hpa(&op->walk);
    if (hpa == (c->in[R8] & HPA_BITS)) /* bits above do not hide that it is the same page */
        return status_operand(TDX_OPERAND_INVALID, R8);
    *old = pamt_known(hpa, LEVEL_4K);
    status = mdl_call_lock(c, &(*old)->lock, LOCK_HOST_PRIORITY, LOCK_EXCLUSIVE, RCX);
    if (status == TDX_SUCCESS)
        status = sept_check_tracked(c, op, *old);
    if (status == TDX_SUCCESS)
        status = pamt_open(c, c->in[R8], LEVEL_4K, LOCK_EXCLUSIVE, PT_NDA, R8, page);
    return status;
}

u64 leaf_mem_page_relocate(struct call *c)
{
    struct sept_op op;
    struct pamt_entry *old, *page;
    u64 status = relocate_check(c, &op, &old, &page);
    if (status)
        return status;
    u64 from = sept_leaf_hpa(&op.walk), to = c->in[R8];
    enum sept_state state = unblocked(sept_state(op.walk.value));
    own_page(page, to, LEVEL_4K, op.td.tdr_hpa);
    if (state == SEPT_MAPPED)
        mdl_copy(plat_page(to), plat_page(from), PAGE_4K);
    old->type = PT_NDA;
    sept_store_unlock(c, op.walk.entry, sept_make_leaf(state, to));
    c->out[RCX] = from;
    return TDX_SUCCESS;
}

/* The leaf that maps `gpa`, whatever its size, with its entry locked. */
static u64 debug_entry(struct call *c, struct sept_op *op)
{
    u64 status = td_open(c, c->in[RDX], RDX, &op->td);
    if (status)
        return status;
    if (!(op->td.tdcs->attributes & ATTR_DEBUG))
        return TDX_TD_NON_DEBUG;
    op->gpa = c->in[RCX];
    if (op->gpa & 7)
        return status_operand(TDX_OPERAND_INVALID, RCX);
    status = mdl_call_lock(c, &op->td.tdcs->sept_lock, LOCK_PLAIN, LOCK_SHARED, OPERAND_SEPT_TREE);
    if (status)
        return status;
    if (!sept_gpa_is_private(op->td.tdcs, op->gpa))
        return status_operand(TDX_OPERAND_INVALID, RCX);
    sept_walk(op->td.tdcs, op->gpa, LEVEL_4K, &op->walk);
    if (!sept_is_leaf(op->walk.value) || !(op->walk.value & SEPT_RWX))
        return sept_refuse(c, op, TDX_EPT_ENTRY_NOT_PRESENT);
    status = sept_lock_entry(c, &op->walk, RCX);
    if (status == TDX_SUCCESS && !sept_leaf_allows(c->leaf, sept_state(op->walk.value)))
        status = sept_refuse(c, op, TDX_EPT_ENTRY_STATE_INCORRECT);
    return status;
}

static u64 debug_access(struct call *c, bool write)
{
    struct sept_op op;
    c->out[RCX] = 0;
    c->out[RDX] = 0;
    c->out[R8] = 0;
    u64 status = debug_entry(c, &op);
    if (status)
        return status;
    u64 hpa = sept_leaf_hpa(&op.walk) + (op.gpa & (sept_level_bytes(op.walk.level) - 1));
    u64 *data = (u64 *)((u8 *)plat_page(hpa & ~(PAGE_4K - 1)) + (hpa & (PAGE_4K - 1)));
    c->out[R8] = *data;
    if (write)
        *data = c->in[R8];
    return TDX_SUCCESS;
}

u64 leaf_mem_rd(struct call *c)
{
    return debug_access(c, false);
}

u64 leaf_mem_wr(struct call *c)
{
    return debug_access(c, true);
}
