/* Memory slots: homes, what may be large, and the counts of shared pages against a plain count. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "mm/page.h"
#include "mm/slot.h"
#include "tests/host/cpu.h"
#include "tests/host/platform.h"

#define PAGE 0x1000ull
#define M2   0x200000ull
#define G1   0x40000000ull
#define MIB_ 0x100000ull

static uint64_t total;

static int fresh(void **state)
{
    platform_host_start(NULL);
    cpu_host_reset();
    page_init();
    page_add_range((hpa_t){0x100000}, 7 * G1);
    total = page_free_bytes();
    return 0;
}

static gpa_t at(uint64_t gpa)
{
    return (gpa_t){gpa};
}

static void test_home_is_aligned_like_the_gpa(void **state)
{
    struct slot s;
    assert_int_equal(slot_create(&s, at(0), 1200 * MIB_, LEVEL_1G, TDP_INPLACE, PAGE_ANY_NODE), ERR_OK);
    assert_int_equal(slot_page(&s, at(0)).raw % G1, 0);
    assert_int_equal(slot_page(&s, at(G1)).raw % M2, 0);
    assert_int_equal(slot_page(&s, at(0x12345000)).raw, slot_page(&s, at(0)).raw + 0x12345000);
    assert_int_equal(slot_page(&s, at(G1 + 0x5000)).raw, slot_page(&s, at(G1)).raw + 0x5000);
    assert_true(slot_may_be(&s, at(0x777000), LEVEL_1G));
    assert_true(slot_may_be(&s, at(G1 + 174 * MIB_), LEVEL_2M));
    assert_false(slot_may_be(&s, at(G1), LEVEL_1G)); /* the slot ends inside */
    slot_destroy(&s);
    assert_int_equal(page_free_bytes(), total);
}

static void test_slot_of_4k_pages_is_never_large(void **state)
{
    struct slot s;
    assert_int_equal(slot_create(&s, at(0xfffe0000), 0x20000, LEVEL_4K, TDP_INPLACE, PAGE_ANY_NODE), ERR_OK);
    assert_true(slot_holds(&s, at(0xfffff000), PAGE));
    assert_false(slot_holds(&s, at(0xfffff000), 2 * PAGE));
    assert_false(slot_holds(&s, at(0xfffdf000), PAGE));
    assert_false(slot_may_be(&s, at(0xfffff000), LEVEL_2M));
    slot_destroy(&s);
    assert_int_equal(page_free_bytes(), total);
}

static void test_scatter_is_never_large_and_never_contiguous(void **state)
{
    struct slot s;
    static const uint64_t pages[] = {1024, 509, 2 * 509, 509 * 7, 509 * 511 * 2, 1};
    for (unsigned i = 0; i < sizeof(pages) / sizeof(pages[0]); i++) {
        assert_int_equal(slot_create(&s, at(0), pages[i] * PAGE, LEVEL_1G, TDP_SCATTER, PAGE_ANY_NODE), ERR_OK);
        assert_false(slot_may_be(&s, at(0), LEVEL_2M));
        for (uint64_t gpa = 0; gpa < pages[i] * PAGE; gpa += PAGE)
            assert_int_not_equal(slot_page(&s, at(gpa)).raw, HPA_NONE.raw);
        for (uint64_t gpa = PAGE; gpa < pages[i] * PAGE; gpa += PAGE)
            assert_int_not_equal(slot_page(&s, at(gpa)).raw, slot_page(&s, at(gpa - PAGE)).raw + PAGE);
        slot_destroy(&s);
    }
    assert_int_equal(page_free_bytes(), total);
}

static void test_no_1g_block_means_2m_pages(void **state)
{
    hpa_t block;
    struct slot s;
    while (page_alloc(LEVEL_1G, &block) == ERR_OK)
        page_free(hpa_add(block, 0), LEVEL_4K); /* a hole at each start */
    page_free_range(hpa_add(block, M2), G1 - M2);
    total = page_free_bytes();
    assert_int_equal(slot_create(&s, at(0), 512 * MIB_, LEVEL_1G, TDP_INPLACE, PAGE_ANY_NODE), ERR_OK);
    assert_true(slot_may_be(&s, at(0), LEVEL_2M));
    slot_destroy(&s);
    assert_int_equal(page_free_bytes(), total);
}

