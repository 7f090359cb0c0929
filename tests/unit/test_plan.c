/*
 * Every operation's plan against the shortest sequence that a search on a genuine module found: number of SEAMCALLs,
 * TRACKs and the steps themselves, typed by hand from that table. Each plan is then performed, and must cost what it
 * said.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tdx/count.h"
#include "tests/host/cpu.h"
#include "tests/host/hold.h"
#include "tests/host/platform.h"
#include "tests/unit/plan_expect.h"

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

static int unmake(void **state)
{
    tb_check();
    tb_destroy();
    return 0;
}

/* --- conversion out of 2M ----------------------------------------------------------------------------------------- */

static void test_n_pages_of_a_2m_leaf_4_plus_2n(void **state)
{
    have(0, TB_2M);
    convert(0x3000, 5 * KIB4, TDP_SHARED, 4 + 2 * 5, 2,
            "BLOCK 2M @0x0; TRACK; DEMOTE 2M @0x0; BLOCK 4K x 5 @0x3000; TRACK; REMOVE 4K x 5 @0x3000");
}

static void test_one_page_of_a_2m_leaf(void **state)
{
    have(0, TB_2M);
    convert(0x1ff000, KIB4, TDP_SHARED, 6, 2,
            "BLOCK 2M @0x0; TRACK; DEMOTE 2M @0x0; BLOCK 4K @0x1ff000; TRACK; REMOVE 4K @0x1ff000");
}

static void test_all_but_one_page_of_a_2m_leaf(void **state)
{
    have(0, TB_2M);
    convert(0, 511 * KIB4, TDP_SHARED, 4 + 2 * 511, 2,
            "BLOCK 2M @0x0; TRACK; DEMOTE 2M @0x0; BLOCK 4K x 511 @0x0; TRACK; REMOVE 4K x 511 @0x0");
}

static void test_leaf_blocked_and_tracked_2_plus_2n(void **state)
{
    have(0, TB_2M);
    block(0, LEVEL_2M);
    convert(0x3000, 5 * KIB4, TDP_SHARED, 2 + 2 * 5, 1,
            "DEMOTE 2M @0x0; BLOCK 4K x 5 @0x3000; TRACK; REMOVE 4K x 5 @0x3000");
}

static void test_split_region_1_plus_2n(void **state)
{
    have(0, TB_2M);
    split(0, LEVEL_2M);
    convert(0x3000, 5 * KIB4, TDP_SHARED, 1 + 2 * 5, 1, "BLOCK 4K x 5 @0x3000; TRACK; REMOVE 4K x 5 @0x3000");
}

static void test_split_region_under_a_blocked_table_2_plus_2n(void **state)
{
    have(0, TB_2M);
    split(0, LEVEL_2M);
    block(0, LEVEL_2M);
    convert(0x3000, 5 * KIB4, TDP_SHARED, 2 + 2 * 5, 1,
            "UNBLOCK 2M @0x0; BLOCK 4K x 5 @0x3000; TRACK; REMOVE 4K x 5 @0x3000");
}

static void test_whole_2m_leaf_3(void **state)
{
    have(0, TB_2M);
    convert(0, TB_2M, TDP_SHARED, 3, 1, "BLOCK 2M @0x0; TRACK; REMOVE 2M @0x0");
}

static void test_whole_region_of_512_4k_6(void **state)
{
    have(0, TB_2M);
    split(0, LEVEL_2M);
    convert(0, TB_2M, TDP_SHARED, 6, 2, "BLOCK 2M @0x0; TRACK; PROMOTE 2M @0x0; BLOCK 2M @0x0; TRACK; REMOVE 2M @0x0");
}

/* Not all in one state: PROMOTE refuses, and the pages go one by one. */
static void test_whole_region_in_two_states_goes_piecewise(void **state)
{
    have(0, TB_2M);
    split(0, LEVEL_2M);
    assert_int_equal(tb_accept(0x5000, 0), 0);
    tb_calls_reset();
    /* BLOCK TRACK PROMOTE (refused) UNBLOCK, then 512 BLOCK TRACK 512 REMOVE */
    expect_cost(tdp_convert(tb.tdp, at(0), TB_2M, TDP_SHARED, NULL), 4 + 1025, 2);
}

