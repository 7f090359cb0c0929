/*
 * The Secure EPT: making entries, walking, reporting, and what every TDH.MEM leaf checks before it touches an entry.
 * TDX Module v1.5 Base Architecture Specification, "TD Private Memory Management".
 */
#include "sim/module/sept.h"

#define IN(state)   (1u << ((state)&7) << ((state)&0x80 ? 8 : 0))
#define LEAF_STATES (IN(SEPT_MAPPED) | IN(SEPT_BLOCKED) | IN(SEPT_PENDING) | IN(SEPT_PENDING_BLOCKED))
#define TABLES      (IN(SEPT_NL_MAPPED) | IN(SEPT_NL_BLOCKED))
#define ALL_BLOCKED (IN(SEPT_BLOCKED) | IN(SEPT_PENDING_BLOCKED) | IN(SEPT_NL_BLOCKED))

static const u16 allowed_states[SEAMCALL_LEAVES] = {
    [TDH_MEM_PAGE_ADD] = IN(SEPT_FREE),
    [TDH_MEM_SEPT_ADD] = IN(SEPT_FREE) | IN(SEPT_NL_MAPPED),
    [TDH_MEM_PAGE_RELOCATE] = LEAF_STATES,
    [TDH_MEM_PAGE_AUG] = IN(SEPT_FREE),
    [TDH_MEM_RANGE_BLOCK] = IN(SEPT_MAPPED) | IN(SEPT_PENDING) | IN(SEPT_NL_MAPPED),
    [TDH_MEM_RD] = IN(SEPT_MAPPED),
    [TDH_MEM_WR] = IN(SEPT_MAPPED),
    [TDH_MEM_PAGE_DEMOTE] = LEAF_STATES,
    [TDH_MR_EXTEND] = IN(SEPT_MAPPED),
    [TDH_MEM_PAGE_PROMOTE] = TABLES,
    [TDH_MEM_SEPT_RD] = IN(SEPT_FREE) | LEAF_STATES | TABLES,
    [TDH_MEM_PAGE_REMOVE] = LEAF_STATES,
    [TDH_MEM_SEPT_REMOVE] = TABLES,
    [TDH_MEM_RANGE_UNBLOCK] = ALL_BLOCKED,
};

bool sept_leaf_allows(u16 leaf, enum sept_state state)
{
    return allowed_states[leaf] & IN(state);
}

bool sept_is_blocked(u64 entry)
{
    return ALL_BLOCKED & IN(sept_state(entry));
}

unsigned sept_top_level(const struct tdcs *tdcs)
{
    return tdcs->eptp >> 3 & 7;
}

u64 sept_make_leaf(enum sept_state state, u64 hpa)
{
    u64 rwx = state == SEPT_MAPPED ? SEPT_RWX : 0;
    return SEPT_SUPPRESS_VE | (u64)state << SEPT_STATE_SHIFT | hpa | SEPT_LEAF | SEPT_IPAT | SEPT_MT_WB | rwx;
}

u64 sept_make_table(enum sept_state state, u64 hpa)
{
    return SEPT_SUPPRESS_VE | (u64)state << SEPT_STATE_SHIFT | hpa | (state == SEPT_NL_MAPPED ? SEPT_RWX : 0);
}

u64 sept_with_state(u64 entry, enum sept_state state)
{
    u64 hpa = entry & SEPT_HPA;
    return sept_is_leaf(entry) ? sept_make_leaf(state, hpa) : sept_make_table(state, hpa) | (entry & SEPT_ALIASES);
}

u64 sept_leaf_hpa(const struct sept_walk *walk)
{
    return walk->value & SEPT_HPA & ~(sept_level_bytes(walk->level) - 1);
}

u64 *sept_slot(u64 table_hpa, u64 gpa, unsigned level)
{
    u64 *table = plat_page(table_hpa);
    MDL_CHECK(table, "a Secure EPT page lies outside memory");
    return &table[gpa >> (12 + 9 * level) & (SEPT_ENTRIES - 1)];
}

void sept_walk(const struct tdcs *tdcs, u64 gpa, unsigned level, struct sept_walk *walk)
{
    u64 table = tdcs->eptp & SEPT_HPA;
    walk->level = sept_top_level(tdcs);
    for (;;) {
        walk->entry = sept_slot(table, gpa, walk->level);
        walk->value = __atomic_load_n(walk->entry, __ATOMIC_SEQ_CST) & ~(SEPT_LOCK | SEPT_HOST_PRIORITY);
        if (walk->level == level || sept_state(walk->value) != SEPT_NL_MAPPED)
            return;
        table = walk->value & SEPT_HPA;
        walk->level--;
    }
}

void sept_store(struct call *c, u64 *entry, u64 value)
{
    plat_atomic_point(c->lp);
    __atomic_store_n(entry, value | SEPT_LOCK, __ATOMIC_SEQ_CST);
}

/* A host that failed to lock the entry while a TD held it has left its mark, which must outlive the TD's store. */
void sept_store_unlock(struct call *c, u64 *entry, u64 value)
{
    plat_atomic_point(c->lp);
    u64 seen = __atomic_load_n(entry, __ATOMIC_SEQ_CST), mark;
    do {
        mark = c->guest ? seen & SEPT_HOST_PRIORITY : 0;
    } while (!__atomic_compare_exchange_n(entry, &seen, value | mark, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST));
    mdl_unlock_forget(&c->locks, entry);
}

u64 sept_without_count(const struct sept_walk *walk)
{
    bool counts = sept_state(walk->value) == SEPT_PENDING && walk->level == LEVEL_2M;
    return counts ? walk->value & ~SEPT_ACCEPT_COUNT : walk->value;
}

