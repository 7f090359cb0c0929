/* The page allocator on its own, over the sparse memory of the host platform. */
#define _DEFAULT_SOURCE /* mincore() */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "mm/page.h"
#include "tests/host/cpu.h"
#include "tests/host/platform.h"

#define PAGE 0x1000ull
#define M2   0x200000ull
#define G1   0x40000000ull

static int fresh(void **state)
{
    platform_host_start(NULL);
    cpu_host_reset();
    page_init();
    return 0;
}

static void add(uint64_t base, uint64_t bytes)
{
    page_add_range((hpa_t){base}, bytes);
}

static void test_total_is_range_less_side_table(void **state)
{
    add(0x100000, 64 << 20);
    assert_int_equal(page_total_bytes(), page_free_bytes());
    assert_true(page_total_bytes() < 64 << 20);
    assert_true(page_total_bytes() > (64 << 20) - (1 << 20));
}

static void test_levels_are_aligned_and_come_back(void **state)
{
    hpa_t page[3];
    add(0x123000, 3 * G1);
    uint64_t total = page_free_bytes();
    const uint64_t bytes[3] = {PAGE, M2, G1};
    for (uint8_t l = 0; l < 3; l++) {
        assert_int_equal(page_alloc((level_t){l}, &page[l]), ERR_OK);
        assert_int_equal(page[l].raw % bytes[l], 0);
    }
    assert_int_equal(page_free_bytes(), total - PAGE - M2 - G1);
    for (uint8_t l = 0; l < 3; l++)
        page_free(page[l], (level_t){l});
    assert_int_equal(page_free_bytes(), total);
}

static void test_side_table_keeps_1g_blocks_whole(void **state)
{
    hpa_t page;
    add(G1, 2 * G1 + (16 << 20)); /* aligned below, not above: the table belongs above */
    assert_int_equal(page_free_blocks(LEVEL_1G), 2);
    assert_int_equal(page_alloc(LEVEL_1G, &page), ERR_OK);
    assert_int_equal(page_alloc(LEVEL_1G, &page), ERR_OK);
    assert_int_equal(page_alloc(LEVEL_1G, &page), ERR_NO_MEMORY);
}

/* Up to three ranges, in MiB, each of a node; of 4 GiB the table has 12.1 MiB, of 1 GiB 3.1. */
static const struct {
    struct {
        unsigned node;
        uint64_t first, end;
    } ranges[3];
    unsigned frames;
} side_tables[] = {
    {{{0, 4096, 8192}}, 3},               /* nowhere else to go */
    {{{0, 1, 1024}, {0, 4096, 8192}}, 4}, /* below the first border */
    {{{0, 1, 9}, {0, 4096, 8192}}, 3},    /* no room there */
    {{{0, 1, 2048}, {0, 4096, 8192}, {0, 10240, 12288}}, 7},
    {{{0, 4092, 8192}}, 3},                  /* the piece in front is too small */
    {{{0, 4092, 8208}}, 4},                  /* the one behind is not */
    {{{0, 4080, 8196}}, 4},                  /* nor is this one in front */
    {{{0, 1024, 2048}, {0, 4096, 8192}}, 4}, /* what the first one's table has left of its GiB */
    {{{1, 1, 1024}, {0, 4096, 8192}}, 4},    /* of another node */
    {{{1, 1, 1024}, {0, 2048, 2064}, {0, 4096, 8192}}, 4},
    {{{0, 1, 13}, {0, 1024, 1034}, {0, 4096, 8192}}, 3}, /* pieces of 12 and 10 MiB less their tables: one is wanted */
};

static void test_side_tables_cost_no_frame_without_need(void **state)
{
    hpa_t page;
    for (unsigned i = 0; i < sizeof(side_tables) / sizeof(side_tables[0]); i++) {
        fresh(state);
        for (unsigned k = 0; k < 3 && side_tables[i].ranges[k].end; k++)
            page_add_range_on(side_tables[i].ranges[k].node, (hpa_t){side_tables[i].ranges[k].first << 20},
                              (side_tables[i].ranges[k].end - side_tables[i].ranges[k].first) << 20);
        if (page_free_blocks(LEVEL_1G) != side_tables[i].frames)
            fail_msg("case %u: %llu frames", i, (unsigned long long)page_free_blocks(LEVEL_1G));
        assert_int_equal(page_total_bytes(), page_free_bytes());
        for (unsigned n = 0; n < side_tables[i].frames; n++)
            assert_int_equal(page_alloc(LEVEL_1G, &page), ERR_OK);
        assert_int_equal(page_alloc(LEVEL_1G, &page), ERR_NO_MEMORY);
        page_free(page, LEVEL_1G);
        assert_int_equal(page_free_blocks(LEVEL_1G), 1);
    }
}

