/*
 * What holds between any two calls, read from the structures in memory alone (sim/module/state.h, sept.h for the format
 * of an entry) and none of the model's functions:
 *
 *   - every page in use is used once;
 *   - the PAMT and whoever uses a page (TDR, TDCS, TDVPS, Secure EPT entry) agree about owner, type and size;
 *   - CHLDCNT is the number of pages owned;
 *   - no lock is held but by vCPUs that run, and the epochs' counts are the vCPUs that run;
 *   - vCPUs are counted right, and KeyIDs belong to the TDs that have them;
 *   - entries of the Secure EPT are well formed.
 *
 * Only pages that the module has asked for can hold anything, so only they are looked at.
 */
#include "tests/fuzz/fuzz.h"

#include "sim/module/pamt.h"
#include "sim/module/sept.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define HEX(x)       ((unsigned long long)(x))
#define MEMORY_PAGES ((u64)PLATFORM_HOST_GIB << 18)
#define USED_MAX     (1u << 20)
#define TDS_MAX      64
#define HOST_MARK    2u
#define LIFECYCLES   4
#define ALIASES      (7ull << 60) /* of a table: VM 1 to 3 has one at its place too, bits 60 to 62 */
#define ALIAS(vm)    (1ull << (59 + (vm)))

void fuzz_fail(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    fputs("fuzz: ", stderr);
    vfprintf(stderr, format, arguments);
    fputc('\n', stderr);
    va_end(arguments);
    abort();
}

#define CHECK(condition, ...)                                                                                          \
    do {                                                                                                               \
        if (!(condition))                                                                                              \
            fuzz_fail(__VA_ARGS__);                                                                                    \
    } while (0)

/* --- what a refused call leaves as it is: page types, Secure EPT, states of TDs --- */

static u64 digest;

static void digest_add(u64 value)
{
    digest = (digest ^ value) * 0x100000001b3ull;
    digest ^= digest >> 29;
}

u64 fuzz_state_digest(void)
{
    return digest;
}

/* --- pages in use, by the PAMT --- */

struct used {
    u64 hpa, owner, bepoch;
    u8 level, type;
};
static struct used used[USED_MAX];
static unsigned used_count;

struct td_view {
    u64 hpa, owned_4k;
    const struct tdr *tdr;
    unsigned inside[2], active, associated, vcpus;
};
static struct td_view tds[TDS_MAX];
static unsigned td_count;

static struct td_view *find_td(u64 hpa)
{
    for (unsigned i = 0; i < td_count; i++)
        if (tds[i].hpa == hpa)
            return &tds[i];
    return NULL;
}

/* How often the vCPUs that run hold this lock. */
static unsigned times_held(const void *lock)
{
    unsigned count = 0;
    for (unsigned lp = 0; lp < FUZZ_LPS; lp++)
        for (unsigned i = 0; i < mdl_sys.lps[lp].inside.count; i++)
            count += mdl_sys.lps[lp].inside.held[i].lock == lock;
    return count;
}

static u64 pamt_hpa_of(const struct tdmr *tdmr, unsigned level, u64 hpa)
{
    return tdmr->pamt_base[level] + ((hpa - tdmr->base) >> (12 + 9 * level)) * sizeof(struct pamt_entry);
}

static const struct tdmr *tdmr_of(u64 hpa)
{
    for (unsigned i = 0; i < mdl_sys.tdmr_count; i++)
        if (hpa >= mdl_sys.tdmrs[i].base && hpa - mdl_sys.tdmrs[i].base < mdl_sys.tdmrs[i].bytes)
            return &mdl_sys.tdmrs[i];
    return NULL;
}

static const struct pamt_entry *pamt_at(u64 hpa, unsigned level)
{
    const struct tdmr *tdmr = tdmr_of(hpa);
    CHECK(tdmr, "%llx is in use and in no TDMR", HEX(hpa));
    return fuzz_memory(pamt_hpa_of(tdmr, level, hpa));
}

static u64 owner_of(const struct pamt_entry *entry)
{
    return (u64)entry->owner_high << 44 | (u64)entry->owner_low << 12;
}

static bool is_reserved(const struct tdmr *tdmr, u64 hpa)
{
    for (unsigned i = 0; i < tdmr->reserved_count; i++)
        if (hpa - tdmr->base - tdmr->reserved[i].base < tdmr->reserved[i].bytes)
            return true;
    return false;
}