static void test_out_of_memory_takes_nothing(void **state)
{
    struct slot s;
    assert_int_equal(slot_create(&s, at(0), 64 * G1, LEVEL_1G, TDP_INPLACE, PAGE_ANY_NODE), ERR_NO_MEMORY);
    assert_int_equal(slot_create(&s, at(0), 8 * G1, LEVEL_4K, TDP_SCATTER, PAGE_ANY_NODE), ERR_NO_MEMORY);
    assert_int_equal(page_free_bytes(), total);
}

static void test_bad_slots_are_refused(void **state)
{
    struct slot s;
    assert_int_equal(slot_create(&s, at(0), 0, LEVEL_2M, TDP_INPLACE, PAGE_ANY_NODE), ERR_ARGUMENT);
    assert_int_equal(slot_create(&s, at(0), 0x1800, LEVEL_2M, TDP_INPLACE, PAGE_ANY_NODE), ERR_UNALIGNED);
    assert_int_equal(slot_create(&s, at(0x1000), M2, LEVEL_2M, TDP_INPLACE, PAGE_ANY_NODE), ERR_UNALIGNED);
    assert_int_equal(slot_create(&s, at(0), G1, LEVEL_512G, TDP_INPLACE, PAGE_ANY_NODE), ERR_ARGUMENT);
    assert_int_equal(page_free_bytes(), total);
}

static void test_counts_follow_the_attributes(void **state)
{
    enum { PAGES = 2 * 262144 + 700 };
    static unsigned char shared[PAGES];
    struct slot s;
    srand(99);
    assert_int_equal(slot_create(&s, at(0), PAGES * PAGE, LEVEL_1G, TDP_INPLACE, PAGE_ANY_NODE), ERR_OK);
    for (int step = 0; step < 400; step++) {
        uint64_t first = (uint64_t)rand() % PAGES, count = 1 + (uint64_t)rand() % (step % 10 ? 900 : 300000);
        if (first + count > PAGES)
            count = PAGES - first;
        enum tdp_attr to = rand() & 1 ? TDP_SHARED : TDP_PRIVATE;
        slot_set_attr(&s, at(first * PAGE), count * PAGE, to);
        for (uint64_t i = first; i < first + count; i++)
            shared[i] = to == TDP_SHARED;
        uint64_t probe = (uint64_t)rand() % PAGES, in_2m = 0, in_1g = 0;
        for (uint64_t i = probe & ~511ull; i < (probe | 511) + 1 && i < PAGES; i++)
            in_2m += shared[i];
        for (uint64_t i = probe & ~262143ull; i < (probe | 262143) + 1 && i < PAGES; i++)
            in_1g += shared[i];
        assert_int_equal(slot_is_shared(&s, at(probe * PAGE)), shared[probe]);
        assert_int_equal(slot_shared_count(&s, at(probe * PAGE), LEVEL_2M), in_2m);
        assert_int_equal(slot_shared_count(&s, at(probe * PAGE), LEVEL_1G), in_1g);
        uint64_t end = probe;
        while (end < PAGES && shared[end] == shared[probe])
            end++;
        assert_int_equal(slot_attr_run(&s, at(probe * PAGE), at(PAGES * PAGE)).raw, end * PAGE);
    }
    slot_destroy(&s);
    assert_int_equal(page_free_bytes(), total);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_home_is_aligned_like_the_gpa, fresh),
        cmocka_unit_test_setup(test_slot_of_4k_pages_is_never_large, fresh),
        cmocka_unit_test_setup(test_scatter_is_never_large_and_never_contiguous, fresh),
        cmocka_unit_test_setup(test_no_1g_block_means_2m_pages, fresh),
        cmocka_unit_test_setup(test_out_of_memory_takes_nothing, fresh),
        cmocka_unit_test_setup(test_bad_slots_are_refused, fresh),
        cmocka_unit_test_setup(test_counts_follow_the_attributes, fresh),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
