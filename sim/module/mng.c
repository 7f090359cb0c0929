/*
 * A TD's life outside its memory: TDH.MNG.CREATE, KEY.CONFIG, ADDCX, VPFLUSHDONE, KEY.FREEID, KEY.RECLAIMID. TDX
 * Module v1.5 Base Architecture Specification, "TD Life Cycle Management". TDH.MNG.INIT is in td_params.c.
 */
#include "sim/module/bytes.h"
#include "sim/module/hkid.h"
#include "sim/module/leaves.h"
#include "sim/module/sept.h"
#include "sim/module/sys_info.h"

static u64 draw_256_bits(u64 bits[4])
{
    for (unsigned i = 0; i < 4; i++)
        if (!plat_random(&bits[i]))
            return TDX_RND_NO_ENTROPY;
    return TDX_SUCCESS;
}

u64 leaf_mng_create(struct call *c)
{
    u64 hpa = c->in[RCX], uuid[4];
    struct pamt_entry *page;
    if (!hkid_is_private(c->in[RDX]))
        return status_operand(TDX_OPERAND_INVALID, RDX);
    u16 hkid = (u16)c->in[RDX];
    u64 status = pamt_open(c, hpa, LEVEL_4K, LOCK_EXCLUSIVE, PT_NDA, RCX, &page);
    if (status == TDX_SUCCESS)
        status = mdl_call_lock(c, &mdl_sys.kot_lock, LOCK_PLAIN, LOCK_EXCLUSIVE, OPERAND_KOT);
    if (status)
        return status;
    if (mdl_sys.kot[hkid].state != HKID_FREE)
        return TDX_HKID_NOT_FREE;
    struct tdr *tdr = plat_page(hpa);
    plat_own(hpa, PAGE_4K);
    mdl_fill(tdr, 0, PAGE_4K / 8);
    status = draw_256_bits(uuid);
    if (status)
        return status;
    mdl_copy(tdr->td_uuid, uuid, sizeof(uuid));
    mdl_sys.kot[hkid].state = HKID_ASSIGNED;
    tdr->hkid = hkid;
    tdr->lifecycle = TD_HKID_ASSIGNED;
    pamt_set(page, PT_TDR, 0);
    return TDX_SUCCESS;
}

u64 leaf_mng_key_config(struct call *c)
{
    struct td td;
    u64 status = tdr_open(c, c->in[RCX], LOCK_EXCLUSIVE, RCX, &td);
    if (status)
        return status;
    u64 package = 1ull << c->lp->package;
    if (td.tdr->fatal)
        return TDX_TD_FATAL;
    if (td.tdr->lifecycle != TD_HKID_ASSIGNED)
        return TDX_LIFECYCLE_STATE_INCORRECT;
    if (td.tdr->pkg_config_bitmap & package)
        return TDX_KEY_CONFIGURED;
    status = hkid_program_key(c, td.tdr->hkid);
    if (status)
        return status;
    td.tdr->pkg_config_bitmap |= package;
    if (td.tdr->pkg_config_bitmap == mdl_sys.packages_keyed)
        td.tdr->lifecycle = TD_KEYS_CONFIGURED;
    return TDX_SUCCESS;
}

/* What the page holds before TDH.MNG.INIT: every MSR exits, every S-EPT entry is free. */
static u64 initial_tdcs_word(u32 page_no)
{
    if (page_no == TDCS_PAGE_MSR_BITMAPS)
        return ~0ull;
    return page_no == TDCS_PAGE_SEPT_ROOT ? SEPT_FREE_ENTRY : 0;
}