/* The entry as RCX shows it. */
static u64 shown(u64 entry)
{
    if (sept_state(entry) == SEPT_FREE)
        return SEPT_SUPPRESS_VE;
    if (!sept_is_leaf(entry))
        return entry & (SEPT_RWX | SEPT_LEAF);
    return entry & (SEPT_SUPPRESS_VE | SEPT_HPA | SEPT_LEAF | SEPT_IPAT | 7ull << 3 | SEPT_RWX);
}

void sept_report(struct call *c, const struct sept_walk *walk)
{
    c->out[RCX] = shown(walk->value);
    c->out[RDX] = (u64)sept_state(walk->value) << 8 | walk->level;
}

u64 sept_check_gpa(u64 operand_value, unsigned min_level, unsigned max_level, unsigned operand)
{
    u64 level = operand_value & 7;
    bool reserved = operand_value & 0xff8 || operand_value >> 52;
    if (reserved || level < min_level || level > max_level ||
        operand_value & (sept_level_bytes((unsigned)level) - PAGE_4K))
        return status_operand(TDX_OPERAND_INVALID, operand);
    return TDX_SUCCESS;
}

bool sept_gpa_is_private(const struct tdcs *tdcs, u64 gpa)
{
    u64 shared_bit = tdcs->gpaw ? 1ull << 51 : 1ull << 47;
    unsigned width = tdcs->gpaw ? 52 : 48;
    return !(gpa & shared_bit) && gpa >> width == 0;
}

u64 sept_open(struct call *c, const struct td *td, u64 gpa, unsigned level, enum lock_mode tree, unsigned operand,
              struct sept_walk *walk)
{
    if (!sept_gpa_is_private(td->tdcs, gpa))
        return status_operand(TDX_OPERAND_INVALID, operand);
    u64 status = mdl_call_lock(c, &td->tdcs->sept_lock, LOCK_PLAIN, tree, OPERAND_SEPT_TREE);
    if (status)
        return status;
    sept_walk(td->tdcs, gpa, level, walk);
    if (walk->level == level)
        return TDX_SUCCESS;
    sept_report(c, walk);
    return status_operand(TDX_EPT_WALK_FAILED, operand);
}

u64 sept_lock_entry(struct call *c, struct sept_walk *walk, unsigned operand)
{
    u64 status = mdl_call_lock(c, walk->entry, LOCK_SEPT_ENTRY, LOCK_EXCLUSIVE, operand);
    if (status) {
        if (!c->guest)
            sept_report(c, walk);
        return status;
    }
    walk->value = __atomic_load_n(walk->entry, __ATOMIC_SEQ_CST) & ~(SEPT_LOCK | SEPT_HOST_PRIORITY);
    return TDX_SUCCESS;
}

u64 sept_begin(struct call *c, unsigned min_level, unsigned max_level, enum lock_mode tree, struct sept_op *op)
{
    c->out[RCX] = 0;
    c->out[RDX] = 0;
    return sept_begin_with_tdr(c, c->in[RDX], min_level, max_level, tree, op);
}

u64 sept_begin_with_tdr(struct call *c, u64 tdr_hpa, unsigned min_level, unsigned max_level, enum lock_mode tree,
                        struct sept_op *op)
{
    u64 status = td_open(c, tdr_hpa, RDX, &op->td);
    if (status)
        return status;
    if (max_level == SEPT_TOP)
        max_level = sept_top_level(op->td.tdcs);
    status = sept_check_gpa(c->in[RCX], min_level, max_level, RCX);
    if (status)
        return status;
    op->gpa = c->in[RCX] & SEPT_HPA;
    status = sept_open(c, &op->td, op->gpa, c->in[RCX] & 7, tree, RCX, &op->walk);
    if (status == TDX_SUCCESS)
        status = sept_lock_entry(c, &op->walk, RCX);
    if (status || sept_leaf_allows(c->leaf, sept_state(op->walk.value)))
        return status;
    return sept_refuse(c, op, TDX_EPT_ENTRY_STATE_INCORRECT);
}

u64 sept_refuse(struct call *c, const struct sept_op *op, u64 status)
{
    sept_report(c, &op->walk);
    return status_operand(status, RCX);
}

u64 sept_check_tracked(struct call *c, const struct sept_op *op, const struct pamt_entry *page)
{
    if (op->td.tdcs->op_state != OP_RUNNABLE)
        return TDX_SUCCESS;
    if (!sept_is_blocked(op->walk.value))
        return sept_refuse(c, op, TDX_GPA_RANGE_NOT_BLOCKED);
    if (!tdcs_is_tracked(op->td.tdcs, page->bepoch))
        return status_operand(TDX_TLB_TRACKING_NOT_DONE, RCX);
    return TDX_SUCCESS;
}

u64 sept_begin_freeing(struct call *c, unsigned max_level, enum lock_mode tree, struct sept_op *op,
                       struct pamt_entry **table)
{
    c->out[RCX] = 0;
    c->out[RDX] = 0;
    for (unsigned vm = 1; c->version && vm < VMS_MAX; vm++)
        c->out[R8 + vm] = NULL_ID;
    if (c->version > 1)
        return status_operand(TDX_OPERAND_INVALID, RAX);
    u64 status = sept_begin(c, LEVEL_2M, max_level, tree, op);
    if (status)
        return status;
    *table = pamt_known(op->walk.value & SEPT_HPA, LEVEL_4K);
    status = mdl_call_lock(c, &(*table)->lock, LOCK_HOST_PRIORITY, LOCK_EXCLUSIVE, RCX);
    return status ? status : sept_check_tracked(c, op, *table);
}
