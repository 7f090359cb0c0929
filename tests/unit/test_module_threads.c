/*
 * The module model called by several logical processors at once, on threads: what shares a lock never meets BUSY, of those that
 * want the same thing one gets it and the others hear what the ABI specification allows, and in the end nothing is lost, counted
 * twice or left locked. Also built with the thread sanitizer. Statuses are typed from the ABI specification.
 */
#define _GNU_SOURCE /* barriers */
#include "tests/unit/module_world.h"

#include <pthread.h>
#include <sched.h>

#define LPS      8
#define PACKAGES 2
#define TD_LPS   4 /* in the tests of one TD: contention is wanted, not a crowd */

#define BUSY             0x8000020000000000ull
#define SYS_BUSY         0x8000020200000000ull
#define METADATA         0xc000030000000000ull
#define INIT_NOT_PENDING 0xc000050000000000ull
#define LP_INIT_DONE     0xc000050300000000ull
#define KEY_NOT_PENDING  0xc000050700000000ull
#define LP_NOT_PENDING   0xc000050b00000000ull
#define CFG_NOT_PENDING  0xc000050c00000000ull
#define LIFECYCLE        0xc000060700000000ull
#define VCPU_STATE       0xc000070000000000ull
#define VCPU_ASSOCIATED  0x8000070100000000ull
#define VCPU_NOT_ASSOC   0x8000070200000000ull
#define KEY_CONFIGURED   0x0000081500000000ull
#define NO_HKID_READY    0x0000082100000000ull
#define TDMR_DONE        0x00000a0300000000ull
#define TRACKING         0xc0000b0800000000ull
#define ENTRY_STATE      0xc0000b0d00000000ull
#define OP_RCX           1
#define OP_R8            8
#define OP_TREE          0x92
#define OP_KOT           0xba
#define OP_WBCACHE       0xbc

#define EXIT_INTERRUPT 1
#define CACHE_WB_BUSY  (BUSY | OP_WBCACHE)
#define NEVER          0xffffffffffffffffull

/* --- threads that are logical processors -------------------------------------------------------------------------------- */

static pthread_barrier_t gate;
static unsigned lps;
static void (*work)(unsigned lp);

static u64 call(unsigned lp, unsigned leaf, u64 rcx, u64 rdx, u64 r8)
{
    u64 *vmm = platform_host_lps[lp].vmm;
    vmm[RAX] = leaf;
    vmm[RCX] = rcx;
    vmm[RDX] = rdx;
    vmm[R8] = r8;
    vmm[R9] = 0;
    return module_seamcall(&platform_host_lps[lp]) == SEAM_TO_TD ? 0 : vmm[RAX];
}

/* Other threads come between the model's atomic operations, on one processor too. Each has its own sequence. */
static void stagger(struct seam_lp *lp)
{
    static _Thread_local u32 state;
    state = state * 1664525 + 1013904223 + lp->index;
    if (state >> 30 == 0)
        sched_yield();
}

static void *thread(void *arg)
{
    pthread_barrier_wait(&gate);
    work((unsigned)(uintptr_t)arg);
    return NULL;
}

static void together(unsigned count, void (*what)(unsigned lp))
{
    pthread_t threads[LPS];
    lps = count;
    work = what;
    platform_host_knobs.atomic_point = stagger;
    assert_int_equal(pthread_barrier_init(&gate, NULL, count), 0);
    for (uintptr_t i = 0; i < count; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, thread, (void *)i), 0);
    for (unsigned i = 0; i < count; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    pthread_barrier_destroy(&gate);
    platform_host_knobs.atomic_point = NULL;
}

/* How often each status came; what is not listed stops the test. Threads only count, for an assertion belongs to the first one. */
#define STATUSES 8
static struct {
    u64 status[STATUSES], count[STATUSES], other;
} tally;

