/*
 * Dirty logging: what is marked, what it costs, what it leaves. For each mapped 2M page: BLOCK and DEMOTE, then 512 BLOCKs, and
 * two TRACKs for all regions of a piece of 16M; each touch is one UNBLOCK.
 */
#include "tests/unit/policy_world.h"

#define A TB_2M
#define B (20 * TB_2M)

static struct {
    u64 from, bytes;
} lines[64];
static unsigned line_count;

static void note(gpa_t from, u64 bytes, void *arg)
{
    assert_true(line_count < 64);
    lines[line_count].from = from.raw;
    lines[line_count++].bytes = bytes;
}

static struct tdp_dirty get(void)
{
    struct tdp_dirty d;

    line_count = 0;
    fine(tdp_dirty_get(tb.tdp, note, NULL, &d));
    u64 sum = 0;
    for (unsigned i = 0; i < line_count; i++)
        sum += lines[i].bytes;
    assert_int_equal(sum, d.pages * TB_4K);
    return d;
}

static void expect_line(unsigned i, u64 from, u64 bytes)
{
    assert_true(i < line_count);
    assert_int_equal(lines[i].from, from);
    assert_int_equal(lines[i].bytes, bytes);
}

static void test_it_costs_what_it_must(void **state)
{
    have(A), have(B);
    struct tdp_report r = tdp_dirty_on(tb.tdp);
    fine(r);
    assert_int_equal(r.seamcalls, 2 * (2 + 512) + 2 * 2);
    assert_int_equal(r.tracks, 2 * 2);
    expect(A, TDP_BLOCKED, 0);
    assert_int_equal(get().pages, 0);
    r = tdp_dirty_off(tb.tdp);
    fine(r);
    assert_int_equal(r.seamcalls, 2 * 512);
    assert_int_equal(r.tracks, 0);
    expect(A, TDP_MAPPED, 0);
    verify(A), verify(B);
}

static void test_what_is_touched_is_told_once(void **state)
{
    have(A), have(B);
    fine(tdp_dirty_on(tb.tdp));
    steps_reset();
    tb_write_page(A + 5 * TB_4K);
    assert_int_equal(steps(), 1);
    tb_write_page(A + 5 * TB_4K);
    assert_int_equal(steps(), 1);
    tb_write_page(A + 6 * TB_4K);
    tb_verify_page(B); /* a read is taken for a write */
    assert_int_equal(get().pages, 3);
    expect_line(0, A + 5 * TB_4K, 2 * TB_4K);
    expect_line(1, B, TB_4K);
    assert_int_equal(get().pages, 0);
    tb_write_page(A + 6 * TB_4K);
    struct tdp_dirty d = get();
    assert_int_equal(d.pages, 1);
    assert_int_equal(d.by_read, 1);
    expect_line(0, A + 6 * TB_4K, TB_4K);
    fine(tdp_dirty_off(tb.tdp));
    tb_verify_page(A + 5 * TB_4K);
}

/* Each pass costs a BLOCK for each page that it tells, and a TRACK for each piece with such a page. */
static void test_a_pass_costs_what_was_touched(void **state)
{
    struct tdp_dirty d;

    have(A), have(B);
    fine(tdp_dirty_on(tb.tdp));
    for (unsigned i = 0; i < 10; i++)
        tb_write_page(A + i * 3 * TB_4K);
    tb_write_page(B);
    line_count = 0;
    struct tdp_report r = tdp_dirty_get(tb.tdp, note, NULL, &d);
    fine(r);
    assert_int_equal(d.pages, 11);
    assert_int_equal(r.seamcalls, 11 + 2);
    assert_int_equal(r.tracks, 2);
    fine(tdp_dirty_off(tb.tdp));
}

/* Memory that comes new is mapped by small pages, and dirty; what goes away is no longer told of. */
static void test_memory_that_comes_and_goes(void **state)
{
    have(A);
    fine(tdp_dirty_on(tb.tdp));
    assert_int_equal(tb_accept(B, 0), 0);
    expect(B, TDP_MAPPED, 0);
    assert_int_equal(tb_accept(B + TB_2M, 1) >> 32, 0xc0000b0b); /* 2M of it is more than there is */
    tb_write_page(A);
    fine(tb_convert(A, TB_4K, TDP_SHARED));
    assert_int_equal(get().pages, 2);
    expect_line(0, B, TB_4K);
    expect_line(1, B + TB_2M, TB_4K);
    fine(tb_convert(A, TB_4K, TDP_PRIVATE));
    tb_accept_range(A, TB_4K);
    assert_int_equal(get().pages, 1);
    fine(tb_convert(A + 8 * TB_2M, TB_2M, TDP_SHARED));
    fine(tb_convert(A + 8 * TB_2M, TB_2M, TDP_PRIVATE)); /* back as one page of 2M, all of it dirty */
    assert_int_equal(get().pages, 512);
    expect(A + 8 * TB_2M, TDP_PENDING_BLOCKED, 0);
    fine(tdp_dirty_off(tb.tdp));
}