/* Of the same node where that has a piece; the sums tell whose memory it was. */
static void test_a_side_table_stays_on_its_node_where_it_can(void **state)
{
    page_add_range_on(1, (hpa_t){M2}, 64 << 20);
    uint64_t other = page_use(1).total;
    page_add_range_on(0, (hpa_t){2 * G1}, 64 << 20);
    uint64_t own = page_use(0).total;
    page_add_range_on(0, (hpa_t){4 * G1}, 4 * G1);
    assert_int_equal(page_use(1).total, other);
    assert_in_range(own + 4 * G1 - page_use(0).total, 12 << 20, 13 << 20);
    page_add_range_on(2, (hpa_t){8 * G1}, 4 * G1);
    assert_int_equal(page_use(2).total, 4 * G1);
    assert_in_range(other - page_use(1).total, 12 << 20, 13 << 20);
}

static void test_small_pages_leave_large_blocks(void **state)
{
    hpa_t page;
    add(0x100000, G1);
    add(4 * G1, G1 + (32 << 20));
    uint64_t whole = page_free_blocks(LEVEL_1G);
    assert_int_equal(whole, 1);
    for (int i = 0; i < 5000; i++)
        assert_int_equal(page_alloc(LEVEL_4K, &page), ERR_OK);
    assert_int_equal(page_free_blocks(LEVEL_1G), whole);
}

static void test_range_is_contiguous_and_freed_piecewise(void **state)
{
    hpa_t base;
    add(0, 4 * G1);
    uint64_t total = page_free_bytes();
    uint64_t bytes = G1 + 176 * (1 << 20) + 5 * PAGE;
    assert_int_equal(page_alloc_range(bytes, G1, &base), ERR_OK);
    assert_int_equal(base.raw % G1, 0);
    assert_int_equal(page_free_bytes(), total - bytes);
    for (uint64_t done = 0; done < bytes; done += PAGE)
        page_free((hpa_t){base.raw + done}, LEVEL_4K);
    assert_int_equal(page_free_bytes(), total);
    assert_true(page_free_blocks(LEVEL_1G) >= 2); /* joined again */
}

static void test_bad_ranges_are_refused(void **state)
{
    hpa_t base = {77};
    add(0x100000, 64 << 20);
    assert_int_equal(page_alloc_range(0, PAGE, &base), ERR_ARGUMENT);
    assert_int_equal(page_alloc_range(PAGE, 0, &base), ERR_ARGUMENT);
    assert_int_equal(page_alloc_range(PAGE, 3 * PAGE, &base), ERR_ARGUMENT);
    assert_int_equal(page_alloc_range(~0ull, PAGE, &base), ERR_ARGUMENT);
    assert_int_equal(page_alloc_range(1ull << 40, PAGE, &base), ERR_NO_MEMORY);
    assert_int_equal(base.raw, 77);
}

/* A page is needed for the side table, so that two are the least. */
static void test_tiny_ranges_are_left_out(void **state)
{
    add(0x100000, PAGE);
    add(0x200800, 0x800);
    assert_int_equal(page_total_bytes(), 0);
    assert_int_equal(page_left_out().bytes, PAGE);
    assert_int_equal(page_left_out().pieces, 1);
    add(0x300000, 2 * PAGE);
    assert_int_equal(page_total_bytes(), PAGE);
}

/* As many as the table has, in any order, and one more. */
static void test_thousands_of_ranges(void **state)
{
    hpa_t page;
    for (unsigned i = 0; i <= PAGE_RANGES_MAX; i++)
        add(0x100000 + (i * 1001 % 4099) * 3 * PAGE + (i * 1001 % 4099) * PAGE, 3 * PAGE);
    assert_int_equal(page_left_out().pieces, 1);
    assert_int_equal(page_total_bytes(), PAGE_RANGES_MAX * 2 * PAGE);
    uint64_t left = page_free_bytes();
    while (page_alloc(LEVEL_4K, &page) == ERR_OK)
        left -= PAGE;
    assert_int_equal(left, 0);
    page_free(page, LEVEL_4K);
    assert_int_equal(page_free_bytes(), PAGE);
}