/* A page that is used in one size is free in every larger one. */
static void check_larger_free(u64 hpa, unsigned level)
{
    for (unsigned above = level + 1; above <= LEVEL_1G; above++)
        CHECK(pamt_at(hpa, above)->type == PT_NDA, "%llx is used at level %u and, as part of a page, at level %u",
              HEX(hpa), level, above);
}

static void check_pamt_entry(const struct tdmr *tdmr, unsigned level, u64 hpa, const struct pamt_entry *entry)
{
    unsigned lock = entry->lock & ~HOST_MARK;
    CHECK(!(lock & 1), "the PAMT entry of %llx is locked exclusively outside a call", HEX(hpa));
    if (lock)
        CHECK(lock >> 2 == times_held(&entry->lock), "the PAMT entry of %llx at level %u is shared by %u, held by %u",
              HEX(hpa), level, lock >> 2, times_held(&entry->lock));
    if (entry->type == PT_NDA)
        return;
    if (entry->type == PT_RSVD) {
        CHECK(level == LEVEL_4K && is_reserved(tdmr, hpa), "%llx is reserved in the PAMT alone", HEX(hpa));
        return;
    }
    CHECK(!is_reserved(tdmr, hpa), "%llx is reserved and of type %u", HEX(hpa), entry->type);
    CHECK(entry->type == PT_REG || level == LEVEL_4K, "%llx of type %u is a page of level %u", HEX(hpa), entry->type,
          level);
    check_larger_free(hpa, level);
    CHECK(used_count < USED_MAX, "too many pages in use");
    used[used_count++] = (struct used){hpa, owner_of(entry), entry->bepoch, (u8)level, entry->type};
    digest_add(hpa | level | entry->type << 4);
    digest_add(owner_of(entry));
    digest_add(entry->bepoch);
}

/* One page of a TDMR's PAMT, as far as it has been initialised. */
static void scan_pamt_page(const struct tdmr *tdmr, unsigned level, u64 page)
{
    const struct pamt_entry *entries = fuzz_memory(page);
    u64 first = (page - tdmr->pamt_base[level]) / sizeof(struct pamt_entry);
    u64 end = tdmr->next_init & ~(PAGE_1G - 1);
    for (unsigned i = 0; i < PAGE_4K / sizeof(struct pamt_entry); i++) {
        u64 hpa = tdmr->base + ((first + i) << (12 + 9 * level));
        if (hpa >= end)
            return;
        if (entries[i].type || entries[i].lock)
            check_pamt_entry(tdmr, level, hpa, &entries[i]);
    }
}

static void scan_pamt(void)
{
    used_count = 0;
    for (unsigned p = 0; p < fuzz_used_page_count; p++)
        for (unsigned i = 0; i < mdl_sys.tdmr_count; i++)
            for (unsigned level = LEVEL_4K; level <= LEVEL_1G; level++)
                if (fuzz_used_pages[p] - mdl_sys.tdmrs[i].pamt_base[level] < mdl_sys.tdmrs[i].pamt_bytes[level])
                    scan_pamt_page(&mdl_sys.tdmrs[i], level, fuzz_used_pages[p]);
}

static void find_tds(void)
{
    td_count = 0;
    for (unsigned i = 0; i < used_count; i++) {
        if (used[i].type != PT_TDR)
            continue;
        CHECK(td_count < TDS_MAX, "too many TDs");
        CHECK(used[i].owner == 0, "TDR %llx has an owner", HEX(used[i].hpa));
        tds[td_count++] = (struct td_view){.hpa = used[i].hpa, .tdr = fuzz_memory(used[i].hpa)};
    }
    for (unsigned i = 0; i < used_count; i++) {
        if (used[i].type == PT_TDR)
            continue;
        struct td_view *td = find_td(used[i].owner);
        CHECK(td, "%llx of type %u belongs to %llx, which is no TD", HEX(used[i].hpa), used[i].type,
              HEX(used[i].owner));
        td->owned_4k += 1ull << 9 * used[i].level;
    }
}

/* --- who uses them --- */

static u32 claimed[MEMORY_PAGES], generation;

