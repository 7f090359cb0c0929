/*
 * vCPUs before and after they run: TDH.VP.CREATE, ADDCX, INIT, FLUSH. TDX Module v1.5 Base Architecture Specification,
 * "VCPU Life Cycle".
 */
#include "sim/module/bytes.h"
#include "sim/module/guest.h"
#include "sim/module/leaves.h"

u64 leaf_vp_create(struct call *c)
{
    struct td td;
    struct pamt_entry *page;
    u64 hpa = c->in[RCX];
    u64 status = td_open(c, c->in[RDX], RDX, &td);
    if (status == TDX_SUCCESS)
        status = pamt_open(c, hpa, LEVEL_4K, LOCK_EXCLUSIVE, PT_NDA, RCX, &page);
    if (status)
        return status;
    struct tdvps *tdvps = plat_page(hpa);
    plat_own(hpa, PAGE_4K);
    mdl_fill(tdvps, 0, PAGE_4K / 8);
    tdvps->num_tdvps_pages = 1;
    tdvps->assoc_lpid = NO_LP;
    tdvps->tdvps_pa[0] = hpa;
    tdr_count_pages(c, td.tdr, 1);
    pamt_set(page, PT_TDVPR, td.tdr_hpa);
    return TDX_SUCCESS;
}

/* Second and third page of each L2 VM hold MSR bitmaps, in which everything exits. */
static u64 initial_tdvps_word(unsigned page_no)
{
    return page_no >= TDVPS_PAGES_MIN && (page_no - TDVPS_PAGES_MIN) % TDVPS_PAGES_PER_L2 ? ~0ull : 0;
}

u64 leaf_vp_addcx(struct call *c)
{
    struct td td;
    struct vcpu vcpu;
    struct pamt_entry *page;
    u64 hpa = c->in[RCX];
    u64 status = tdvps_open(c, c->in[RDX], LOCK_EXCLUSIVE, RDX, &vcpu, &td);
    if (status == TDX_SUCCESS)
        status = tdcs_open(c, &td, LOCK_SHARED);
    if (status)
        return status;
    struct tdvps *tdvps = vcpu.tdvps;
    if (tdvps->state != VCPU_UNINITIALIZED)
        return TDX_VCPU_STATE_INCORRECT;
    if (tdvps->num_tdvps_pages >= TDVPS_PAGES_MAX)
        return TDX_TDCX_NUM_INCORRECT;
    status = pamt_open(c, hpa, LEVEL_4K, LOCK_EXCLUSIVE, PT_NDA, RCX, &page);
    if (status)
        return status;
    plat_own(hpa, PAGE_4K);
    mdl_fill(plat_page(hpa), initial_tdvps_word(tdvps->num_tdvps_pages), PAGE_4K / 8);
    tdvps->tdvps_pa[tdvps->num_tdvps_pages++] = hpa;
    tdr_count_pages(c, td.tdr, 1);
    pamt_set(page, PT_TDCX, td.tdr_hpa);
    return TDX_SUCCESS;
}

u64 leaf_vp_init(struct call *c)
{
    struct td td;
    struct vcpu vcpu;
    u64 status = tdvps_open(c, c->in[RCX], LOCK_EXCLUSIVE, RCX, &vcpu, &td);
    if (status == TDX_SUCCESS)
        status = tdcs_open(c, &td, LOCK_SHARED);
    if (status == TDX_SUCCESS)
        status = tdvps_check_pages(&vcpu, td.tdcs);
    if (status)
        return status;
    if (vcpu.tdvps->state != VCPU_UNINITIALIZED)
        return TDX_VCPU_STATE_INCORRECT;
    plat_atomic_point(c->lp);
    u32 index = __atomic_fetch_add(&td.tdcs->num_vcpus, 1, __ATOMIC_SEQ_CST);
    if (index >= td.tdcs->max_vcpus) {
        __atomic_fetch_sub(&td.tdcs->num_vcpus, 1, __ATOMIC_SEQ_CST);
        return TDX_MAX_VCPUS_EXCEEDED;
    }
    vcpu.tdvps->vcpu_index = index;
    mdl_vcpu_init(&td, &vcpu, c->in[RDX]);
    vcpu.tdvps->state = VCPU_READY;
    return tdvps_associate(c, &vcpu, td.tdcs);
}

u64 leaf_vp_flush(struct call *c)
{
    struct td td;
    struct vcpu vcpu;
    u64 status = tdvps_open(c, c->in[RCX], LOCK_EXCLUSIVE, RCX, &vcpu, &td);
    if (status)
        return status;
    if (td.tdr->lifecycle != TD_KEYS_CONFIGURED)
        return TDX_TD_KEYS_NOT_CONFIGURED;
    td.tdcs = tdcs_page(td.tdr, TDCS_PAGE_FIELDS);
    status = tdvps_check_pages(&vcpu, td.tdcs);
    if (status)
        return status;
    if (vcpu.tdvps->assoc_lpid != c->lp->index)
        return TDX_VCPU_NOT_ASSOCIATED;
    plat_invept(c->lp, td.tdcs->eptp);
    vcpu.tdvps->assoc_lpid = NO_LP;
    plat_atomic_point(c->lp);
    __atomic_fetch_sub(&td.tdcs->num_assoc_vcpus, 1, __ATOMIC_SEQ_CST);
    mdl_lp(c->lp)->last_tdvpr_hpa = NULL_ID;
    return TDX_SUCCESS;
}
