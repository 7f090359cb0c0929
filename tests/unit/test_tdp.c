/* The TDP MMU against the module model, one behaviour at a time: faults, levels, attributes, bad input, looking at it
 * all. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "lib/hw/cpu.h"
#include "mm/page.h"
#include "mm/tdp_internal.h"
#include "tests/host/seamcall.h"
#include "tests/host/testbed.h"

#define MEMORY  (TB_1G + 16 * TB_2M)
#define ROM_GPA 0xfffff000ull

static gpa_t at(uint64_t gpa)
{
    return (gpa_t){gpa};
}

static int machine(void **state)
{
    tb_machine();
    return 0;
}

static int make(void **state)
{
    tb_create(MEMORY, LEVEL_1G, false);
    return 0;
}

static int make_2m(void **state)
{
    tb_create(MEMORY, LEVEL_2M, false);
    return 0;
}

static int make_4k(void **state)
{
    tb_create(8 * TB_2M + 3 * TB_4K, LEVEL_4K, false);
    return 0;
}

static int make_unfinished(void **state)
{
    tb_create(MEMORY, LEVEL_1G, true);
    return 0;
}

static int unmake(void **state)
{
    tb_check();
    tb_destroy();
    return 0;
}

static void fine(struct tdp_report r)
{
    assert_int_equal(r.err, ERR_OK);
}

static void refused(struct tdp_report r, enum err err)
{
    assert_int_equal(r.err, err);
    assert_non_null(r.what);
    assert_int_equal(r.seamcalls, 0);
}

static struct tdp_walk walk(uint64_t gpa)
{
    struct tdp_walk w;
    fine(tdp_walk(tb.tdp, at(gpa), &w));
    assert_true(w.agree);
    return w;
}

static void expect(uint64_t gpa, enum tdp_state state, unsigned level)
{
    struct tdp_walk w = walk(gpa);
    assert_int_equal(w.state, state);
    assert_int_equal(w.level.raw, level);
}

static void have(uint64_t gpa, uint64_t bytes)
{
    fine(tdp_map(tb.tdp, at(gpa), bytes, LEVEL_2M, NULL));
}

/* --- faults ------------------------------------------------------------------------------------------------------- */

static void test_accept_of_a_free_region_maps_what_it_asks_for(void **state)
{
    assert_int_equal(tb_accept(0, 1), 0);
    expect(0x5000, TDP_MAPPED, 1);
    assert_int_equal(tb_accept(TB_2M + 0x3000, 0), 0);
    expect(TB_2M + 0x3000, TDP_MAPPED, 0);
    expect(TB_2M + 0x4000, TDP_ABSENT, 0);
    assert_int_equal(tb_faults, 2);
}

static void test_accept_of_less_than_mapped_splits(void **state)
{
    have(0, TB_2M);
    assert_int_equal(tb_accept(0x3000, 0), 0);
    expect(0x3000, TDP_MAPPED, 0);
    expect(0x4000, TDP_PENDING, 0);
    assert_int_equal(tb_faults, 1);
}

static void test_accept_below_a_pending_1g_page_splits_twice(void **state)
{
    have(0, TB_1G);
    fine(tdp_merge(tb.tdp, at(0), LEVEL_1G, NULL));
    expect(0, TDP_PENDING, 2);
    assert_int_equal(tb_accept(0x3000, 0), 0);
    assert_int_equal(tb_faults, 2);
    expect(0x3000, TDP_MAPPED, 0);
    expect(TB_2M, TDP_PENDING, 1);
}

static void test_large_accept_over_small_pages_is_the_guests_to_solve(void **state)
{
    assert_int_equal(tb_accept(0x3000, 0), 0);
    assert_int_equal(tb_accept(0, 1) >> 32, 0xc0000b0b); /* PAGE_SIZE_MISMATCH */
    tb_accept_range(0x4000, TB_2M - 0x4000);
    tb_accept_range(0, 0x3000);
    fine(tdp_merge(tb.tdp, at(0), LEVEL_2M, NULL));
    expect(0, TDP_MAPPED, 1);
}

