/*
 * A trust domain from MNG.CREATE to the last RECLAIM: see tdx/td.h. Memory beside the control pages is the TDP MMU's
 * (mm/).
 *
 * Pages are flushed from the caches before the module takes them, whatever TDX_FEATURES0 says: they are few.
 */
#include "tdx/td.h"

#include "lib/bits.h"
#include "lib/hw/cpu.h"
#include "lib/lock.h"
#include "lib/log.h"
#include "lib/string.h"
#include "tdx/abi_field.h"
#include "tdx/abi_leaf.h"
#include "tdx/abi_td.h"
#include "tdx/count.h"
#include "tdx/module_internal.h"
#include "tdx/retry.h"

#define MR_CHUNK_BYTES   256u
#define MR_ELEMENTS      6u
#define TSC_UNIT_HZ      25000000ull
#define TSC_UNITS_MIN    4u
#define TSC_UNITS_MAX    400u
#define TSC_UNITS_UNSAID 40u /* 1 GHz, where the CPU does not say what its TSC counts */
#define XFAM_LEAST       TD_XFAM_X87_SSE

static const struct td_fault fine = {.err = ERR_OK};

static struct td_fault failed(enum err err)
{
    return (struct td_fault){.err = err};
}

/* What `status` of `leaf` comes to for the caller; a TD that the module calls dead is dead from now on. */
static struct td_fault outcome(struct td *td, enum tdx_leaf leaf, tdx_status_t status)
{
    enum tdx_verdict verdict = tdx_verdict(status);
    if (verdict == TDX_DONE)
        return fine;
    struct td_fault f = {.err = ERR_TDX, .leaf = tdx_leaf_name(leaf), .status = status};
    if (verdict == TDX_REPEAT)
        f.err = ERR_BUSY;
    if (verdict == TDX_TD_DEAD)
        td->dead = true;
    return f;
}

/* `call` is evaluated until it no longer wants to be repeated; `status_` is what the last one answered. */
#define REPEATED(status_, leaf, at, call)                                                                              \
    do {                                                                                                               \
        struct tdx_retry again_ = tdx_retry((leaf), (at));                                                             \
        do                                                                                                             \
            (status_) = (call).status;                                                                                 \
        while (tdx_again(&again_, (status_)));                                                                         \
    } while (0)

static void flush(hpa_t page)
{
    cpu_flush_lines(page, PAGE_BYTES);
    __atomic_fetch_add(&tdx_counts.flushed_bytes, PAGE_BYTES, __ATOMIC_RELAXED);
}

unsigned td_control_pages(void)
{
    return 1 + tdx_module.tdcs_pages;
}

unsigned vcpu_control_pages(void)
{
    return tdx_module.tdvps_pages;
}

/* --- creation ---------------------------------------------------------------------------------------------------- */

static bool is_config_good(const struct td_config *c, u64 xfam)
{
    return c->vcpus > 0 && c->vcpus <= TD_VCPUS_MAX && (c->attributes & ~tdx_module.attributes_may) == 0 &&
           (tdx_module.attributes_must & ~c->attributes) == 0 && (xfam & ~tdx_module.xfam_may) == 0 &&
           (tdx_module.xfam_must & ~xfam) == 0;
}

/* The TD's TSC runs as the platform's: CPUID leaf 15H gives the crystal clock and the ratio. */
static u16 tsc_units(void)
{
    struct cpuid_regs r = {0};
    if (cpu_cpuid(0, 0).eax >= 0x15)
        r = cpu_cpuid(0x15, 0);
    u64 units = r.eax ? (u64)r.ecx * r.ebx / r.eax / TSC_UNIT_HZ : 0;
    return (u16)(units >= TSC_UNITS_MIN && units <= TSC_UNITS_MAX ? units : TSC_UNITS_UNSAID);
}

static hpa_t write_params(const struct td_config *c, u64 xfam)
{
    struct td_params *p = tdx_module_scratch();
    memset(p, 0, sizeof(*p));
    p->attributes = c->attributes;
    p->xfam = xfam;
    p->max_vcpus = (u16)c->vcpus;
    p->eptp_controls = TD_EPTP_WRITE_BACK | TD_EPTP_4_LEVELS;
    p->tsc_frequency = tsc_units();
    if (c->shows_cpu)
        tdx_cpuid_configure(p);
    return phys_of(p);
}

