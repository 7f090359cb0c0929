/*
 * The states that inputs start from, each built once by ordinary calls: a platform on which nothing has happened, a
 * system that is ready, and systems with TDs whose memory shows every kind of Secure EPT entry.
 */
#include "tests/fuzz/fuzz.h"

#include "sim/module/sept.h"

#include <string.h>

#define GIB  PAGE_1G
#define HKID 33

static struct fuzz_snapshot *snapshots[WORLDS];

u64 fuzz_home(u64 gpa)
{
    return gpa < GIB ? FUZZ_LARGE + gpa % (16 * PAGE_2M) : FUZZ_TDMR_B + gpa % GIB;
}

static u64 control(unsigned i)
{
    return FUZZ_PAGE(FUZZ_CONTROL, i);
}

static u64 *vmm_page(unsigned i)
{
    fuzz_page_used(FUZZ_PAGE(FUZZ_VMM, i));
    return fuzz_memory(FUZZ_PAGE(FUZZ_VMM, i));
}

static u64 call(unsigned lp, unsigned leaf, u64 rcx, u64 rdx, u64 r8, u64 r9)
{
    struct seam_lp *s = &platform_host_lps[lp];
    s->vmm[RAX] = leaf;
    s->vmm[RCX] = rcx;
    s->vmm[RDX] = rdx;
    s->vmm[R8] = r8;
    s->vmm[R9] = r9;
    s->vmm[R10] = s->vmm[R11] = NULL_ID; /* no page for L2 VMs */
    if (module_seamcall(s) == SEAM_TO_TD)
        return TDX_SUCCESS;
    return s->vmm[RAX];
}

static void must(unsigned lp, unsigned leaf, u64 rcx, u64 rdx, u64 r8, u64 r9)
{
    u64 status = call(lp, leaf, rcx, rdx, r8, r9);
    if (status != TDX_SUCCESS)
        fuzz_fail("building a world: leaf %u rcx %llx rdx %llx r8 %llx answers %llx", leaf, (unsigned long long)rcx,
                  (unsigned long long)rdx, (unsigned long long)r8, (unsigned long long)status);
}

/* --- tables in VMM memory --- */

static void write_tdmrs(void)
{
    u64 *table = vmm_page(VMM_TDMRS);
    for (unsigned i = 0; i < 2; i++) {
        u64 pamt = FUZZ_PAMT + i * 0x1000000;
        u64 info[10] = {
            i ? FUZZ_TDMR_B : FUZZ_TDMR_A, GIB, pamt, PAGE_4K, pamt + PAGE_4K, 2 * PAGE_4K, pamt + 0x400000, 0x400000};
        if (i == 0) {
            info[8] = FUZZ_RESERVED - FUZZ_TDMR_A;
            info[9] = 0x100000;
        }
        table[i] = FUZZ_PAGE(FUZZ_VMM, VMM_TDMRS) + 0x200 * (i + 1);
        memcpy(table + 64 * (i + 1), info, sizeof(info));
    }
}

enum params {
    PARAMS_PRODUCTION,
    PARAMS_DEBUG,
    PARAMS_WIDE /* 5-level tables, 52-bit GPAs */,
    PARAMS_NESTED /* an L2 VM */
};

/* TD_PARAMS of each kind. */
static void write_params(void)
{
    u64 *params = vmm_page(VMM_PARAMS);
    for (unsigned i = 0; i < 4; i++, params += 128) {
        params[0] = i == PARAMS_DEBUG ? ATTR_DEBUG : ATTR_SEPT_VE_DISABLE;
        params[1] = 0xe7;
        params[2] = 4 | (i == PARAMS_NESTED ? 1 << 16 : 0);
        params[3] = i == PARAMS_WIDE ? 0x26 : 0x1e;
        params[4] = i == PARAMS_WIDE ? 1 : 0;
        params[5] = 40;
    }
}