static void test_a_shared_page_keeps_its_region_small(void **state)
{
    fine(tb_convert(0x7000, TB_4K, TDP_SHARED));
    uint64_t value;
    struct vcpu_exit e = {.kind = VCPU_EXIT_EPT_VIOLATION, .gpa = at(0x3000)};
    fine(tdp_fault(tb.tdp, &e, 0));
    expect(0x3000, TDP_PENDING, 0);
    expect(0x7000, TDP_IS_SHARED, 0);
    assert_true(tb_load(0x7000, true, &value));
    e.gpa = at(TB_2M + 0x3000);
    fine(tdp_fault(tb.tdp, &e, 0));
    expect(TB_2M + 0x3000, TDP_PENDING, 1);
}

static void test_levels_end_where_the_td_was_told_to(void **state)
{
    have(0, TB_2M);
    expect(0, TDP_PENDING, 0); /* 4k */
    assert_int_equal(tb_accept(TB_2M, 0), 0);
    expect(TB_2M, TDP_MAPPED, 0);
    refused(tdp_merge(tb.tdp, at(0), LEVEL_2M, NULL), ERR_ARGUMENT);
    fine(tb_convert(0, TB_2M, TDP_SHARED));
    expect(0, TDP_IS_SHARED, 0);
}

static void test_private_access_to_shared_memory(void **state)
{
    uint64_t value;
    fine(tb_convert(0x3000, TB_4K, TDP_SHARED));
    assert_false(tb_load(0x3000, false, &value));
    assert_int_equal(tb_last_fault.err, ERR_ATTR_MISMATCH);
    have(TB_2M, TB_2M);
    assert_false(tb_load(TB_2M, true, &value));
    assert_int_equal(tb_last_fault.err, ERR_ATTR_MISMATCH);
}

static void test_access_outside_all_slots(void **state)
{
    uint64_t value;
    assert_false(tb_load(MEMORY, false, &value));
    assert_int_equal(tb_last_fault.err, ERR_RANGE);
}

/* SEPT_VE_DISABLE: a page that the TD never accepts exits again and again. */
static void test_pending_page_is_no_progress_and_ends(void **state)
{
    have(0, TB_2M);
    struct vcpu_exit e = {.kind = VCPU_EXIT_EPT_VIOLATION, .gpa = at(0x3000), .pending = true};
    unsigned tries = 0;
    while (tdp_fault(tb.tdp, &e, 0).err == ERR_OK)
        assert_true(++tries < 6);                           /* before the module's zero-step filter */
    assert_int_equal(tdp_fault(tb.tdp, &e, 0).err, ERR_OK); /* told once, counted anew */
    e.gpa = at(0x5000);
    assert_int_equal(tdp_fault(tb.tdp, &e, 0).err, ERR_OK);
}

static void test_blocked_by_hand_parks_the_vcpu(void **state)
{
    uint64_t value;
    have(0, TB_2M);
    tb_accept_range(0, TB_2M);
    tb_write_page(0x3000);
    fine(tdp_block(tb.tdp, at(0), LEVEL_2M, NULL));
    expect(0x3000, TDP_BLOCKED, 1);
    for (int i = 0; i < 10; i++) {
        assert_false(tb_load(0x3000, false, &value));
        assert_int_equal(tb_last_fault.err, ERR_STATE);
    }
    fine(tdp_unblock(tb.tdp, at(0), LEVEL_2M, NULL));
    tb_verify_page(0x3000);
}

static void test_blocked_table_by_hand_parks_the_vcpu(void **state)
{
    uint64_t value;
    have(0, TB_2M);
    tb_accept_range(0, TB_2M);
    fine(tdp_split(tb.tdp, at(0), LEVEL_2M, NULL));
    fine(tdp_block(tb.tdp, at(0), LEVEL_2M, NULL));
    struct tdp_walk w = walk(0x3000);
    assert_true(w.is_table);
    assert_int_equal(w.state, TDP_BLOCKED);
    assert_false(tb_load(0x3000, false, &value));
    assert_int_equal(tb_last_fault.err, ERR_STATE);
    refused(tdp_block(tb.tdp, at(0x3000), LEVEL_4K, NULL), ERR_STATE);
    fine(tdp_unblock(tb.tdp, at(0), LEVEL_2M, NULL));
    tb_verify_page(0x3000);
}