static void expect(const u64 *allowed, unsigned count)
{
    memset(&tally, 0, sizeof(tally));
    for (unsigned i = 0; i < STATUSES; i++)
        tally.status[i] = i < count ? allowed[i] : NEVER;
}
#define EXPECT(...) expect((const u64[]){__VA_ARGS__}, sizeof((const u64[]){__VA_ARGS__}) / sizeof(u64))

static bool note(u64 status)
{
    for (unsigned i = 0; i < STATUSES; i++)
        if (tally.status[i] == status) {
            __atomic_fetch_add(&tally.count[i], 1, __ATOMIC_RELAXED);
            return !status;
        }
    __atomic_store_n(&tally.other, status, __ATOMIC_RELAXED);
    return false;
}

static u64 times(u64 status)
{
    for (unsigned i = 0; i < STATUSES; i++)
        if (tally.status[i] == status)
            return __atomic_load_n(&tally.count[i], __ATOMIC_RELAXED);
    return 0;
}

static void assert_times(u64 status, u64 count)
{
    if (tally.other)
        fail_msg("status %llx", (unsigned long long)tally.other);
    assert_int_equal(times(status), count);
}

/* --- the start ---------------------------------------------------------------------------------------------------------- */

static void platform(unsigned count, unsigned packages)
{
    struct plat_info info = *platform_host_default_info();
    info.lp_count = count;
    info.package_count = packages;
    platform_host_start(&info);
    platform_host_knobs.cpuid_rows = 1;
    platform_host_knobs.cpuid[0] = (struct platform_host_cpuid){0xd, 0, {3, 0x240, 0x240, 0}};
    w_next_pool = W_POOL;
    u64 tdmr[40] = {W_TDMR, W_READY, W_PAMT_1G, 0x1000, W_PAMT_2M, 0x4000, W_PAMT_4K, 0x800000, 0x30000000, 0x100000};
    *w_memory(W_TABLES) = W_TABLES + 0x200;
    memcpy(w_memory(W_TABLES + 0x200), tdmr, sizeof(tdmr));
}

static void sys_init(unsigned lp)
{
    while (!note(call(lp, W_SYS_INIT, 0, 0, 0)) && !times(0))
        ;
}

/* Until it is done; then once more, which is refused. SYS.INIT in between wants the lock for itself. */
static void lp_init(unsigned lp)
{
    while (!note(call(lp, W_SYS_LP_INIT, 0, 0, 0)))
        call(lp, W_SYS_INIT, 0, 0, 0);
    u64 again;
    do
        again = call(lp, W_SYS_LP_INIT, 0, 0, 0);
    while (again == SYS_BUSY);
    note(again);
    call(lp, W_SYS_INIT, 0, 0, 0);
}

/* Until the key of each package is there: then the call comes too late. */
static void key_config(unsigned lp)
{
    u64 status;
    do {
        status = call(lp, W_SYS_KEY_CONFIG, 0, 0, 0);
        note(status);
    } while (status != KEY_NOT_PENDING);
}

static void tdmr_init(unsigned lp)
{
    u64 status;
    do {
        status = call(lp, W_TDMR_INIT, W_TDMR, 0, 0);
        note(status);
    } while (status != TDMR_DONE);
}

static void start_together(unsigned count, unsigned packages)
{
    platform(count, packages);
    assert_int_equal(call(0, W_SYS_LP_INIT, 0, 0, 0), LP_NOT_PENDING);
    EXPECT(0, SYS_BUSY, INIT_NOT_PENDING);
    together(count, sys_init);
    assert_times(0, 1);
    assert_int_equal(call(0, W_SYS_CONFIG, W_TABLES, 1, 32), CFG_NOT_PENDING);
    EXPECT(0, SYS_BUSY, LP_INIT_DONE);
    together(count, lp_init);
    assert_times(0, count);
    assert_times(LP_INIT_DONE, count);
    assert_int_equal(call(0, W_SYS_KEY_CONFIG, 0, 0, 0), KEY_NOT_PENDING);
    assert_int_equal(call(0, W_SYS_CONFIG, W_TABLES, 1, 32), 0);
    EXPECT(0, SYS_BUSY, KEY_CONFIGURED, KEY_NOT_PENDING);
    together(count, key_config);
    assert_times(0, packages);
    EXPECT(0, BUSY | OP_RCX, TDMR_DONE);
    together(count, tdmr_init);
    assert_times(0, W_READY >> 22);
    assert_times(TDMR_DONE, count);
}

