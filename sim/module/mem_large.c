/*
 * Splitting and merging: TDH.MEM.PAGE.DEMOTE and TDH.MEM.PAGE.PROMOTE. TDX Module v1.5 Base Architecture
 * Specification, "Secure EPT Operations". Tables of L2 VMs are in sept_l2.c.
 *
 * TDX_FEATURES0 may let DEMOTE do without BLOCK and TRACK, and without looking for interrupts (abi.h).
 *
 * Both look for interrupts once, after everything has been checked and just before anything changes; the registers are
 * then as they were and the same call starts over.
 */
#include "sim/module/leaves.h"
#include "sim/module/sept.h"

#define SPARSE_L2 1ull /* of RDX: tables for L2 VMs that alias the page alone */

static u64 interrupted(struct call *c)
{
    c->out[RCX] = c->in[RCX];
    c->out[RDX] = c->in[RDX];
    return TDX_INTERRUPTED_RESTARTABLE;
}

/* Children of a split page: the state of the large one, unblocked. */
static void fill_children(u64 table_hpa, const struct sept_walk *walk)
{
    enum sept_state state = sept_state(walk->value);
    bool pending = state == SEPT_PENDING || state == SEPT_PENDING_BLOCKED;
    u64 hpa = sept_leaf_hpa(walk), *table = plat_page(table_hpa);
    for (unsigned i = 0; i < SEPT_ENTRIES; i++, hpa += sept_level_bytes(walk->level - 1))
        table[i] = sept_make_leaf(pending ? SEPT_PENDING : SEPT_MAPPED, hpa);
}

static bool has_feature(u64 bit)
{
    return plat_info()->features0 & bit;
}

/* Pages offered for tables of L2 VMs in R9 to R11; those that are used have their PAMT entry in `l2`. */
struct l2_pages {
    u64 shown[VMS_MAX];
    struct sept_l2 l2[VMS_MAX];
};

/* No large page is aliased here, so that with the sparse flag no page offered is used. */
static u64 open_l2_pages(struct call *c, const struct sept_op *op, struct l2_pages *p)
{
    for (unsigned vm = 1; vm < VMS_MAX; vm++) {
        p->shown[vm] = c->in[R8 + vm];
        if (vm > op->td.tdcs->num_l2_vms || p->shown[vm] == NULL_ID)
            continue;
        if (c->in[RDX] & SPARSE_L2) {
            p->shown[vm] |= SEPT_PAGE_NOT_USED;
            continue;
        }
        u64 status = pamt_open(c, p->shown[vm] & ~SEPT_PAGE_NOT_USED, LEVEL_4K, LOCK_EXCLUSIVE, PT_NDA, R8 + vm,
                               &p->l2[vm].page);
        if (status)
            return status;
    }
    return TDX_SUCCESS;
}

static u64 fill_l2_pages(struct call *c, const struct sept_op *op, struct l2_pages *p)
{
    for (unsigned vm = 1; vm < VMS_MAX; vm++) {
        if (!p->l2[vm].page)
            continue;
        if (mdl_interrupted(c))
            return interrupted(c);
        u64 status = sept_l2_walk(c, op, vm, &p->l2[vm].walk);
        if (status)
            return status;
        sept_l2_fill(p->shown[vm] & ~SEPT_PAGE_NOT_USED);
    }
    return TDX_SUCCESS;
}

static void link_l2_pages(struct call *c, const struct sept_op *op, const struct l2_pages *p)
{
    for (unsigned vm = 1; vm < VMS_MAX; vm++) {
        c->out[R8 + vm] = p->shown[vm];
        if (p->l2[vm].page)
            sept_l2_link(c, op, vm, p->shown[vm] & ~SEPT_PAGE_NOT_USED, &p->l2[vm]);
    }
}

u64 leaf_mem_page_demote(struct call *c)
{
    struct sept_op op;
    struct pamt_entry *table;
    struct l2_pages l2 = {0};
    u64 tdr_hpa, status = status_operand(TDX_OPERAND_INVALID, RDX);
    c->out[RCX] = 0;
    c->out[RDX] = 0;
    if (sept_tdr_and_flag(c->in[RDX], &tdr_hpa))
        status = sept_begin_with_tdr(c, tdr_hpa, LEVEL_2M, LEVEL_1G, LOCK_SHARED, &op);
    if (status)
        return status;
    op.walk.value = sept_without_count(&op.walk); /* nor in a refusal */
    u64 hpa = sept_leaf_hpa(&op.walk);
    struct pamt_entry *page = pamt_known(hpa, op.walk.level);
    if (!has_feature(FEATURES0_NON_BLOCKING_RESIZE))
        status = sept_check_tracked(c, &op, page);
    if (status == TDX_SUCCESS)
        status = pamt_open(c, c->in[R8], LEVEL_4K, LOCK_EXCLUSIVE, PT_NDA, R8, &table);
    if (status == TDX_SUCCESS)
        status = open_l2_pages(c, &op, &l2);
    if (status)
        return status;
    plat_own(c->in[R8], PAGE_4K);
    fill_children(c->in[R8], &op.walk);
    status = fill_l2_pages(c, &op, &l2);
    if (status)
        return status;
    if (!has_feature(FEATURES0_DEMOTE_UNINTERRUPTED) && mdl_interrupted(c))
        return interrupted(c);
    status = mdl_call_lock(c, &page->lock, LOCK_HOST_PRIORITY, LOCK_EXCLUSIVE, RCX);
    if (status)
        return status;
    pamt_split(hpa, op.walk.level);
    sept_store(c, op.walk.entry, sept_make_table(SEPT_NL_MAPPED, c->in[R8]));
    pamt_set(table, PT_EPT, op.td.tdr_hpa);
    tdr_count_pages(c, op.td.tdr, 1);
    link_l2_pages(c, &op, &l2);
    return TDX_SUCCESS;
}

