/*
 * Random SEAMCALLs and ACCEPTs against the module model, sensible operands mixed with foolish ones, and after every
 * call what must always hold: PAMT and Secure EPT tell the same story, no page is used twice, CHLDCNT is right, no
 * lock is left behind. SEED in the environment repeats a run, STEPS makes it longer.
 */
#include "tests/unit/module_world.h"

#include "sim/module/sept.h"

#define DEFAULT_STEPS 20000
#define DEFAULT_SEED  1
#define SMALL_PAGES   40 /* 4K pages in play, all of one 2M range */
#define LARGE_PAGES   6
#define USED_MAX      8192

static u64 random_state;

static u64 draw(u64 below)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return (random_state >> 11) % below;
}

/*
 * --- what must hold
 * -----------------------------------------------------------------------------------------------------
 */

static u64 used[USED_MAX];
static unsigned used_count;
static u64 seen[W_TDMR_SIZE / PAGE_4K / 64];
static u64 pages_4k;

static void use(u64 hpa, u64 count_4k)
{
    u64 page = (hpa - W_TDMR) / PAGE_4K;
    if (seen[page / 64] >> page % 64 & 1)
        fail_msg("page %llx is used twice", (unsigned long long)hpa);
    seen[page / 64] |= 1ull << page % 64;
    assert_true(used_count < USED_MAX);
    used[used_count++] = hpa;
    pages_4k += count_4k;
}

static const struct pamt_entry *pamt_must_be(u64 hpa, unsigned level, unsigned type)
{
    struct pamt_path path;
    assert_true(pamt_find(hpa, &path));
    for (unsigned above = 2; above > level; above--)
        assert_int_equal(path.at[above]->type, 0);
    if (path.at[level]->type != type || pamt_owner(path.at[level]) != W_TDR)
        fail_msg("PAMT of %llx at level %u: type %u owner %llx, wanted type %u", (unsigned long long)hpa, level,
                 path.at[level]->type, (unsigned long long)pamt_owner(path.at[level]), type);
    return path.at[level];
}

/* The whole tree, below blocked tables too. 4K pages of a split 2M page are counted, not searched for twins. */
static void check_table(u64 table_hpa, unsigned level)
{
    const u64 *table = w_memory(table_hpa);
    for (unsigned i = 0; i < 512; i++) {
        u64 entry = table[i], hpa = entry & 0xffffffffff000ull, state = entry >> 52 & 0xff;
        assert_false(entry & SEPT_LOCK);
        assert_int_equal(entry >> 63, 1);
        assert_int_equal(entry & 7, state == 4 || state == 0x84 ? 7 : 0);
        if (state == 0) {
            assert_int_equal(entry & ~SEPT_HOST_PRIORITY, 1ull << 63);
        } else if (state & 0x80) {
            pamt_must_be(hpa, 0, PT_EPT);
            use(hpa, 1);
            check_table(hpa, level - 1);
        } else {
            hpa &= ~((PAGE_4K << 9 * level) - 1);
            pamt_must_be(hpa, level, PT_REG);
            use(hpa, 1ull << 9 * level);
        }
    }
}

static void check_pamt_locks(u64 from, u64 to)
{
    for (u64 hpa = from; hpa < to; hpa += PAGE_4K) {
        struct pamt_path path;
        assert_true(pamt_find(hpa, &path));
        for (unsigned level = 0; level <= 2; level++)
            assert_int_equal(path.at[level]->lock & ~2, 0); /* a host's mark may stay */
    }
}

static void check_all(void)
{
    const struct tdr *tdr = (const struct tdr *)w_memory(W_TDR);
    const struct tdcs *tdcs = (const struct tdcs *)w_memory(W_TDCX);
    used_count = 0;
    memset(seen, 0, sizeof(seen));
    pages_4k = 12; /* 6 TDCX, TDVPR and 5 TDCX */
    check_table(tdr->tdcx_pa[3], 3);
    assert_int_equal(tdr->chldcnt, pages_4k);
    assert_int_equal(tdcs->sept_lock, 0);
    assert_int_equal(tdcs->epoch_lock, 0);
    assert_int_equal(mdl_sys.kot_lock, 0);
    assert_int_equal(mdl_sys.lock, 0);
    if (!platform_host_lps[0].td) {
        assert_int_equal(tdcs->op_state_lock & ~2, 0);
        check_pamt_locks(W_TDMR, W_TDMR + 0x1000000);
    }
}