static void test_start(void **unused)
{
    (void)unused;
    for (unsigned packages = 1; packages <= PACKAGES; packages++)
        start_together(LPS, packages);
}

/* Each package once, the second time refused; the module is not ready before the last one. */
static void test_keys_one_by_one(void **unused)
{
    (void)unused;
    platform(LPS, PACKAGES);
    assert_int_equal(call(0, W_SYS_INIT, 0, 0, 0), 0);
    for (unsigned lp = 0; lp < LPS; lp++)
        assert_int_equal(call(lp, W_SYS_LP_INIT, 0, 0, 0), 0);
    assert_int_equal(call(3, W_SYS_LP_INIT, 0, 0, 0), LP_INIT_DONE);
    assert_int_equal(call(0, W_SYS_CONFIG, W_TABLES, 1, 32), 0);
    assert_int_equal(call(0, W_SYS_KEY_CONFIG, 0, 0, 0), 0);
    assert_int_equal(call(LPS / 2 - 1, W_SYS_KEY_CONFIG, 0, 0, 0), KEY_CONFIGURED);
    assert_int_equal(call(LPS - 1, W_SYS_KEY_CONFIG, 0, 0, 0), 0);
    assert_int_equal(call(LPS / 2, W_SYS_KEY_CONFIG, 0, 0, 0), KEY_NOT_PENDING);
}

/* --- one TD ------------------------------------------------------------------------------------------------------------- */

static void td_key(unsigned lp)
{
    u64 status;
    do {
        status = call(lp, W_MNG_KEY_CONFIG, W_TDR, 0, 0);
        note(status);
    } while (status != LIFECYCLE);
}

static void td_built(void)
{
    start_together(LPS, PACKAGES);
    assert_int_equal(call(0, W_MNG_CREATE, W_TDR, W_HKID, 0), 0);
    EXPECT(0, BUSY | OP_RCX, KEY_CONFIGURED, LIFECYCLE);
    together(LPS, td_key);
    assert_times(0, PACKAGES);
    for (unsigned i = 0; i < 6; i++)
        w_ok(W_MNG_ADDCX, W_TDCX + i * 0x1000, W_TDR, 0, 0);
    u64 *params = w_memory(W_TABLES + 0x1000);
    memset(params, 0, 1024);
    params[1] = 3;
    params[2] = 1;
    params[3] = 0x1e;
    params[5] = 40;
    w_ok(W_MNG_INIT, W_TDR, W_TABLES + 0x1000, 0, 0);
    w_ok(W_VP_CREATE, W_TDVPR, W_TDR, 0, 0);
    for (unsigned i = 0; i < 5; i++)
        w_ok(W_VP_ADDCX, W_TDVPR + 0x1000 + i * 0x1000, W_TDVPR, 0, 0);
    w_ok(W_VP_INIT, W_TDVPR, 0, 0, 0);
    for (u64 level = 3; level > 0; level--)
        w_ok(W_SEPT_ADD, level, W_TDR, w_pool(), 0);
    w_ok(W_VP_FLUSH, W_TDVPR, 0, 0, 0);
}

static void td_ready(void)
{
    td_built();
    w_ok(W_MR_FINALIZE, W_TDR, 0, 0, 0);
}

#define PAGES 256

static u64 gpa_of(unsigned i)
{
    return i * 0x1000ull;
}
static u64 hpa_of(unsigned i)
{
    return W_PAGES + i * 0x1000ull;
}