/* A structure of the TD names this page. */
static void claim(const struct td_view *td, u64 hpa, unsigned level, unsigned type)
{
    CHECK(!(hpa & ((PAGE_4K << 9 * level) - 1)), "%llx is no page of level %u", HEX(hpa), level);
    const struct pamt_entry *entry = pamt_at(hpa, level);
    CHECK(entry->type == type && owner_of(entry) == td->hpa,
          "TD %llx uses %llx at level %u as type %u; the PAMT says type %u of %llx", HEX(td->hpa), HEX(hpa), level,
          type, entry->type, HEX(owner_of(entry)));
    CHECK(claimed[hpa / PAGE_4K] != generation, "%llx is used twice", HEX(hpa));
    claimed[hpa / PAGE_4K] = generation;
}

static void check_entry(u64 entry, unsigned level)
{
    unsigned state = entry >> 52 & 0xff;
    bool leaf = entry & SEPT_LEAF, mapped = state == SEPT_MAPPED || state == SEPT_NL_MAPPED;
    u64 format = leaf ? SEPT_LEAF | SEPT_IPAT | SEPT_MT_WB : 0;
    CHECK(entry & SEPT_SUPPRESS_VE, "S-EPT entry %llx: #VE is not suppressed", HEX(entry));
    CHECK(!(entry & SEPT_LOCK), "S-EPT entry %llx is locked outside a call", HEX(entry));
    CHECK((entry & 7) == (mapped ? 7 : 0), "S-EPT entry %llx: permissions and state differ", HEX(entry));
    if (state == SEPT_FREE) {
        CHECK((entry & ~SEPT_HOST_PRIORITY) == SEPT_SUPPRESS_VE, "S-EPT entry %llx is not quite free", HEX(entry));
        return;
    }
    CHECK((entry & 0xbf8) == format, "S-EPT entry %llx: low bits", HEX(entry));
    CHECK(!leaf || !(entry & ALIASES), "S-EPT entry %llx: bits 62:60", HEX(entry));
    if (leaf)
        CHECK(state >= SEPT_BLOCKED && state <= SEPT_MAPPED && level <= LEVEL_1G, "S-EPT leaf %llx at level %u",
              HEX(entry), level);
    else
        CHECK((state == SEPT_NL_MAPPED || state == SEPT_NL_BLOCKED) && level >= LEVEL_2M,
              "S-EPT table entry %llx at level %u", HEX(entry), level);
}

/* A table of the L1 tree, and those at its place in the trees of L2 VMs, 0 where there is none. */
struct tables {
    u64 hpa[VMS_MAX];
};

static void check_table(const struct td_view *td, const struct tables *tables, unsigned level);

/* An L2 VM's tree has tables only, each beside one of the L1 tree that knows of it. */
static void check_l2(const struct td_view *td, const struct tables *tables, unsigned i, u64 l1, struct tables *below)
{
    for (unsigned vm = 1; vm < VMS_MAX; vm++) {
        u64 entry = tables->hpa[vm] ? ((const u64 *)fuzz_memory(tables->hpa[vm]))[i] : 0;
        below->hpa[vm] = entry & SEPT_HPA;
        CHECK(!(l1 & ALIAS(vm)) == !entry, "L1 S-EPT entry %llx, beside it VM %u has %llx", HEX(l1), vm, HEX(entry));
        CHECK(!entry || (entry & ~SEPT_HPA) == 7, "S-EPT entry %llx of VM %u", HEX(entry), vm);
        if (entry)
            claim(td, below->hpa[vm], LEVEL_4K, PT_EPT);
    }
}

static void check_leaf(const struct td_view *td, u64 entry, unsigned level)
{
    u64 hpa = entry & SEPT_HPA;
    if ((entry >> 52 & 0xff) == SEPT_PENDING && level == LEVEL_2M)
        hpa &= ~SEPT_ACCEPT_COUNT; /* how far ACCEPT has come */
    claim(td, hpa, level, PT_REG);
    fuzz_tracking_entry(td->hpa, hpa, level, false, entry >> 52 & 1);
}

static void check_subtable(const struct td_view *td, u64 entry, unsigned level, struct tables *below)
{
    below->hpa[0] = entry & SEPT_HPA;
    claim(td, below->hpa[0], LEVEL_4K, PT_EPT);
    fuzz_tracking_entry(td->hpa, below->hpa[0], level, true, (entry >> 52 & 0xff) == SEPT_NL_BLOCKED);
    check_table(td, below, level - 1);
}