/* Once a package. Where packages are not told all CPUs are asked: a second one of a package, or one that comes when all are done,
 * finds it done. */
struct key_work {
    struct td *td;
    struct spin lock;
    unsigned done;
    tdx_status_t bad; /* of a CPU that failed; found_done: of one that had nothing left to do */
    tdx_status_t found_done;
    unsigned bad_cpu;
};

static void key_config_here(void *arg)
{
    struct key_work *w = arg;
    tdx_status_t status;
    REPEATED(status, TDH_MNG_KEY_CONFIG, w->td->tdr.raw, tdh_mng_key_config(w->td->tdr));
    spin_lock(&w->lock);
    w->done += tdx_is(status, TDX_SUCCESS);
    if (tdx_is(status, TDX_LIFECYCLE_STATE_INCORRECT))
        w->found_done = status;
    else if (!tdx_ok(status)) {
        w->bad = status;
        w->bad_cpu = cpu_index();
    }
    spin_unlock(&w->lock);
}

static struct td_fault configure_key(struct td *td)
{
    struct key_work w = {.td = td};
    enum err e = tdx_on_each_package(key_config_here, &w);
    if (e != ERR_OK)
        return failed(e);
    if (!tdx_ok(w.bad))
        log_msg(LOG_ERROR, "the TD's key cannot be set up on package %u (CPU %u)", tdx_package_of(w.bad_cpu),
                w.bad_cpu);
    /* Judged when all are through: the last one to ask may have found nothing left to do. */
    struct td_fault f = outcome(td, TDH_MNG_KEY_CONFIG, w.bad.raw || w.done ? w.bad : w.found_done);
    if (f.err == ERR_OK)
        td->state = TD_KEYED;
    return f;
}

static struct td_fault add_tdcs(struct td *td)
{
    for (; td->tdcx_count < tdx_module.tdcs_pages; td->tdcx_count++) {
        hpa_t page = td->tdcx[td->tdcx_count];
        tdx_status_t status;
        flush(page);
        REPEATED(status, TDH_MNG_ADDCX, page.raw, tdh_mng_addcx(td->tdr, page));
        if (!tdx_ok(status))
            return outcome(td, TDH_MNG_ADDCX, status);
    }
    return fine;
}

static struct td_fault init(struct td *td, const struct td_config *c, u64 xfam)
{
    u64 cpuid = 0;
    hpa_t params = write_params(c, xfam);
    tdx_status_t status;
    REPEATED(status, TDH_MNG_INIT, td->tdr.raw, tdh_mng_init(td->tdr, params, &cpuid));
    if (!tdx_ok(status)) {
        if (status.raw == ((u64)TDX_OPERAND_INVALID << 32 | TDX_OPERAND_ID_CPUID_CONFIG))
            log_msg(LOG_ERROR, "TDH.MNG.INIT does not take what is asked of CPUID leaf 0x%x, sub-leaf 0x%x", (u32)cpuid,
                    (u32)(cpuid >> 32));
        return outcome(td, TDH_MNG_INIT, status);
    }
    td->state = TD_INITIALIZED;
    struct tdx_field_answer eptp;
    struct tdx_retry again = tdx_retry(TDH_MNG_RD, td->tdr.raw);
    do
        eptp = tdh_mng_rd(td->tdr, FIELD_TD_EPTP);
    while (tdx_again(&again, eptp.status));
    td->eptp = eptp.value;
    return outcome(td, TDH_MNG_RD, eptp.status);
}

static struct td_fault create(struct td *td, hpa_t tdr)
{
    tdx_status_t status;
    flush(tdr);
    REPEATED(status, TDH_MNG_CREATE, tdr.raw, tdh_mng_create(tdr, td->hkid));
    if (tdx_ok(status))
        td->state = TD_CREATED;
    return outcome(td, TDH_MNG_CREATE, status);
}

static void keep_page(hpa_t page, void *arg) {}

/* Nothing of a half-made TD stays: the caller still has the list of pages. */
static void undo_create(struct td *td)
{
    if (td->state == TD_NONE)
        return;
    struct td_fault f = td_release_key(td);
    if (f.err == ERR_OK)
        f = td_destroy(td, keep_page, NULL);
    if (f.err == ERR_OK)
        return;
    log_msg(LOG_ERROR, "a TD that could not be created could not be undone either, HKID %u is kept (%s: %s)",
            td->hkid.raw, f.leaf ? f.leaf : "", tdx_status_name(f.status));
    td->dead = true;
}