/* Neighbours in one table, and in the PAMT: all of this is shared. */
static void aug_own(unsigned lp)
{
    for (unsigned i = lp; i < PAGES; i += lps)
        note(call(lp, W_AUG, gpa_of(i), W_TDR, hpa_of(i)));
}

static void sept_rd_own(unsigned lp)
{
    for (unsigned i = lp; i < PAGES; i += lps)
        if (note(call(lp, W_SEPT_RD, gpa_of(i), W_TDR, 0)) &&
            (platform_host_lps[lp].vmm[RCX] & ~0xfffull) << 12 >> 12 != hpa_of(i))
            note(NEVER - 1);
}

/* To the end, whoever else holds the tree or the epoch meanwhile. Another LP's TRACK does as well, so none may be needed. */
static void drop_own(unsigned lp)
{
    for (unsigned i = lp; i < PAGES; i += lps) {
        while (!note(call(lp, W_BLOCK, gpa_of(i), W_TDR, 0)))
            ;
        u64 status;
        do {
            call(lp, W_TRACK, W_TDR, 0, 0);
            status = call(lp, W_REMOVE, gpa_of(i), W_TDR, 0);
        } while (!note(status));
    }
}

static void assert_all_free(void)
{
    for (unsigned i = 0; i < PAGES; i++)
        assert_int_equal(w_call(W_RDMD, hpa_of(i), 0, 0, 0).rcx, 0);
}

static void test_pages_side_by_side(void **unused)
{
    (void)unused;
    td_ready();
    for (unsigned round = 0; round < 4; round++) {
        EXPECT(0);
        together(LPS, aug_own);
        assert_times(0, PAGES);
        EXPECT(0);
        together(LPS, sept_rd_own);
        assert_times(0, PAGES);
        EXPECT(0, BUSY | OP_TREE, BUSY | OP_RCX, TRACKING | OP_RCX, TRACKING);
        together(LPS, drop_own);
        assert_times(0, 2 * PAGES);
        assert_all_free();
    }
}

#define RACES 100
static unsigned race;

/* One entry of the Secure EPT, or one page, wanted by all. */
static void aug_same_gpa(unsigned lp)
{
    note(call(lp, W_AUG, gpa_of(race), W_TDR, hpa_of(lp)));
}
static void aug_same_hpa(unsigned lp)
{
    note(call(lp, W_AUG, gpa_of(lp), W_TDR, hpa_of(race)));
}

static void drop_all(unsigned count, unsigned first)
{
    for (unsigned i = first; i < first + count; i++)
        if (!w_call(W_BLOCK, gpa_of(i), W_TDR, 0, 0).status) {
            w_ok(W_TRACK, W_TDR, 0, 0, 0);
            w_ok(W_REMOVE, gpa_of(i), W_TDR, 0, 0);
        }
}

static void test_same_entry_and_same_page(void **unused)
{
    (void)unused;
    td_ready();
    for (race = 0; race < RACES; race++) {
        EXPECT(0, BUSY | OP_RCX, ENTRY_STATE | OP_RCX);
        together(TD_LPS, aug_same_gpa);
        assert_times(0, 1);
        drop_all(1, race);
        EXPECT(0, BUSY | OP_R8, METADATA | OP_R8);
        together(TD_LPS, aug_same_hpa);
        assert_times(0, 1);
        drop_all(TD_LPS, 0);
        assert_all_free();
    }
}

#define CONTROL_RACES 40

/* A page that takes long to become what it will be. */
static void create_same_vcpu(unsigned lp)
{
    note(call(lp, W_VP_CREATE, hpa_of(PAGES + race), W_TDR, 0));
}

static void create_vcpus(void)
{
    for (race = 0; race < CONTROL_RACES; race++) {
        EXPECT(0, BUSY | OP_RCX, METADATA | OP_RCX);
        together(TD_LPS, create_same_vcpu);
        assert_times(0, 1);
    }
}

/* --- one vCPU ----------------------------------------------------------------------------------------------------------- */

static void enter(unsigned lp)
{
    note(call(lp, W_VP_ENTER, W_TDVPR, 0, 0));
}

