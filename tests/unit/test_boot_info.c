/* The list of free memory that boot/ builds from the firmware's map (kernel/boot_info.h), against a bitmap of pages. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "kernel/boot_info.h"

#define PAGES     4096u
#define PAGE      4096ull
#define LOW_PAGES 256u /* 1 MiB */
#define ROOM      256u

static struct boot_info info;
static uint8_t pages[PAGES];
static uint64_t seed;

static unsigned pick(unsigned below)
{
    seed = seed * 6364136223846793005ull + 1442695040888963407ull;
    return (unsigned)(seed >> 33) % below;
}

static void add(unsigned first, unsigned count)
{
    boot_info_add_memory(&info, (hpa_t){first * PAGE}, count * PAGE);
    memset(pages + first, 1, count);
}

/* Sorted, joined, and exactly the pages above 1 MiB that were added. */
static void check(void)
{
    uint8_t listed[PAGES] = {0};
    uint64_t last_end = 0;

    for (unsigned i = 0; i < info.memory_count; i++) {
        uint64_t base = info.memory[i].base.raw, end = base + info.memory[i].bytes;
        assert_true(base < end && end <= PAGES * PAGE);
        assert_true(i == 0 || base > last_end);
        memset(listed + base / PAGE, 1, (end - base) / PAGE);
        last_end = end;
    }
    for (unsigned i = 0; i < PAGES; i++)
        if (listed[i] != (i >= LOW_PAGES && pages[i]))
            fail_msg("page %u is %s", i, listed[i] ? "listed" : "lost");
}

static int fresh(void **state)
{
    memset(&info, 0, sizeof(info));
    memset(pages, 0, sizeof(pages));
    return 0;
}

static void test_joins(void **state)
{
    add(300, 10);
    add(320, 10);
    assert_int_equal(info.memory_count, 2);
    add(310, 10); /* between the two */
    assert_int_equal(info.memory_count, 1);
    add(290, 10); /* in front */
    add(330, 10); /* behind */
    assert_int_equal(info.memory_count, 1);
    check();
}

static void test_low_memory_is_left_alone(void **state)
{
    add(0, 160);
    assert_int_equal(info.memory_count, 0);
    add(200, 56);
    assert_int_equal(info.memory_count, 0);
    add(256, 1);
    check();
    fresh(state);
    add(250, 20);
    check();
    assert_int_equal(info.memory[0].base.raw, 0x100000);
}

static void test_random_order(void **state)
{
    for (unsigned round = 0; round < 200; round++) {
        fresh(state);
        seed = round;
        for (unsigned n = 0; n < 150; n++) {
            unsigned first = pick(PAGES), count = 1 + pick(30), end = first;
            while (end < PAGES && end < first + count && !pages[end])
                end++; /* ranges of a map do not overlap */
            if (end > first)
                add(first, end - first);
        }
        check();
    }
}

static void test_more_than_fit(void **state)
{
    for (unsigned i = 0; i < ROOM + 50; i++)
        boot_info_add_memory(&info, (hpa_t){(LOW_PAGES + 2ull * i) * PAGE}, PAGE);
    assert_int_equal(info.memory_count, ROOM);
    for (unsigned i = 0; i < ROOM; i++)
        assert_int_equal(info.memory[i].base.raw, (LOW_PAGES + 2ull * i) * PAGE);
}

/* Used and free memory joins; what lies below 1 MiB counts. */
static void test_described_memory(void **state)
{
    boot_info_set(&info);
    assert_false(boot_info_is_described((hpa_t){0}, 1));
    boot_info_add_described(&info, (hpa_t){0x2000}, 0x1000);
    boot_info_add_described(&info, (hpa_t){0}, 0x2000);
    boot_info_add_described(&info, (hpa_t){0x10000}, 0x1000);
    assert_int_equal(info.described_count, 2);
    assert_int_equal(info.memory_count, 0);
    assert_true(boot_info_is_described((hpa_t){0}, 0x3000));
    assert_true(boot_info_is_described((hpa_t){0x1fff}, 0x1001));
    assert_false(boot_info_is_described((hpa_t){0x1fff}, 0x1002));
    assert_false(boot_info_is_described((hpa_t){0x3000}, 1));
    assert_true(boot_info_is_described((hpa_t){0x10fff}, 1));
    assert_false(boot_info_is_described((hpa_t){0x10fff}, ~0ull));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_joins, fresh),
        cmocka_unit_test_setup(test_low_memory_is_left_alone, fresh),
        cmocka_unit_test_setup(test_random_order, fresh),
        cmocka_unit_test_setup(test_more_than_fit, fresh),
        cmocka_unit_test_setup(test_described_memory, fresh),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
