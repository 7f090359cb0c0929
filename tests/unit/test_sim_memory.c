/* The platform's RAM ranges: joining, cutting holes, and the choice of CMRs, against a bitmap of pages. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "sim/machine/memory.h"

#define PAGE          4096ull
#define PAGES         65536u
#define CMR_PAGES_MIN 512u

/* 0 no RAM, 1 RAM that the firmware keeps, 2 convertible */
static unsigned char owner[PAGES];

static void add(unsigned first, unsigned count, bool convertible)
{
    memory_add(first * PAGE, count * PAGE, convertible);
    memset(owner + first, convertible ? 2 : 1, count);
}

static bool in_cmr(const struct plat_range *cmrs, unsigned count, u64 hpa)
{
    for (unsigned i = 0; i < count; i++)
        if (hpa - cmrs[i].base < cmrs[i].bytes)
            return true;
    return false;
}

/* Length of the run of convertible pages around a page. */
static unsigned run_length(unsigned page)
{
    unsigned from = page, to = page;
    while (from && owner[from - 1] == 2)
        from--;
    while (to + 1 < PAGES && owner[to + 1] == 2)
        to++;
    return to - from + 1;
}

static void check(void)
{
    struct plat_range cmrs[PLAT_CMRS_MAX];
    unsigned count = memory_cmrs(cmrs), top = 0;
    for (unsigned i = 1; i < count; i++)
        assert_true(cmrs[i].base > cmrs[i - 1].base + cmrs[i - 1].bytes - 1);
    for (unsigned page = 0; page < PAGES; page++) {
        u64 hpa = page * PAGE + 123;
        assert_int_equal(memory_is_ram(hpa), owner[page] != 0);
        assert_int_equal(in_cmr(cmrs, count, hpa), owner[page] == 2 && run_length(page) >= CMR_PAGES_MIN);
        if (owner[page])
            top = page + 1;
    }
    assert_true(memory_top() == top * PAGE);
}

static void pieces_in_any_order_are_joined(void **state)
{
    add(20000, 3000, true);
    add(0, 160, true);
    add(256, 1000, true);
    add(1256, 500, true); /* touches the one before */
    add(1756, 4, false);
    add(1760, 300, true); /* too small for a CMR */
    add(60000, 5536, true);
    assert_true(memory_seal());
    check();
}

static void holes_are_ram_and_not_convertible(void **state)
{
    static const struct {
        unsigned first, count;
    } holes[] = {
        {21000, 700},  /* inside a piece */
        {20000, 1},    /* its first page */
        {22999, 1},    /* its last */
        {100, 300},    /* the end of one, a gap, the start of the next */
        {1700, 100},   /* over RAM that is kept */
        {40000, 1000}, /* where there is no RAM */
        {65000, 5000}, /* beyond the end */
    };
    for (unsigned i = 0; i < sizeof(holes) / sizeof(holes[0]); i++) {
        assert_true(memory_cut(holes[i].first * PAGE, holes[i].count * PAGE));
        for (unsigned p = holes[i].first; p < holes[i].first + holes[i].count && p < PAGES; p++)
            if (owner[p] == 2)
                owner[p] = 1;
        check();
    }
    assert_true(memory_cut(0xfffffffff000ull, ~0ull & ~0xfffull)); /* wraps */
    check();
}

static void at_most_32_cmrs_the_largest(void **state)
{
    struct plat_range cmrs[PLAT_CMRS_MAX];
    for (unsigned i = 0; i < 60; i++)
        memory_add((1ull << 40) + i * (1ull << 32), (i % 2 ? 512 : 4096) * PAGE, true);
    assert_true(memory_seal());
    unsigned count = memory_cmrs(cmrs), large = 0;
    assert_in_range(count, 30, PLAT_CMRS_MAX);
    for (unsigned i = 0; i < count; i++)
        large += cmrs[i].bytes == 4096 * PAGE;
    assert_int_equal(large, 30);
}

/* Free for one descriptor, kept by the firmware for another, and the same twice. */
static void overlaps_are_cut(void **state)
{
    static const struct {
        unsigned first, count;
        bool convertible;
    } more[] = {
        {61000, 100, false}, /* inside */ {60900, 3000, true},
        {63000, 200, true},  {20100, 10, true},
        {20105, 20, false},  {22990, 100, false},
        {40000, 600, false}, {39000, 3000, true},
        {39000, 3000, true}, {41900, 700, true},
    };
    for (unsigned i = 0; i < sizeof(more) / sizeof(more[0]); i++) {
        memory_add(more[i].first * PAGE, more[i].count * PAGE, more[i].convertible);
        for (unsigned p = more[i].first; p < more[i].first + more[i].count; p++)
            owner[p] = !more[i].convertible || owner[p] == 1 ? 1 : 2;
    }
    assert_true(memory_seal());
    check();
}

/* Backwards, in thousands of pieces that touch: one in the end. */
static void neighbours_join_before_they_are_counted(void **state)
{
    struct plat_range cmrs[PLAT_CMRS_MAX];
    for (unsigned i = 3 * MEMORY_PIECES_MAX; i-- > 0;)
        memory_add((1ull << 45) + i * PAGE, PAGE, true);
    assert_true(memory_seal());
    assert_true(memory_top() == (1ull << 45) + 3 * MEMORY_PIECES_MAX * PAGE);
    unsigned count = memory_cmrs(cmrs);
    assert_int_equal(cmrs[count - 1].bytes, 3 * MEMORY_PIECES_MAX * PAGE);
}

static void too_many_pieces_are_refused(void **state)
{
    for (unsigned i = 0; i <= MEMORY_PIECES_MAX; i++)
        memory_add((1ull << 42) + i * 2 * PAGE, PAGE, true);
    assert_false(memory_seal());
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pieces_in_any_order_are_joined),
        cmocka_unit_test(holes_are_ram_and_not_convertible),
        cmocka_unit_test(overlaps_are_cut),
        cmocka_unit_test(at_most_32_cmrs_the_largest),
        cmocka_unit_test(neighbours_join_before_they_are_counted),
        cmocka_unit_test(too_many_pieces_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
