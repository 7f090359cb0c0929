/*
 * A TDX machine with one TD in a host process: see testbed.h. The ABI's numbers are typed here again, so that a wrong
 * one in tdx/ does not hide.
 */
#include "tests/host/testbed.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/bits.h"
#include "lib/hw/cpu.h"
#include "mm/page.h"
#include "tdx/count.h"
#include "tdx/module.h"
#include "tdx/module_internal.h"
#include "tests/host/cpu.h"
#include "tests/host/platform.h"
#include "tests/host/seamcall.h"

#define MEMORY_BASE 0x100000000ull
#define PAGES_MAX   (TB_1G * 2 / TB_4K) /* of a TD */

#define LEAF_AUG      6
#define LEAF_SEPT_ADD 3
#define LEAF_RELOCATE 5
#define LEAF_DEMOTE   15
#define LEAF_TRACK    38
#define LEAF_WBINVD   41
#define LEAF_ENTER    0
#define LEAF_SEPT_RD  25

#define TDCALL_ACCEPT    6
#define ACCEPTED_ALREADY 0x00000b0a
#define SIZE_MISMATCH    0xc0000b0b

struct testbed tb;
struct tdp_report tb_last_fault;
u64 tb_faults;

_Noreturn void tb_fail(const char *file, int line, const char *what, u64 value)
{
    fprintf(stderr, "%s:%d: %s (%llx)\n", file, line, what, (unsigned long long)value);
    if (getenv("TB_ABORT"))
        abort();
    exit(1);
}

/* --- the TD's translation cache ----------------------------------------------------------------------------------- */

#define CACHE_MAX 4096

struct cached {
    u64 gpa, hpa; /* of the page of `level` */
    unsigned level;
    bool shared;
};

static struct {
    struct cached entry[CACHE_MAX];
    unsigned count;
    u64 tracks;                    /* all so far */
    u64 tracks_seen, invepts_seen; /* at the last entry */
    bool changed;                  /* tables may have changed since the last entry */
} cache;

static u64 page_bytes(unsigned level)
{
    return TB_4K << (9 * level);
}

/* The TD's entries are gone at its next entry: a TRACK was done since it was last inside, or INVEPT comes first. */
static bool will_be_flushed(void)
{
    return cache.tracks != cache.tracks_seen || tb.td.drops != tb.td.dropped[0];
}

/* A page that goes to the module must not be reachable through an entry that survives. */
static void check_not_cached(u64 hpa, u64 bytes, const char *what)
{
    if (will_be_flushed())
        return;
    for (unsigned i = 0; i < cache.count; i++) {
        const struct cached *c = &cache.entry[i];
        if (c->hpa < hpa + bytes && hpa < c->hpa + page_bytes(c->level))
            TB_FAIL(what, hpa);
    }
}

static void watch(const struct seamcall_regs *regs)
{
    unsigned leaf = regs->rax & 0xffff;
    cache.changed |= leaf != LEAF_ENTER && leaf != LEAF_SEPT_RD;
    switch (leaf) {
    case LEAF_TRACK:
        cache.tracks++;
        break;
    case LEAF_AUG:
        check_not_cached(regs->r8, page_bytes(regs->rcx & 7), "AUG of a page that the TD still reaches");
        break;
    case LEAF_RELOCATE:
        check_not_cached(regs->r8, TB_4K, "RELOCATE into a page that the TD still reaches");
        break;
    case LEAF_SEPT_ADD:
    case LEAF_DEMOTE:
        check_not_cached(regs->r8, TB_4K, "a table in a page that the TD still reaches");
        break;
    default:
        break;
    }
}

/* What the tables say now. Private: the module; shared: a walk of the shared EPT with numbers of its own. False: no
 * mapping. */
static bool translate_private(u64 gpa, struct cached *out)
{
    struct tdx_entry_answer a = tdh_mem_sept_rd(tb.td.tdr, (gpa_t){gpa & ~(TB_4K - 1)}, (level_t){0});
    u64 code = a.status.raw >> 32;
    if ((code != 0 && code != 0xc0000b00) ||
        a.entry.state != 4) /* neither a leaf nor a walk that ended above; MAPPED */
        return false;
    u64 mask = page_bytes(a.entry.level.raw) - 1;
    *out = (struct cached){gpa & ~mask, a.entry.raw & 0x000ffffffffff000ull & ~mask, a.entry.level.raw, false};
    return true;
}