static void test_two_regions_share_their_tracks(void **state)
{
    have(0, 4 * TB_2M);
    convert(TB_2M - 2 * KIB4, TB_2M + 5 * KIB4, TDP_SHARED, 2 + 1 + 2 + 2 + 1 + 3 + 1 + 2 + 1 + 3, 2,
            "BLOCK 2M @0x0; BLOCK 2M @0x400000; TRACK; DEMOTE 2M @0x0; BLOCK 4K x 2 @0x1fe000; BLOCK 2M @0x200000; "
            "DEMOTE 2M @0x400000; BLOCK 4K x 3 @0x400000; TRACK; REMOVE 4K x 2 @0x1fe000; REMOVE 2M @0x200000; "
            "REMOVE 4K x 3 @0x400000");
}

/* --- conversion out of 1G ----------------------------------------------------------------------------------------- */

static void test_n_pages_of_a_1g_leaf_7_plus_2n(void **state)
{
    have_1g();
    convert(0x40003000, 0x1000, TDP_SHARED, 0, 0, ""); /* another GiB, nothing mapped: no call at all */
    convert(0x603000, 4 * KIB4, TDP_SHARED, 7 + 2 * 4, 3,
            "BLOCK 1G @0x0; TRACK; DEMOTE 1G @0x0; BLOCK 2M @0x600000; TRACK; DEMOTE 2M @0x600000; "
            "BLOCK 4K x 4 @0x603000; TRACK; REMOVE 4K x 4 @0x603000");
}

static void test_k_regions_of_a_1g_leaf_4_plus_2k(void **state)
{
    have_1g();
    convert(0x600000, 3 * TB_2M, TDP_SHARED, 4 + 2 * 3, 2,
            "BLOCK 1G @0x0; TRACK; DEMOTE 1G @0x0; BLOCK 2M x 3 @0x600000; TRACK; REMOVE 2M x 3 @0x600000");
}

static void test_whole_1g_leaf_3(void **state)
{
    have_1g();
    struct plan *p = plan_new();
    (void)fine(tdp_convert(tb.tdp, at(0), TB_1G, TDP_SHARED, p));
    expect_steps(p, 3, "BLOCK 1G @0x0; TRACK; REMOVE 1G @0x0");
}

static void test_whole_1g_of_512_2m_6(void **state)
{
    have_1g_of_2m();
    struct plan *p = plan_new();
    (void)fine(tdp_convert(tb.tdp, at(0), TB_1G, TDP_SHARED, p));
    expect_steps(p, 6, "BLOCK 1G @0x0; TRACK; PROMOTE 1G @0x0; BLOCK 1G @0x0; TRACK; REMOVE 1G @0x0");
}

/* --- merging ------------------------------------------------------------------------------------------------------ */

static void test_merge_a_2m_region_3(void **state)
{
    have(0, TB_2M);
    split(0, LEVEL_2M);
    merge(0, LEVEL_2M, 3, 1, "BLOCK 2M @0x0; TRACK; PROMOTE 2M @0x0");
}

static void test_merge_a_blocked_region_1(void **state)
{
    have(0, TB_2M);
    split(0, LEVEL_2M);
    block(0, LEVEL_2M);
    merge(0, LEVEL_2M, 1, 0, "PROMOTE 2M @0x0");
}

static void test_merge_1g_of_512_2m_3(void **state)
{
    have_1g_of_2m();
    merge(0, LEVEL_1G, 3, 1, "BLOCK 1G @0x0; TRACK; PROMOTE 1G @0x0");
}

static void test_merge_1g_of_m_4k_regions_2m_plus_4(void **state)
{
    have_1g_of_2m();
    split(0x400000, LEVEL_2M);
    split(0x600000, LEVEL_2M);
    split(0x3fe00000, LEVEL_2M);
    merge(0, LEVEL_1G, 2 * 3 + 4, 2,
          "BLOCK 2M x 2 @0x400000; BLOCK 2M @0x3fe00000; TRACK; PROMOTE 2M x 2 @0x400000; PROMOTE 2M @0x3fe00000; "
          "BLOCK 1G @0x0; TRACK; PROMOTE 1G @0x0");
}