static uint64_t resident_pages(void)
{
    static unsigned char is_in[PLATFORM_HOST_GIB * G1 / PAGE];
    uint64_t sum = 0;
    assert_int_equal(mincore(platform_host_memory(), PLATFORM_HOST_GIB * G1, is_in), 0);
    for (uint64_t i = 0; i < sizeof(is_in); i++)
        sum += is_in[i] & 1;
    return sum;
}

/* What adding a range writes hangs on its ends, not on its size: a GiB's part of the side table is written when it is used. */
static void test_adding_memory_touches_little_of_it(void **state)
{
    hpa_t page;
    uint64_t before = resident_pages(), small, large;
    add(0x100000, 2 * G1);
    small = resident_pages() - before;
    fresh(state);
    before = resident_pages();
    add(0x100000, 14 * G1);
    large = resident_pages() - before;
    if (large > small)
        fail_msg("%llu pages touched for 14 GiB, %llu for 2", (unsigned long long)large, (unsigned long long)small);
    assert_int_equal(page_alloc(LEVEL_1G, &page), ERR_OK);
    assert_in_range(resident_pages() - before - large, 1, 1024);
}

static void test_nodes(void **state)
{
    hpa_t page;
    page_add_range_on(0, (hpa_t){0x100000}, 64 << 20);
    page_add_range_on(3, (hpa_t){4 * G1}, 2 * G1 + (32 << 20));
    assert_int_equal(page_use(1).total, 0);
    assert_int_equal(page_use(0).total + page_use(3).total, page_total_bytes());
    assert_int_equal(page_use(3).blocks[2], 2);
    assert_int_equal(page_alloc_range_on(0, G1, G1, &page), ERR_NO_MEMORY);
    assert_int_equal(page_alloc_range_on(1, PAGE, PAGE, &page), ERR_NO_MEMORY);
    assert_int_equal(page_alloc_range_on(3, G1, G1, &page), ERR_OK);
    assert_true(page.raw >= 4 * G1);
    assert_int_equal(page_use(3).blocks[2], 1);
    assert_int_equal(page_use(3).total - page_use(3).free, G1);
    assert_int_equal(page_alloc_range_on(0, PAGE, PAGE, &page), ERR_OK);
    assert_true(page.raw < G1);
    uint64_t far = page_far();
    assert_int_equal(page_alloc_near(3, &page), ERR_OK);
    assert_true(page.raw >= 4 * G1);
    assert_int_equal(page_alloc_near(PAGE_ANY_NODE, &page), ERR_OK);
    assert_int_equal(page_far(), far);
    assert_int_equal(page_alloc_zeroed_near(1, &page), ERR_OK); /* which has none */
    assert_int_equal(page_far(), far + 1);
    assert_true(page_largest_range(0, PAGE) < 64 << 20);
    assert_true(page_largest_range(3, PAGE) >= G1);
}

static void test_taken_memory_is_zero(void **state)
{
    add(0x100000, 16 << 20);
    uint64_t total = page_free_bytes();
    for (int round = 0; round < 2; round++) {
        unsigned char *p = page_take(3 * PAGE + 1);
        for (unsigned i = 0; i < 4 * PAGE; i++)
            assert_int_equal(p[i], 0);
        for (unsigned i = 0; i < 4 * PAGE; i++)
            p[i] = 0xa5;
        page_give(p, 3 * PAGE + 1);
    }
    assert_int_equal(page_free_bytes(), total);
}

static void test_withdrawn_memory_is_not_given_out(void **state)
{
    hpa_t page;
    add(0x40000000, 64 << 20);
    assert_int_equal(page_alloc(LEVEL_4K, &page), ERR_OK); /* in use: not withdrawn */
    uint64_t total = page_total_bytes();
    page_withdraw((hpa_t){0x40000000}, 48 << 20);
    assert_true(page_total_bytes() < total - (40 << 20));
    uint64_t left = page_free_bytes();
    while (page_alloc(LEVEL_4K, &page) == ERR_OK) {
        assert_true(page.raw >= 0x40000000 + (48 << 20));
        left -= PAGE;
    }
    assert_int_equal(left, 0);
}