static bool translate_shared(u64 gpa, struct cached *out)
{
    u64 table = tdp_shared_root(tb.tdp).raw;
    u64 address = gpa | 1ull << 47;
    for (int level = 3; level >= 0; level--) {
        const u64 *entries = (const u64 *)(platform_host_memory() + table);
        u64 e = entries[address >> (12 + 9 * level) & 511];
        if ((e & 7) == 0) {
            TB_NEED(e >> 63 == 1, e); /* suppress #VE */
            return false;
        }
        if (level == 0 || (e & 0x80)) {
            TB_NEED((e >> 3 & 7) == 6 && level <= 1, e);
            u64 mask = page_bytes((unsigned)level) - 1;
            *out = (struct cached){gpa & ~mask, e & 0x000ffffffffff000ull & ~mask, (unsigned)level, true};
            return true;
        }
        table = e & 0x000ffffffffff000ull;
    }
    return false;
}

static bool translate(u64 gpa, bool shared, struct cached *out)
{
    return shared ? translate_shared(gpa, out) : translate_private(gpa, out);
}

/* After an entry: flushed by the rules, or every entry must still be what the tables say. */
static void cache_at_entry(void)
{
    if (cache.tracks != cache.tracks_seen || platform_host_counts.invepts != cache.invepts_seen)
        cache.count = 0;
    cache.tracks_seen = cache.tracks;
    cache.invepts_seen = platform_host_counts.invepts;
    for (unsigned i = 0; cache.changed && i < cache.count; i++) {
        struct cached now;
        const struct cached *c = &cache.entry[i];
        bool same = translate(c->gpa, c->shared, &now) && now.hpa + (c->gpa - now.gpa) == c->hpa;
        if (!same)
            TB_FAIL("the TD enters with a stale translation", c->gpa);
    }
    cache.changed = false;
}

static bool look_up(u64 gpa, bool shared, u64 *hpa)
{
    struct cached c;
    for (unsigned i = 0; i < cache.count; i++) {
        const struct cached *e = &cache.entry[i];
        if (e->shared == shared && gpa - e->gpa < page_bytes(e->level) && gpa >= e->gpa) {
            *hpa = e->hpa + (gpa - e->gpa);
            return true;
        }
    }
    if (!translate(gpa, shared, &c))
        return false;
    cache.entry[cache.count < CACHE_MAX ? cache.count++ : gpa / TB_4K % CACHE_MAX] = c;
    *hpa = c.hpa + (gpa - c.gpa);
    return true;
}

/* --- machine and TD ----------------------------------------------------------------------------------------------- */

static hpa_t take(u64 bytes, u64 align)
{
    hpa_t base;
    return page_alloc_range(bytes, align, &base) == ERR_OK ? base : HPA_NONE;
}

void tb_machine_of(u64 bytes)
{
    struct plat_info info = *platform_host_default_info();
    info.lp_count = 1;
    platform_host_start(&info);
    platform_host_knobs.cpuid[0] = (struct platform_host_cpuid){.leaf = 0xd, .regs = {7, 0x340, 0x340, 0}}; /* XCR0 */
    platform_host_knobs.cpuid_rows = 1;
    cpu_host_reset();
    seamcall_host_reset();
    tdx_module_forget();
    page_init();
    page_add_range((hpa_t){MEMORY_BASE}, bytes);
    const char *missing = "";
    TB_NEED(tdx_detect(&missing) == ERR_OK, 0);
    const struct phys_range memory = {{MEMORY_BASE}, bytes};
    struct tdx_init_fault f = tdx_module_init(&memory, 1, 0, take);
    if (f.err != ERR_OK)
        tb_fail(f.what ? f.what : "module init", f.err, f.leaf ? f.leaf : "", f.status.raw);
}

void tb_machine(void)
{
    tb_machine_of(10 * TB_1G);
}

static void take_pages(hpa_t *pages, unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        TB_NEED(page_alloc(LEVEL_4K, &pages[i]) == ERR_OK, i);
}