/* The regions below a table blocked by hand are out of reach until it is unblocked. */
static void test_merge_1g_under_a_blocked_table(void **state)
{
    have_1g_of_2m();
    split(0x400000, LEVEL_2M);
    block(0, LEVEL_1G);
    merge(0, LEVEL_1G, 7, 2,
          "UNBLOCK 1G @0x0; BLOCK 2M @0x400000; TRACK; PROMOTE 2M @0x400000; BLOCK 1G @0x0; TRACK; PROMOTE 1G @0x0");
}

/* What is blocked by hand stays out of a merge of what is around it. */
static void test_merge_1g_around_a_region_blocked_by_hand(void **state)
{
    have_1g_of_2m();
    split(0x400000, LEVEL_2M);
    block(0x400000, LEVEL_2M);
    assert_int_equal(tdp_merge(tb.tdp, at(0), LEVEL_1G, NULL).err, ERR_STATE);
    merge(0x400000, LEVEL_2M, 1, 0, "PROMOTE 2M @0x400000"); /* asked for by its own address it is merged */
    merge(0, LEVEL_1G, 3, 1, "BLOCK 1G @0x0; TRACK; PROMOTE 1G @0x0");
}

/* --- rounds of kicks ---------------------------------------------------------------------------------------------- */

/* One round, whatever the number of TRACKs: with several the vCPUs are held out from the first to the last. */
static void expect_rounds(struct plan *p, uint64_t rounds)
{
    assert_int_equal(plan_kick_rounds(p), rounds);
    plan_free(p);
}

static void test_one_round_of_kicks(void **state)
{
    have(0, 4 * TB_2M);
    struct plan *p = plan_new();
    hold_host = (struct hold_host){0};
    (void)fine(tdp_split(tb.tdp, at(0), LEVEL_2M, p));
    expect_rounds(p, 1);
    split(0, LEVEL_2M); /* one TRACK: one kick */
    assert_int_equal(hold_host.kicks, 1);
    assert_int_equal(hold_host.holds, 0);
    p = plan_new();
    (void)fine(tdp_convert(tb.tdp, at(TB_2M), TB_4K, TDP_SHARED, p));
    expect_rounds(p, 1);
    (void)fine(tb_convert(TB_2M, TB_4K, TDP_SHARED)); /* two TRACKs: held out once */
    assert_int_equal(hold_host.kicks, 1);
    assert_int_equal(hold_host.holds, 1);
    assert_int_equal(hold_host.depth, 0);
    p = plan_new();
    (void)fine(tdp_convert(tb.tdp, at(TB_2M), TB_4K, TDP_PRIVATE, p));
    expect_rounds(p, 1);
    (void)fine(tb_convert(TB_2M, TB_4K, TDP_PRIVATE)); /* no TRACK: a kick for the shared half */
    assert_int_equal(hold_host.kicks, 2);
    p = plan_new();
    (void)fine(tdp_map(tb.tdp, at(5 * TB_2M), TB_2M, LEVEL_2M, p));
    expect_rounds(p, 0);
    have(5 * TB_2M, TB_2M); /* nothing to drop */
    assert_int_equal(hold_host.kicks, 2);
    assert_int_equal(hold_host.holds, 1);
}

/* Interrupts wait: they stop neither DEMOTE nor PROMOTE, which run with IF clear. */
static void test_a_waiting_interrupt_stops_nothing(void **state)
{
    have(0, TB_2M);
    platform_host_knobs.pending_events = PLAT_EVENT_INTERRUPT;
    platform_host_knobs.pending = true;
    struct tdp_report s = tdp_split(tb.tdp, at(0), LEVEL_2M, NULL);
    struct tdp_report m = tdp_merge(tb.tdp, at(0), LEVEL_2M, NULL);
    platform_host_knobs.pending = false;
    assert_int_equal(fine(s).seamcalls, 3);
    assert_int_equal(fine(m).seamcalls, 3);
    assert_true(cpu_host_interrupts_on()); /* as it was before */
}

/* --- cache flushes ------------------------------------------------------------------------------------------------ */