static void test_a_gib_comes_apart(void **state)
{
    fine(tdp_map(tb.tdp, at(0), TB_1G, LEVEL_2M, NULL));
    tb_accept_range(0, TB_1G);
    fine(tdp_merge(tb.tdp, at(0), LEVEL_1G, NULL));
    tb_write_page(B);
    struct tdp_report r = tdp_dirty_on(tb.tdp);
    fine(r);
    assert_int_equal(r.seamcalls, 3 + 512 * 2 + 64 + 512 * 512 + 64);
    tb_write_page(B);
    assert_int_equal(get().pages, 1);
    fine(tdp_dirty_off(tb.tdp));
    tb_verify_page(B);
}

/* Logging keeps policies from merging; afterwards they find it all again. */
static void test_policies_wait_for_its_end(void **state)
{
    have(A), have(B);
    choose(&policy_ready, 64, 0, 50, 0);
    fine(tdp_dirty_on(tb.tdp));
    for (u64 i = 0; i < 512; i++)
        tb_verify_page(A + i * TB_4K); /* all of it is unblocked, and a candidate to look at */
    for (u64 now = 0; now < 1000; now += 10)
        tick_at(now);
    expect(A, TDP_MAPPED, 0);
    fine(tdp_dirty_off(tb.tdp));
    for (u64 now = 1000; now < 1100; now += 10)
        tick_at(now);
    expect(A, TDP_MAPPED, 1);
    expect(B, TDP_MAPPED, 1);
    verify(A), verify(B);
}

static void test_a_block_by_hand_stays(void **state)
{
    have(A);
    fine(tdp_split(tb.tdp, at(A), LEVEL_2M, NULL));
    fine(tdp_block(tb.tdp, at(A + HOLE), LEVEL_4K, NULL));
    fine(tdp_dirty_on(tb.tdp));
    assert_false(tb_store(A + HOLE, false, 1));
    assert_int_equal(tb_last_fault.err, ERR_STATE);
    fine(tdp_dirty_off(tb.tdp));
    expect(A + HOLE, TDP_BLOCKED, 0);
    fine(tdp_unblock(tb.tdp, at(A + HOLE), LEVEL_4K, NULL));
}

/* What is below a table that is blocked by hand cannot be reached: said, and nothing is left half done. */
static void test_a_table_blocked_by_hand_is_refused(void **state)
{
    have(A);
    fine(tdp_split(tb.tdp, at(A), LEVEL_2M, NULL));
    fine(tdp_dirty_on(tb.tdp));
    fine(tdp_block(tb.tdp, at(A), LEVEL_2M, NULL));
    struct tdp_report r = tdp_dirty_off(tb.tdp);
    assert_int_equal(r.err, ERR_STATE);
    assert_non_null(strstr(r.what, "blocked by hand"));
    fine(tdp_unblock(tb.tdp, at(A), LEVEL_2M, NULL));
    fine(tdp_dirty_off(tb.tdp));
    expect(A, TDP_MAPPED, 0);
    verify(A);
}

/* The same before it begins: logging is off, nothing is blocked, and it can begin later. */
static void test_logging_does_not_begin_beside_such_a_table(void **state)
{
    have(A), have(B);
    fine(tdp_split(tb.tdp, at(B), LEVEL_2M, NULL));
    fine(tdp_block(tb.tdp, at(B), LEVEL_2M, NULL));
    struct tdp_report r = tdp_dirty_on(tb.tdp);
    assert_int_equal(r.err, ERR_STATE);
    assert_non_null(strstr(r.what, "blocked by hand"));
    assert_int_equal(r.seamcalls, 0);
    expect(A, TDP_MAPPED, 1);
    assert_int_equal(tdp_dirty_off(tb.tdp).err, ERR_NOT_FOUND);
    fine(tdp_unblock(tb.tdp, at(B), LEVEL_2M, NULL));
    fine(tdp_dirty_on(tb.tdp));
    tb_write_page(B);
    assert_int_equal(get().pages, 1);
    fine(tdp_dirty_off(tb.tdp));
}

/* Where `off` fails it goes on: what is no longer blocked is marked, for nobody sees it written. */
static void test_an_end_that_fails_forgets_nothing(void **state)
{
    have(A), have(B);
    fine(tdp_dirty_on(tb.tdp));
    fine(tdp_block(tb.tdp, at(B), LEVEL_2M, NULL));
    assert_int_equal(tdp_dirty_off(tb.tdp).err, ERR_STATE);
    expect(A, TDP_MAPPED, 0);
    tb_write_page(A + 7 * TB_4K);
    fine(tdp_unblock(tb.tdp, at(B), LEVEL_2M, NULL));
    (void)get();
    assert_true(line_count >= 1 && lines[0].from <= A + 7 * TB_4K && lines[0].from + lines[0].bytes > A + 7 * TB_4K);
    expect(A + 7 * TB_4K, TDP_BLOCKED, 0);
    fine(tdp_dirty_off(tb.tdp));
    expect(B, TDP_MAPPED, 0);
}