static void need(struct td_fault f)
{
    if (f.err != ERR_OK)
        TB_FAIL(f.leaf ? f.leaf : "TD life cycle", f.status.raw);
}

void tb_create(u64 bytes, level_t level, bool unfinished)
{
    hpa_t pages[32];
    hkid_t hkid;
    struct td_config config = {.attributes = 1ull << 28 /* no #VE for pending pages */, .vcpus = 1};

    tb = (struct testbed){.backing = tb.backing};
    memset(&cache, 0, sizeof(cache));
    tb_faults = 0;
    seamcall_host_watch = watch;
    tb.bytes = bytes;
    tb.free_before = page_free_bytes();
    tb.lost_before = page_lost_bytes();
    TB_NEED(tdx_hkid_take(&hkid) == ERR_OK, 0);
    take_pages(pages, td_control_pages());
    need(td_create(&tb.td, &config, hkid, pages));
    take_pages(pages, vcpu_control_pages());
    need(td_add_vcpu(&tb.td, 0, pages));
    TB_NEED(tdp_create(&tb.tdp, &tb.td, bytes, level, tb.backing, PAGE_ANY_NODE) == ERR_OK, bytes);
    need(vcpu_set_shared_ept(&tb.td.vcpus[0], tdp_shared_root(tb.tdp)));
    if (!unfinished)
        tb_finalize();
}

void tb_finalize(void)
{
    need(td_finalize(&tb.td));
    tb_enter();
}

static void give(hpa_t page, void *arg)
{
    page_free(page, LEVEL_4K);
}

static void forget_reference(void);

void tb_destroy(void)
{
    struct tdp_report r = tdp_prepare_destroy(tb.tdp);
    if (r.err != ERR_OK && r.err != ERR_TD_DEAD)
        TB_FAIL(r.what ? r.what : "prepare destroy", r.status.raw);
    need(td_release_key(&tb.td));
    r = tdp_destroy(tb.tdp);
    if (r.err != ERR_OK)
        TB_FAIL(r.what ? r.what : "destroy", r.status.raw);
    hkid_t hkid = tb.td.hkid;
    need(td_destroy(&tb.td, give, NULL));
    tdx_hkid_give(hkid);
    u64 lost = page_lost_bytes() - tb.lost_before;
    TB_NEED(page_free_bytes() + lost == tb.free_before, page_free_bytes() - tb.free_before);
    forget_reference();
    seamcall_host_watch = NULL;
}

/* --- running the TD ----------------------------------------------------------------------------------------------- */

static struct vcpu_exit enter(void)
{
    struct vcpu_exit e = vcpu_enter(&tb.td.vcpus[0]);
    cache_at_entry();
    return e;
}

void tb_enter(void)
{
    struct vcpu_exit e = enter();
    TB_NEED(e.kind == VCPU_EXIT_INTERRUPT, e.status.raw);
}

/* True: enter again. */
static bool answer_fault(const struct vcpu_exit *e)
{
    TB_NEED(e->kind == VCPU_EXIT_EPT_VIOLATION, e->status.raw);
    tb_faults++;
    tb_last_fault = tdp_fault(tb.tdp, e, 0);
    return tb_last_fault.err == ERR_OK;
}

u64 tb_accept(u64 gpa, unsigned level)
{
    struct guest_action a = {.kind = GUEST_TDCALL};
    a.gpr[RAX] = TDCALL_ACCEPT;
    a.gpr[RCX] = gpa | level;
    guest_push(tb.td.vcpus[0].tdvpr.raw, &a);
    for (int tries = 0; tries < 64; tries++) {
        struct vcpu_exit e = enter();
        if (a.done) {
            TB_NEED(e.kind == VCPU_EXIT_INTERRUPT, e.status.raw);
            return a.gpr[RAX];
        }
        if (!answer_fault(&e))
            TB_FAIL("an ACCEPT that nobody answers", tb_last_fault.err);
    }
    TB_FAIL("ACCEPT never ends", gpa);
}

