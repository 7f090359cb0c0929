/*
 * The model of P-SEAMLDR: see seamldr.h. One CPU at a time is inside. Left out: the RSA signature (a simulated platform has
 * nobody who could sign), handoff data of an update, the count of updates, CLEANUP and SEAMINFO. In the order of checks of its
 * public source.
 */
#include "sim/seamldr/seamldr.h"
#include "sim/module/platform.h"
#include "sim/seamldr/abi.h"

#define PAGE       4096ull
#define CPUID_STEP 0xfull /* of a signature: which stepping of a model it is does not count */

/* Written by the CPU that is inside, but for what is marked. */
static struct {
    bool inside; /* atomic */
    u32 calls;   /* atomic */
    bool ready;  /* atomic: SEAMEXTEND.SEAM_READY */
    struct seamldr_setup setup;
    u32 refused;             /* of setup.refusals */
    bool was_ready;          /* before the session below */
    u64 installing, leaving; /* logical processors that have called so far; zero: nothing is under way */
    u32 remaining_updates, acm_x2apicid;
    u16 svn;
    u8 mrseam[48];
    struct params params; /* copies: the VMM may change its own at any time */
    struct sigstruct sigstruct;
} ldr;

static void fill(void *to, u8 value, size_t bytes)
{
    for (size_t i = 0; i < bytes; i++)
        ((u8 *)to)[i] = value;
}

static void copy(void *to, const void *from, size_t bytes)
{
    for (size_t i = 0; i < bytes; i++)
        ((u8 *)to)[i] = ((const u8 *)from)[i];
}

static bool is_same(const void *a, const void *b, size_t bytes)
{
    u8 differ = 0;
    for (size_t i = 0; i < bytes; i++)
        differ |= ((const u8 *)a)[i] ^ ((const u8 *)b)[i];
    return !differ;
}

static bool is_zero(const void *at, size_t bytes)
{
    u8 any = 0;
    for (size_t i = 0; i < bytes; i++)
        any |= ((const u8 *)at)[i];
    return !any;
}

static void set_ready(bool ready)
{
    __atomic_store_n(&ldr.ready, ready, __ATOMIC_SEQ_CST);
}

bool seamldr_module_is_ready(void)
{
    return __atomic_load_n(&ldr.ready, __ATOMIC_SEQ_CST);
}

static u32 x2apic_id(void)
{
    u32 out[4];
    plat_cpuid(0x1f, 0, out);
    return out[3];
}

void seamldr_reset(const struct seamldr_setup *setup)
{
    fill(&ldr, 0, sizeof(ldr));
    ldr.setup = *setup;
    ldr.installing = setup->called;
    ldr.was_ready = setup->module_loaded;
    ldr.remaining_updates = 31;
    ldr.acm_x2apicid = x2apic_id();
    set_ready(setup->module_loaded && !setup->called);
}

/* A shared address of memory, aligned, as the VMM names it; NULL: it is none. */
static void *shared_pointer(u64 address, u64 alignment)
{
    const struct plat_info *info = plat_info();
    u64 key = address >> info->keyid_shift, hpa = address & ((1ull << info->keyid_shift) - 1);
    if (address & (alignment - 1) || address >> info->maxpa || key >= info->first_private_hkid)
        return NULL;
    u8 *page = plat_page(hpa & ~(PAGE - 1));
    return page ? page + (hpa & (PAGE - 1)) : NULL;
}

static u64 count_bits(u64 bits)
{
    u64 count = 0;
    for (; bits; bits &= bits - 1)
        count++;
    return count;
}

/* --- SEAMLDR.INFO --------------------------------------------------------------------------------------------------- */

static u64 tell(struct seam_lp *lp)
{
    struct info *info = shared_pointer(lp->vmm[RCX], INFO_BYTES);
    if (!info)
        return E_BADPARAM;
    fill(info, 0, sizeof(*info));
    info->vendor_id = 0x8086;
    info->build_date = 20240407;
    info->build_num = 746;
    info->major = 1;
    info->minor = 5;
    info->acm_x2apicid = ldr.acm_x2apicid;
    info->remaining_updates = ldr.remaining_updates;
    info->valid = 0x1ff;
    copy(info->tee_tcb_svn, &ldr.svn, sizeof(ldr.svn));
    copy(info->mrseam, ldr.mrseam, sizeof(ldr.mrseam));
    info->seam_ready = seamldr_module_is_ready();
    info->p_seamldr_ready = 1;
    return 0;
}

/* --- SEAMLDR.INSTALL ------------------------------------------------------------------------------------------------ */

static u64 check_params(const struct params *p)
{
    if (p->version || !is_zero(p->reserved, sizeof(p->reserved)) || p->scenario > SCENARIO_UPDATE ||
        p->page_count > IMAGE_PAGES_MAX)
        return E_BADPARAM;
    for (u64 i = 0; i < p->page_count; i++)
        if (!shared_pointer(p->pages[i], PAGE))
            return E_BADPARAM;
    if (!shared_pointer(p->sigstruct, PAGE))
        return E_BADPARAM;
    return p->scenario == SCENARIO_UPDATE && !ldr.was_ready ? E_BADPARAM : 0;
}