/*
 * --- calls
 * -----------------------------------------------------------------------------------------------------------------
 */

static u64 small_page(void)
{
    return W_PAGES + draw(SMALL_PAGES) * PAGE_4K;
}

static u64 large_page(void)
{
    return W_LARGE + draw(LARGE_PAGES) * PAGE_2M;
}

static u64 any_page(unsigned level)
{
    static const u64 foolish[] = {
        W_TDR, W_TDCX, W_PAMT_4K, 0x1000, W_TDMR + W_TDMR_SIZE, W_PAGES + 8, W_PAGES | 33ull << 46};
    if (draw(32) == 0)
        return foolish[draw(sizeof(foolish) / sizeof(foolish[0]))];
    return level == 1 || draw(16) == 0 ? large_page() : small_page();
}

static u64 any_gpa(void)
{
    unsigned level = draw(16) ? (unsigned)draw(2) : (unsigned)draw(8);
    if (level > 1 && draw(8)) /* blocking high up stops everything below */
        level = 1;
    u64 gpa = draw(6) * PAGE_2M + (level == 0 ? draw(4) * PAGE_4K : 0);
    if (level > 1)
        gpa = 0;
    if (draw(64) == 0)
        gpa |= 1ull << draw(64);
    return gpa | level;
}

static void leave_td(void)
{
    struct seam_lp *lp = &platform_host_lps[0];
    lp->td->exit_reason = 1;
    lp->td->exit_intr_info = 0x800000ec;
    lp->td->rip += 200;
    assert_int_equal(module_td_exit(lp), SEAM_TO_VMM);
    lp->td = NULL;
}

static void run_td(void)
{
    struct seam_lp *lp = &platform_host_lps[0];
    lp->vmm[RAX] = W_VP_ENTER;
    lp->vmm[RCX] = W_TDVPR;
    if (module_seamcall(lp) == SEAM_TO_VMM)
        return;
    for (u64 i = draw(4); i && lp->td; i--) {
        lp->td->exit_reason = 77;
        lp->td->exit_instr_len = 4;
        lp->td->rip += 200;
        lp->td->gpr[RAX] = 6; /* TDG.MEM.PAGE.ACCEPT */
        lp->td->gpr[RCX] = any_gpa();
        lp->td->cs.access = 0xa09b;
        lp->td->efer = 0x500;
        if (module_td_exit(lp) == SEAM_TO_VMM) {
            lp->td = NULL;
            return;
        }
    }
    check_all();
    leave_td();
}

/* A random walk that never gets anywhere would test little. */
static unsigned successes[64];

/* Half of the time a leaf that the entry's state may allow, so that the walk gets somewhere. */
static unsigned any_leaf(u64 gpa)
{
    static const unsigned leaves[] = {W_AUG,      W_SEPT_ADD, W_BLOCK,   W_UNBLOCK, W_REMOVE,
                                      W_RELOCATE, W_DEMOTE,   W_PROMOTE, W_SEPT_RD, W_SEPT_REMOVE};
    static const unsigned for_free[] = {W_AUG, W_SEPT_ADD}, for_blocked[] = {W_REMOVE, W_DEMOTE, W_RELOCATE, W_UNBLOCK},
                          for_blocked_table[] = {W_PROMOTE, W_SEPT_REMOVE, W_UNBLOCK};
    struct w_result seen = w_call(W_SEPT_RD, gpa, W_TDR, 0, 0);
    if (seen.status || draw(2))
        return leaves[draw(sizeof(leaves) / sizeof(leaves[0]))];
    switch (seen.rdx >> 8 & 0xff) {
    case 0:
        return for_free[draw(2)];
    case 1:
    case 3:
        return for_blocked[draw(4)];
    case 0x81:
        return for_blocked_table[draw(3)];
    default:
        return W_BLOCK;
    }
}

static void one_call(void)
{
    u64 gpa = any_gpa(), version = draw(64) == 0 ? 1 << 16 : 0;
    unsigned leaf = any_leaf(gpa);
    struct w_result r = w_call(leaf | (unsigned)version, gpa, draw(64) ? W_TDR : any_page(0),
                               any_page(leaf == W_AUG ? (unsigned)(gpa & 7) : 0), 0);
    successes[leaf] += r.status == 0;
}

