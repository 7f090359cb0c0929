/*
 * Plans for many regions and for several operations at once, plans that there is a choice of, plans for modules that
 * can more: against the shortest sequences found by search on a genuine module, typed by hand, and performed. One
 * operation, one region: test_plan.c.
 */
#include "tests/unit/plan_expect.h"

#include "sim/module/platform.h"
#include "tdx/module.h"
#include "tests/host/cpu.h"
#include "tests/host/hold.h"
#include "tests/host/platform.h"
#include "tests/host/seamcall.h"

#define NON_BLOCKING_RESIZE (1ull << 35)
#define DEMOTE_GOES_ON      (1ull << 51)

static int machine(void **state)
{
    tb_machine();
    return 0;
}

static int make(void **state)
{
    tb_create(TB_1G + 16 * TB_2M, LEVEL_1G, false);
    return 0;
}

static int make_unfinished(void **state)
{
    tb_create(TB_1G + 16 * TB_2M, LEVEL_1G, true);
    return 0;
}

/* The module says so, and the VMM has heard it. */
static void set_features(uint64_t bits, bool on)
{
    struct plat_info *info = (struct plat_info *)plat_info(); /* the platform's own is no constant */
    info->features0 = on ? info->features0 | bits : info->features0 & ~bits;
    tdx_module.features0 = info->features0;
}

static int make_non_blocking(void **state)
{
    set_features(NON_BLOCKING_RESIZE, true);
    return make(state);
}

static int unmake(void **state)
{
    tb_check();
    tb_destroy();
    set_features(NON_BLOCKING_RESIZE | DEMOTE_GOES_ON, false);
    return 0;
}

static void choose(enum tdp_goal goal, level_t back)
{
    tdp_choose(tb.tdp, (struct tdp_choice){goal, back});
}

static void merge_range(uint64_t gpa, uint64_t bytes, level_t level, uint64_t calls, uint64_t tracks, const char *steps)
{
    struct plan *p = plan_new();
    uint64_t regions = bytes / level_bytes(level);
    (void)fine(tdp_merge_range(tb.tdp, at(gpa), bytes, level, p));
    expect_steps(p, calls, steps);
    tb_calls_reset();
    struct tdp_report r = tdp_merge_range(tb.tdp, at(gpa), bytes, level, NULL);
    assert_int_equal(r.regions, regions);
    expect_cost(r, calls, tracks);
}

static uint64_t leaves(uint64_t gpa, uint64_t bytes, unsigned level)
{
    struct tdp_census c;
    (void)fine(tdp_census(tb.tdp, at(gpa), bytes, &c));
    assert_true(c.agree);
    assert_int_equal(c.blocked, 0);
    return c.leaf[level];
}

/* --- many regions ------------------------------------------------------------------------------------------------- */

static void split_regions(uint64_t gpa, unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        split(gpa + i * TB_2M, LEVEL_2M);
}

static void test_merge_one_region_of_a_range_3(void **state)
{
    have(0, TB_2M);
    split(0, LEVEL_2M);
    merge_range(0, TB_2M, LEVEL_2M, 3, 1, "BLOCK 2M @0x0; TRACK; PROMOTE 2M @0x0");
}

static void test_merge_64_regions_2m_plus_1(void **state)
{
    have_1g_of_2m();
    split_regions(8 * TB_2M, 64);
    merge_range(8 * TB_2M, 64 * TB_2M, LEVEL_2M, 2 * 64 + 1, 1,
                "BLOCK 2M x 64 @0x1000000; TRACK; PROMOTE 2M x 64 @0x1000000");
}

static void test_merge_512_regions_2m_plus_1(void **state)
{
    (void)fine(tdp_map(tb.tdp, at(0), TB_1G, LEVEL_4K, NULL));
    assert_int_equal(leaves(0, TB_1G, 0), 512 * 512);
    merge_range(0, TB_1G, LEVEL_2M, 2 * 512 + 1, 1, "BLOCK 2M x 512 @0x0; TRACK; PROMOTE 2M x 512 @0x0");
    assert_int_equal(leaves(0, TB_1G, 1), 512);
}

static void test_4k_to_1g_2m_plus_4(void **state)
{
    (void)fine(tdp_map(tb.tdp, at(0), TB_1G, LEVEL_4K, NULL));
    merge(0, LEVEL_1G, 2 * 512 + 4, 2,
          "BLOCK 2M x 512 @0x0; TRACK; PROMOTE 2M x 512 @0x0; BLOCK 1G @0x0; TRACK; PROMOTE 1G @0x0");
}