/* A chain of tables, of which each entry 0 leads on and entry 1 is a leaf; the shared bit is part of the first index.
 */
static void write_shared_ept(void)
{
    for (unsigned i = 0; i < 4; i++) {
        u64 *table = vmm_page(VMM_SHARED_EPT + i);
        table[0] = FUZZ_PAGE(FUZZ_VMM, VMM_SHARED_EPT + i + 1) | (i < 3 ? 7 : 0x37);
        table[1] = FUZZ_PAGE(FUZZ_VMM, VMM_OUTPUT) | 0x37;
        table[2] = SEPT_SUPPRESS_VE;
    }
    u64 *top = vmm_page(VMM_SHARED_EPT);
    top[256] = top[8] = top[0];
}

/* --- system and TDs --- */

#define PACKAGES 2

/* What the next world is built on. */
static unsigned lps_in_package = 1;
static u64 more_features;

/* The first LP of a package, which does what takes one of each. */
static unsigned first_lp(unsigned package)
{
    return package * lps_in_package;
}

static void fresh(void)
{
    struct plat_info info = *platform_host_default_info();
    info.package_count = PACKAGES;
    info.lp_count = PACKAGES * lps_in_package;
    info.single_step_filter = true;
    info.features0 |= more_features;
    fuzz_memory_start(&info);
    write_tdmrs();
    write_params();
    write_shared_ept();
    vmm_page(VMM_SOURCE)[0] = 0x1234;
}

static void system_ready(void)
{
    fresh();
    must(0, TDH_SYS_INIT, 0, 0, 0, 0);
    for (unsigned lp = 0; lp < plat_info()->lp_count; lp++)
        must(lp, TDH_SYS_LP_INIT, 0, 0, 0, 0);
    must(0, TDH_SYS_CONFIG, FUZZ_PAGE(FUZZ_VMM, VMM_TDMRS), 2, 32, 0);
    for (unsigned package = 0; package < PACKAGES; package++)
        must(first_lp(package), TDH_SYS_KEY_CONFIG, 0, 0, 0, 0);
    for (unsigned i = 0; i < 256; i++) {
        must(0, TDH_SYS_TDMR_INIT, FUZZ_TDMR_A, 0, 0, 0);
        must(1, TDH_SYS_TDMR_INIT, FUZZ_TDMR_B, 0, 0, 0);
    }
}

/* A vCPU that belongs to this processor, with pages for the L2 VM that the last of TD_PARAMS asks for. */
static void add_vcpu(unsigned td, unsigned first, unsigned lp, bool nested)
{
    unsigned pages = TDVPS_PAGES_MIN + (nested ? TDVPS_PAGES_PER_L2 : 0);
    u64 tdvpr = control(td * TD_PAGES + first);
    must(0, TDH_VP_CREATE, tdvpr, control(td * TD_PAGES), 0, 0);
    for (unsigned i = 1; i < pages; i++)
        must(0, TDH_VP_ADDCX, FUZZ_PAGE(tdvpr, i), tdvpr, 0, 0);
    must(lp, TDH_VP_INIT, tdvpr, 0x77, 0, 0);
}

/* Ready for TDH.MNG.INIT. */
static void begin_td(unsigned td, unsigned params)
{
    u64 tdr = control(td * TD_PAGES + TD_TDR);
    must(0, TDH_MNG_CREATE, tdr, HKID + td, 0, 0);
    for (unsigned package = 0; package < PACKAGES; package++)
        must(first_lp(package), TDH_MNG_KEY_CONFIG, tdr, 0, 0, 0);
    for (unsigned i = 0; i < TDCS_PAGES_MIN + (params == PARAMS_NESTED); i++)
        must(0, TDH_MNG_ADDCX, control(td * TD_PAGES + TD_TDCX + i), tdr, 0, 0);
}