struct td_fault td_create(struct td *td, const struct td_config *config, hkid_t hkid, const hpa_t *pages)
{
    u64 xfam = XFAM_LEAST | tdx_module.xfam_must | (config->shows_cpu ? tdx_xfam_shown() : 0);
    if (config->xfam)
        xfam = config->xfam;
    memset(td, 0, sizeof(*td));
    if (!tdx_module.ready)
        return failed(ERR_STATE);
    if (!is_config_good(config, xfam))
        return failed(ERR_ARGUMENT);
    td->tdr = pages[0];
    memcpy(td->tdcx, pages + 1, tdx_module.tdcs_pages * sizeof(hpa_t));
    td->hkid = hkid;
    td->attributes = config->attributes;
    td->shared_bit = TD_SHARED_BIT_48;
    td->tsc_khz = tsc_units() * (TSC_UNIT_HZ / 1000);
    struct td_fault f = create(td, pages[0]);
    if (f.err == ERR_OK)
        f = configure_key(td);
    if (f.err == ERR_OK)
        f = add_tdcs(td);
    if (f.err == ERR_OK)
        f = init(td, config, xfam);
    if (f.err != ERR_OK)
        undo_create(td);
    return f;
}

/* --- contents ---------------------------------------------------------------------------------------------------- */

static struct td_fault init_vcpu(struct vcpu *v, u64 initial_rcx)
{
    tdx_status_t status;
    for (; v->tdcx_count < tdx_module.tdvps_pages - 1; v->tdcx_count++) {
        hpa_t page = v->tdcx[v->tdcx_count];
        flush(page);
        REPEATED(status, TDH_VP_ADDCX, page.raw, tdh_vp_addcx(v->tdvpr, page));
        if (!tdx_ok(status))
            return outcome(v->td, TDH_VP_ADDCX, status);
    }
    REPEATED(status, TDH_VP_INIT, v->tdvpr.raw, tdh_vp_init(v->tdvpr, initial_rcx));
    if (tdx_ok(status))
        v->cpu = (int)cpu_index();
    return outcome(v->td, TDH_VP_INIT, status);
}

struct td_fault td_add_vcpu(struct td *td, u64 initial_rcx, const hpa_t *pages)
{
    if (td->state != TD_INITIALIZED || td->dead || td->vcpu_count == TD_VCPUS_MAX)
        return failed(ERR_STATE);
    struct vcpu *v = &td->vcpus[td->vcpu_count];
    tdx_status_t status;
    flush(pages[0]);
    REPEATED(status, TDH_VP_CREATE, pages[0].raw, tdh_vp_create(td->tdr, pages[0]));
    if (!tdx_ok(status))
        return outcome(td, TDH_VP_CREATE, status);
    *v = (struct vcpu){.td = td, .index = td->vcpu_count, .tdvpr = pages[0], .cpu = -1};
    for (unsigned i = 1; i < tdx_module.tdvps_pages; i++)
        v->tdcx[i - 1] = pages[i];
    td->vcpu_count++;
    return init_vcpu(v, initial_rcx);
}

struct td_fault td_add_page(struct td *td, gpa_t gpa, hpa_t page, hpa_t source, bool measured)
{
    tdx_status_t status;
    if (td->state != TD_INITIALIZED || td->dead)
        return failed(ERR_STATE);
    flush(page);
    REPEATED(status, TDH_MEM_PAGE_ADD, gpa.raw, tdh_mem_page_add(td->tdr, gpa, page, source));
    if (!tdx_ok(status))
        return outcome(td, TDH_MEM_PAGE_ADD, status);
    for (u64 offset = 0; measured && offset < PAGE_BYTES; offset += MR_CHUNK_BYTES) {
        gpa_t chunk = gpa_add(gpa, offset);
        REPEATED(status, TDH_MR_EXTEND, chunk.raw, tdh_mr_extend(td->tdr, chunk));
        if (!tdx_ok(status)) {
            td->dead = true;
            return outcome(td, TDH_MR_EXTEND, status);
        }
    }
    return fine;
}

