/*
 * The experiment `tlb` where the TDX module gives TDs no performance counters: it says so, takes times, and claims no misses.
 */
#include "tests/unit/experiment_world.h"

#include "tdx/module.h"

const struct experiment *const experiments[] = {&experiment_tlb, NULL};

#define PERFMON (1ull << 63)
#define WORDS   "The TDX module gives TDs no performance counters here: times alone can be told, no misses."

static void test_without_counters(void **state)
{
    tdx_module.attributes_may &= ~PERFMON;
    assert_int_equal(good("experiment tlb least=2 most=4 count=10"),
                     2 * 2 * 4); /* pages of two sizes, two sets, four orders */
    assert_non_null(strstr(io_host_output(), WORDS));
    assert_null(strstr(io_host_output(), "\"misses\":"));
    assert_null(strstr(io_host_output(), "\"walks\":"));
    for (unsigned i = 0; i < 16; i++) {
        is_text(i, "page", i < 8 ? "4k" : "2m");
        assert_int_equal(strncmp(value(i, NULL, "counted"), "false", 5), 0);
        assert_int_equal(number(i, NULL, "accesses"), 10);
        assert_int_equal(number(i, NULL, "faults"), 0);
        assert_int_equal(number(i, NULL, "working_set"), i / 4 % 2 ? 4 << 20 : 2 << 20);
    }
}

/* The module of the testbed has them, its payload has not. */
static void test_with_counters_that_the_payload_has_not(void **state)
{
    tdx_module.attributes_may |= PERFMON;
    assert_int_equal(good("experiment tlb least=2 most=2 count=10"), 2 * 4);
    assert_null(strstr(io_host_output(), WORDS));
    assert_null(strstr(io_host_output(), "\"misses\":"));
}

static void test_refusals(void **state)
{
    bad("experiment tlb least=64 most=16", "least=64 is more than most=16");
    bad("experiment tlb stride=12", "stride=12: a multiple of 8 is needed");
    bad("experiment tlb count=0", "count=0: a number from 1 to 1000000000 is needed");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_without_counters),
        cmocka_unit_test(test_with_counters_that_the_payload_has_not),
        cmocka_unit_test(test_refusals),
    };
    return cmocka_run_group_tests(tests, machine, NULL);
}