/* A region that has been split or half filled never gets free again by chance. */
static void clear_region(void)
{
    u64 region = draw(6) * PAGE_2M;
    for (unsigned pass = 0; pass < 2; pass++) {
        for (u64 gpa = region; gpa < region + PAGE_2M; gpa += PAGE_4K)
            w_call(pass ? W_REMOVE : W_BLOCK, gpa, W_TDR, 0, 0);
        w_call(W_TRACK, W_TDR, 0, 0, 0);
    }
}

static void one_step(void)
{
    if (draw(128) == 0)
        clear_region();
    switch (draw(24)) {
    case 0:
    case 1:
    case 2:
        run_td();
        break;
    case 3:
    case 4:
    case 5:
    case 6:
        w_call(W_TRACK, W_TDR, 0, 0, 0);
        break;
    case 7:
        platform_host_knobs.pending = draw(2);
        platform_host_knobs.pending_events = PLAT_EVENT_INTERRUPT;
        platform_host_knobs.polls_before = (unsigned)draw(600);
        break;
    case 8:
        w_call(W_RDMD, any_page(0), 0, 0, 0);
        break;
    default:
        one_call();
    }
    if (draw(16) == 0)
        w_call(W_UNBLOCK, 2 + draw(2), W_TDR, 0, 0);
}

static u64 from_environment(const char *name, u64 otherwise)
{
    const char *text = getenv(name);
    return text ? strtoull(text, NULL, 0) : otherwise;
}

static void tear_down(void)
{
    platform_host_knobs.pending = false;
    w_ok(W_VP_FLUSH, W_TDVPR, 0, 0, 0);
    w_ok(W_VPFLUSHDONE, W_TDR, 0, 0, 0);
    w_ok(W_CACHE_WB, 0, 0, 0, 0);
    w_ok(W_KEY_FREEID, W_TDR, 0, 0, 0);
    for (unsigned i = 0; i < used_count; i++)
        w_ok(W_RECLAIM, used[i], 0, 0, 0);
    for (u64 hpa = W_TDCX; hpa < W_TDCX + 6 * PAGE_4K; hpa += PAGE_4K)
        w_ok(W_RECLAIM, hpa, 0, 0, 0);
    assert_int_equal(w_call(W_RECLAIM, W_TDR, 0, 0, 0).status, 0xc000040000000000ull); /* TD_ASSOCIATED_PAGES_EXIST */
    for (u64 hpa = W_TDVPR; hpa < W_TDVPR + 6 * PAGE_4K; hpa += PAGE_4K)
        w_ok(W_RECLAIM, hpa, 0, 0, 0);
    w_ok(W_RECLAIM, W_TDR, 0, 0, 0);
}

static void test_random(void **unused)
{
    (void)unused;
    u64 seed = from_environment("SEED", DEFAULT_SEED), steps = from_environment("STEPS", DEFAULT_STEPS);
    random_state = seed * 0x9e3779b97f4a7c15ull | 1;
    w_system();
    w_td();
    w_ok(W_SEPT_ADD, 2, W_TDR, w_pool(), 0);
    for (unsigned i = 0; i < 4; i++)
        w_call(W_AUG, i * PAGE_2M | 1, W_TDR, W_LARGE + i * PAGE_2M, 0);
    w_ok(W_MR_FINALIZE, W_TDR, 0, 0, 0);
    for (u64 i = 0; i < steps; i++) {
        one_step();
        check_all();
    }
    for (unsigned leaf = W_SEPT_ADD; leaf <= W_UNBLOCK; leaf++) {
        bool drawn = leaf == W_SEPT_ADD || leaf == W_RELOCATE || leaf == W_AUG || leaf == W_BLOCK || leaf == W_DEMOTE ||
                     leaf == W_PROMOTE || leaf == W_REMOVE || leaf == W_SEPT_REMOVE || leaf == W_UNBLOCK;
        if (drawn && successes[leaf] < 3)
            fail_msg("leaf %u succeeded %u times only", leaf, successes[leaf]);
    }
    tear_down();
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_random)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