/* --- policies ----------------------------------------------------------------------------------------------------- */

/* What a refused PROMOTE of a tear-down that did not take place leaves blocked, policy `none` unblocks when it is
 * touched. */
static void test_touching_what_is_blocked_unblocks_it(void **state)
{
    have(0, TB_2M);
    tb_accept_range(0, TB_2M);
    tb_write_page(0x9000);
    fine(tb_convert(0x3000, TB_4K, TDP_SHARED));
    fine(tb_convert(0x3000, TB_4K, TDP_PRIVATE)); /* one page pending: PROMOTE refuses */
    fine(tdp_prepare_destroy(tb.tdp));
    assert_int_equal(walk(0x9000).state, TDP_BLOCKED);
    assert_true(walk(0x9000).is_table);
    u64 faults = tb_faults;
    tb_verify_page(0x9000);
    assert_int_equal(tb_faults, faults + 1);
    expect(0x9000, TDP_MAPPED, 0);
}

static struct {
    enum policy_event event;
    uint64_t gpa;
    unsigned level;
} events[64];
static unsigned event_count;

static void note_event(struct tdp *t, enum policy_event event, gpa_t gpa, level_t level)
{
    assert_true(event_count < 64);
    events[event_count].event = event;
    events[event_count].gpa = gpa.raw;
    events[event_count++].level = level.raw;
}

static void expect_event(unsigned i, enum policy_event event, uint64_t gpa, unsigned level)
{
    assert_true(i < event_count);
    assert_int_equal(events[i].event, event);
    assert_int_equal(events[i].gpa, gpa);
    assert_int_equal(events[i].level, level);
}

static void test_events_tell_what_a_policy_waits_for(void **state)
{
    static const struct policy noting = {.name = "noting", .event = note_event, .touched = policy_unblock_touched};
    have(0, TB_2M);
    tb_accept_range(0, TB_2M);
    tb.tdp->policing.policy = &noting;
    event_count = 0;
    have(TB_2M, TB_2M);
    expect_event(0, POLICY_MAPPED, TB_2M, 1);
    fine(tb_convert(0x3000, TB_4K, TDP_SHARED));
    expect_event(1, POLICY_CONVERTED, 0x3000, 0);
    fine(tb_convert(0x3000, TB_4K, TDP_PRIVATE));
    expect_event(2, POLICY_MAPPED, 0x3000, 0);
    expect_event(3, POLICY_CANDIDATE, 0, 1); /* full again */
    expect_event(4, POLICY_CONVERTED, 0x3000, 0);
    assert_int_equal(event_count, 5);
    tb.tdp->policing.policy = &policy_none;
}

/* --- data --------------------------------------------------------------------------------------------------------- */

static void test_data_survives_split_and_merge(void **state)
{
    have(0, 2 * TB_2M);
    tb_accept_range(0, 2 * TB_2M);
    for (uint64_t gpa = 0; gpa < 2 * TB_2M; gpa += TB_4K)
        tb_write_page(gpa);
    fine(tdp_split(tb.tdp, at(0), LEVEL_2M, NULL));
    tb_verify_range(0, 2 * TB_2M);
    fine(tdp_merge(tb.tdp, at(0), LEVEL_2M, NULL));
    tb_verify_range(0, 2 * TB_2M);
    fine(tb_convert(TB_2M + 0x3000, TB_4K, TDP_SHARED));
    fine(tb_convert(TB_2M + 0x3000, TB_4K, TDP_PRIVATE));
    tb_verify_range(0, 2 * TB_2M);
    tb_accept_range(TB_2M + 0x3000, TB_4K);
    fine(tdp_merge(tb.tdp, at(TB_2M), LEVEL_2M, NULL));
    tb_verify_range(0, 2 * TB_2M);
}

