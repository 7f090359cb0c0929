/* A page of the TD that is a device's: its shared EPT entry raises #VE, and nothing is ever mapped there. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "mm/tdp_internal.h"
#include "tests/host/testbed.h"

#define MEMORY      (16 * TB_2M)
#define INSIDE      (TB_2M + 5 * TB_4K)
#define OUTSIDE     0xfec00000ull
#define SUPPRESS_VE (1ull << 63)

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
    tb_create(MEMORY, LEVEL_2M, true);
    return 0;
}

static int unmake(void **state)
{
    tb_check();
    tb_destroy();
    return 0;
}

static uint64_t shared_entry(uint64_t gpa)
{
    return shared_ept_walk(&tb.tdp->shared, at(gpa)).raw;
}

static void outside_of_memory(void **state)
{
    assert_int_equal(tdp_add_device(tb.tdp, at(OUTSIDE), TB_4K), ERR_OK);
    assert_int_equal(shared_entry(OUTSIDE), 0);
    assert_int_equal(shared_entry(OUTSIDE - TB_4K), SUPPRESS_VE);
    assert_int_equal(shared_entry(OUTSIDE + TB_4K), SUPPRESS_VE);
    tb_finalize();
    assert_int_equal(tdp_convert(tb.tdp, at(OUTSIDE), TB_4K, TDP_SHARED, NULL).err, ERR_RANGE);
    assert_int_equal(tdp_convert(tb.tdp, at(OUTSIDE), TB_4K, TDP_PRIVATE, NULL).err, ERR_RANGE);
    assert_false(tb_store(OUTSIDE, false, 1));
    assert_int_equal(tb_last_fault.err, ERR_RANGE);
    assert_int_equal(tdp_add_slot(tb.tdp, at(OUTSIDE), TB_4K), ERR_EXISTS);
}

static void inside_of_memory(void **state)
{
    struct tdp_walk walk;

    assert_int_equal(tdp_add_device(tb.tdp, at(INSIDE), TB_4K), ERR_OK);
    tb_finalize();
    assert_int_equal(tb_accept(TB_2M, 1), 0xc0000b0b00000001ull); /* not as one page */
    tb_accept_range(TB_2M, 5 * TB_4K);
    tb_accept_range(INSIDE + TB_4K, 506 * TB_4K);
    tb_accept_range(2 * TB_2M, TB_2M);
    assert_int_equal(shared_entry(INSIDE), 0);
    assert_false(tb_store(INSIDE, false, 1));
    assert_int_equal(tb_last_fault.err, ERR_ATTR_MISMATCH);
    assert_int_equal(tdp_walk(tb.tdp, at(INSIDE), &walk).err, ERR_OK);
    assert_int_equal(walk.state, TDP_IS_SHARED);
    assert_true(hpa_is(walk.page, HPA_NONE));
    assert_true(walk.agree);
    assert_int_equal(tdp_merge(tb.tdp, at(TB_2M), LEVEL_2M, NULL).err, ERR_STATE);
}

/* What is around it is converted as ever; it stays, and never comes back as memory. */
static void conversions_leave_it(void **state)
{
    assert_int_equal(tdp_add_device(tb.tdp, at(INSIDE), TB_4K), ERR_OK);
    tb_finalize();
    assert_int_equal(tdp_convert(tb.tdp, at(0), 4 * TB_2M, TDP_SHARED, NULL).err, ERR_OK);
    assert_int_equal(shared_entry(INSIDE), 0);
    assert_int_not_equal(shared_entry(INSIDE + TB_4K) & 7, 0);
    struct tdp_report r = tdp_convert(tb.tdp, at(0), 4 * TB_2M, TDP_PRIVATE, NULL);
    assert_int_equal(r.err, ERR_RANGE);
    assert_string_equal(r.what, "a device is in the range, which is never private");
    assert_int_equal(r.seamcalls, 0);
    assert_int_equal(tdp_convert(tb.tdp, at(0), INSIDE, TDP_PRIVATE, NULL).err, ERR_OK);
    assert_int_equal(tdp_convert(tb.tdp, at(INSIDE + TB_4K), 2 * TB_2M, TDP_PRIVATE, NULL).err, ERR_OK);
    assert_int_equal(shared_entry(INSIDE), 0);
}

static void only_one_and_only_whole_pages(void **state)
{
    assert_int_equal(tdp_add_device(tb.tdp, at(OUTSIDE + 8), TB_4K), ERR_UNALIGNED);
    assert_int_equal(tdp_add_device(tb.tdp, at(OUTSIDE), 0), ERR_RANGE);
    assert_int_equal(tdp_add_device(tb.tdp, at(1ull << 47), TB_4K), ERR_RANGE);
    assert_int_equal(tdp_add_device(tb.tdp, at(MEMORY - TB_4K), 2 * TB_4K), ERR_EXISTS);
    assert_int_equal(tdp_add_device(tb.tdp, at(OUTSIDE), TB_4K), ERR_OK);
    assert_int_equal(tdp_add_device(tb.tdp, at(OUTSIDE + TB_4K), TB_4K), ERR_EXISTS);
    tb_finalize();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(outside_of_memory, make, unmake),
        cmocka_unit_test_setup_teardown(inside_of_memory, make, unmake),
        cmocka_unit_test_setup_teardown(conversions_leave_it, make, unmake),
        cmocka_unit_test_setup_teardown(only_one_and_only_whole_pages, make, unmake),
    };
    return cmocka_run_group_tests(tests, machine, NULL);
}