static void check_table(const struct td_view *td, const struct tables *tables, unsigned level)
{
    const u64 *table = fuzz_memory(tables->hpa[0]);
    bool nested = tables->hpa[1] | tables->hpa[2] | tables->hpa[3];
    for (unsigned i = 0; i < SEPT_ENTRIES; i++) {
        struct tables below = {{0}};
        if (nested || table[i] & ALIASES)
            check_l2(td, tables, i, table[i] & SEPT_LEAF ? 0 : table[i], &below);
        if (table[i] == SEPT_SUPPRESS_VE)
            continue;
        check_entry(table[i], level);
        if (!(table[i] >> 52 & 0xff))
            continue;
        digest_add((table[i] & ~SEPT_HOST_PRIORITY) ^ i);
        if (table[i] & SEPT_LEAF)
            check_leaf(td, table[i], level);
        else
            check_subtable(td, table[i], level, &below);
    }
}

static const struct tdcs *tdcs_of(const struct td_view *td)
{
    return td->tdr->num_tdcx >= TDCS_PAGES_MIN ? fuzz_memory(td->tdr->tdcx_pa[TDCS_PAGE_FIELDS]) : NULL;
}

static void check_tree(const struct td_view *td)
{
    const struct tdcs *tdcs = tdcs_of(td);
    if (td->tdr->num_tdcx <= TDCS_PAGE_SEPT_ROOT)
        return;
    u64 root = td->tdr->tdcx_pa[TDCS_PAGE_SEPT_ROOT];
    bool built = tdcs && tdcs->op_state != OP_UNINITIALIZED;
    if (built)
        CHECK((tdcs->eptp & SEPT_HPA) == root, "TD %llx: EPTP %llx, root at %llx", HEX(td->hpa), HEX(tdcs->eptp),
              HEX(root));
    struct tables roots = {{root}};
    for (unsigned vm = 1; built && vm <= tdcs->num_l2_vms; vm++)
        roots.hpa[vm] = td->tdr->tdcx_pa[TDCS_PAGE_L2_SEPT_ROOT + vm - 1];
    check_table(td, &roots, built ? tdcs->eptp >> 3 & 7 : LEVEL_512G);
}

static void check_vcpu(struct td_view *td, u64 tdvpr)
{
    const struct tdvps *tdvps = fuzz_memory(tdvpr);
    CHECK(tdvps->num_tdvps_pages >= 1 && tdvps->num_tdvps_pages <= TDVPS_PAGES_MAX, "TDVPR %llx has %u pages",
          HEX(tdvpr), tdvps->num_tdvps_pages);
    CHECK(tdvps->tdvps_pa[0] == tdvpr, "TDVPR %llx names %llx as itself", HEX(tdvpr), HEX(tdvps->tdvps_pa[0]));
    claim(td, tdvpr, LEVEL_4K, PT_TDVPR);
    for (unsigned i = 1; i < tdvps->num_tdvps_pages; i++)
        claim(td, tdvps->tdvps_pa[i], LEVEL_4K, PT_TDCX);
    CHECK(tdvps->assoc_lpid == NO_LP || tdvps->assoc_lpid < FUZZ_LPS, "TDVPR %llx runs on LP %u", HEX(tdvpr),
          tdvps->assoc_lpid);
    td->associated += tdvps->assoc_lpid != NO_LP;
    td->vcpus += tdvps->state != VCPU_UNINITIALIZED;
    td->active += tdvps->state == VCPU_ACTIVE;
}

/* Pages of migration streams. */
static void claim_streams(const struct td_view *td)
{
    const struct tdcs *tdcs = tdcs_of(td);
    const u64 *links = tdcs ? fuzz_memory(td->tdr->tdcx_pa[TDCS_PAGE_MIGSC_LINKS]) : NULL;
    for (unsigned i = 0; tdcs && i < tdcs->num_migs; i++)
        claim(td, links[i], LEVEL_4K, PT_TDCX);
}