static void create_td(unsigned td, unsigned params)
{
    u64 tdr = control(td * TD_PAGES + TD_TDR);
    begin_td(td, params);
    must(0, TDH_MNG_INIT, tdr, FUZZ_PAGE(FUZZ_VMM, VMM_PARAMS) + 0x400 * params, 0, 0);
    add_vcpu(td, TD_VCPU0, 0, params == PARAMS_NESTED);
    add_vcpu(td, TD_VCPU1, 1, params == PARAMS_NESTED);
}

/* The tables down to those of 4K pages for region 0, of 2M pages for two GiB. */
static void add_tables(unsigned top)
{
    unsigned page = SEPT_PAGES;
    u64 tdr = control(TD_TDR);
    for (unsigned level = top; level >= LEVEL_2M; level--)
        must(0, TDH_MEM_SEPT_ADD, level, tdr, control(page++), 0);
    must(0, TDH_MEM_SEPT_ADD, GIB | LEVEL_1G, tdr, control(page++), 0);
    for (u64 i = 0; i < 4; i++)
        must(0, TDH_MEM_PAGE_ADD, i * PAGE_4K, tdr, FUZZ_PAGE(FUZZ_SMALL, i), FUZZ_PAGE(FUZZ_VMM, VMM_SOURCE));
}

static void building(unsigned params, unsigned top)
{
    system_ready();
    create_td(0, params);
    add_tables(top);
}

static void accept_2m(u64 gpa)
{
    struct seam_lp *lp = &platform_host_lps[0];
    must(0, TDH_VP_ENTER, control(TD_VCPU0), 0, 0, 0);
    lp->td->exit_reason = 77;
    lp->td->exit_instr_len = 4;
    lp->td->gpr[RAX] = TDG_MEM_PAGE_ACCEPT;
    lp->td->gpr[RCX] = gpa | LEVEL_2M;
    lp->td->cs.access |= 1 << 13; /* 64-bit code */
    lp->td->cr0 |= 1ull << 31;
    lp->td->efer |= 0x500;
    if (module_td_exit(lp) != SEAM_TO_TD || lp->td->gpr[RAX])
        fuzz_fail("building a world: ACCEPT of %llx answers %llx", (unsigned long long)gpa,
                  (unsigned long long)(lp->td ? lp->td->gpr[RAX] : lp->vmm[RAX]));
    lp->td->exit_reason = 1;
    lp->td->exit_intr_info = 0x800000ec;
    module_td_exit(lp);
}

static void split_2m(u64 gpa, unsigned page)
{
    u64 tdr = control(TD_TDR);
    must(0, TDH_MEM_RANGE_BLOCK, gpa | LEVEL_2M, tdr, 0, 0);
    must(0, TDH_MEM_TRACK, tdr, 0, 0, 0);
    must(0, TDH_MEM_PAGE_DEMOTE, gpa | LEVEL_2M, tdr, control(page), NULL_ID);
}

/* The second GiB in one piece. ACCEPT would fill it with zeros; it is zero already, so only the entries say so. */
static void map_giga(void)
{
    u64 tdr = control(TD_TDR);
    for (u64 gpa = GIB; gpa < 2 * GIB; gpa += PAGE_2M)
        must(0, TDH_MEM_PAGE_AUG, gpa | LEVEL_2M, tdr, fuzz_home(gpa), 0);
    struct sept_walk walk;
    const struct tdr *page = fuzz_memory(tdr);
    for (u64 gpa = GIB; gpa < 2 * GIB; gpa += PAGE_2M) {
        sept_walk(tdcs_page(page, TDCS_PAGE_FIELDS), gpa, LEVEL_2M, &walk);
        *walk.entry = sept_with_state(walk.value, SEPT_MAPPED);
    }
    must(0, TDH_MEM_RANGE_BLOCK, GIB | LEVEL_1G, tdr, 0, 0);
    must(0, TDH_MEM_TRACK, tdr, 0, 0, 0);
    must(0, TDH_MEM_PAGE_PROMOTE, GIB | LEVEL_1G, tdr, 0, 0);
}