/* What PROMOTE refuses is as before, and stops nothing; nor does what cannot be merged at all. */
static void test_merge_range_around_what_is_refused(void **state)
{
    have(0, 6 * TB_2M);
    split_regions(0, 5);
    assert_int_equal(tb_accept(TB_2M, 0), 0);
    block(3 * TB_2M, LEVEL_2M);
    (void)fine(tb_convert(4 * TB_2M, TB_4K, TDP_SHARED));
    tb_calls_reset();
    struct tdp_report r = fine(tdp_merge_range(tb.tdp, at(0), 6 * TB_2M, LEVEL_2M, NULL));
    assert_int_equal(r.regions, 2);
    assert_int_equal(r.seamcalls, 2 * 3 + 1 + 1); /* one refused, and unblocked */
    assert_int_equal(tb_calls(), r.seamcalls);
    struct tdp_walk w;
    (void)fine(tdp_walk(tb.tdp, at(TB_2M), &w));
    assert_int_equal(w.state, TDP_MAPPED);
    assert_int_equal(w.level.raw, 0);
    (void)fine(tdp_walk(tb.tdp, at(3 * TB_2M), &w));
    assert_true(w.is_table); /* by hand, and it stays */
    r = tdp_merge_range(tb.tdp, at(TB_2M), TB_2M, LEVEL_2M, NULL);
    assert_int_equal(r.err, ERR_STATE);
    assert_non_null(r.what);
    assert_int_equal(r.seamcalls, 4);
    tb_enter();
}

static void test_merge_range_is_refused(void **state)
{
    struct tdp_report r = tdp_merge_range(tb.tdp, at(0), TB_2M, LEVEL_2M, NULL);
    assert_int_equal(r.err, ERR_STATE);
    assert_int_equal(r.seamcalls, 0);
    assert_int_equal(tdp_merge_range(tb.tdp, at(0), TB_2M, LEVEL_4K, NULL).err, ERR_ARGUMENT);
    assert_int_equal(tdp_merge_range(tb.tdp, at(0x800), TB_2M, LEVEL_2M, NULL).err, ERR_UNALIGNED);
    assert_int_equal(tdp_merge_range(tb.tdp, at(0), 1ull << 46, LEVEL_2M, NULL).err, ERR_RANGE);
}

/* n pages of each of several regions: DEMOTEs and BLOCKs behind the same TRACKs. */
static void test_n_pages_of_k_regions(void **state)
{
    have(0, 4 * TB_2M);
    convert(TB_2M - 3 * KIB4, 2 * TB_2M + 8 * KIB4, TDP_SHARED, 2 * 2 + 2 * 2 + 2 * (3 + 5) + 2, 2,
            "BLOCK 2M @0x0; BLOCK 2M @0x600000; TRACK; DEMOTE 2M @0x0; BLOCK 4K x 3 @0x1fd000; BLOCK 2M x 2 @0x200000; "
            "DEMOTE 2M @0x600000; BLOCK 4K x 5 @0x600000; TRACK; REMOVE 4K x 3 @0x1fd000; REMOVE 2M x 2 @0x200000; "
            "REMOVE 4K x 5 @0x600000");
}

/* Each region of 512 x 4K is merged and goes: 4 a region, 2 TRACKs for all. */
static void test_k_whole_regions_of_512_4k_4k_plus_2(void **state)
{
    have(0, 3 * TB_2M);
    split_regions(0, 3);
    convert(0, 3 * TB_2M, TDP_SHARED, 4 * 3 + 2, 2,
            "BLOCK 2M x 3 @0x0; TRACK; PROMOTE 2M @0x0; BLOCK 2M @0x0; PROMOTE 2M @0x200000; BLOCK 2M @0x200000; "
            "PROMOTE 2M @0x400000; BLOCK 2M @0x400000; TRACK; REMOVE 2M x 3 @0x0");
}

static void test_map_k_regions_as_512_4k_3k_plus_1(void **state)
{
    have(0, TB_2M);
    map(TB_2M, 2 * TB_2M, LEVEL_4K, 3 * 2 + 1, 1,
        "AUG 2M @0x200000; BLOCK 2M @0x200000; AUG 2M @0x400000; BLOCK 2M @0x400000; TRACK; DEMOTE 2M x 2 @0x200000");
}

/* --- several operations ------------------------------------------------------------------------------------------- */