/* 511 accepted and one pending: PROMOTE refuses, all is as before, and the report says why. */
static void test_merge_of_mixed_pages_is_refused_and_undone(void **state)
{
    have(0, TB_2M);
    tb_accept_range(0, TB_2M);
    tb_write_page(0x5000);
    fine(tb_convert(0x3000, TB_4K, TDP_SHARED));
    fine(tb_convert(0x3000, TB_4K, TDP_PRIVATE));
    struct tdp_report r = tdp_merge(tb.tdp, at(0), LEVEL_2M, NULL);
    assert_int_equal(r.err, ERR_TDX);
    assert_int_equal(r.status.raw >> 32, 0xc0000b09); /* EPT_INVALID_PROMOTE_CONDITIONS */
    assert_non_null(strstr(r.what, "accepted"));
    assert_int_equal(r.seamcalls, 4); /* BLOCK TRACK PROMOTE UNBLOCK */
    expect(0x5000, TDP_MAPPED, 0);
    expect(0x3000, TDP_PENDING, 0);
    tb_verify_page(0x5000);
}

/* A merge that cannot be says which page is in the way. */
static void test_merge_names_the_obstacle(void **state)
{
    have(0, TB_1G);
    fine(tdp_split(tb.tdp, at(3 * TB_2M), LEVEL_2M, NULL));
    fine(tb_convert(5 * TB_2M + 0x7000, TB_4K, TDP_SHARED));
    struct tdp_report r = tdp_merge(tb.tdp, at(0), LEVEL_1G, NULL);
    refused(r, ERR_STATE);
    assert_int_equal(r.at.raw, 5 * TB_2M + 0x7000);
    fine(tdp_block(tb.tdp, at(3 * TB_2M + 0x4000), LEVEL_4K, NULL));
    r = tdp_merge(tb.tdp, at(3 * TB_2M), LEVEL_2M, NULL);
    refused(r, ERR_STATE);
    assert_int_equal(r.at.raw, 3 * TB_2M + 0x4000);
    fine(tdp_block(tb.tdp, at(TB_2M), LEVEL_2M, NULL));
    r = tdp_merge(tb.tdp, at(0), LEVEL_1G, NULL);
    refused(r, ERR_STATE);
    assert_int_equal(r.at.raw, TB_2M);
    fine(tdp_unblock(tb.tdp, at(TB_2M), LEVEL_2M, NULL));
    fine(tdp_unblock(tb.tdp, at(3 * TB_2M + 0x4000), LEVEL_4K, NULL));
}

static void test_merge_1g_with_accepted_parts(void **state)
{
    have(0, TB_1G);
    struct tdp_report r;
    tb_accept_range(0x600000, TB_2M);
    r = tdp_merge(tb.tdp, at(0), LEVEL_1G, NULL);
    assert_int_equal(r.err, ERR_TDX);
    tb_check();
    fine(tb_convert(0x600000, TB_2M, TDP_SHARED));
    fine(tb_convert(0x600000, TB_2M, TDP_PRIVATE)); /* pending like the others */
    fine(tdp_merge(tb.tdp, at(0), LEVEL_1G, NULL));
    expect(0x600000, TDP_PENDING, 2);
}

static void test_converted_memory_is_zero_and_its_neighbours_are_not(void **state)
{
    have(0, TB_2M);
    tb_accept_range(0, TB_2M);
    tb_write_page(0x2000);
    tb_write_page(0x3000);
    fine(tb_convert(0x3000, TB_4K, TDP_SHARED));
    tb_verify_range(0, 0x5000);
    tb_write_page(0x3000);
    fine(tb_convert(0x2000, 3 * TB_4K, TDP_SHARED)); /* one of the three is shared: its content stays */
    tb_verify_range(0, 0x6000);
}

static void test_shared_2m_leaf_is_cut_when_a_part_goes_back(void **state)
{
    fine(tb_convert(0, 2 * TB_2M, TDP_SHARED));
    expect(0x5000, TDP_IS_SHARED, 1);
    tb_write_page(0x5000);
    tb_write_page(0x7000);
    fine(tb_convert(0x6000, TB_4K, TDP_PRIVATE));
    expect(0x5000, TDP_IS_SHARED, 0);
    expect(0x6000, TDP_PENDING, 0);
    tb_verify_page(0x5000);
    tb_verify_page(0x7000);
}