/* An access: the translation, or the violation that the missing one is. */
static bool reach(u64 gpa, bool shared, bool write, u64 *hpa)
{
    for (int tries = 0; tries < 8; tries++) {
        tb_enter();
        if (look_up(gpa, shared, hpa))
            return true;
        static struct guest_action a; /* in flight until the next entry */
        a = (struct guest_action){
            .kind = GUEST_EPT_VIOLATION, .gpa = gpa | (shared ? 1ull << 47 : 0), .qualification = write ? 2 : 1};
        guest_push(tb.td.vcpus[0].tdvpr.raw, &a);
        struct vcpu_exit e = enter();
        if (!answer_fault(&e))
            return false;
    }
    TB_FAIL("a fault that never ends", gpa);
}

bool tb_store(u64 gpa, bool shared, u64 value)
{
    u64 hpa;
    if (!reach(gpa, shared, true, &hpa))
        return false;
    memcpy(platform_host_memory() + hpa, &value, sizeof(value));
    return true;
}

bool tb_load(u64 gpa, bool shared, u64 *value)
{
    u64 hpa;
    if (!reach(gpa, shared, false, &hpa))
        return false;
    memcpy(value, platform_host_memory() + hpa, sizeof(*value));
    return true;
}

/* --- the reference model ------------------------------------------------------------------------------------------ */

static struct {
    bool accepted, shared;
    u64 version; /* 0: zeros; else the words written */
} reference[PAGES_MAX];
static u64 last_version;
static bool used[PAGES_MAX / 512];      /* 2M regions whose pages are not all as at the start */
static bool converted[PAGES_MAX / 512]; /* 2M regions that held shared memory once */

static void forget_reference(void)
{
    for (u64 i = 0; i < PAGES_MAX; i += 512)
        if (used[i / 512])
            memset(&reference[i], 0, 512 * sizeof(reference[0]));
    memset(used, 0, sizeof(used));
    memset(converted, 0, sizeof(converted));
}

bool tb_is_accepted(u64 gpa)
{
    return reference[gpa / TB_4K].accepted;
}

bool tb_is_shared(u64 gpa)
{
    return reference[gpa / TB_4K].shared;
}

/* The word at `gpa`, different in every page and for every write. */
static u64 word(u64 gpa, u64 version)
{
    return version ? (gpa ^ 0x5eb7a000000ull) * 0x9e3779b97f4a7c15ull + version : 0;
}

static u64 offset_of(u64 gpa, unsigned i)
{
    return i ? 0xff8 : gpa / TB_4K * 8 % 0xff0;
}

void tb_write_page(u64 gpa)
{
    u64 page = gpa & ~(TB_4K - 1), index = page / TB_4K;
    reference[index].version = ++last_version;
    for (unsigned i = 0; i < 2; i++) {
        u64 at = page + offset_of(page, i);
        if (!tb_store(at, reference[index].shared, word(at, last_version)))
            TB_FAIL("the TD cannot write its memory", at);
    }
}

void tb_verify_page(u64 gpa)
{
    u64 page = gpa & ~(TB_4K - 1), index = page / TB_4K, found;
    for (unsigned i = 0; i < 2; i++) {
        u64 at = page + offset_of(page, i);
        if (!tb_load(at, reference[index].shared, &found))
            TB_FAIL("the TD cannot read its memory", at);
        if (found != word(at, reference[index].version))
            TB_FAIL("the TD's memory does not hold what it wrote", at);
    }
}

void tb_verify_range(u64 gpa, u64 bytes)
{
    for (u64 at = gpa; at < gpa + bytes; at += TB_4K)
        if (tb_is_accepted(at) || tb_is_shared(at))
            tb_verify_page(at);
}

static void now_accepted(u64 gpa, u64 bytes)
{
    for (u64 i = gpa / TB_4K; i < (gpa + bytes) / TB_4K; i++) {
        TB_NEED(!reference[i].accepted && !reference[i].shared, i * TB_4K);
        reference[i].accepted = used[i / 512] = true;
        reference[i].version = 0;
    }
}

static bool accept_one(u64 gpa, unsigned level)
{
    u64 rax = tb_accept(gpa, level);
    if (rax >> 32 == ACCEPTED_ALREADY)
        return true;
    if (rax >> 32 == SIZE_MISMATCH && level == 1)
        return false;
    TB_NEED(rax == 0, rax);
    now_accepted(gpa, page_bytes(level));
    return true;
}

