/* The TDP MMU against the module model, one operation at a time. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/host/testbed.h"

#define MEMORY (TB_1G + 32 * 0x100000)

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

static int unmake(void **state)
{
    tb_check();
    tb_destroy();
    return 0;
}

static void test_nothing(void **state)
{
    tb_check();
}

static void test_map_accept_write(void **state)
{
    assert_int_equal(tdp_map(tb.tdp, at(0), 2 * TB_2M, LEVEL_2M, NULL).err, ERR_OK);
    tb_accept_range(0, 2 * TB_2M);
    for (uint64_t gpa = 0; gpa < 2 * TB_2M; gpa += 37 * TB_4K)
        tb_write_page(gpa);
    tb_verify_range(0, 2 * TB_2M);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_nothing, make, unmake),
        cmocka_unit_test_setup_teardown(test_map_accept_write, make, unmake),
    };
    return cmocka_run_group_tests(tests, machine, NULL);
}