static void together(const struct tdp_part *parts, unsigned count, uint64_t calls, uint64_t tracks, const char *steps)
{
    struct plan *p = plan_new();
    (void)fine(tdp_together(tb.tdp, parts, count, p));
    expect_steps(p, calls, steps);
    tb_calls_reset();
    struct tdp_report r = tdp_together(tb.tdp, parts, count, NULL);
    expect_cost(r, calls, tracks);
}

/* One page out of one region, which splits it, and another region merged: 8 calls instead of 6 + 3. */
static void test_split_one_and_merge_another_8(void **state)
{
    have(0, 2 * TB_2M);
    split(TB_2M, LEVEL_2M);
    const struct tdp_part parts[] = {
        {.kind = TDP_SHARE, .gpa = at(0x3000), .bytes = KIB4},
        {.kind = TDP_MERGE, .gpa = at(TB_2M), .level = LEVEL_2M},
    };
    together(parts, 2, 8, 2,
             "BLOCK 2M @0x0; TRACK; DEMOTE 2M @0x0; BLOCK 4K @0x3000; BLOCK 2M @0x200000; TRACK; REMOVE 4K @0x3000; "
             "PROMOTE 2M @0x200000");
    struct tdp_walk w;
    (void)fine(tdp_walk(tb.tdp, at(0x3000), &w));
    assert_int_equal(w.state, TDP_IS_SHARED);
    (void)fine(tdp_walk(tb.tdp, at(TB_2M), &w));
    assert_int_equal(w.level.raw, 1);
    (void)fine(tb_convert(0, TB_2M, TDP_PRIVATE)); /* the testbed's own record follows */
}

static void test_split_and_merge_5(void **state)
{
    have(0, 2 * TB_2M);
    split(TB_2M, LEVEL_2M);
    const struct tdp_part parts[] = {
        {.kind = TDP_SPLIT, .gpa = at(0), .level = LEVEL_2M},
        {.kind = TDP_MERGE, .gpa = at(TB_2M), .level = LEVEL_2M},
    };
    together(parts, 2, 5, 1, "BLOCK 2M x 2 @0x0; TRACK; DEMOTE 2M @0x0; PROMOTE 2M @0x200000");
}

static void test_parts_that_meet_are_refused(void **state)
{
    have(0, 4 * TB_2M);
    const struct tdp_part meet[] = {
        {.kind = TDP_SHARE, .gpa = at(0x3000), .bytes = KIB4},
        {.kind = TDP_SHARE, .gpa = at(0x5000), .bytes = KIB4}, /* of the same 2M page */
    };
    struct tdp_report r = tdp_together(tb.tdp, meet, 2, NULL);
    assert_int_equal(r.err, ERR_ARGUMENT);
    assert_int_equal(r.at.raw, 0x5000);
    assert_int_equal(r.seamcalls, 0);
    assert_int_equal(tdp_together(tb.tdp, meet, 0, NULL).err, ERR_ARGUMENT);
    assert_int_equal(tdp_together(tb.tdp, meet, TDP_PARTS_MAX + 1, NULL).err, ERR_ARGUMENT);
    struct tdp_part one = {.kind = TDP_MERGE, .gpa = at(TB_4K), .level = LEVEL_2M};
    assert_int_equal(tdp_together(tb.tdp, &one, 1, NULL).err, ERR_UNALIGNED);
    one = (struct tdp_part){.kind = TDP_SPLIT, .gpa = at(0), .level = LEVEL_4K};
    assert_int_equal(tdp_together(tb.tdp, &one, 1, NULL).err, ERR_ARGUMENT);
    one = (struct tdp_part){.kind = TDP_RELOCATE, .gpa = at(0), .bytes = TB_2M};
    assert_int_equal(tdp_together(tb.tdp, &one, 1, NULL).err, ERR_EXISTS);
    split(0, LEVEL_2M);
    block(0, LEVEL_2M);
    one = (struct tdp_part){.kind = TDP_SHARE, .gpa = at(0x3000), .bytes = KIB4};
    r = tdp_together(tb.tdp, &one, 1, NULL);
    assert_int_equal(r.err, ERR_STATE);
    assert_non_null(r.what);
    (void)fine(tdp_unblock(tb.tdp, at(0), LEVEL_2M, NULL));
}