static void test_vmm_and_td_see_the_same_shared_page(void **state)
{
    assert_null(tdp_shared_ptr(tb.tdp, at(0x3000)));
    fine(tb_convert(0x3000, TB_4K, TDP_SHARED));
    uint64_t *mine = tdp_shared_ptr(tb.tdp, at(0x3000)), value;
    assert_int_equal(mine[5], 0);
    assert_true(tb_store(0x3028, true, 4711));
    assert_int_equal(mine[5], 4711);
    mine[6] = 815;
    assert_true(tb_load(0x3030, true, &value));
    assert_int_equal(value, 815);
}

static void test_converting_again_costs_nothing(void **state)
{
    fine(tb_convert(0, TB_2M, TDP_SHARED));
    tb_write_page(0x3000);
    struct tdp_report r = tb_convert(0, TB_2M, TDP_SHARED);
    fine(r);
    assert_int_equal(r.seamcalls, 0);
    assert_int_equal(r.at.raw, TB_2M);
    tb_verify_page(0x3000);
}

/* --- before the TD runs ------------------------------------------------------------------------------------------- */

static void test_load_measures_and_merges_without_tracking(void **state)
{
    static unsigned char image[TB_2M];
    for (unsigned i = 0; i < sizeof(image); i++)
        image[i] = (unsigned char)(i * 7 + i / 4096);
    struct tdp_report r = tdp_load(tb.tdp, at(TB_2M), image, sizeof(image), true);
    fine(r);
    expect(TB_2M + 0x5000, TDP_MAPPED, 0);
    assert_int_equal(tdp_load(tb.tdp, at(TB_2M), image, TB_4K, true).err, ERR_EXISTS);
    r = tdp_merge(tb.tdp, at(TB_2M), LEVEL_2M, NULL);
    fine(r);
    assert_int_equal(r.seamcalls, 1); /* neither BLOCK nor TRACK */
    fine(tdp_make_shared(tb.tdp, at(0x3000), TB_4K));
    tb_finalize();
    uint64_t value, expected;
    for (uint64_t offset = 0; offset < TB_2M; offset += 0x1238) {
        assert_true(tb_load(TB_2M + offset, false, &value));
        memcpy(&expected, image + offset, 8);
        assert_int_equal(value, expected);
    }
    refused(tdp_load(tb.tdp, at(0), image, TB_4K, true), ERR_STATE);
}

static void test_slots_outside_the_first(void **state)
{
    static unsigned char rom[TB_4K] = {0xe9};
    assert_int_equal(tdp_add_slot(tb.tdp, at(ROM_GPA), TB_4K), ERR_OK);
    assert_int_equal(tdp_add_slot(tb.tdp, at(ROM_GPA), TB_4K), ERR_EXISTS);
    assert_int_equal(tdp_add_slot(tb.tdp, at(TB_2M), TB_4K), ERR_EXISTS);
    assert_int_equal(tdp_add_slot(tb.tdp, at(1ull << 47), TB_4K), ERR_RANGE);
    assert_int_equal(tdp_add_slot(tb.tdp, at(2 * TB_1G), 0), ERR_RANGE);
    fine(tdp_load(tb.tdp, at(ROM_GPA), rom, TB_4K, true));
    tb_finalize();
    expect(ROM_GPA, TDP_MAPPED, 0);
    refused(tdp_map(tb.tdp, at(ROM_GPA), 2 * TB_4K, LEVEL_4K, NULL), ERR_RANGE);
}

static void test_blocking_by_hand_before_finalisation(void **state)
{
    have(0, TB_2M);
    fine(tdp_block(tb.tdp, at(0), LEVEL_2M, NULL));
    expect(0, TDP_PENDING_BLOCKED, 1);
    fine(tdp_unblock(tb.tdp, at(0), LEVEL_2M, NULL));
    expect(0, TDP_PENDING, 1);
    tb_finalize();
}

/* --- bad input ---------------------------------------------------------------------------------------------------- */

