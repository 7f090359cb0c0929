/*
 * Secure EPT pages: TDH.MEM.SEPT.ADD and TDH.MEM.SEPT.REMOVE, versions 0 and 1. TDX Module v1.5 ABI Specification,
 * chapter 5. Tables of L2 VMs, which only version 1 adds, are in sept_l2.c.
 */
#include "sim/module/bytes.h"
#include "sim/module/leaves.h"
#include "sim/module/sept.h"

#define ALLOW_EXISTING  1ull
#define HANDLE_RESERVED 0xfff0000000000ffeull /* of RDX, beside the TDR's address and bit 0 */

bool sept_tdr_and_flag(u64 operand, u64 *tdr_hpa)
{
    *tdr_hpa = operand & SEPT_HPA;
    return !(operand & HANDLE_RESERVED);
}

static void fill_table(struct call *c, struct sept_op *op, u64 hpa, struct pamt_entry *page)
{
    plat_own(hpa, PAGE_4K);
    mdl_fill(plat_page(hpa), SEPT_FREE_ENTRY, SEPT_ENTRIES);
    pamt_set(page, PT_EPT, op->td.tdr_hpa);
    page->bepoch = 0;
    tdr_count_pages(c, op->td.tdr, 1);
    sept_store(c, op->walk.entry, sept_make_table(SEPT_NL_MAPPED, hpa));
}

/* Pages for new tables by VM, 0 the L1 tree: as version 1 returns them, all-ones once used. */
struct new_tables {
    u64 shown[VMS_MAX];
    struct pamt_entry *page;
    struct sept_l2 l2[VMS_MAX];
};

static u64 check_l1(struct call *c, struct sept_op *op, struct new_tables *t)
{
    bool is_free = sept_state(op->walk.value) == SEPT_FREE, none = t->shown[0] == NULL_ID;
    if (none && c->version == 0)
        return status_operand(TDX_OPERAND_INVALID, R8);
    if (none ? is_free : !is_free && !(c->in[RDX] & ALLOW_EXISTING))
        return sept_refuse(c, op, TDX_EPT_ENTRY_STATE_INCORRECT);
    if (is_free)
        return pamt_open(c, t->shown[0], LEVEL_4K, LOCK_EXCLUSIVE, PT_NDA, R8, &t->page);
    t->shown[0] |= SEPT_PAGE_NOT_USED;
    return TDX_SUCCESS;
}

/* Each page after the first waits for the interrupts that are pending. */
static u64 add_tables(struct call *c, struct sept_op *op, struct new_tables *t)
{
    bool added = !(t->shown[0] & SEPT_PAGE_NOT_USED);
    if (added) {
        fill_table(c, op, t->shown[0], t->page);
        t->shown[0] = NULL_ID;
    }
    for (unsigned vm = 1; c->version && vm < VMS_MAX; vm++) {
        if (t->shown[vm] & SEPT_PAGE_NOT_USED)
            continue;
        if (added && mdl_interrupted(c)) {
            c->out[RCX] = c->in[RCX];
            c->out[RDX] = c->in[RDX];
            return TDX_INTERRUPTED_RESUMABLE;
        }
        sept_l2_fill(t->shown[vm]);
        t->l2[vm].page->bepoch = 0;
        sept_l2_link(c, op, vm, t->shown[vm], &t->l2[vm]);
        t->shown[vm] = NULL_ID;
        added = true;
    }
    return TDX_SUCCESS;
}

static u64 sept_add(struct call *c, struct new_tables *t)
{
    struct sept_op op;
    u64 tdr_hpa;
    if (!sept_tdr_and_flag(c->in[RDX], &tdr_hpa))
        return status_operand(TDX_OPERAND_INVALID, RDX);
    u64 status = sept_begin_with_tdr(c, tdr_hpa, LEVEL_2M, SEPT_TOP, LOCK_SHARED, &op);
    if (status == TDX_SUCCESS)
        status = check_l1(c, &op, t);
    for (unsigned vm = 1; c->version && status == TDX_SUCCESS && vm < VMS_MAX; vm++)
        if (t->shown[vm] != NULL_ID)
            status = sept_l2_check_new(c, &op, vm, c->in[RDX] & ALLOW_EXISTING, &t->shown[vm], &t->l2[vm]);
    return status ? status : add_tables(c, &op, t);
}

u64 leaf_mem_sept_add(struct call *c)
{
    struct new_tables tables = {.page = NULL};
    c->out[RCX] = 0;
    c->out[RDX] = 0;
    if (c->version > 1)
        return status_operand(TDX_OPERAND_INVALID, RAX);
    for (unsigned vm = 0; vm < VMS_MAX; vm++)
        tables.shown[vm] = c->in[R8 + vm] == NULL_ID ? NULL_ID : c->in[R8 + vm] & ~SEPT_PAGE_NOT_USED;
    u64 status = sept_add(c, &tables);
    for (unsigned vm = 0; c->version && vm < VMS_MAX; vm++)
        c->out[R8 + vm] = tables.shown[vm];
    return status;
}

static bool table_is_free(u64 hpa)
{
    const u64 *table = plat_page(hpa);
    for (unsigned i = 0; i < SEPT_ENTRIES; i++)
        if (sept_state(__atomic_load_n(&table[i], __ATOMIC_SEQ_CST)) != SEPT_FREE)
            return false;
    return true;
}

u64 leaf_mem_sept_remove(struct call *c)
{
    struct sept_op op;
    struct pamt_entry *page;
    u64 status = sept_begin_freeing(c, SEPT_TOP, LOCK_EXCLUSIVE, &op, &page);
    if (status)
        return status;
    u64 hpa = op.walk.value & SEPT_HPA;
    if (!table_is_free(hpa))
        status = sept_refuse(c, &op, TDX_EPT_PAGE_NOT_FREE);
    struct sept_l2 l2[VMS_MAX] = {0};
    for (unsigned vm = 1; status == TDX_SUCCESS && vm <= op.td.tdcs->num_l2_vms; vm++)
        if (op.walk.value & SEPT_ALIAS(vm))
            status = sept_l2_open(c, &op, vm, &l2[vm]);
    if (status)
        return status;
    sept_l2_free(c, &op, l2);
    sept_store_unlock(c, op.walk.entry, SEPT_FREE_ENTRY);
    tdr_count_pages(c, op.td.tdr, -1);
    page->type = PT_NDA;
    c->out[RCX] = hpa;
    return TDX_SUCCESS;
}