/* What leaves the TD is written back under its key page by page, and a freed table; what comes back is flushed line
 * by line. */
static void test_flushes_around_a_conversion(void **state)
{
    have(0, 2 * TB_2M);
    uint64_t before = tdx_counts.leaf[41]; /* PHYMEM.PAGE.WBINVD */
    (void)fine(tb_convert(0x3000, 5 * TB_4K, TDP_SHARED));
    assert_int_equal(tdx_counts.leaf[41] - before, 5);
    (void)fine(tb_convert(TB_2M, TB_2M, TDP_SHARED));
    assert_int_equal(tdx_counts.leaf[41] - before, 5 + 512);
    uint64_t lines = cpu_host_counts.flushed_bytes;
    (void)fine(tb_convert(0x3000, 5 * TB_4K, TDP_PRIVATE));
    assert_int_equal(cpu_host_counts.flushed_bytes - lines, 5 * TB_4K);
    (void)fine(tdp_merge(tb.tdp, at(0), LEVEL_2M, NULL));
    assert_int_equal(tdx_counts.leaf[41] - before, 5 + 512 + 1);
}

/* --- splitting, mapping ------------------------------------------------------------------------------------------- */

static void test_split_3(void **state)
{
    have(0, TB_2M);
    struct plan *p = plan_new();
    (void)fine(tdp_split(tb.tdp, at(0), LEVEL_2M, p));
    expect_steps(p, 3, "BLOCK 2M @0x0; TRACK; DEMOTE 2M @0x0");
    tb_calls_reset();
    expect_cost(tdp_split(tb.tdp, at(0), LEVEL_2M, NULL), 3, 1);
}

/* Tables apart: two SEPT.ADDs in front of the first mapping of all. */
static void test_map_2m_as_512_4k_4(void **state)
{
    have(0, TB_2M);
    map(TB_2M, TB_2M, LEVEL_4K, 4, 1, "AUG 2M @0x200000; BLOCK 2M @0x200000; TRACK; DEMOTE 2M @0x200000");
}

static void test_map_2m_as_512_4k_before_finalisation_2(void **state)
{
    struct plan *p = plan_new();
    (void)fine(tdp_map(tb.tdp, at(0), TB_2M, LEVEL_4K, p));
    expect_steps(p, 2 + 2, "SEPT.ADD 512G @0x0; SEPT.ADD 1G @0x0; AUG 2M @0x0; DEMOTE 2M @0x0");
    tb_calls_reset();
    struct tdp_report r = fine(tdp_map(tb.tdp, at(0), TB_2M, LEVEL_4K, NULL));
    assert_int_equal(r.seamcalls, 4);
    assert_int_equal(tb_calls(), 4);
    assert_int_equal(tb_tracks(), 0);
}

static void test_map_2m_1(void **state)
{
    have(0, TB_2M);
    map(TB_2M, TB_2M, LEVEL_2M, 1, 0, "AUG 2M @0x200000");
}

static void test_map_parts_of_regions(void **state)
{
    have(0, TB_2M);
    map(2 * TB_2M - KIB4, TB_2M + 2 * KIB4, LEVEL_2M, 5, 0,
        "SEPT.ADD 2M @0x200000; SEPT.ADD 2M @0x600000; AUG 4K @0x3ff000; AUG 2M @0x400000; AUG 4K @0x600000");
}

/* --- conversion back ---------------------------------------------------------------------------------------------- */

/* The table that the pages left behind goes first. */
static void test_back_over_an_empty_table_4(void **state)
{
    have(0, TB_2M);
    split(0, LEVEL_2M);
    assert_int_equal(tb_accept(0x5000, 0), 0); /* two states: piecewise out, so that the table stays */
    (void)fine(tdp_convert(tb.tdp, at(0), TB_2M, TDP_SHARED, NULL));
    convert(0, TB_2M, TDP_PRIVATE, 4, 1, "BLOCK 2M @0x0; TRACK; SEPT.REMOVE 2M @0x0; AUG 2M @0x0");
}

static void test_back_where_a_2m_leaf_was_1(void **state)
{
    have(0, TB_2M);
    (void)fine(tb_convert(0, TB_2M, TDP_SHARED));
    convert(0, TB_2M, TDP_PRIVATE, 1, 0, "KICK, INVEPT; AUG 2M @0x0");
}