static void flush(unsigned lp)
{
    note(call(lp, W_VP_FLUSH, W_TDVPR, 0, 0));
}

static void leave(unsigned lp)
{
    platform_host_lps[lp].td->exit_reason = EXIT_INTERRUPT;
    assert_int_equal(module_td_exit(&platform_host_lps[lp]), SEAM_TO_VMM);
}

/* One LP gets in; the vCPU is its own until it is flushed there. */
static void test_same_vcpu(void **unused)
{
    (void)unused;
    td_ready();
    for (race = 0; race < RACES; race++) {
        EXPECT(0, VCPU_ASSOCIATED, VCPU_STATE, BUSY | OP_RCX);
        together(TD_LPS, enter);
        assert_times(0, 1);
        unsigned winner = 0;
        while (!platform_host_lps[winner].td)
            winner++;
        assert_int_equal(call((winner + 1) % TD_LPS, W_VP_FLUSH, W_TDVPR, 0, 0) & BUSY, BUSY);
        leave(winner);
        assert_int_equal(call((winner + 1) % TD_LPS, W_VP_ENTER, W_TDVPR, 0, 0), VCPU_ASSOCIATED);
        EXPECT(0, VCPU_ASSOCIATED, VCPU_NOT_ASSOC, BUSY | OP_RCX);
        together(TD_LPS, flush);
        if (!times(0)) /* the others held it when its own LP came */
            assert_int_equal(call(winner, W_VP_FLUSH, W_TDVPR, 0, 0), 0);
        assert_times(VCPU_NOT_ASSOC, times(VCPU_NOT_ASSOC));
    }
}

/* --- the end ------------------------------------------------------------------------------------------------------------ */

static void write_back(unsigned lp)
{
    u64 status;
    do {
        status = call(lp, W_CACHE_WB, 0, 0, 0);
        note(status);
    } while (status == CACHE_WB_BUSY);
}

static void reclaim_control_pages(void)
{
    for (unsigned i = 0; i < CONTROL_RACES; i++)
        w_ok(W_RECLAIM, hpa_of(PAGES + i), 0, 0, 0);
    for (u64 page = W_POOL + 0x1000; page <= w_next_pool; page += 0x1000)
        w_ok(W_RECLAIM, page, 0, 0, 0);
    for (unsigned i = 0; i < 6; i++) {
        w_ok(W_RECLAIM, W_TDVPR + i * 0x1000, 0, 0, 0);
        w_ok(W_RECLAIM, W_TDCX + i * 0x1000, 0, 0, 0);
    }
}

/*
 * Its KeyID comes free when each package has written back, however many LPs of it were at that. The TDR goes last, and only where
 * every page that ever was the TD's has been counted, and counted back.
 */
static void test_end(void **unused)
{
    (void)unused;
    td_built();
    create_vcpus();
    w_ok(W_MR_FINALIZE, W_TDR, 0, 0, 0);
    EXPECT(0, BUSY | OP_TREE, BUSY | OP_RCX, TRACKING | OP_RCX, TRACKING);
    together(LPS, aug_own);
    together(LPS, drop_own);
    assert_times(0, 3 * PAGES);
    assert_int_equal(call(0, W_VPFLUSHDONE, W_TDR, 0, 0), 0);
    EXPECT(0, CACHE_WB_BUSY, BUSY | OP_KOT, NO_HKID_READY);
    together(LPS, write_back);
    assert_true(times(0) >= PACKAGES);
    w_ok(W_KEY_FREEID, W_TDR, 0, 0, 0);
    reclaim_control_pages();
    w_ok(W_RECLAIM, W_TDR, 0, 0, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_start),
        cmocka_unit_test(test_keys_one_by_one),
        cmocka_unit_test(test_pages_side_by_side),
        cmocka_unit_test(test_same_entry_and_same_page),
        cmocka_unit_test(test_same_vcpu),
        cmocka_unit_test(test_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