/* A region that a policy holds blocked is logged as any other. */
static void test_a_region_that_a_policy_holds_is_logged(void **state)
{
    have(A);
    cut(A, true);
    choose(&policy_hot, 64, 0, 1000, 100);
    tick_at(0);
    assert_int_equal(status().blocked, 1);
    fine(tdp_dirty_on(tb.tdp));
    tb_write_page(A + TB_4K);
    assert_int_equal(get().pages, 1);
    expect_line(0, A + TB_4K, TB_4K);
    fine(tdp_dirty_off(tb.tdp));
}

/* What get could not block again is marked, and told the next time. */
static void test_a_get_that_fails_forgets_nothing(void **state)
{
    struct tdp_dirty d;

    have(A);
    fine(tdp_dirty_on(tb.tdp));
    tb_write_page(A + TB_4K);
    seamcall_host_inject(LEAF_BLOCK, 0, 0xc000010000000001);
    line_count = 0;
    assert_int_equal(tdp_dirty_get(tb.tdp, note, NULL, &d).err, ERR_TDX);
    tb_write_page(A + TB_4K); /* no fault tells of this */
    assert_true(get().pages >= 1);
    assert_true(lines[0].from <= A + TB_4K && lines[0].from + lines[0].bytes > A + TB_4K);
    fine(tdp_dirty_off(tb.tdp));
}

static void test_on_off_and_get_in_the_wrong_order(void **state)
{
    struct tdp_dirty d;

    assert_int_equal(tdp_dirty_off(tb.tdp).err, ERR_NOT_FOUND);
    assert_int_equal(tdp_dirty_get(tb.tdp, note, NULL, &d).err, ERR_NOT_FOUND);
    fine(tdp_dirty_on(tb.tdp));
    assert_int_equal(tdp_dirty_on(tb.tdp).err, ERR_EXISTS);
    /* and the TD is torn down while it is on */
}

/* A failure on the way leaves all as it was, or logging on, but never a page that nobody may touch. */
static void test_failures(void **state)
{
    static const struct {
        unsigned leaf, nth;
        u64 status;
    } faults[] = {{LEAF_BLOCK, 0, 0xc000010000000001},   {LEAF_BLOCK, 300, 0xc000010000000001},
                  {LEAF_TRACK, 0, 0xc000010000000001},   {LEAF_TRACK, 1, 0xc000010000000001},
                  {15, 0, 0xc0000b0d00000001},           {LEAF_BLOCK, 700, 0x8000020000000092},
                  {LEAF_UNBLOCK, 5, 0xc000010000000001}, {LEAF_UNBLOCK, 700, 0x8000020000000092}};

    have(A), have(B);
    for (unsigned i = 0; i < sizeof(faults) / sizeof(faults[0]); i++) {
        seamcall_host_inject(faults[i].leaf, faults[i].nth, faults[i].status);
        struct tdp_report r = tdp_dirty_on(tb.tdp);
        if (r.err == ERR_OK)
            r = tdp_dirty_off(tb.tdp);
        seamcall_host_inject_none();
        assert_false(tb.tdp->dead);
        verify(A), verify(B);
        r = tdp_dirty_off(tb.tdp);
        assert_true(r.err == ERR_OK || r.err == ERR_NOT_FOUND);
        verify(A), verify(B);
        expect(A, TDP_MAPPED, walk(A).level.raw);
        fine(tdp_dirty_on(tb.tdp));
        fine(tdp_dirty_off(tb.tdp));
    }
}

int main(void)
{
#define T(test) cmocka_unit_test_setup_teardown(test, make, unmake)
    const struct CMUnitTest tests[] = {
        T(test_it_costs_what_it_must),
        T(test_what_is_touched_is_told_once),
        T(test_a_pass_costs_what_was_touched),
        T(test_memory_that_comes_and_goes),
        T(test_a_gib_comes_apart),
        T(test_policies_wait_for_its_end),
        T(test_a_block_by_hand_stays),
        T(test_a_table_blocked_by_hand_is_refused),
        T(test_logging_does_not_begin_beside_such_a_table),
        T(test_an_end_that_fails_forgets_nothing),
        T(test_a_region_that_a_policy_holds_is_logged),
        T(test_a_get_that_fails_forgets_nothing),
        T(test_on_off_and_get_in_the_wrong_order),
        T(test_failures),
    };
    return cmocka_run_group_tests(tests, machine, NULL);
}