static void test_back_of_n_pages_n(void **state)
{
    have(0, TB_2M);
    (void)fine(tb_convert(0x3000, 5 * KIB4, TDP_SHARED));
    convert(0x3000, 5 * KIB4, TDP_PRIVATE, 5, 0, "KICK, INVEPT; AUG 4K x 5 @0x3000");
}

/* --- tear-down ---------------------------------------------------------------------------------------------------- */

/* One GiB: merged in 3 calls (1 TRACK), or 3 + 3 with a region at 4K (2 TRACKs), then each page and table is
 * reclaimed once. */
static void test_tear_down_merges_first(void **state)
{
    have_1g_of_2m();
    tb_calls_reset();
    struct tdp_report r = fine(tdp_prepare_destroy(tb.tdp));
    assert_int_equal(r.seamcalls, 3);
    assert_int_equal(r.tracks, 1);
}

static void test_tear_down_with_a_4k_region_merges_first(void **state)
{
    have_1g_of_2m();
    split(0x600000, LEVEL_2M);
    struct tdp_report r = fine(tdp_prepare_destroy(tb.tdp));
    assert_int_equal(r.seamcalls, 6);
    assert_int_equal(r.tracks, 2);
}

/* A refused PROMOTE does not stop the others. */
static void test_tear_down_passes_over_what_cannot_be_merged(void **state)
{
    have(0, 3 * TB_2M);
    for (uint64_t gpa = 0; gpa < 3 * TB_2M; gpa += TB_2M)
        split(gpa, LEVEL_2M);
    assert_int_equal(tb_accept(TB_2M, 0), 0);
    struct tdp_report r = fine(tdp_prepare_destroy(tb.tdp));
    assert_int_equal(r.seamcalls, 7);
    struct tdp_census c;
    (void)fine(tdp_census(tb.tdp, at(0), 3 * TB_2M, &c));
    assert_true(c.agree);
    assert_int_equal(c.leaf[1], 2);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, make, unmake)
    const struct CMUnitTest tests[] = {
        T(test_n_pages_of_a_2m_leaf_4_plus_2n),
        T(test_one_page_of_a_2m_leaf),
        T(test_all_but_one_page_of_a_2m_leaf),
        T(test_leaf_blocked_and_tracked_2_plus_2n),
        T(test_split_region_1_plus_2n),
        T(test_split_region_under_a_blocked_table_2_plus_2n),
        T(test_whole_2m_leaf_3),
        T(test_whole_region_of_512_4k_6),
        T(test_whole_region_in_two_states_goes_piecewise),
        T(test_two_regions_share_their_tracks),
        T(test_n_pages_of_a_1g_leaf_7_plus_2n),
        T(test_k_regions_of_a_1g_leaf_4_plus_2k),
        T(test_whole_1g_leaf_3),
        T(test_whole_1g_of_512_2m_6),
        T(test_merge_a_2m_region_3),
        T(test_merge_a_blocked_region_1),
        T(test_merge_1g_of_512_2m_3),
        T(test_merge_1g_of_m_4k_regions_2m_plus_4),
        T(test_merge_1g_under_a_blocked_table),
        T(test_merge_1g_around_a_region_blocked_by_hand),
        T(test_one_round_of_kicks),
        T(test_a_waiting_interrupt_stops_nothing),
        T(test_flushes_around_a_conversion),
        T(test_split_3),
        T(test_map_2m_as_512_4k_4),
        cmocka_unit_test_setup_teardown(test_map_2m_as_512_4k_before_finalisation_2, make_unfinished, unmake),
        T(test_map_2m_1),
        T(test_map_parts_of_regions),
        T(test_back_over_an_empty_table_4),
        T(test_back_where_a_2m_leaf_was_1),
        T(test_back_of_n_pages_n),
        T(test_tear_down_merges_first),
        T(test_tear_down_with_a_4k_region_merges_first),
        T(test_tear_down_passes_over_what_cannot_be_merged),
    };
    return cmocka_run_group_tests(tests, machine, NULL);
}
