/* Memory from anywhere: mapped page by page, gathered to be merged, relocated on request. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "mm/page.h"
#include "tests/host/seamcall.h"
#include "tests/host/testbed.h"

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
    tb.backing = TDP_SCATTER;
    tb_create(8 * TB_2M, LEVEL_1G, false);
    tb.backing = TDP_INPLACE;
    return 0;
}

static int make_in_place(void **state)
{
    tb_create(8 * TB_2M, LEVEL_1G, false);
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

static void test_scattered_memory_is_mapped_page_by_page(void **state)
{
    have(0, 2 * TB_2M);
    tb_accept_range(0, 2 * TB_2M);
    for (uint64_t gpa = 0; gpa < 2 * TB_2M; gpa += 13 * TB_4K)
        tb_write_page(gpa);
    expect(0, TDP_MAPPED, 0);
    assert_int_not_equal(walk(0x1000).page.raw, walk(0).page.raw + TB_4K);
    fine(tb_convert(0x3000, TB_2M, TDP_SHARED));
    expect(0x3000, TDP_IS_SHARED, 0);
    for (uint64_t gpa = 0x3000; gpa < TB_2M; gpa += 7 * TB_4K)
        tb_write_page(gpa);
    tb_verify_range(0, 2 * TB_2M);
    fine(tb_convert(0, TB_2M, TDP_PRIVATE));
    tb_accept_range(0, TB_2M);
    tb_verify_range(0, 2 * TB_2M);
    assert_int_equal(tb_accept(3 * TB_2M, 1) >> 32, 0xc0000b0b); /* no 2M page to be had */
}

/* Merging gathers the pages first: 2r + 4 calls, 2 TRACKs; what is gathered merges like any other region. */
static void test_scattered_memory_is_gathered_to_be_merged(void **state)
{
    have(0, 2 * TB_2M);
    tb_accept_range(0, 2 * TB_2M);
    for (uint64_t gpa = 0; gpa < 2 * TB_2M; gpa += TB_4K)
        tb_write_page(gpa);
    uint64_t free = page_free_bytes();
    tb_calls_reset();
    struct tdp_report r = tdp_merge(tb.tdp, at(0), LEVEL_2M, NULL);
    fine(r);
    assert_int_equal(r.seamcalls, 2 * 512 + 4);
    assert_int_equal(r.tracks, 2);
    assert_int_equal(tb_calls(), r.seamcalls);
    assert_int_equal(page_free_bytes(), free + 3 * TB_4K); /* 512 pages for 512, and the table */
    expect(0x5000, TDP_MAPPED, 1);
    tb_verify_range(0, 2 * TB_2M);
    fine(tb_convert(0x7000, 2 * TB_4K, TDP_SHARED));
    fine(tb_convert(0x7000, 2 * TB_4K, TDP_PRIVATE));
    tb_accept_range(0x7000, 2 * TB_4K);
    r = tdp_merge(tb.tdp, at(0), LEVEL_2M, NULL);
    fine(r);
    assert_int_equal(r.seamcalls, 3); /* at home already */
    tb_verify_range(0, 2 * TB_2M);
    fine(tb_convert(0, TB_2M, TDP_SHARED));
    tb_write_page(0x3000);
    fine(tb_convert(0, TB_2M, TDP_PRIVATE));
    expect(0, TDP_PENDING, 1); /* one AUG of its home */
}

/* One TRACK for all regions, and each page moves once. What is not mapped stays; pages of regions that are not moved
 * whole are found again by a later merge. */
static void test_scattered_memory_is_relocated(void **state)
{
    have(0, TB_2M + 5 * TB_4K);
    tb_accept_range(0, TB_2M + 5 * TB_4K);
    for (uint64_t gpa = 0; gpa < TB_2M + 5 * TB_4K; gpa += TB_4K)
        tb_write_page(gpa);
    uint64_t free = page_free_bytes();
    struct plan *p = plan_new();
    fine(tdp_relocate(tb.tdp, at(0), 2 * TB_2M, p));
    assert_int_equal(plan_seamcalls(p), 2 * 517 + 1);
    assert_int_equal(plan_kick_rounds(p), 1);
    plan_free(p);
    tb_calls_reset();
    struct tdp_report r = tdp_relocate(tb.tdp, at(0), 2 * TB_2M, NULL);
    fine(r);
    assert_int_equal(r.seamcalls, 2 * 517 + 1);
    assert_int_equal(r.tracks, 1);
    assert_int_equal(tb_calls(), r.seamcalls);
    tb_verify_range(0, 2 * TB_2M);
    assert_int_equal(walk(0x7000).page.raw, walk(0).page.raw + 7 * TB_4K);
    assert_int_equal(page_free_bytes(), free - 507 * TB_4K); /* the places of the second region that are empty */
    refused(tdp_relocate(tb.tdp, at(0), 2 * TB_2M, NULL), ERR_EXISTS);
    r = tdp_merge(tb.tdp, at(0), LEVEL_2M, NULL);
    fine(r);
    assert_int_equal(r.seamcalls, 3);
    have(TB_2M + 5 * TB_4K, TB_2M - 5 * TB_4K);
    tb_accept_range(TB_2M, TB_2M);
    r = tdp_relocate(tb.tdp, at(TB_2M + 5 * TB_4K), 7 * TB_4K, NULL);
    fine(r);
    assert_int_equal(r.seamcalls, 2 * 7 + 1);
    r = tdp_merge(tb.tdp, at(TB_2M), LEVEL_2M, NULL);
    fine(r);
    assert_int_equal(r.seamcalls, 2 * 500 + 4);
    tb_verify_range(0, 2 * TB_2M);
}