/* Where nothing is mapped no page is cut, and what is beside it is free for others. */
static void test_parts_of_free_memory_do_not_meet(void **state)
{
    const struct tdp_part parts[] = {
        {.kind = TDP_SHARE, .gpa = at(0x3000), .bytes = KIB4},
        {.kind = TDP_SHARE, .gpa = at(TB_2M + 0x3000), .bytes = KIB4},
    };
    struct tdp_walk w;

    (void)fine(tdp_together(tb.tdp, parts, 2, NULL));
    for (unsigned i = 0; i < 2; i++) {
        (void)fine(tdp_walk(tb.tdp, parts[i].gpa, &w));
        assert_int_equal(w.state, TDP_IS_SHARED);
    }
    (void)fine(tb_convert(0, 2 * TB_2M, TDP_PRIVATE));
}

/* --- a choice of plans -------------------------------------------------------------------------------------------- */

static void test_map_2m_as_512_4k_without_a_kick(void **state)
{
    have(0, TB_2M);
    choose(TDP_TIME, LEVEL_2M);
    map(TB_2M, TB_2M, LEVEL_4K, 513, 0, "SEPT.ADD 2M @0x200000; AUG 4K x 512 @0x200000");
}

/* Before finalisation nothing is stopped by either, and the shorter one it is. */
static void test_map_before_finalisation_is_short_anyway(void **state)
{
    choose(TDP_TIME, LEVEL_2M);
    struct plan *p = plan_new();
    (void)fine(tdp_map(tb.tdp, at(0), TB_2M, LEVEL_4K, p));
    expect_steps(p, 2 + 2, "SEPT.ADD 512G @0x0; SEPT.ADD 1G @0x0; AUG 2M @0x0; DEMOTE 2M @0x0");
    tb_finalize();
}

static void have_empty_table(void)
{
    have(0, TB_2M);
    split(0, LEVEL_2M);
    assert_int_equal(tb_accept(0x5000, 0), 0); /* two states: piecewise out, so that the table stays */
    (void)fine(tb_convert(0, TB_2M, TDP_SHARED));
}

/* Of the operation before; the census that followed it held the vCPUs out too. */
static void expect_one_round(void)
{
    assert_int_equal(hold_host.holds, 1 + 1);
    assert_int_equal(hold_host.kicks, 0);
}

static void test_back_as_512_4k_over_an_empty_table_7(void **state)
{
    have_empty_table();
    choose(TDP_CALLS, LEVEL_4K);
    hold_host = (struct hold_host){0};
    convert(0, TB_2M, TDP_PRIVATE, 7, 2,
            "BLOCK 2M @0x0; TRACK; SEPT.REMOVE 2M @0x0; AUG 2M @0x0; BLOCK 2M @0x0; TRACK; DEMOTE 2M @0x0");
    expect_one_round();
    assert_int_equal(leaves(0, TB_2M, 0), 512);
}

static void test_back_as_512_4k_without_a_track_512(void **state)
{
    have_empty_table();
    choose(TDP_TIME, LEVEL_4K);
    convert(0, TB_2M, TDP_PRIVATE, 512, 0, "KICK, INVEPT; AUG 4K x 512 @0x0");
}

/* No table is in the way. The shared half's translations go first, and the vCPUs stay out until the TRACK. */
static void test_back_as_512_4k_where_nothing_is_4(void **state)
{
    have(0, TB_2M);
    (void)fine(tb_convert(0, TB_2M, TDP_SHARED));
    choose(TDP_CALLS, LEVEL_4K);
    hold_host = (struct hold_host){0};
    convert(0, TB_2M, TDP_PRIVATE, 4, 1, "KICK, INVEPT; AUG 2M @0x0; BLOCK 2M @0x0; TRACK; DEMOTE 2M @0x0");
    expect_one_round();
}

/* AUGs in order of address whatever their size: what a failure leaves is one range. */
static void test_back_as_512_4k_between_pages(void **state)
{
    have(0, 3 * TB_2M);
    (void)fine(tb_convert(TB_2M - 2 * KIB4, TB_2M + 3 * KIB4, TDP_SHARED));
    choose(TDP_CALLS, LEVEL_4K);
    convert(TB_2M - 2 * KIB4, TB_2M + 3 * KIB4, TDP_PRIVATE, 2 + 4 + 1, 1,
            "KICK, INVEPT; AUG 4K x 2 @0x1fe000; AUG 2M @0x200000; BLOCK 2M @0x200000; AUG 4K @0x400000; TRACK; "
            "DEMOTE 2M @0x200000");
}

/* --- pieces ------------------------------------------------------------------------------------------------------- */

