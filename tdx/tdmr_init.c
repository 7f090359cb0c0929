/*
 * Making TDMRs ready for TDs: TDH.SYS.TDMR.INIT, some hundred calls for each GiB. TDX Module Base Architecture Specification,
 * "TDMR and PAMT initialization".
 *
 * The module works on several TDMRs at once, on each for one CPU: a CPU takes the next one that nobody is at. Where one stops or
 * fails a second round goes on, since the module knows how far each TDMR is.
 */
#include "lib/format.h"
#include "lib/hw/cpu.h"
#include "tdx/module_internal.h"
#include "tdx/retry.h"

#define CALLS_PER_GIB_MAX 4096u /* module 1.5 takes 256; a bound, not a promise */
#define CALLS_PER_LOOK    64u   /* of the watch's */

static const struct tdx_watch *watch;

void tdx_set_watch(const struct tdx_watch *w)
{
    watch = w;
}

/* Atomic, but for `work` and what is constant. */
struct tdmr_work {
    struct tdx_cpu_work work;
    unsigned next, ended; /* TDMRs that were begun; that no CPU is at any more */
    u64 done;             /* bytes */
    bool is_stopped;
    unsigned caller;
    u64 bytes;                    /* of all TDMRs */
    const struct phys_range *bad; /* the one that the fault is about, by the CPU whose fault is kept */
};

static bool is_stopped(const struct tdmr_work *w)
{
    return __atomic_load_n(&w->is_stopped, __ATOMIC_RELAXED);
}

/* On the caller's CPU only. */
static void look(struct tdmr_work *w)
{
    if (!watch || cpu_index() != w->caller || is_stopped(w))
        return;
    watch->progress(__atomic_load_n(&w->done, __ATOMIC_RELAXED), w->bytes);
    if (watch->stop())
        __atomic_store_n(&w->is_stopped, true, __ATOMIC_RELAXED);
}

static struct tdx_tdmr_init_answer call(hpa_t tdmr)
{
    struct tdx_retry again = tdx_retry(TDH_SYS_TDMR_INIT, tdmr.raw);
    struct tdx_tdmr_init_answer a;
    do
        a = tdh_sys_tdmr_init(tdmr);
    while (tdx_again(&again, a.status));
    return a;
}

static void fail(struct tdmr_work *w, const struct phys_range *tdmr, struct tdx_init_fault fault)
{
    if (tdx_keep_fault(&w->work, fault))
        w->bad = tdmr;
}

/* A GiB is usable as soon as it is done; nothing here needs one early. */
static void init_tdmr(struct tdmr_work *w, const struct phys_range *tdmr)
{
    u64 end = tdmr->base.raw + tdmr->bytes, at = tdmr->base.raw;
    u64 calls = tdmr->bytes / GIB * CALLS_PER_GIB_MAX;
    while (at < end && calls-- && !is_stopped(w)) {
        struct tdx_tdmr_init_answer a = call(tdmr->base);
        if (tdx_is(a.status, TDX_TDMR_ALREADY_INITIALIZED))
            a.next.raw = end;
        else if (!tdx_ok(a.status)) {
            fail(w, tdmr, tdx_init_refused(TDH_SYS_TDMR_INIT, a.status, NULL));
            return;
        }
        __atomic_fetch_add(&w->done, a.next.raw - at, __ATOMIC_RELAXED);
        at = a.next.raw;
        if (calls % CALLS_PER_LOOK == 0)
            look(w);
    }
    if (at < end && !is_stopped(w))
        fail(w, tdmr, tdx_init_failed(ERR_TIMEOUT, NULL));
}

/* The caller's CPU looks until the others are through as well. */
static void init_tdmrs_here(void *arg)
{
    struct tdmr_work *w = arg;
    for (;;) {
        unsigned i = __atomic_fetch_add(&w->next, 1, __ATOMIC_RELAXED);
        if (i >= tdx_module.tdmr_count)
            break;
        init_tdmr(w, &tdx_module.tdmrs[i]);
        __atomic_fetch_add(&w->ended, 1, __ATOMIC_RELEASE);
    }
    while (cpu_index() == w->caller && __atomic_load_n(&w->ended, __ATOMIC_ACQUIRE) < tdx_module.tdmr_count) {
        look(w);
        cpu_relax();
    }
}

struct tdx_init_fault tdx_tdmrs_init(void (*share)(void (*work)(void *arg), void *arg))
{
    static char what[128];
    struct tdmr_work w = {.work = {.fault = {.err = ERR_OK}}, .caller = cpu_index()};
    for (unsigned i = 0; i < tdx_module.tdmr_count; i++)
        w.bytes += tdx_module.tdmrs[i].bytes;
    share(init_tdmrs_here, &w);
    if (w.work.fault.err == ERR_OK && w.done < w.bytes)
        return tdx_init_failed(ERR_INTERRUPTED,
                               "stopped while TDX memory is initialised, `tdx init` goes on from there");
    if (w.bad)
        format_to(what, sizeof(what), "the TDMR of %llu GiB at 0x%llx %s on CPU %u",
                  (unsigned long long)(w.bad->bytes / GIB), (unsigned long long)w.bad->base.raw,
                  w.work.fault.leaf ? "cannot be initialised" : "does not come to an end by TDH.SYS.TDMR.INIT",
                  w.work.fault.cpu);
    if (w.bad)
        w.work.fault.what = what;
    return w.work.fault;
}