static void claim_all(void)
{
    generation++;
    fuzz_tracking_begin();
    for (unsigned i = 0; i < td_count; i++) {
        const struct tdr *tdr = tds[i].tdr;
        CHECK(tdr->lifecycle < LIFECYCLES, "TD %llx: life cycle state %u", HEX(tds[i].hpa), tdr->lifecycle);
        CHECK(tdr->num_tdcx <= TDCS_PAGES_MAX, "TD %llx: %u TDCX pages", HEX(tds[i].hpa), tdr->num_tdcx);
        CHECK(tdr->chldcnt == tds[i].owned_4k, "TD %llx: CHLDCNT %llu, %llu pages", HEX(tds[i].hpa), HEX(tdr->chldcnt),
              HEX(tds[i].owned_4k));
        if (tdr->lifecycle == TD_TEARDOWN)
            continue; /* its pages may be reclaimed in any order */
        digest_add(tdr->lifecycle | (u64)tdr->hkid << 8 | (u64)tdr->num_tdcx << 32 | tdr->pkg_config_bitmap << 48);
        for (unsigned page = 0; page < tdr->num_tdcx; page++)
            claim(&tds[i], tdr->tdcx_pa[page], LEVEL_4K, PT_TDCX);
        claim_streams(&tds[i]);
        check_tree(&tds[i]);
    }
    for (unsigned i = 0; i < used_count; i++)
        if (used[i].type == PT_TDVPR && find_td(used[i].owner)->tdr->lifecycle != TD_TEARDOWN)
            check_vcpu(find_td(used[i].owner), used[i].hpa);
}

static void check_all_claimed(void)
{
    for (unsigned i = 0; i < used_count; i++) {
        const struct used *page = &used[i];
        if (page->type == PT_TDR)
            continue;
        const struct td_view *td = find_td(page->owner);
        if (td->tdr->lifecycle == TD_TEARDOWN)
            continue;
        CHECK(claimed[page->hpa / PAGE_4K] == generation, "nothing in TD %llx leads to its page %llx of type %u",
              HEX(td->hpa), HEX(page->hpa), page->type);
        if (page->type == PT_REG || page->type == PT_EPT)
            CHECK(page->bepoch <= tdcs_of(td)->td_epoch, "%llx was blocked in a later epoch", HEX(page->hpa));
    }
}

/* --- vCPUs that run, counts and locks --- */

static bool list_has(const struct lock_list *list, const void *lock)
{
    for (unsigned i = 0; i < list->count; i++)
        if (list->held[i].lock == lock)
            return true;
    return false;
}

static void check_lp(unsigned index)
{
    const struct lp_local *lp = &mdl_sys.lps[index];
    const struct td_vmcs *runs = platform_host_lps[index].td;
    CHECK(!lp->in_seamcall, "LP %u is in a SEAMCALL for good", index);
    if (!runs) {
        CHECK(!lp->inside.count && !lp->tdr, "LP %u has left its TD and keeps something of it", index);
        return;
    }
    struct td_view *td = find_td(lp->tdr_hpa);
    CHECK(td && lp->tdr == td->tdr, "LP %u runs a TD that there is not", index);
    CHECK(runs == &lp->vmcs->run, "LP %u runs something else than its vCPU", index);
    CHECK(list_has(&lp->inside, &pamt_at(lp->tdr_hpa, LEVEL_4K)->lock) &&
              list_has(&lp->inside, &pamt_at(lp->tdvpr_hpa, LEVEL_4K)->lock),
          "LP %u runs a vCPU whose pages are not locked", index);
    for (unsigned i = 0; i < lp->inside.count; i++) {
        CHECK(lp->inside.held[i].mode == LOCK_SHARED, "LP %u holds a lock exclusively while its TD runs", index);
        CHECK(*(const u16 *)lp->inside.held[i].lock >> 2, "LP %u relies on a lock that is not held", index);
    }
    CHECK(lp->tdvps->state == VCPU_ACTIVE && lp->tdvps->assoc_lpid == index, "LP %u runs a vCPU in state %u of LP %u",
          index, lp->tdvps->state, lp->tdvps->assoc_lpid);
    u64 epoch = tdcs_of(td)->td_epoch;
    CHECK(lp->tdvps->vcpu_epoch == epoch || lp->tdvps->vcpu_epoch == epoch - 1, "LP %u runs in epoch %llu of %llu",
          index, HEX(lp->tdvps->vcpu_epoch), HEX(epoch));
    td->inside[lp->tdvps->vcpu_epoch & 1]++;
}

static unsigned running_in(const struct td_view *td)
{
    return td->inside[0] + td->inside[1];
}