static bool has_form(const struct sigstruct *s)
{
    return s->header_type == 6 && s->header_length == 0xe1 && s->header_version == 0x10000 && s->vendor == 0x8086 &&
           !(s->module_type & 0x7fffffff) && s->size == 0x200 && s->key_size == 0x60 && s->modulus_size == 0x60 &&
           s->exponent_size == 1 && s->exponent == 0x10001 && !s->attributes &&
           s->cpuid_count <= SIGSTRUCT_CPUIDS_MAX && is_zero(s->reserved0, sizeof(s->reserved0));
}

/* The packages of this machine are all alike. */
static bool is_for_this_cpu(const struct sigstruct *s)
{
    u32 own[4];
    plat_cpuid(1, 0, own);
    for (u32 i = 0; i < s->cpuid_count; i++)
        if ((own[0] & ~CPUID_STEP) == (s->cpuids[i] & ~CPUID_STEP))
            return true;
    return !s->cpuid_count;
}

static bool has_hash(const struct params *p, const u8 wanted[48])
{
    u64 state[PLAT_SHA384_BYTES / 8];
    u8 digest[48];
    plat_sha384_begin(state);
    for (u64 i = 0; i < p->page_count; i++)
        plat_sha384_add(state, shared_pointer(p->pages[i], PAGE), PAGE);
    plat_sha384_end(state, digest);
    return is_same(digest, wanted, sizeof(digest));
}

/* What does not change the old module; from the copying of the image on there is no way back. */
static u64 verify(const struct params *p, u64 *unrecoverable)
{
    struct sigstruct *s = &ldr.sigstruct;
    u64 status = check_params(p);
    if (status)
        return status;
    copy(s, shared_pointer(p->sigstruct, PAGE), sizeof(*s));
    if (!has_form(s) || (p->scenario == SCENARIO_UPDATE && s->svn < ldr.svn))
        return E_BADSIG;
    if (!is_for_this_cpu(s))
        return E_UNSUPCPU;
    *unrecoverable = 1;
    return has_hash(p, s->hash) ? 0 : E_BADHASH;
}

/* The last logical processor's part. */
static u64 install(u64 address, u64 *unrecoverable)
{
    const struct params *page = shared_pointer(address, PAGE);
    if (!page)
        return E_BADPARAM;
    copy(&ldr.params, page, sizeof(ldr.params));
    if (ldr.refused < ldr.setup.refusal_count)
        return ldr.setup.refusals[ldr.refused++];
    u64 status = verify(&ldr.params, unrecoverable);
    if (status)
        return status;
    module_reset();
    ldr.svn = ldr.sigstruct.svn;
    ldr.remaining_updates -= ldr.remaining_updates > 0;
    copy(ldr.mrseam, ldr.sigstruct.hash, sizeof(ldr.mrseam));
    return 0;
}

static u64 install_on(struct seam_lp *lp)
{
    u64 self = 1ull << lp->index, unrecoverable = 0;
    lp->vmm[RDX] = 0;
    if (ldr.leaving || ldr.installing & self)
        return E_BADCALL;
    if (!ldr.installing) {
        ldr.was_ready = seamldr_module_is_ready();
        set_ready(false);
    }
    ldr.installing |= self;
    if (count_bits(ldr.installing) < plat_info()->lp_count)
        return 0;
    u64 status = install(lp->vmm[RCX], &unrecoverable);
    set_ready(!status || (ldr.was_ready && !unrecoverable));
    ldr.installing = 0;
    lp->vmm[RDX] = status ? unrecoverable : 0;
    return status;
}

/* --- SEAMLDR.SHUTDOWN ----------------------------------------------------------------------------------------------- */

/* The last one must be the processor that P-SEAMLDR was loaded on. */
static u64 shut_down_on(struct seam_lp *lp)
{
    if (ldr.installing)
        return E_BADCALL;
    ldr.leaving |= 1ull << lp->index;
    set_ready(false);
    if (count_bits(ldr.leaving) < plat_info()->lp_count)
        return 0;
    if (lp->index)
        return E_BADCALL;
    ldr.setup.present = false;
    return 0;
}

static u64 dispatch(struct seam_lp *lp)
{
    switch (lp->vmm[RAX] & ~(1ull << 63)) {
    case LEAF_INFO:
        return tell(lp);
    case LEAF_INSTALL:
        return install_on(lp);
    case LEAF_SHUTDOWN:
        return shut_down_on(lp);
    default:
        return E_BADPARAM;
    }
}

bool seamldr_call(struct seam_lp *lp)
{
    u32 every = ldr.setup.busy_every;
    if (every && __atomic_add_fetch(&ldr.calls, 1, __ATOMIC_RELAXED) % every == 0)
        return false;
    if (__atomic_exchange_n(&ldr.inside, true, __ATOMIC_ACQUIRE))
        return false;
    bool present = ldr.setup.present;
    if (present)
        lp->vmm[RAX] = dispatch(lp);
    __atomic_store_n(&ldr.inside, false, __ATOMIC_RELEASE);
    return present;
}