/* A register of SHA-384: fields from `first` on. */
static struct td_fault read_measurement(struct td *td, u64 first, u8 to[48])
{
    for (unsigned i = 0; i < MR_ELEMENTS; i++) {
        struct tdx_field_answer a;
        struct tdx_retry again = tdx_retry(TDH_MNG_RD, td->tdr.raw);
        do
            a = tdh_mng_rd(td->tdr, first + i);
        while (tdx_again(&again, a.status));
        if (!tdx_ok(a.status))
            return outcome(td, TDH_MNG_RD, a.status);
        memcpy(&to[i * sizeof(a.value)], &a.value, sizeof(a.value));
    }
    return fine;
}

struct td_fault td_finalize(struct td *td)
{
    tdx_status_t status;
    if (td->state != TD_INITIALIZED || td->dead)
        return failed(ERR_STATE);
    REPEATED(status, TDH_MR_FINALIZE, td->tdr.raw, tdh_mr_finalize(td->tdr));
    if (!tdx_ok(status))
        return outcome(td, TDH_MR_FINALIZE, status);
    td->state = TD_RUNNABLE;
    return read_measurement(td, FIELD_TD_MRTD(0), td->mrtd);
}

struct td_fault td_read_rtmrs(struct td *td, u8 rtmrs[TD_RTMRS][48])
{
    struct td_fault f = fine;
    if (td->state != TD_RUNNABLE || td->dead)
        return failed(ERR_STATE);
    for (unsigned i = 0; i < TD_RTMRS && f.err == ERR_OK; i++)
        f = read_measurement(td, FIELD_TD_RTMR(i, 0), rtmrs[i]);
    return f;
}

/* --- tear-down --------------------------------------------------------------------------------------------------- */

struct flush_work {
    struct td *td;
    struct spin lock;
    enum tdx_leaf leaf;
    tdx_status_t bad;
};

static void keep_status(struct flush_work *w, enum tdx_leaf leaf, tdx_status_t status)
{
    spin_lock(&w->lock);
    w->leaf = leaf;
    w->bad = status;
    spin_unlock(&w->lock);
}

/* A vCPU can be flushed on the CPU that it is associated with, and only there. */
static void flush_vcpus_here(void *arg)
{
    struct flush_work *w = arg;
    for (unsigned i = 0; i < w->td->vcpu_count; i++) {
        struct vcpu *v = &w->td->vcpus[i];
        if (v->cpu != (int)cpu_index())
            continue;
        tdx_status_t status;
        REPEATED(status, TDH_VP_FLUSH, v->tdvpr.raw, tdh_vp_flush(v->tdvpr));
        if (tdx_ok(status) || tdx_is(status, TDX_VCPU_NOT_ASSOCIATED))
            v->cpu = -1;
        else
            keep_status(w, TDH_VP_FLUSH, status);
    }
}

static struct td_fault flush_vcpus(struct td *td)
{
    struct flush_work w = {.td = td};
    enum err e = tdx_on_each_cpu(flush_vcpus_here, &w);
    if (e != ERR_OK)
        return failed(e);
    if (w.bad.raw)
        return outcome(td, w.leaf, w.bad);
    tdx_status_t status;
    REPEATED(status, TDH_MNG_VPFLUSHDONE, td->tdr.raw, tdh_mng_vpflushdone(td->tdr));
    struct td_fault f = outcome(td, TDH_MNG_VPFLUSHDONE, status);
    if (f.err == ERR_OK)
        td->state = TD_FLUSHED;
    return f;
}

/* Once a package. An interrupt stops the flush; the same leaf resumes it. */
static void write_back_here(void *arg)
{
    struct flush_work *w = arg;
    struct tdx_retry again = tdx_retry(TDH_PHYMEM_CACHE_WB, cpu_index());
    bool resume = false;
    struct tdx_answer a;
    do {
        a = tdh_phymem_cache_wb(resume);
        resume = resume || tdx_is(a.status, TDX_INTERRUPTED_RESUMABLE);
    } while (tdx_again(&again, a.status));
    if (!tdx_ok(a.status))
        keep_status(w, TDH_PHYMEM_CACHE_WB, a.status);
}