/* Random traffic against a model that knows only which bytes are out. */
static void test_random_blocks_never_overlap(void **state)
{
    enum { SLOTS = 300 };
    static struct {
        uint64_t base, bytes;
    } out[SLOTS];
    srand(4711);
    add(0x7f3000, 300 << 20);
    add(0x40000000, 100 << 20);
    uint64_t total = page_free_bytes(), taken = 0;
    for (int step = 0; step < 20000; step++) {
        int i = rand() % SLOTS;
        if (out[i].bytes) {
            page_free_range((hpa_t){out[i].base}, out[i].bytes);
            taken -= out[i].bytes;
            out[i].bytes = 0;
        } else {
            uint64_t bytes = (1 + rand() % (rand() % 8 ? 5 : 700)) * PAGE, align = PAGE << rand() % 10;
            hpa_t base;
            if (page_alloc_range(bytes, align, &base) != ERR_OK)
                continue;
            assert_int_equal(base.raw % align, 0);
            for (int k = 0; k < SLOTS; k++)
                assert_true(!out[k].bytes || base.raw >= out[k].base + out[k].bytes || base.raw + bytes <= out[k].base);
            out[i].base = base.raw;
            out[i].bytes = bytes;
            taken += bytes;
        }
        assert_int_equal(page_free_bytes(), total - taken);
    }
    for (int i = 0; i < SLOTS; i++)
        if (out[i].bytes)
            page_free_range((hpa_t){out[i].base}, out[i].bytes);
    assert_int_equal(page_free_bytes(), total);
    assert_true(page_free_blocks(LEVEL_2M) >= 190);
}

/* A page that may have been a TD's is reset before the VMM uses it; one that never left the VMM is not. */
static void test_reset_is_for_pages_that_left_the_vmm(void **state)
{
    hpa_t page;
    add(0x100000, 16 << 20);
    uint64_t before = cpu_host_counts.reset_bytes;
    void *p = page_take(2 * PAGE);
    page_give(p, 2 * PAGE);
    p = page_take(2 * PAGE);
    assert_int_equal(cpu_host_counts.reset_bytes, before);
    page_give(p, 2 * PAGE);
    while (page_alloc(LEVEL_4K, &page) == ERR_OK) /* out, every one of them, and back */
        page_free(page, LEVEL_4K), page_withdraw(page, PAGE);
    assert_int_equal(page_free_bytes(), 0);
    add(0x2000000, 16 << 20);
    assert_int_equal(page_alloc(LEVEL_2M, &page), ERR_OK);
    page_free(page, LEVEL_2M);
    before = cpu_host_counts.reset_bytes;
    p = page_take(page_free_bytes());
    assert_int_equal(cpu_host_counts.reset_bytes, before + M2);
    page_give(p, page_total_bytes());
}

/* What it says can be had, and no page more. */
static void test_largest_range(void **state)
{
    hpa_t page, base;
    assert_int_equal(page_largest_range(PAGE_ANY_NODE, PAGE), 0);
    add(0x100000, 16 << 20);
    assert_int_equal(page_largest_range(PAGE_ANY_NODE, PAGE), page_free_bytes());
    assert_int_equal(page_alloc_range(4 * M2, M2, &base), ERR_OK);
    page_free_range(base, 4 * M2);
    page_withdraw((hpa_t){base.raw + 2 * M2 + 7 * PAGE}, PAGE); /* cuts it in two */
    add(0x2000000, 4 << 20);
    for (uint64_t align = PAGE; align <= M2; align *= 8) {
        uint64_t largest = page_largest_range(PAGE_ANY_NODE, align);
        assert_int_equal(page_alloc_range(largest, align, &page), ERR_OK);
        page_free_range(page, largest);
        assert_int_equal(page_alloc_range(largest + PAGE, align, &page), ERR_NO_MEMORY);
    }
    page = (hpa_t){0};
    while (page_alloc(LEVEL_4K, &page) == ERR_OK)
        ;
    assert_int_equal(page_largest_range(PAGE_ANY_NODE, PAGE), 0);
    page_free(page, LEVEL_4K);
    assert_int_equal(page_largest_range(PAGE_ANY_NODE, PAGE), PAGE);
}