u64 leaf_mng_addcx(struct call *c)
{
    struct td td;
    struct pamt_entry *page;
    u64 hpa = c->in[RCX];
    u64 status = tdr_open(c, c->in[RDX], LOCK_EXCLUSIVE, RDX, &td);
    if (status)
        return status;
    u32 count = td.tdr->num_tdcx;
    if (td.tdr->fatal)
        return TDX_TD_FATAL;
    if (td.tdr->lifecycle != TD_KEYS_CONFIGURED)
        return TDX_TD_KEYS_NOT_CONFIGURED;
    if (count >= TDCS_PAGES_MAX)
        return TDX_TDCX_NUM_INCORRECT;
    status = pamt_open(c, hpa, LEVEL_4K, LOCK_EXCLUSIVE, PT_NDA, RCX, &page);
    if (status)
        return status;
    plat_own(hpa, PAGE_4K);
    mdl_fill(plat_page(hpa), initial_tdcs_word(count), PAGE_4K / 8);
    struct tdcs *tdcs = count ? tdcs_page(td.tdr, TDCS_PAGE_FIELDS) : NULL;
    if (count >= mdl_tdcs_pages() && !tdcs_leaf_allowed(tdcs, c->leaf))
        return TDX_OP_STATE_INCORRECT;
    /* A key for the next migration session is drawn as soon as the TDCS is complete. */
    if (count + 1 == mdl_tdcs_pages() && draw_256_bits(tdcs->mig_enc_key))
        return TDX_RND_NO_ENTROPY;
    td.tdr->tdcx_pa[count] = hpa;
    td.tdr->num_tdcx = count + 1;
    td.tdr->chldcnt++;
    pamt_set(page, PT_TDCX, td.tdr_hpa);
    return TDX_SUCCESS;
}

static bool has_associated_vcpus(const struct tdr *tdr)
{
    if (tdr->num_tdcx < mdl_tdcs_pages())
        return false;
    const struct tdcs *tdcs = tdcs_page(tdr, TDCS_PAGE_FIELDS);
    return tdcs->op_state != OP_UNINITIALIZED && tdcs->num_assoc_vcpus;
}

u64 leaf_mng_vpflushdone(struct call *c)
{
    struct td td;
    u64 status = tdr_open(c, c->in[RCX], LOCK_EXCLUSIVE, RCX, &td);
    if (status == TDX_SUCCESS)
        status = mdl_call_lock(c, &mdl_sys.kot_lock, LOCK_PLAIN, LOCK_EXCLUSIVE, OPERAND_KOT);
    if (status)
        return status;
    if (td.tdr->lifecycle != TD_KEYS_CONFIGURED && td.tdr->lifecycle != TD_HKID_ASSIGNED)
        return TDX_LIFECYCLE_STATE_INCORRECT;
    if (has_associated_vcpus(td.tdr))
        return TDX_FLUSHVP_NOT_DONE;
    struct kot_entry *entry = &mdl_sys.kot[td.tdr->hkid];
    entry->wbinvd_bitmap = mdl_sys.packages_keyed;
    entry->state = HKID_FLUSHED;
    td.tdr->lifecycle = TD_BLOCKED;
    return TDX_SUCCESS;
}

u64 leaf_mng_key_freeid(struct call *c)
{
    struct td td;
    u64 status = tdr_open(c, c->in[RCX], LOCK_EXCLUSIVE, RCX, &td);
    if (status)
        return status;
    if (td.tdr->lifecycle != TD_BLOCKED)
        return TDX_LIFECYCLE_STATE_INCORRECT;
    status = mdl_call_lock(c, &mdl_sys.kot_lock, LOCK_PLAIN, LOCK_EXCLUSIVE, OPERAND_KOT);
    if (status)
        return status;
    struct kot_entry *entry = &mdl_sys.kot[td.tdr->hkid];
    if (entry->wbinvd_bitmap)
        return TDX_WBCACHE_NOT_COMPLETE;
    entry->state = HKID_FREE;
    td.tdr->lifecycle = TD_TEARDOWN;
    return TDX_SUCCESS;
}

/* Kept for old VMMs; there is nothing to do. */
u64 leaf_mng_key_reclaimid(struct call *c)
{
    (void)c;
    return TDX_SUCCESS;
}