struct td_fault td_release_key(struct td *td)
{
    if (td->state == TD_NONE || td->state >= TD_KEY_FREED)
        return failed(ERR_STATE);
    struct td_fault f = td->state == TD_FLUSHED ? fine : flush_vcpus(td);
    if (f.err != ERR_OK)
        return f;
    struct flush_work w = {.td = td};
    enum err e = tdx_on_each_package(write_back_here, &w);
    if (e != ERR_OK)
        return failed(e);
    if (w.bad.raw)
        return outcome(td, w.leaf, w.bad);
    tdx_status_t status;
    REPEATED(status, TDH_MNG_KEY_FREEID, td->tdr.raw, tdh_mng_key_freeid(td->tdr));
    f = outcome(td, TDH_MNG_KEY_FREEID, status);
    if (f.err == ERR_OK)
        td->state = TD_KEY_FREED;
    return f;
}

/* The same for a leaf that is about one page. */
static struct td_fault page_outcome(struct td *td, enum tdx_leaf leaf, tdx_status_t status, hpa_t page)
{
    struct td_fault f = outcome(td, leaf, status);
    f.page = page;
    return f;
}

struct td_fault td_reclaim(struct td *td, hpa_t page)
{
    tdx_status_t status;
    if (td->state != TD_KEY_FREED)
        return failed(ERR_STATE);
    REPEATED(status, TDH_PHYMEM_PAGE_RECLAIM, page.raw, tdh_phymem_page_reclaim(page));
    return page_outcome(td, TDH_PHYMEM_PAGE_RECLAIM, status, page);
}

/* From the end of the list, so that a second call after a failure goes on with what is left. */
static struct td_fault reclaim_list(struct td *td, const hpa_t *list, unsigned *count)
{
    struct td_fault f = fine;
    while (f.err == ERR_OK && *count) {
        f = td_reclaim(td, list[*count - 1]);
        *count -= f.err == ERR_OK;
    }
    return f;
}

static void give_list(const hpa_t *list, unsigned count, void (*give)(hpa_t page, void *arg), void *arg)
{
    for (unsigned i = 0; i < count; i++)
        give(list[i], arg);
}

/* The pages that it got and did not come to hand over go back with the others. */
static struct td_fault reclaim_vcpu(struct vcpu *v, void (*give)(hpa_t page, void *arg), void *arg)
{
    struct td_fault f = reclaim_list(v->td, v->tdcx, &v->tdcx_count);
    if (f.err == ERR_OK)
        f = td_reclaim(v->td, v->tdvpr);
    if (f.err != ERR_OK)
        return f;
    give_list(v->tdcx, tdx_module.tdvps_pages - 1, give, arg);
    give(v->tdvpr, arg);
    v->td->vcpu_count--;
    return fine;
}

static struct td_fault reclaim_all(struct td *td, void (*give)(hpa_t page, void *arg), void *arg)
{
    struct td_fault f = fine;
    while (f.err == ERR_OK && td->vcpu_count)
        f = reclaim_vcpu(&td->vcpus[td->vcpu_count - 1], give, arg);
    if (f.err == ERR_OK)
        f = reclaim_list(td, td->tdcx, &td->tdcx_count);
    if (f.err == ERR_OK)
        f = td_reclaim(td, td->tdr);
    if (f.err == ERR_OK)
        td->state = TD_RECLAIMED;
    return f;
}

struct td_fault td_destroy(struct td *td, void (*give)(hpa_t page, void *arg), void *arg)
{
    if (td->state < TD_KEY_FREED)
        return failed(ERR_STATE);
    struct td_fault f = td->state == TD_KEY_FREED ? reclaim_all(td, give, arg) : fine;
    if (f.err != ERR_OK)
        return f;
    /* The module wrote the TDR under its own KeyID: nothing of that may come out of a cache later. */
    tdx_status_t status;
    REPEATED(status, TDH_PHYMEM_PAGE_WBINVD, td->tdr.raw, tdh_phymem_page_wbinvd(td->tdr, tdx_module.hkid_first));
    if (!tdx_ok(status))
        return page_outcome(td, TDH_PHYMEM_PAGE_WBINVD, status, td->tdr);
    td->state = TD_NONE;
    give_list(td->tdcx, tdx_module.tdcs_pages, give, arg);
    give(td->tdr, arg);
    return fine;
}
