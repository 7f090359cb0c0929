/*
 * The platform's performance counters: what CPUID says of them, which MSRs take what, and what is counted when. Numbers of MSRs,
 * events and unit masks are typed from the SDM and the event list of fourth-generation Xeons.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "sim/machine/pmu.h"

enum { READ = 1, WRITE = 2, EXEC = 4 };
enum { KERNEL = 0, USER = 3 };
#define ENABLED 0x430000ull /* EN, OS, USR */

static struct seam_pmu pmu;

static int fresh(void **state)
{
    memset(&pmu, 0, sizeof(pmu));
    pmu.global_control = 0xff;
    return 0;
}

static u64 read(u32 msr)
{
    u64 value = 0;
    assert_true(pmu_has_msr(msr));
    assert_true(pmu_read(&pmu, msr, &value));
    return value;
}

static void put(u32 msr, u64 value)
{
    assert_true(pmu_has_msr(msr));
    assert_true(pmu_write(&pmu, msr, value));
}

static void refuses(u32 msr, u64 value)
{
    assert_true(pmu_has_msr(msr));
    assert_false(pmu_write(&pmu, msr, value));
}

static void test_cpuid(void **state)
{
    u32 regs[4];

    pmu_cpuid(regs);
    assert_int_equal(regs[0] & 0xff, 5);
    assert_int_equal(regs[0] >> 8 & 0xff, 8);
    assert_int_equal(regs[0] >> 16 & 0xff, 48);
    assert_int_equal(regs[0] >> 24, 8);
    assert_int_equal(regs[1], 0xff);
    assert_int_equal(regs[2], 0);
    assert_int_equal(regs[3] & 0x1f, 0);
}

static void test_which_msrs_there_are(void **state)
{
    static const struct {
        u32 first, last;
    } there[] = {{0xc1, 0xc8}, {0x186, 0x18d}, {0x38d, 0x392}, {0x4c1, 0x4c8}};
    unsigned found = 0;

    for (unsigned i = 0; i < 4; i++) {
        assert_false(pmu_has_msr(there[i].first - 1));
        assert_false(pmu_has_msr(there[i].last + 1));
    }
    for (u32 msr = 0; msr < 0x2000; msr++)
        found += pmu_has_msr(msr);
    assert_int_equal(found, 8 + 8 + 6 + 8);
}

static void test_counters_have_48_bits(void **state)
{
    put(0xc2, 0x123480000000ull); /* the legacy address takes 32 bits and extends their sign */
    assert_true(read(0xc2) == 0xffff80000000ull);
    put(0xc2, 0x7fffffff);
    assert_true(read(0x4c2) == 0x7fffffff);
    put(0x4c2, 0xffffffffffffull);
    assert_true(read(0xc2) == 0xffffffffffffull);
    refuses(0x4c2, 1ull << 48);
    refuses(0x186, 1ull << 32);
    refuses(0x38f, 0x100);
    refuses(0x38e, 0);
    refuses(0x38d, 1);
    refuses(0x392, 0);
    put(0x38d, 0);
}

/* Which of 4K, 2M and 1G a unit mask counts, and how many entries the walk read. */
static void test_pages_by_size(void **state)
{
    static const u64 umasks[] = {0x02, 0x04, 0x08, 0x10, 0x0e, 0x1e, 0x01};
    static const u64 of_sizes[][3] = {{1, 0, 0}, {0, 1, 0}, {0, 0, 1}, {4, 3, 2}, {1, 1, 1}, {5, 4, 3}, {0, 0, 0}};

    for (unsigned level = 0; level < 3; level++) {
        (void)fresh(NULL);
        for (u32 i = 0; i < 7; i++)
            put(0x186 + i, ENABLED | umasks[i] << 8 | 0x12);
        pmu_count_walk(&pmu, READ, KERNEL, level, 4 - level);
        for (u32 i = 0; i < 7; i++)
            assert_int_equal(read(0xc1 + i), of_sizes[i][level]);
        assert_int_equal(read(0xc8), 0);
    }
}

static void test_loads_stores_and_fetches(void **state)
{
    static const u64 events[] = {0x12, 0x13, 0x11, 0x3c, 0};

    for (u32 i = 0; i < 5; i++)
        put(0x186 + i, ENABLED | 0x0e << 8 | events[i]);
    assert_int_equal(read(0x392), 0xf);
    pmu_count_walk(&pmu, READ, KERNEL, 0, 4);
    pmu_count_walk(&pmu, WRITE, KERNEL, 0, 4);
    pmu_count_walk(&pmu, WRITE, KERNEL, 1, 4);
    pmu_count_walk(&pmu, EXEC, KERNEL, 0, 4);
    assert_int_equal(read(0xc1), 1);
    assert_int_equal(read(0xc2), 2);
    assert_int_equal(read(0xc3), 1);
    assert_int_equal(read(0xc4), 0);
    assert_int_equal(read(0xc5), 0);
}

static void test_when_a_counter_counts(void **state)
{
    put(0x186, 0x420e12); /* OS alone */
    put(0x187, 0x410e12); /* USR alone */
    put(0x188, 0x030e12); /* not enabled */
    put(0x189, ENABLED | 0x0e12);
    put(0x38f, 0xf7); /* but for the fourth */
    pmu_count_walk(&pmu, READ, KERNEL, 0, 4);
    pmu_count_walk(&pmu, READ, USER, 0, 4);
    pmu_count_walk(&pmu, READ, USER, 0, 4);
    assert_int_equal(read(0xc1), 1);
    assert_int_equal(read(0xc2), 2);
    assert_int_equal(read(0xc3), 0);
    assert_int_equal(read(0xc4), 0);
}

static void test_overflow(void **state)
{
    put(0x187, ENABLED | 0x1012);
    put(0x4c2, 0xfffffffffffeull);
    pmu_count_walk(&pmu, READ, KERNEL, 0, 4);
    assert_int_equal(read(0xc2), 2);
    assert_int_equal(read(0x38e), 2);
    put(0x391, 0x80);
    assert_int_equal(read(0x38e), 0x82);
    put(0x390, 2);
    assert_int_equal(read(0x38e), 0x80);
}

static void test_rdpmc(void **state)
{
    u64 value;

    put(0x4c8, 77);
    assert_true(pmu_rdpmc(&pmu, 7, &value));
    assert_int_equal(value, 77);
    assert_false(pmu_rdpmc(&pmu, 8, &value));
    assert_false(pmu_rdpmc(&pmu, 1u << 30, &value)); /* fixed counters */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_cpuid, fresh),
        cmocka_unit_test_setup(test_which_msrs_there_are, fresh),
        cmocka_unit_test_setup(test_counters_have_48_bits, fresh),
        cmocka_unit_test_setup(test_pages_by_size, fresh),
        cmocka_unit_test_setup(test_loads_stores_and_fetches, fresh),
        cmocka_unit_test_setup(test_when_a_counter_counts, fresh),
        cmocka_unit_test_setup(test_overflow, fresh),
        cmocka_unit_test_setup(test_rdpmc, fresh),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