/* Four regions of 512 pages: with at most so many calls while the vCPUs are out, in pieces of so many regions. */
static void convert_in_pieces(uint64_t pause, uint64_t calls, uint64_t tracks)
{
    have(0, 4 * TB_2M);
    for (uint64_t gpa = 0; gpa < 4 * TB_2M; gpa += TB_2M)
        split(gpa, LEVEL_2M);
    tdp_set_pause(tb.tdp, pause);
    tb_calls_reset();
    struct tdp_report r = fine(tb_convert(0, 4 * TB_2M, TDP_SHARED));
    expect_cost(r, calls, tracks);
    assert_int_equal(r.at.raw, 4 * TB_2M);
}

static void test_a_pause_that_suffices_cuts_nothing(void **state)
{
    convert_in_pieces(4 + 1 + 8 + 1, 4 * 4 + 2, 2); /* 4 BLOCK, TRACK, 4 PROMOTE, 4 BLOCK, TRACK; 4 REMOVE */
}

static void test_a_shorter_pause_cuts_it_in_two(void **state)
{
    convert_in_pieces(4 + 1 + 8, 2 * (2 * 4 + 2), 4);
}

static void test_the_shortest_pause_is_one_region(void **state)
{
    convert_in_pieces(1, 4 * (4 + 2), 8);
}

/* The ends of the range cut a leaf each, and no piece cuts any of those between. */
static void test_pieces_end_between_regions(void **state)
{
    have(0, 4 * TB_2M);
    tdp_set_pause(tb.tdp, 1);
    tb_calls_reset();
    expect_cost(fine(tb_convert(KIB4, 4 * TB_2M - 2 * KIB4, TDP_SHARED)), 2 * (4 + 2 * 511) + 2 * 3, 2 * 2 + 2 * 1);
}

/* --- modules that can more ---------------------------------------------------------------------------------------- */

static void test_non_blocking_split_1(void **state)
{
    have(0, TB_2M);
    struct plan *p = plan_new();
    (void)fine(tdp_split(tb.tdp, at(0), LEVEL_2M, p));
    expect_steps(p, 1, "DEMOTE 2M @0x0");
    tb_calls_reset();
    expect_cost(tdp_split(tb.tdp, at(0), LEVEL_2M, NULL), 1, 0);
}

static void test_non_blocking_n_pages_of_a_2m_leaf_2_plus_2n(void **state)
{
    have(0, TB_2M);
    convert(0x3000, 5 * KIB4, TDP_SHARED, 2 + 2 * 5, 1,
            "DEMOTE 2M @0x0; BLOCK 4K x 5 @0x3000; TRACK; REMOVE 4K x 5 @0x3000");
}

static void test_non_blocking_n_pages_of_a_1g_leaf_3_plus_2n(void **state)
{
    have_1g();
    convert(0x603000, 4 * KIB4, TDP_SHARED, 3 + 2 * 4, 1,
            "DEMOTE 1G @0x0; DEMOTE 2M @0x600000; BLOCK 4K x 4 @0x603000; TRACK; REMOVE 4K x 4 @0x603000");
}

static void test_non_blocking_k_regions_of_a_1g_leaf_2_plus_2k(void **state)
{
    have_1g();
    convert(0x600000, 3 * TB_2M, TDP_SHARED, 2 + 2 * 3, 1,
            "DEMOTE 1G @0x0; BLOCK 2M x 3 @0x600000; TRACK; REMOVE 2M x 3 @0x600000");
}

static void test_non_blocking_map_as_512_4k_2(void **state)
{
    have(0, TB_2M);
    choose(TDP_TIME, LEVEL_2M); /* stops no vCPU: right for both */
    map(TB_2M, TB_2M, LEVEL_4K, 2, 0, "AUG 2M @0x200000; DEMOTE 2M @0x200000");
}

static void test_non_blocking_back_as_512_4k(void **state)
{
    have_empty_table();
    choose(TDP_CALLS, LEVEL_4K);
    convert(0, TB_2M, TDP_PRIVATE, 5, 1, "BLOCK 2M @0x0; TRACK; SEPT.REMOVE 2M @0x0; AUG 2M @0x0; DEMOTE 2M @0x0");
}

static bool demoted_with_interrupts;
static void (*watch_of_testbed)(const struct seamcall_regs *regs);

