/*
 * Histograms of SEAMCALL times: what a bin holds, what is said of it, which calls are told apart; and that the one way to the
 * module notes each call once, and none while nobody asks.
 */
#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "tdx/latency.h"
#include "tests/unit/td_world.h"

enum { LEAF_TRACK = 38, LEAF_BLOCK = 7, LEAF_SEPT_ADD = 3, NO_LEVEL = 4 };

static struct tdx_latencies all;
static const tdx_status_t good = {0}, busy = {BUSY_RCX};

static int fresh(void **state)
{
    memset(&all, 0, sizeof(all));
    return 0;
}

static int ready_and_fresh(void **state)
{
    (void)fresh(state);
    return ready_machine(state);
}

static void note(u64 ticks, u64 times)
{
    while (times--)
        tdx_latency_add(&all, LEAF_TRACK, 0x5003, good, ticks); /* RCX is the TDR's address: no level */
}

static void test_few_numbers_are_told_exactly(void **state)
{
    const struct tdx_latency *l = &all.of[LEAF_TRACK][NO_LEVEL];

    assert_int_equal(tdx_latency_percentile(l, 50), 0);
    note(7, 1);
    note(3, 2);
    assert_int_equal(l->count, 3);
    assert_int_equal(l->total, 13);
    assert_int_equal(l->least, 3);
    assert_int_equal(l->longest, 7);
    assert_int_equal(tdx_latency_percentile(l, 50), 3);
    assert_int_equal(tdx_latency_percentile(l, 99), 7);
}

/* No number is told smaller than it is, nor larger by more than an eighth. */
static void test_percentiles_are_right_to_an_eighth(void **state)
{
    for (u64 ticks = 1; ticks < 1ull << 40; ticks += 1 + ticks / 11) {
        (void)fresh(NULL);
        note(ticks, 1);
        note(1ull << 41, 1);
        u64 said = tdx_latency_percentile(&all.of[LEAF_TRACK][NO_LEVEL], 50);
        assert_in_range(said, ticks, ticks + ticks / 8);
    }
}

static void test_ranks(void **state)
{
    const struct tdx_latency *l = &all.of[LEAF_TRACK][NO_LEVEL];

    note(100, 98);
    note(1000, 1);
    note(100000, 1);
    assert_in_range(tdx_latency_percentile(l, 50), 100, 112);
    assert_in_range(tdx_latency_percentile(l, 98), 100, 112);
    assert_in_range(tdx_latency_percentile(l, 99), 1000, 1125);
    assert_int_equal(tdx_latency_percentile(l, 100), 100000);
}

static void test_powers_of_two(void **state)
{
    const struct tdx_latency *l = &all.of[LEAF_TRACK][NO_LEVEL];
    u64 sum = 0;

    note(0, 1);
    note(1, 2);
    note(2, 3);
    note(4095, 5);
    note(4096, 7);
    note(8191, 11);
    note(~0ull, 1);
    assert_int_equal(tdx_latency_in_power(l, 0), 3);
    assert_int_equal(tdx_latency_in_power(l, 1), 3);
    assert_int_equal(tdx_latency_in_power(l, 11), 5);
    assert_int_equal(tdx_latency_in_power(l, 12), 18);
    assert_int_equal(tdx_latency_in_power(l, 13), 0);
    for (unsigned power = 0; power < 64; power++)
        sum += tdx_latency_in_power(l, power);
    assert_int_equal(sum, l->count);
    assert_true(l->longest == ~0ull);
    assert_int_equal(l->least, 1);
}

static void test_levels_and_refusals_are_told_apart(void **state)
{
    tdx_latency_add(&all, LEAF_BLOCK, 0x200000, good, 10);
    tdx_latency_add(&all, LEAF_BLOCK, 0x200001, good, 20);
    tdx_latency_add(&all, LEAF_BLOCK, 0x200001, busy, 9999);
    tdx_latency_add(&all, LEAF_SEPT_ADD, 3, good, 30);
    tdx_latency_add(&all, LEAF_SEPT_ADD, 7, good, 30); /* no level that there is: with the highest */
    tdx_latency_add(&all, TDX_LEAF_COUNT_MAX, 0, good, 1);
    assert_int_equal(all.of[LEAF_BLOCK][0].count, 1);
    assert_int_equal(all.of[LEAF_BLOCK][0].longest, 10);
    assert_int_equal(all.of[LEAF_BLOCK][1].count, 1);
    assert_int_equal(all.of[LEAF_BLOCK][1].others, 1);
    assert_int_equal(all.of[LEAF_BLOCK][1].longest, 20);
    assert_int_equal(all.of[LEAF_SEPT_ADD][3].count, 2);
}

static u64 noted(unsigned leaf)
{
    u64 sum = 0;

    for (unsigned level = 0; level < TDX_LATENCY_LEVELS; level++)
        sum += all.of[leaf][level].count + all.of[leaf][level].others;
    return sum;
}

/* A TD from its creation to its end: as many calls are noted as are counted, of each leaf. */
static void test_each_call_is_noted_once(void **state)
{
    build();
    tear_down();
    for (unsigned leaf = 0; leaf < TDX_LEAF_COUNT_MAX; leaf++)
        assert_int_equal(noted(leaf), 0);
    tdx_counts_reset();
    tdx_latency_begin(&all);
    build();
    tear_down();
    tdx_latency_end();
    for (unsigned leaf = 0; leaf < TDX_LEAF_COUNT_MAX; leaf++)
        assert_int_equal(noted(leaf), tdx_counts.leaf[leaf]);
    assert_int_equal(all.of[L_PAGE_ADD][0].count, 2);
    assert_int_equal(all.of[L_EXTEND][NO_LEVEL].count, 32);
    build();
    tear_down();
    assert_int_equal(noted(L_PAGE_ADD), 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_few_numbers_are_told_exactly, fresh),
        cmocka_unit_test_setup(test_percentiles_are_right_to_an_eighth, fresh),
        cmocka_unit_test_setup(test_ranks, fresh),
        cmocka_unit_test_setup(test_powers_of_two, fresh),
        cmocka_unit_test_setup(test_levels_and_refusals_are_told_apart, fresh),
        cmocka_unit_test_setup(test_each_call_is_noted_once, ready_and_fresh),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