static void check_counts(const struct td_view *td)
{
    const struct tdcs *tdcs = tdcs_of(td);
    if (!tdcs || td->tdr->lifecycle == TD_TEARDOWN || tdcs->op_state == OP_UNINITIALIZED)
        return;
    digest_add(tdcs->op_state | (u64)tdcs->num_vcpus << 8 | tdcs->td_epoch << 32);
    CHECK(tdcs->op_state <= OP_RUNNABLE, "TD %llx: op state %u", HEX(td->hpa), tdcs->op_state);
    CHECK(!tdcs->sept_lock && !tdcs->epoch_lock && !(tdcs->op_state_lock & ~HOST_MARK) &&
              !(tdcs->rtmr_lock & ~HOST_MARK),
          "TD %llx: locks tree %x epoch %x op state %x RTMR %x are held", HEX(td->hpa), tdcs->sept_lock,
          tdcs->epoch_lock, tdcs->op_state_lock, tdcs->rtmr_lock);
    CHECK(tdcs->num_vcpus == td->vcpus && tdcs->num_vcpus <= tdcs->max_vcpus, "TD %llx: %u vCPUs counted, %u there",
          HEX(td->hpa), tdcs->num_vcpus, td->vcpus);
    CHECK(tdcs->num_assoc_vcpus == td->associated, "TD %llx: %u vCPUs counted on LPs, %u there", HEX(td->hpa),
          tdcs->num_assoc_vcpus, td->associated);
    /* A TD that is lost to the module is left as it was. */
    for (unsigned i = 0; i < 2; i++)
        CHECK(td->tdr->fatal ? tdcs->epoch_refcount[i] >= td->inside[i] : tdcs->epoch_refcount[i] == td->inside[i],
              "TD %llx: epoch %u is counted %u times, %u vCPUs run in it", HEX(td->hpa), i, tdcs->epoch_refcount[i],
              td->inside[i]);
    CHECK(td->tdr->fatal ? td->active >= running_in(td) : td->active == running_in(td),
          "TD %llx: %u vCPUs active, %u run", HEX(td->hpa), td->active, running_in(td));
}

static void check_keyids(void)
{
    static const u8 expected[LIFECYCLES] = {HKID_ASSIGNED, HKID_ASSIGNED, HKID_FLUSHED, HKID_FREE};
    unsigned owners[HKIDS_MAX] = {0};
    for (unsigned i = 0; i < td_count; i++) {
        const struct tdr *tdr = tds[i].tdr;
        if (tdr->lifecycle == TD_TEARDOWN)
            continue;
        CHECK(tdr->hkid < HKIDS_MAX && mdl_sys.kot[tdr->hkid].state == expected[tdr->lifecycle],
              "TD %llx: KeyID %u does not have the state that goes with life cycle state %u", HEX(tds[i].hpa),
              tdr->hkid, tdr->lifecycle);
        owners[tdr->hkid]++;
    }
    for (unsigned hkid = 0; hkid < HKIDS_MAX; hkid++) {
        u8 state = mdl_sys.kot[hkid].state;
        bool in_use = state == HKID_ASSIGNED || state == HKID_FLUSHED;
        CHECK(owners[hkid] == in_use, "KeyID %u in state %u has %u TDs", hkid, state, owners[hkid]);
        CHECK(state == HKID_FLUSHED || !mdl_sys.kot[hkid].wbinvd_bitmap, "KeyID %u in state %u awaits a write-back",
              hkid, state);
    }
}

static void check_system(void)
{
    u64 initialized = 0;
    for (unsigned lp = 0; lp < LPS_MAX; lp++)
        initialized += mdl_sys.lps[lp].initialized;
    CHECK(mdl_sys.lp_init_count == initialized, "%llu LPs counted, %llu there", HEX(mdl_sys.lp_init_count),
          HEX(initialized));
    CHECK(mdl_sys.state <= SYS_SHUTDOWN, "module state %u", mdl_sys.state);
    CHECK(!mdl_sys.lock && !mdl_sys.kot_lock, "the module's locks are held: %x %x", mdl_sys.lock, mdl_sys.kot_lock);
    for (unsigned i = 0; i < PACKAGES_MAX; i++)
        CHECK(!mdl_sys.wbt_lock[i], "package %u is written back for good", i);
    for (unsigned i = 0; i < mdl_sys.tdmr_count; i++)
        CHECK(!mdl_sys.tdmrs[i].lock, "TDMR %u is locked outside a call", i);
}

void fuzz_check_state(void)
{
    digest = mdl_sys.state;
    check_system();
    scan_pamt();
    find_tds();
    claim_all();
    fuzz_tracking_end();
    check_all_claimed();
    for (unsigned lp = 0; lp < FUZZ_LPS; lp++)
        check_lp(lp);
    for (unsigned i = 0; i < td_count; i++)
        check_counts(&tds[i]);
    check_keyids();
}