static void test_bad_ranges_change_nothing(void **state)
{
    struct tdp_walk w;
    struct tdp_census c;
    refused(tdp_map(tb.tdp, at(0x800), TB_4K, LEVEL_4K, NULL), ERR_UNALIGNED);
    refused(tdp_map(tb.tdp, at(0), 0x800, LEVEL_4K, NULL), ERR_UNALIGNED);
    refused(tdp_map(tb.tdp, at(0), 0, LEVEL_4K, NULL), ERR_ARGUMENT);
    refused(tdp_map(tb.tdp, at(0), TB_4K, LEVEL_1G, NULL), ERR_ARGUMENT);
    refused(tdp_map(tb.tdp, at(MEMORY), TB_4K, LEVEL_4K, NULL), ERR_RANGE);
    refused(tdp_map(tb.tdp, at(MEMORY - TB_4K), 2 * TB_4K, LEVEL_4K, NULL), ERR_RANGE);
    refused(tdp_map(tb.tdp, at(~0xfffull), 2 * TB_4K, LEVEL_4K, NULL), ERR_RANGE);
    refused(tdp_map(tb.tdp, at(0), ~0xfffull, LEVEL_4K, NULL), ERR_RANGE);
    refused(tdp_convert(tb.tdp, at(0x1234), TB_4K, TDP_SHARED, NULL), ERR_UNALIGNED);
    refused(tdp_convert(tb.tdp, at(0), 1ull << 60, TDP_SHARED, NULL), ERR_RANGE);
    refused(tdp_split(tb.tdp, at(0), LEVEL_4K, NULL), ERR_ARGUMENT);
    refused(tdp_split(tb.tdp, at(TB_4K), LEVEL_2M, NULL), ERR_UNALIGNED);
    refused(tdp_split(tb.tdp, at(0), LEVEL_2M, NULL), ERR_NOT_FOUND);
    refused(tdp_merge(tb.tdp, at(TB_1G), LEVEL_1G, NULL), ERR_RANGE);
    refused(tdp_merge(tb.tdp, at(0), LEVEL_512G, NULL), ERR_ARGUMENT);
    refused(tdp_merge(tb.tdp, at(0), LEVEL_2M, NULL), ERR_NOT_FOUND);
    refused(tdp_block(tb.tdp, at(0), LEVEL_2M, NULL), ERR_NOT_FOUND);
    refused(tdp_unblock(tb.tdp, at(0), LEVEL_2M, NULL), ERR_NOT_FOUND);
    refused(tdp_walk(tb.tdp, at(MEMORY), &w), ERR_RANGE);
    refused(tdp_census(tb.tdp, at(MEMORY), TB_4K, &c), ERR_RANGE);
    have(0, TB_2M);
    refused(tdp_map(tb.tdp, at(0), TB_2M, LEVEL_2M, NULL), ERR_EXISTS);
    refused(tdp_merge(tb.tdp, at(0), LEVEL_2M, NULL), ERR_EXISTS);
    refused(tdp_unblock(tb.tdp, at(0), LEVEL_2M, NULL), ERR_STATE);
    refused(tdp_block(tb.tdp, at(0), LEVEL_4K, NULL), ERR_STATE);
    fine(tdp_block(tb.tdp, at(0), LEVEL_2M, NULL));
    refused(tdp_block(tb.tdp, at(0), LEVEL_2M, NULL), ERR_EXISTS);
    fine(tdp_unblock(tb.tdp, at(0), LEVEL_2M, NULL));
    fine(tb_convert(TB_2M, TB_4K, TDP_SHARED));
    refused(tdp_map(tb.tdp, at(TB_2M), TB_2M, LEVEL_2M, NULL), ERR_ATTR_MISMATCH);
}

/* --- looking ------------------------------------------------------------------------------------------------------ */

static void add_line(gpa_t from, uint64_t bytes, level_t level, enum tdp_state state, void *arg)
{
    static const char *const states[] = {"absent", "mapped", "pending", "blocked", "pending_blocked", "shared"};
    char line[80];
    snprintf(line, sizeof(line), "%llx+%llx %s %s; ", (unsigned long long)from.raw, (unsigned long long)bytes,
             level_name(level), states[state]);
    strcat(arg, line);
}