/*
 * By region of 2M: 0 some 4K pages, 1 mapped, 2 pending, 3 mapped in 512 pieces that can be merged, 4 the same pending,
 * 5 blocked, 6 an empty table, 7 free.
 */
static void running(unsigned params, unsigned top)
{
    u64 tdr = control(TD_TDR);
    building(params, top);
    must(0, TDH_MR_FINALIZE, tdr, 0, 0, 0);
    for (u64 i = 4; i < 8; i++)
        must(0, TDH_MEM_PAGE_AUG, i * PAGE_4K, tdr, FUZZ_PAGE(FUZZ_SMALL, i), 0);
    for (u64 region = 1; region < 6; region++)
        must(0, TDH_MEM_PAGE_AUG, region * PAGE_2M | LEVEL_2M, tdr, fuzz_home(region * PAGE_2M), 0);
    accept_2m(1 * PAGE_2M);
    accept_2m(3 * PAGE_2M);
    split_2m(3 * PAGE_2M, SEPT_PAGES + 16);
    split_2m(4 * PAGE_2M, SEPT_PAGES + 17);
    must(0, TDH_MEM_RANGE_BLOCK, 5 * PAGE_2M | LEVEL_2M, tdr, 0, 0);
    must(0, TDH_MEM_TRACK, tdr, 0, 0, 0);
    must(0, TDH_MEM_SEPT_ADD, 6 * PAGE_2M | LEVEL_2M, tdr, control(SEPT_PAGES + 18), 0);
    map_giga();
}

/* One TD dead and without KeyID, the other still being built. */
static void teardown(void)
{
    u64 tdr = control(TD_TDR);
    running(PARAMS_PRODUCTION, LEVEL_512G);
    create_td(1, PARAMS_DEBUG);
    must(0, TDH_VP_FLUSH, control(TD_VCPU0), 0, 0, 0);
    must(1, TDH_VP_FLUSH, control(TD_VCPU1), 0, 0, 0);
    must(0, TDH_MNG_VPFLUSHDONE, tdr, 0, 0, 0);
    for (unsigned package = 0; package < PACKAGES; package++)
        must(first_lp(package), TDH_PHYMEM_CACHE_WB, 0, 0, 0, 0);
    must(0, TDH_MNG_KEY_FREEID, tdr, 0, 0, 0);
}

static void take(enum fuzz_world world)
{
    fuzz_check_state();
    snapshots[world] = fuzz_snapshot_take();
}

void fuzz_worlds_build(void)
{
    fresh();
    take(WORLD_FRESH);
    system_ready();
    take(WORLD_SYSTEM);
    building(PARAMS_PRODUCTION, LEVEL_512G);
    begin_td(1, PARAMS_PRODUCTION);
    take(WORLD_BUILDING);
    running(PARAMS_PRODUCTION, LEVEL_512G);
    take(WORLD_RUNNING);
    running(PARAMS_DEBUG, LEVEL_512G);
    take(WORLD_DEBUG);
    running(PARAMS_WIDE, LEVEL_256T);
    take(WORLD_WIDE);
    teardown();
    take(WORLD_TEARDOWN);
    running(PARAMS_NESTED, LEVEL_512G);
    take(WORLD_NESTED);
    more_features = FEATURES0_NON_BLOCKING_RESIZE | FEATURES0_DEMOTE_UNINTERRUPTED;
    running(PARAMS_PRODUCTION, LEVEL_512G);
    take(WORLD_RESIZE);
    lps_in_package = FUZZ_LPS / PACKAGES;
    running(PARAMS_PRODUCTION, LEVEL_512G);
    take(WORLD_CROWD);
}

void fuzz_world_load(enum fuzz_world world)
{
    fuzz_snapshot_load(snapshots[world]);
}
