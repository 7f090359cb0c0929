/* Lists of physical ranges against a byte for each page, with more of them than the list holds. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "lib/ranges.h"

#define PAGES 2000u
#define PAGE  0x1000ull
#define ROOM  400u

static struct phys_range memory[ROOM];
static struct phys_ranges list;
static unsigned char pages[PAGES];
static uint32_t seed;

static unsigned pick(unsigned below)
{
    seed = seed * 1103515245 + 12345;
    return (seed >> 8) % below;
}

static int fresh(void **state)
{
    list = (struct phys_ranges){.r = memory, .max = ROOM};
    memset(pages, 0, sizeof(pages));
    return 0;
}

/* Marks pages, and gives how many had the mark. */
static unsigned mark(unsigned first, unsigned end, unsigned char to)
{
    unsigned had = 0;
    for (unsigned i = first; i < end; i++) {
        had += pages[i];
        pages[i] = to;
    }
    return had;
}

static void check(void)
{
    unsigned char listed[PAGES] = {0};
    uint64_t behind = 0, units = 0;
    for (unsigned i = 0; i < list.count; i++) {
        uint64_t base = memory[i].base.raw, end = base + memory[i].bytes;
        assert_true(base < end && (i == 0 || base > behind));
        memset(listed + base / PAGE, 1, (end - base) / PAGE);
        behind = end;
    }
    assert_memory_equal(listed, pages, PAGES);
    for (unsigned i = 0; i < PAGES; i += 16)
        units += memchr(pages + i, 1, i + 16 < PAGES ? 16 : PAGES - i) != NULL;
    assert_int_equal(ranges_units(&list, 16), units);
}

static void test_random_adding_and_cutting(void **state)
{
    for (unsigned round = 0; round < 300; round++) {
        fresh(state);
        seed = round;
        for (unsigned n = 0; n < 300; n++) {
            unsigned first = pick(PAGES), end = first + pick(40);
            end = end < PAGES ? end : PAGES;
            if (pick(3))
                assert_int_equal(ranges_add(&list, first * PAGE, end * PAGE), mark(first, end, 1) * PAGE);
            else
                assert_int_equal(ranges_cut(&list, first * PAGE, end * PAGE), mark(first, end, 0) * PAGE);
            unsigned from = pick(PAGES), to = from + 1 + pick(5);
            bool held = to <= PAGES && !memchr(pages + from, 0, to - from);
            assert_int_equal(ranges_hold(&list, from * PAGE, to * PAGE), held);
        }
        check();
    }
}

static void test_neighbours_join(void **state)
{
    ranges_add(&list, 0x1000, 0x2000);
    ranges_add(&list, 0x3000, 0x4000);
    assert_int_equal(list.count, 2);
    assert_int_equal(ranges_add(&list, 0x2000, 0x3000), 0);
    assert_int_equal(list.count, 1);
    ranges_add(&list, 0, 0x1000);
    ranges_add(&list, 0x4000, 0x5000);
    assert_int_equal(list.count, 1);
    assert_int_equal(ranges_bytes(&list), 0x5000);
}

static void test_ends_of_the_address_space(void **state)
{
    ranges_add(&list, 0, ~0ull);
    assert_int_equal(ranges_cut(&list, 1ull << 63, ~0ull), ~0ull - (1ull << 63));
    assert_int_equal(ranges_add(&list, 5, 5) + ranges_add(&list, 6, 5) + ranges_cut(&list, 6, 5), 0);
    assert_true(ranges_hold(&list, 0, 1ull << 63));
    assert_false(ranges_hold(&list, 0, (1ull << 63) + 1));
    assert_false(ranges_hold(&list, 5, 4));
}

/* Four places: whatever the order of coming, the four largest stay, and the others' sum is told. */
static void test_the_smallest_give_way(void **state)
{
    static const unsigned sizes[] = {5, 1, 9, 3, 8, 2, 7, 3};
    list.max = 4;
    for (unsigned i = 0; i < 8; i++)
        ranges_add(&list, i * 0x100000, i * 0x100000 + sizes[i] * PAGE);
    assert_int_equal(list.count, 4);
    assert_int_equal(ranges_bytes(&list), (5 + 9 + 8 + 7) * PAGE);
    assert_int_equal(list.given_up_bytes, (1 + 3 + 2 + 3) * PAGE);
    assert_int_equal(list.given_up, 4);
    ranges_cut(&list, 0x200000 + 4 * PAGE, 0x200000 + 6 * PAGE); /* 9 becomes 4 and 3: the 3 finds no room */
    assert_int_equal(ranges_bytes(&list), (5 + 4 + 8 + 7) * PAGE);
    assert_int_equal(list.given_up_bytes, (9 + 3) * PAGE);
    ranges_trim(&list, 2);
    assert_int_equal(list.count, 2);
    assert_int_equal(ranges_bytes(&list), (8 + 7) * PAGE);
    assert_int_equal(list.given_up_bytes, (9 + 3 + 4 + 5) * PAGE);
    assert_int_equal(memory[0].base.raw, 0x400000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_random_adding_and_cutting, fresh),
        cmocka_unit_test_setup(test_neighbours_join, fresh),
        cmocka_unit_test_setup(test_ends_of_the_address_space, fresh),
        cmocka_unit_test_setup(test_the_smallest_give_way, fresh),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