static void test_runs_and_census(void **state)
{
    char lines[1024] = "";
    struct tdp_census c;
    have(0, 3 * TB_2M);
    tb_accept_range(TB_2M, TB_2M);
    fine(tb_convert(TB_2M + 0x3000, 2 * TB_4K, TDP_SHARED));
    fine(tdp_block(tb.tdp, at(2 * TB_2M), LEVEL_2M, NULL));
    fine(tdp_each_run(tb.tdp, at(0), 4 * TB_2M, add_line, lines));
    assert_string_equal(lines, "0+200000 2m pending; 200000+3000 4k mapped; 203000+2000 4k shared; "
                               "205000+1fb000 4k mapped; 400000+200000 2m pending_blocked; 600000+200000 4k absent; ");
    fine(tdp_census(tb.tdp, at(0), 4 * TB_2M, &c));
    assert_true(c.agree);
    assert_int_equal(c.leaf[0], 510);
    assert_int_equal(c.leaf[1], 2);
    assert_int_equal(c.blocked, 1);
    assert_int_equal(c.shared_bytes, 2 * TB_4K);
    fine(tdp_census(tb.tdp, at(0), 0, &c));
    assert_int_equal(c.tables, 3);
}

/* The walk tells a mirror that is wrong. */
static void test_a_foreign_change_is_seen(void **state)
{
    struct tdp_walk w;
    struct tdp_census c;
    have(0, TB_2M);
    assert_int_equal(tdh_mem_range_block(tb.td.tdr, at(0), LEVEL_2M).status.raw, 0);
    fine(tdp_walk(tb.tdp, at(0x3000), &w));
    assert_false(w.agree);
    fine(tdp_census(tb.tdp, at(0), 0, &c));
    assert_false(c.agree);
    assert_int_equal(c.first_disagreement.raw, 0);
    assert_int_equal(tdh_mem_track(tb.td.tdr).status.raw, 0);
    assert_int_equal(tdh_mem_range_unblock(tb.td.tdr, at(0), LEVEL_2M).status.raw, 0);
}

int main(void)
{
#define T(name)             cmocka_unit_test_setup_teardown(name, make, unmake)
#define T_WITH(setup, name) cmocka_unit_test_setup_teardown(name, setup, unmake)
    const struct CMUnitTest tests[] = {
        T(test_accept_of_a_free_region_maps_what_it_asks_for),
        T(test_accept_of_less_than_mapped_splits),
        T(test_accept_below_a_pending_1g_page_splits_twice),
        T_WITH(make_2m, test_large_accept_over_small_pages_is_the_guests_to_solve),
        T(test_a_shared_page_keeps_its_region_small),
        T_WITH(make_4k, test_levels_end_where_the_td_was_told_to),
        T(test_private_access_to_shared_memory),
        T(test_access_outside_all_slots),
        T(test_pending_page_is_no_progress_and_ends),
        T(test_blocked_by_hand_parks_the_vcpu),
        T(test_blocked_table_by_hand_parks_the_vcpu),
        T(test_touching_what_is_blocked_unblocks_it),
        T(test_events_tell_what_a_policy_waits_for),
        T(test_data_survives_split_and_merge),
        T(test_merge_of_mixed_pages_is_refused_and_undone),
        T(test_merge_names_the_obstacle),
        T(test_merge_1g_with_accepted_parts),
        T(test_converted_memory_is_zero_and_its_neighbours_are_not),
        T(test_shared_2m_leaf_is_cut_when_a_part_goes_back),
        T(test_vmm_and_td_see_the_same_shared_page),
        T(test_converting_again_costs_nothing),
        T_WITH(make_unfinished, test_load_measures_and_merges_without_tracking),
        T_WITH(make_unfinished, test_slots_outside_the_first),
        T_WITH(make_unfinished, test_blocking_by_hand_before_finalisation),
        T(test_bad_ranges_change_nothing),
        T(test_runs_and_census),
        T(test_a_foreign_change_is_seen),
    };
    return cmocka_run_group_tests(tests, machine, NULL);
}