/* Does freeing it end the process by abort()? Tried in a child. */
static bool free_panics(uint64_t base, level_t level)
{
    int status;
    pid_t child = fork();
    if (child == 0) {
        fclose(stderr);
        page_free((hpa_t){base}, level);
        _exit(0);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    return WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT;
}

static void test_double_free_panics(void **state)
{
    hpa_t page;
    add(0x100000, 16 << 20);
    assert_int_equal(page_alloc(LEVEL_2M, &page), ERR_OK);
    page_free((hpa_t){page.raw + 5 * PAGE}, LEVEL_4K);
    assert_true(free_panics(page.raw, LEVEL_2M));
    assert_true(free_panics(page.raw + 5 * PAGE, LEVEL_4K));
    assert_false(free_panics(page.raw + 4 * PAGE, LEVEL_4K));
}

/* Two of eight pages, one of them twice: freed with the others, or one by one, they do not come back. */
static void test_lost_pages_stay_out(void **state)
{
    hpa_t base, page;
    add(0x100000, 16 << 20);
    uint64_t total = page_total_bytes(), free = page_free_bytes();
    assert_int_equal(page_alloc_range(8 * PAGE, 8 * PAGE, &base), ERR_OK);
    page_lose(hpa_add(base, 2 * PAGE), PAGE);
    page_lose(hpa_add(base, 2 * PAGE), PAGE);
    page_lose(hpa_add(base, 7 * PAGE), PAGE);
    assert_int_equal(page_lost_bytes(), 2 * PAGE);
    assert_int_equal(page_first_lost(base, 8 * PAGE).raw, base.raw + 2 * PAGE);
    assert_int_equal(page_first_lost(hpa_add(base, 3 * PAGE), 4 * PAGE).raw, base.raw + 7 * PAGE);
    assert_int_equal(page_first_lost((hpa_t){0}, 1ull << 40).raw, base.raw + 2 * PAGE);
    page_free(hpa_add(base, 2 * PAGE), LEVEL_4K);
    assert_int_equal(page_free_bytes(), free - 8 * PAGE);
    page_free_range(base, 2 * PAGE);
    page_free_range(hpa_add(base, 3 * PAGE), 5 * PAGE);
    assert_int_equal(page_free_bytes(), free - 2 * PAGE);
    assert_int_equal(page_total_bytes(), total);
    while (page_alloc(LEVEL_4K, &page) == ERR_OK)
        assert_true(page.raw != base.raw + 2 * PAGE && page.raw != base.raw + 7 * PAGE);
    assert_int_equal(page_free_bytes(), 0);
}

static void test_foreign_free_panics(void **state)
{
    add(0x100000, 16 << 20);
    assert_true(free_panics(8 * G1, LEVEL_4K));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_total_is_range_less_side_table, fresh),
        cmocka_unit_test_setup(test_levels_are_aligned_and_come_back, fresh),
        cmocka_unit_test_setup(test_side_table_keeps_1g_blocks_whole, fresh),
        cmocka_unit_test_setup(test_side_tables_cost_no_frame_without_need, fresh),
        cmocka_unit_test_setup(test_a_side_table_stays_on_its_node_where_it_can, fresh),
        cmocka_unit_test_setup(test_small_pages_leave_large_blocks, fresh),
        cmocka_unit_test_setup(test_range_is_contiguous_and_freed_piecewise, fresh),
        cmocka_unit_test_setup(test_bad_ranges_are_refused, fresh),
        cmocka_unit_test_setup(test_tiny_ranges_are_left_out, fresh),
        cmocka_unit_test_setup(test_thousands_of_ranges, fresh),
        cmocka_unit_test_setup(test_adding_memory_touches_little_of_it, fresh),
        cmocka_unit_test_setup(test_nodes, fresh),
        cmocka_unit_test_setup(test_taken_memory_is_zero, fresh),
        cmocka_unit_test_setup(test_withdrawn_memory_is_not_given_out, fresh),
        cmocka_unit_test_setup(test_reset_is_for_pages_that_left_the_vmm, fresh),
        cmocka_unit_test_setup(test_random_blocks_never_overlap, fresh),
        cmocka_unit_test_setup(test_largest_range, fresh),
        cmocka_unit_test_setup(test_double_free_panics, fresh),
        cmocka_unit_test_setup(test_foreign_free_panics, fresh),
        cmocka_unit_test_setup(test_lost_pages_stay_out, fresh),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