static void watch_demote(const struct seamcall_regs *regs)
{
    if ((regs->rax & 0xffff) == 15)
        demoted_with_interrupts = cpu_host_interrupts_on();
    watch_of_testbed(regs);
}

/* A waiting interrupt stops no DEMOTE of such a module, so interrupts stay on. */
static void test_demote_with_interrupts_on(void **state)
{
    have(0, 2 * TB_2M);
    set_features(DEMOTE_GOES_ON, true);
    watch_of_testbed = seamcall_host_watch;
    seamcall_host_watch = watch_demote;
    platform_host_knobs.pending_events = PLAT_EVENT_INTERRUPT;
    platform_host_knobs.pending = true;
    struct tdp_report r = tdp_split(tb.tdp, at(0), LEVEL_2M, NULL);
    assert_true(demoted_with_interrupts);
    set_features(DEMOTE_GOES_ON, false);
    (void)fine(tdp_split(tb.tdp, at(TB_2M), LEVEL_2M, NULL));
    assert_false(demoted_with_interrupts);
    seamcall_host_watch = watch_of_testbed;
    platform_host_knobs.pending = false;
    assert_int_equal(fine(r).seamcalls, 3);
}

/* --- tear-down, whole --------------------------------------------------------------------------------------------- */

/* Before td_release_key() and after; then the TD is gone. */
static uint64_t calls_of_tear_down(void)
{
    tb_calls_reset();
    tb_destroy();
    return tb_calls();
}

/*
 * 36 and 39 calls for a TD of three vCPUs, that is 7 a vCPU less here: VP.FLUSH and the reclaiming of its six pages.
 * Merged to 1G: 3 calls, and 3 more for the region at 4K; VPFLUSHDONE, CACHE.WB, FREEID; one leaf, one table, six pages of
 * the TDCS and the TDR reclaimed.
 */
static void test_tear_down_of_1g_36(void **state)
{
    tb_create(TB_1G, LEVEL_1G, false);
    have_1g_of_2m();
    assert_int_equal(calls_of_tear_down(), 36 - 2 * 7);
    tb_create(TB_1G, LEVEL_1G, false);
    have_1g_of_2m();
    split(0x600000, LEVEL_2M);
    assert_int_equal(calls_of_tear_down(), 39 - 2 * 7);
}

int main(void)
{
#define T(name)      cmocka_unit_test_setup_teardown(name, make, unmake)
#define T_FREE(name) cmocka_unit_test_setup_teardown(name, make_non_blocking, unmake)
    const struct CMUnitTest tests[] = {
        T(test_merge_one_region_of_a_range_3),
        T(test_merge_64_regions_2m_plus_1),
        T(test_merge_512_regions_2m_plus_1),
        T(test_4k_to_1g_2m_plus_4),
        T(test_merge_range_around_what_is_refused),
        T(test_merge_range_is_refused),
        T(test_n_pages_of_k_regions),
        T(test_k_whole_regions_of_512_4k_4k_plus_2),
        T(test_map_k_regions_as_512_4k_3k_plus_1),
        T(test_split_one_and_merge_another_8),
        T(test_split_and_merge_5),
        T(test_parts_that_meet_are_refused),
        T(test_parts_of_free_memory_do_not_meet),
        T(test_map_2m_as_512_4k_without_a_kick),
        cmocka_unit_test_setup_teardown(test_map_before_finalisation_is_short_anyway, make_unfinished, unmake),
        T(test_back_as_512_4k_over_an_empty_table_7),
        T(test_back_as_512_4k_without_a_track_512),
        T(test_back_as_512_4k_where_nothing_is_4),
        T(test_a_pause_that_suffices_cuts_nothing),
        T(test_a_shorter_pause_cuts_it_in_two),
        T(test_the_shortest_pause_is_one_region),
        T(test_pieces_end_between_regions),
        T(test_back_as_512_4k_between_pages),
        T_FREE(test_non_blocking_split_1),
        T_FREE(test_non_blocking_n_pages_of_a_2m_leaf_2_plus_2n),
        T_FREE(test_non_blocking_n_pages_of_a_1g_leaf_3_plus_2n),
        T_FREE(test_non_blocking_k_regions_of_a_1g_leaf_2_plus_2k),
        T_FREE(test_non_blocking_map_as_512_4k_2),
        T_FREE(test_non_blocking_back_as_512_4k),
        T(test_demote_with_interrupts_on),
        cmocka_unit_test(test_tear_down_of_1g_36),
    };
    return cmocka_run_group_tests(tests, machine, NULL);
}