static bool nothing_accepted(u64 gpa, u64 bytes)
{
    for (u64 at = gpa; at < gpa + bytes; at += TB_4K)
        if (tb_is_accepted(at) || tb_is_shared(at))
            return false;
    return true;
}

void tb_accept_range(u64 gpa, u64 bytes)
{
    for (u64 at = gpa, end = gpa + bytes; at < end;) {
        if (at % TB_2M == 0 && end - at >= TB_2M && nothing_accepted(at, TB_2M) && accept_one(at, 1)) {
            at += TB_2M;
            continue;
        }
        if (!tb_is_accepted(at) && !tb_is_shared(at))
            TB_NEED(accept_one(at, 0), at);
        at += TB_4K;
    }
}

/* A large page went as a whole, though one page of it was lost. */
static void forget_unmapped(u64 gpa, u64 end)
{
    struct tdp_walk w;
    for (; gpa < end; gpa += TB_4K) {
        TB_NEED(tdp_walk(tb.tdp, (gpa_t){gpa}, &w).err == ERR_OK, gpa);
        if (w.state == TDP_ABSENT) {
            reference[gpa / TB_4K].accepted = false;
            reference[gpa / TB_4K].version = 0;
        }
    }
}

struct tdp_report tb_convert(u64 gpa, u64 bytes, enum tdp_attr to)
{
    struct tdp_report r = tdp_convert(tb.tdp, (gpa_t){gpa}, bytes, to, NULL);
    cache.changed = true; /* the shared EPT, without a SEAMCALL */
    TB_NEED(r.at.raw >= gpa && r.at.raw <= gpa + bytes, r.at.raw);
    for (u64 i = gpa / TB_4K; i < r.at.raw / TB_4K; i++) {
        bool shared = to == TDP_SHARED;
        if (reference[i].shared == shared)
            continue;
        reference[i].shared = shared;
        converted[i / 512] = used[i / 512] = true;
        reference[i].accepted = false;
        reference[i].version = 0;
    }
    if (r.lost)
        forget_unmapped(r.at.raw, gpa + bytes);
    return r;
}

/* --- checks ------------------------------------------------------------------------------------------------------- */

/* Is there a private leaf over the page, accepted or not? */
static bool has_private_leaf(u64 gpa)
{
    struct tdx_entry_answer a = tdh_mem_sept_rd(tb.td.tdr, (gpa_t){gpa}, (level_t){0});
    return a.entry.state >= 1 && a.entry.state <= 4;
}

/* Shared memory has its one translation in the shared EPT, private memory has none there. */
static void check_shared_region(u64 region)
{
    struct cached c;
    for (u64 at = region; at < region + TB_2M && at < tb.bytes; at += TB_4K) {
        if (translate_shared(at, &c) != tb_is_shared(at))
            TB_FAIL("the shared EPT does not follow the attributes", at);
        if (tb_is_shared(at) && has_private_leaf(at))
            TB_FAIL("shared memory is mapped in the Secure EPT", at);
    }
}

void tb_check(void)
{
    struct tdp_census c;
    struct tdp_report r = tdp_census(tb.tdp, (gpa_t){0}, 0, &c);
    TB_NEED(r.err == ERR_OK, r.status.raw);
    TB_NEED(c.agree, c.first_disagreement.raw);
    for (u64 region = 0; region < tb.bytes; region += TB_2M)
        if (converted[region / TB_2M])
            check_shared_region(region);
}

static u64 calls_before, tracks_before;

static u64 calls_now(void)
{
    return tdx_counts_seamcalls() - tdx_counts.leaf[LEAF_WBINVD] - tdx_counts.leaf[LEAF_ENTER];
}

void tb_calls_reset(void)
{
    calls_before = calls_now();
    tracks_before = tdx_counts.leaf[LEAF_TRACK];
}

u64 tb_calls(void)
{
    return calls_now() - calls_before;
}

u64 tb_tracks(void)
{
    return tdx_counts.leaf[LEAF_TRACK] - tracks_before;
}