/* Is child `i` what it must be, given the first? Both without lock and mark. */
static bool continues(const struct sept_walk *first, const struct sept_walk *child, unsigned i)
{
    if (i == 0) {
        enum sept_state state = sept_state(child->value);
        u64 merged_bytes = sept_level_bytes(child->level + 1);
        return !(sept_leaf_hpa(child) & (merged_bytes - 1)) && (state == SEPT_MAPPED || state == SEPT_PENDING);
    }
    u64 expected = sept_leaf_hpa(first) + i * sept_level_bytes(child->level);
    return sept_state(child->value) == sept_state(first->value) && sept_leaf_hpa(child) == expected;
}

/* Locks all children in turn; `locked` of them are locked at the end. `first` is child 0. */
static u64 check_children(struct call *c, u64 table_hpa, unsigned level, unsigned *locked, struct sept_walk *first)
{
    u64 *table = plat_page(table_hpa);
    for (unsigned i = 0; i < SEPT_ENTRIES; i++) {
        if (!mdl_try_sept_entry(c->lp, &table[i]))
            return TDX_OPERAND_BUSY;
        *locked = i + 1;
        struct sept_walk child = {&table[i], table[i] & ~(SEPT_LOCK | SEPT_HOST_PRIORITY), level};
        if (i == 0)
            *first = child;
        if (!continues(first, &child, i))
            return TDX_EPT_INVALID_PROMOTE_CONDITIONS;
    }
    return TDX_SUCCESS;
}

static void unlock_children(struct call *c, u64 table_hpa, unsigned locked)
{
    u64 *table = plat_page(table_hpa);
    for (unsigned i = 0; i < locked; i++)
        mdl_release_sept_entry(c->lp, &table[i]);
}

static u64 merge(struct call *c, struct sept_op *op, u64 table_hpa, const struct sept_walk *first)
{
    if (mdl_interrupted(c))
        return interrupted(c);
    u64 hpa = sept_leaf_hpa(first);
    struct pamt_path path;
    MDL_CHECK(pamt_find(hpa, &path), "pages to merge have no PAMT");
    u64 status = mdl_call_lock(c, &path.at[op->walk.level]->lock, LOCK_HOST_PRIORITY, LOCK_EXCLUSIVE, RCX);
    if (status)
        return status;
    pamt_merge(hpa, op->walk.level);
    sept_store(c, op->walk.entry, first->value);
    tdr_count_pages(c, op->td.tdr, -1);
    c->out[RCX] = table_hpa;
    return TDX_SUCCESS;
}

/* Tables of L2 VMs beside the one that goes. They are empty: no L2 VM has pages. */
static u64 open_l2_tables(struct call *c, const struct sept_op *op, struct sept_l2 l2[VMS_MAX])
{
    for (unsigned vm = 1; vm <= op->td.tdcs->num_l2_vms; vm++) {
        if (!(op->walk.value & SEPT_ALIAS(vm)))
            continue;
        u64 status = mdl_interrupted(c) ? interrupted(c) : sept_l2_open(c, op, vm, &l2[vm]);
        if (status)
            return status;
    }
    return TDX_SUCCESS;
}

u64 leaf_mem_page_promote(struct call *c)
{
    struct sept_op op;
    struct pamt_entry *table;
    u64 status = sept_begin_freeing(c, LEVEL_1G, LOCK_SHARED, &op, &table);
    if (status)
        return status;
    u64 table_hpa = op.walk.value & SEPT_HPA;
    unsigned locked = 0;
    struct sept_walk first;
    struct sept_l2 l2[VMS_MAX] = {0};
    status = check_children(c, table_hpa, op.walk.level - 1, &locked, &first);
    status = status ? sept_refuse(c, &op, status) : open_l2_tables(c, &op, l2);
    if (status == TDX_SUCCESS)
        status = merge(c, &op, table_hpa, &first);
    if (status) {
        unlock_children(c, table_hpa, locked);
        return status;
    }
    table->type = PT_NDA;
    sept_l2_free(c, &op, l2);
    return TDX_SUCCESS;
}