/* Blocked pages need no second BLOCK, and are reached again afterwards. */
static void test_blocked_memory_is_relocated(void **state)
{
    have(0, TB_2M);
    tb_accept_range(0, TB_2M);
    tb_write_page(0x3000);
    fine(tdp_block(tb.tdp, at(0x3000), LEVEL_4K, NULL));
    struct tdp_report r = tdp_relocate(tb.tdp, at(0x2000), 3 * TB_4K, NULL);
    fine(r);
    assert_int_equal(r.seamcalls, 2 * 3 + 1 - 1);
    tb_verify_page(0x3000);
    fine(tdp_block(tb.tdp, at(0), LEVEL_2M, NULL));
    r = tdp_relocate(tb.tdp, at(0), 2 * TB_4K, NULL);
    fine(r);
    assert_int_equal(r.seamcalls, 2 * 2 + 1 + 1);
    tb_verify_page(0x3000);
}

static void test_relocation_is_refused(void **state)
{
    uint64_t free = page_free_bytes();
    refused(tdp_relocate(tb.tdp, at(0), TB_2M, NULL), ERR_NOT_FOUND);
    refused(tdp_relocate(tb.tdp, at(0x800), TB_4K, NULL), ERR_UNALIGNED);
    refused(tdp_relocate(tb.tdp, at(0), 0, NULL), ERR_ARGUMENT);
    refused(tdp_relocate(tb.tdp, at(0), 1ull << 46, NULL), ERR_RANGE);
    have(0, TB_2M);
    fine(tb_convert(0x5000, TB_4K, TDP_SHARED));
    struct tdp_report r = tdp_relocate(tb.tdp, at(0), TB_2M, NULL);
    refused(r, ERR_ATTR_MISMATCH);
    assert_int_equal(r.at.raw, 0x5000);
    seamcall_host_inject(5, 0, 0xc000030000000008); /* PAGE_METADATA_INCORRECT at the first RELOCATE */
    assert_int_equal(tdp_relocate(tb.tdp, at(0), 5 * TB_4K, NULL).err, ERR_TDX);
    fine(tb_convert(0x5000, TB_4K, TDP_PRIVATE));
    assert_true(page_free_bytes() > free - 16 * TB_4K); /* a home that nothing moved into went back */
}

static void test_memory_in_place_is_not_relocated(void **state)
{
    have(0, TB_2M);
    refused(tdp_relocate(tb.tdp, at(0), TB_2M, NULL), ERR_EXISTS);
    fine(tdp_split(tb.tdp, at(0), LEVEL_2M, NULL));
    refused(tdp_relocate(tb.tdp, at(0), TB_2M, NULL), ERR_EXISTS);
}

/* A plan says r; a fault on the way leaves some pages at home, and the next merge has fewer to relocate. */
static void test_gathering_goes_on_where_it_failed(void **state)
{
    have(0, TB_2M);
    tb_accept_range(0, TB_2M);
    for (uint64_t gpa = 0; gpa < TB_2M; gpa += TB_4K)
        tb_write_page(gpa);
    struct plan *p = plan_new();
    char line[64];
    fine(tdp_merge(tb.tdp, at(0), LEVEL_2M, p));
    assert_int_equal(plan_seamcalls(p), 2 * 512 + 4);
    plan_line(p, 2, line, sizeof(line));
    assert_string_equal(line, "RELOCATE 4K x 512 @0x0");
    plan_free(p);
    seamcall_host_inject(5, 100, 0xc000030000000008); /* PAGE_METADATA_INCORRECT at the 101st RELOCATE */
    struct tdp_report r = tdp_merge(tb.tdp, at(0), LEVEL_2M, NULL);
    assert_int_equal(r.err, ERR_TDX);
    assert_int_equal(r.at.raw, 100 * TB_4K);
    tb_enter();
    tb_check();
    tb_verify_range(0, TB_2M);
    r = tdp_merge(tb.tdp, at(0), LEVEL_2M, NULL);
    fine(r);
    assert_int_equal(r.seamcalls, 2 * 412 + 4);
    tb_verify_range(0, TB_2M);
    fine(tb_convert(TB_2M, TB_4K, TDP_SHARED));
    refused(tdp_merge(tb.tdp, at(TB_2M), LEVEL_2M, NULL), ERR_NOT_FOUND);
    have(TB_2M + TB_4K, TB_2M - TB_4K);
    r = tdp_merge(tb.tdp, at(TB_2M), LEVEL_2M, NULL);
    refused(r, ERR_STATE);
    assert_int_equal(r.at.raw, TB_2M);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, make, unmake)
    static const struct CMUnitTest tests[] = {
        T(test_scattered_memory_is_mapped_page_by_page),
        T(test_scattered_memory_is_gathered_to_be_merged),
        T(test_scattered_memory_is_relocated),
        T(test_blocked_memory_is_relocated),
        T(test_relocation_is_refused),
        T(test_gathering_goes_on_where_it_failed),
        cmocka_unit_test_setup_teardown(test_memory_in_place_is_not_relocated, make_in_place, unmake),
    };
    return cmocka_run_group_tests(tests, machine, NULL);
}
