/*
 * Secure EPT pages: TDH.MEM.SEPT.ADD and TDH.MEM.SEPT.REMOVE, versions 0 and 1. TDX Module v1.5 ABI Specification,
 * chapter 5. Pages for the trees of L2 VMs are refused as for a TD that has none.
 */
#include "sim/module/bytes.h"
#include "sim/module/leaves.h"
#include "sim/module/sept.h"

#define ALLOW_EXISTING  1ull
#define HANDLE_RESERVED 0xfff0000000000ffeull /* of RDX, beside the TDR's address and bit 0 */
#define PAGE_NOT_USED   (1ull << 63)          /* in R8 to R11 of version 1 */

bool sept_tdr_and_flag(u64 operand, u64 *tdr_hpa)
{
    *tdr_hpa = operand & SEPT_HPA;
    return !(operand & HANDLE_RESERVED);
}

static void fill_table(struct call *c, struct sept_op *op, u64 hpa, struct pamt_entry *page)
{
    mdl_fill(plat_page(hpa), SEPT_FREE_ENTRY, SEPT_ENTRIES);
    pamt_set(page, PT_EPT, op->td.tdr_hpa);
    page->bepoch = 0;
    plat_own(hpa, PAGE_4K);
    tdr_count_pages(c, op->td.tdr, 1);
    sept_store(c, op->walk.entry, sept_make_table(SEPT_NL_MAPPED, hpa));
}

/* `shown`: R8 as version 1 returns it; all-ones once the page is used. */
static u64 add_table(struct call *c, struct sept_op *op, u64 *shown)
{
    u64 hpa = *shown == NULL_ID ? NULL_ID : *shown & ~PAGE_NOT_USED;
    struct pamt_entry *page = NULL;
    bool is_free = sept_state(op->walk.value) == SEPT_FREE;
    if (hpa == NULL_ID && c->version == 0)
        return status_operand(TDX_OPERAND_INVALID, R8);
    if (hpa == NULL_ID ? is_free : !is_free && !(c->in[RDX] & ALLOW_EXISTING))
        return sept_refuse(c, op, TDX_EPT_ENTRY_STATE_INCORRECT);
    if (is_free) {
        u64 status = pamt_open(c, hpa, LEVEL_4K, LOCK_EXCLUSIVE, PT_NDA, R8, &page);
        if (status)
            return status;
    } else {
        *shown |= PAGE_NOT_USED;
    }
    for (unsigned vm = 1; c->version && vm < VMS_MAX; vm++)
        if (c->in[R8 + vm] != NULL_ID)
            return status_operand(TDX_OPERAND_INVALID, R8 + vm);
    if (is_free) {
        fill_table(c, op, hpa, page);
        *shown = NULL_ID;
    }
    return TDX_SUCCESS;
}

u64 leaf_mem_sept_add(struct call *c)
{
    struct sept_op op;
    u64 tdr_hpa, shown = c->in[R8] == NULL_ID ? NULL_ID : c->in[R8] & ~PAGE_NOT_USED;
    c->out[RCX] = 0;
    c->out[RDX] = 0;
    if (c->version > 1)
        return status_operand(TDX_OPERAND_INVALID, RAX);
    u64 status = status_operand(TDX_OPERAND_INVALID, RDX);
    if (sept_tdr_and_flag(c->in[RDX], &tdr_hpa))
        status = sept_begin_with_tdr(c, tdr_hpa, LEVEL_2M, SEPT_TOP, LOCK_SHARED, &op);
    if (status == TDX_SUCCESS)
        status = add_table(c, &op, &shown);
    if (c->version) {
        c->out[R8] = shown;
        for (unsigned vm = 1; vm < VMS_MAX; vm++)
            c->out[R8 + vm] = c->in[R8 + vm] == NULL_ID ? NULL_ID : c->in[R8 + vm] & ~PAGE_NOT_USED;
    }
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
    c->out[RCX] = 0;
    c->out[RDX] = 0;
    for (unsigned vm = 1; c->version && vm < VMS_MAX; vm++)
        c->out[R8 + vm] = NULL_ID;
    if (c->version > 1)
        return status_operand(TDX_OPERAND_INVALID, RAX);
    u64 status = sept_begin(c, LEVEL_2M, SEPT_TOP, LOCK_EXCLUSIVE, &op);
    if (status)
        return status;
    u64 hpa = op.walk.value & SEPT_HPA;
    struct pamt_entry *page = pamt_known(hpa, LEVEL_4K);
    status = mdl_call_lock(c, &page->lock, LOCK_HOST_PRIORITY, LOCK_EXCLUSIVE, RCX);
    if (status == TDX_SUCCESS)
        status = sept_check_tracked(c, &op, page);
    if (status == TDX_SUCCESS && !table_is_free(hpa))
        status = sept_refuse(c, &op, TDX_EPT_PAGE_NOT_FREE);
    if (status)
        return status;
    sept_store_unlock(c, op.walk.entry, SEPT_FREE_ENTRY);
    tdr_count_pages(c, op.td.tdr, -1);
    page->type = PT_NDA;
    c->out[RCX] = hpa;
    return TDX_SUCCESS;
}
