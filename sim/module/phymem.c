/*
 * Physical pages: TDH.PHYMEM.PAGE.RDMD, RECLAIM, WBINVD. TDX Module v1.5 ABI Specification, chapter 5.
 * TDH.PHYMEM.CACHE.WB is in hkid.c.
 */
#include "sim/module/leaves.h"
#include "sim/module/td.h"

static void clear_outputs(struct call *c)
{
    c->out[RCX] = 0;
    c->out[RDX] = 0;
    for (unsigned reg = R8; reg <= R11; reg++)
        c->out[reg] = 0;
}

static void report(struct call *c, const struct pamt_entry *entry, enum page_level level)
{
    c->out[RCX] = entry->type;
    c->out[RDX] = pamt_owner(entry);
    c->out[R8] = level;
}

u64 leaf_phymem_page_rdmd(struct call *c)
{
    struct pamt_entry *entry;
    enum page_level level;
    clear_outputs(c);
    u64 status = pamt_open_any(c, c->in[RCX], LOCK_SHARED, RCX, &entry, &level);
    if (status)
        return status;
    report(c, entry, level);
    if (entry->type == PT_REG || entry->type == PT_EPT)
        c->out[R9] = entry->bepoch;
    return TDX_SUCCESS;
}

/* The TD that the page belongs to must be past its keys; its TDR goes last. */
static u64 reclaim(struct call *c, const struct pamt_entry *entry, enum page_level level)
{
    struct td td;
    if (entry->type == PT_TDR) {
        const struct tdr *tdr = plat_page(c->in[RCX]);
        if (tdr->lifecycle != TD_TEARDOWN)
            return TDX_LIFECYCLE_STATE_INCORRECT;
        return tdr->chldcnt ? TDX_TD_ASSOCIATED_PAGES_EXIST : TDX_SUCCESS;
    }
    u64 status = tdr_open_owner(c, entry, LOCK_SHARED, &td);
    if (status)
        return status;
    if (td.tdr->lifecycle != TD_TEARDOWN)
        return TDX_LIFECYCLE_STATE_INCORRECT;
    tdr_count_pages(c, td.tdr, -(1ll << 9 * level));
    return TDX_SUCCESS;
}

u64 leaf_phymem_page_reclaim(struct call *c)
{
    struct pamt_entry *entry;
    enum page_level level;
    clear_outputs(c);
    u64 status = pamt_open_any(c, c->in[RCX], LOCK_EXCLUSIVE, RCX, &entry, &level);
    if (status)
        return status;
    if (entry->type == PT_NDA || entry->type == PT_RSVD)
        return status_operand(TDX_PAGE_METADATA_INCORRECT, RCX);
    report(c, entry, level);
    if (c->in[RCX] & ((PAGE_4K << 9 * level) - 1))
        return status_operand(TDX_OPERAND_INVALID, RCX);
    status = reclaim(c, entry, level);
    if (status == TDX_SUCCESS)
        entry->type = PT_NDA;
    return status;
}

/* Caches are the machine's affair; what is left are the checks. */
u64 leaf_phymem_page_wbinvd(struct call *c)
{
    struct pamt_entry *entry;
    return pamt_open(c, c->in[RCX] & ~mdl_keyid_mask(), LEVEL_4K, LOCK_SHARED, PT_NDA, RCX, &entry);
}
