/*
 * The software TLB against a plain list of what it should hold: random fills, drops and flushes at all page sizes,
 * with few entries so that replacement happens all the time, and with a pool of pages that runs out.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "sim/machine/ept.h"
#include "sim/machine/pool.h"
#include "sim/machine/stlb.h"

#define ALL (EPT_READ | EPT_WRITE | EPT_EXEC)

static u64 pages_left;
static u32 budget;
static void *given[4096];
static unsigned given_count;

/* The machine's pool, as this file needs it. */
void *pool_page(void)
{
    if (!pages_left || given_count == sizeof(given) / sizeof(given[0]))
        return NULL;
    pages_left--;
    given[given_count] = aligned_alloc(4096, 4096);
    memset(given[given_count], 0, 4096);
    return given[given_count++];
}

void pool_give(void *page)
{
    for (unsigned i = 0; i < given_count; i++) {
        if (given[i] == page) {
            free(page);
            given[i] = given[--given_count];
            pages_left++;
            return;
        }
    }
    fail();
}

static struct stlb tlb;
static void *tlb_memory;

static void begin_with(enum stlb_policy policy, u32 small, u32 medium, u32 large)
{
    u32 capacity[STLB_SIZES] = {small, medium, large};

    tlb_memory = aligned_alloc(4096, stlb_bytes(capacity));
    memset(tlb_memory, 0, stlb_bytes(capacity));
    budget = 1000;
    stlb_init(&tlb, capacity, policy, &budget, tlb_memory);
    pages_left = 1000;
}

static void begin(u32 small, u32 medium, u32 large)
{
    begin_with(STLB_FIFO, small, medium, large);
}

static int end(void **state)
{
    free(tlb_memory);
    tlb_memory = NULL;
    while (given_count)
        free(given[--given_count]);
    return 0;
}

static void expect(u64 gpa, u64 hpa, unsigned level, u32 permissions)
{
    struct stlb_entry entry;

    assert_true(stlb_find(&tlb, gpa, &entry));
    assert_int_equal(entry.hpa, hpa);
    assert_int_equal(entry.level, level);
    assert_int_equal(entry.permissions, permissions);
}

static void expect_nothing(u64 gpa)
{
    struct stlb_entry entry;
    assert_false(stlb_find(&tlb, gpa, &entry));
}

static void holds_what_was_filled(void **state)
{
    begin(16, 16, 16);
    assert_true(stlb_fill(&tlb, 0x1234, 0x80001234, 0, ALL));
    assert_true(stlb_fill(&tlb, 0x7f0000212345, 0x40012345, 1, EPT_READ | EPT_WRITE));
    assert_true(stlb_fill(&tlb, 0x80000000, 0x140000000, 2, EPT_READ));
    expect(0x1000, 0x80001000, 0, ALL);
    expect(0x7f00003fffff, 0x401fffff, 1, EPT_READ | EPT_WRITE);
    expect(0xbfffffff, 0x17fffffff, 2, EPT_READ);
    expect_nothing(0x2000);
    expect_nothing(0xc0000000);
}

/*
 * SVM's rules for the entries themselves: present, user, and no execute-disable where code may run. APM vol. 2,
 * 15.25.
 */
static void entries_are_nested_page_table_entries(void **state)
{
    u64 *table, entry;

    begin(16, 16, 16);
    assert_true(stlb_fill(&tlb, 0x8000000000 + 0x1000, 0x5000, 0, ALL));
    table = (u64 *)(uintptr_t)stlb_root(&tlb);
    for (unsigned level = 3; level > 0; level--) {
        entry = table[level == 3 ? 1 : 0];
        assert_int_equal(entry & 7, 7);
        assert_int_equal(entry >> 63, 0);
        table = (u64 *)(uintptr_t)(entry & 0x000ffffffffff000ull);
    }
    assert_int_equal(table[1] & 0x000ffffffffff1ffull, 0x5067); /* 4K leaf: bit 7 clear */
    assert_int_equal(table[1] >> 63, 0);
    assert_true(stlb_fill(&tlb, 0x8000000000 + 0x1000, 0x5000, 0, EPT_READ));
    assert_int_equal(table[1] & 2, 0);
    assert_int_equal(table[1] >> 63, 1);
}

static void oldest_goes_first(void **state)
{
    begin(4, 2, 1);
    for (u64 i = 0; i < 5; i++)
        assert_true(stlb_fill(&tlb, i << 12, 0x100000 + (i << 12), 0, ALL));
    expect_nothing(0);
    for (u64 i = 1; i < 5; i++)
        expect(i << 12, 0x100000 + (i << 12), 0, ALL);
    assert_int_equal(tlb.stats.evictions[0], 1);
    assert_true(stlb_fill(&tlb, 1ull << 40, 0, 2, ALL));
    assert_true(stlb_fill(&tlb, 2ull << 40, 0x40000000, 2, ALL));
    expect_nothing(1ull << 40);
    expect(2ull << 40, 0x40000000, 2, ALL);
    expect(0x1000, 0x101000, 0, ALL); /* sizes do not compete */
}

/* The CPU's own accesses are played by setting and clearing the accessed flag (bit 5) of leaves. */
static u64 *leaf_of(u64 gpa)
{
    u64 *table = (u64 *)(uintptr_t)stlb_root(&tlb);
    for (unsigned level = 3; level > 0; level--)
        table = (u64 *)(uintptr_t)(table[gpa >> (12 + 9 * level) & 511] & 0x000ffffffffff000ull);
    return &table[gpa >> 12 & 511];
}

static void clock_spares_what_is_used(void **state)
{
    begin_with(STLB_CLOCK, 4, 2, 2);
    for (u64 i = 0; i < 4; i++)
        assert_true(stlb_fill(&tlb, i << 12, i << 12, 0, ALL));
    for (u64 i = 0; i < 4; i++)
        *leaf_of(i << 12) &= ~0x20ull;
    *leaf_of(0) |= 0x20;
    *leaf_of(0x2000) |= 0x20;
    assert_true(stlb_fill(&tlb, 0x10000, 0x10000, 0, ALL));
    expect_nothing(0x1000);
    expect(0, 0, 0, ALL);
    assert_true(stlb_fill(&tlb, 0x11000, 0x11000, 0, ALL));
    expect_nothing(0x3000);
    expect(0x2000, 0x2000, 0, ALL);
    assert_true(stlb_fill(&tlb, 0x12000, 0x12000, 0, ALL)); /* 0 lost its flag when the hand passed */
    expect_nothing(0);
    assert_true(stlb_has_shrunk(&tlb));
    assert_false(stlb_has_shrunk(&tlb));
}

static void random_choice_is_bounded_and_repeats(void **state)
{
    bool held[2][200];

    for (unsigned round = 0; round < 2; round++) {
        unsigned count = 0;
        begin_with(STLB_RANDOM, 32, 2, 2);
        for (u64 i = 0; i < 200; i++)
            assert_true(stlb_fill(&tlb, i << 12, i << 12, 0, ALL));
        for (u64 i = 0; i < 200; i++) {
            struct stlb_entry entry;
            held[round][i] = stlb_find(&tlb, i << 12, &entry);
            count += held[round][i];
        }
        assert_int_equal(count, 32);
        assert_int_equal(tlb.stats.evictions[0], 168);
        end(NULL);
    }
    assert_memory_equal(held[0], held[1], sizeof(held[0]));
    begin(1, 1, 1);
}

static void large_replaces_small_and_back(void **state)
{
    begin(1024, 16, 16);
    for (u64 i = 0; i < 512; i++)
        assert_true(stlb_fill(&tlb, 0x200000 + (i << 12), 0x400000 + (i << 12), 0, ALL));
    assert_true(stlb_fill(&tlb, 0x2ff000, 0x600000 + 0xff000, 1, ALL));
    for (u64 i = 0; i < 512; i++)
        expect(0x200000 + (i << 12), 0x600000 + (i << 12), 1, ALL);
    assert_true(stlb_fill(&tlb, 0x0, 0x0, 2, ALL));
    expect(0x200000, 0x200000, 2, ALL);
    assert_true(stlb_fill(&tlb, 0x201000, 0x999000, 0, ALL)); /* one page faulted: the large entry is dropped */
    expect(0x201000, 0x999000, 0, ALL);
    expect_nothing(0x202000);
    assert_int_equal(tlb.stats.evictions[0], 0);
}

static void flush_and_drop(void **state)
{
    begin(64, 64, 64);
    for (u64 i = 0; i < 32; i++)
        assert_true(stlb_fill(&tlb, i << 21, i << 12, i & 1, ALL));
    stlb_drop(&tlb, 3ull << 21);
    expect_nothing(3ull << 21);
    expect(2ull << 21, 2 << 12, 0, ALL);
    stlb_drop(&tlb, 3ull << 21); /* nothing there: nothing happens */
    stlb_flush(&tlb);
    for (u64 i = 0; i < 32; i++)
        expect_nothing(i << 21);
    assert_int_equal(tlb.stats.flushes, 1);
    assert_true(stlb_fill(&tlb, 0, 0x7000, 0, ALL));
    expect(0, 0x7000, 0, ALL);
}

static void pool_runs_out(void **state)
{
    begin(1024, 16, 16);
    pages_left = 5; /* three tables for the first page, then two more */
    for (u64 i = 0; i < 100; i++) {
        assert_true(stlb_fill(&tlb, i << 21, i << 12, 0, ALL));
        expect(i << 21, i << 12, 0, ALL);
    }
    assert_true(tlb.stats.flushes > 0);
    stlb_flush(&tlb);
    end(NULL);
    begin(16, 16, 16);
    pages_left = 2;
    assert_false(stlb_fill(&tlb, 0, 0, 0, ALL));
    expect_nothing(0);
}

static void tables_are_budgeted_and_given_back(void **state)
{
    begin(1024, 16, 16);
    budget = 10;
    for (u64 i = 0; i < 100; i++)
        assert_true(stlb_fill(&tlb, i << 21, i << 12, 0, ALL));
    assert_int_equal(given_count, 10);
    assert_int_equal(budget, 0);
    stlb_release(&tlb);
    assert_int_equal(given_count, 0);
    assert_int_equal(budget, 10);
    expect_nothing(99ull << 21);
    assert_true(stlb_fill(&tlb, 0, 0x5000, 0, ALL));
    expect(0, 0x5000, 0, ALL);
}

/* --- random work against a list ----------------------------------------------------------------------------------- */

static u64 seed;

static u32 next_random(void)
{
    seed = seed * 6364136223846793005u + 1442695040888963407u;
    return seed >> 33;
}

#define MODEL_MAX 64
struct model_entry {
    u64 gpa, hpa, age;
    unsigned level;
    u32 permissions;
    bool live;
};
static struct model_entry model[MODEL_MAX];
static u64 model_age;

static u64 page_bytes(unsigned level)
{
    return 4096ull << (9 * level);
}

static bool overlap(const struct model_entry *entry, u64 gpa, unsigned level)
{
    u64 start = gpa & ~(page_bytes(level) - 1);
    return entry->live && entry->gpa < start + page_bytes(level) && start < entry->gpa + page_bytes(entry->level);
}

static void model_fill(u64 gpa, u64 hpa, unsigned level, u32 permissions)
{
    struct model_entry *place = NULL;

    for (unsigned i = 0; i < MODEL_MAX; i++) {
        if (overlap(&model[i], gpa, level))
            model[i].live = false;
        if (!model[i].live)
            place = &model[i];
    }
    assert_non_null(place);
    *place = (struct model_entry){
        gpa & ~(page_bytes(level) - 1), hpa & ~(page_bytes(level) - 1), model_age++, level, permissions, true};
}

static const struct model_entry *model_find(u64 gpa)
{
    for (unsigned i = 0; i < MODEL_MAX; i++)
        if (overlap(&model[i], gpa, 0))
            return &model[i];
    return NULL;
}

/* The TLB may hold less than the list (entries were replaced), never more and never something else. */
static unsigned compare(void)
{
    unsigned held = 0;

    for (unsigned i = 0; i < MODEL_MAX; i++) {
        struct stlb_entry entry;
        if (!model[i].live)
            continue;
        if (!stlb_find(&tlb, model[i].gpa, &entry)) {
            model[i].live = false;
            continue;
        }
        held++;
        assert_int_equal(entry.level, model[i].level);
        assert_int_equal(entry.hpa, model[i].hpa);
        assert_int_equal(entry.permissions, model[i].permissions);
    }
    return held;
}

static void random_work(void **state)
{
    const u32 capacity[STLB_SIZES] = {12, 8, 4};

    begin(capacity[0], capacity[1], capacity[2]);
    memset(model, 0, sizeof(model));
    seed = 4711;
    for (unsigned step = 0; step < 200000; step++) {
        unsigned level = next_random() % 3, what = next_random() % 100;
        u64 gpa = (u64)(next_random() % 4) << 39 | (u64)(next_random() % 4) << 30 | (u64)(next_random() % 8) << 21 |
                  (u64)(next_random() % 16) << 12;
        u64 hpa = ((u64)next_random() << 12 & 0xffffffff000) & ~(page_bytes(level) - 1);
        u32 permissions = EPT_READ | (next_random() & (EPT_WRITE | EPT_EXEC));
        if (what < 80) {
            assert_true(stlb_fill(&tlb, gpa, hpa, level, permissions));
            model_fill(gpa, hpa, level, permissions);
        } else if (what < 99) {
            const struct model_entry *entry = model_find(gpa);
            stlb_drop(&tlb, gpa);
            expect_nothing(gpa);
            if (entry)
                ((struct model_entry *)(uintptr_t)entry)->live = false;
        } else {
            stlb_flush(&tlb);
            memset(model, 0, sizeof(model));
        }
        if (step % 16 == 0)
            assert_true(compare() <= capacity[0] + capacity[1] + capacity[2]);
        if (!model_find(gpa))
            expect_nothing(gpa);
    }
    assert_true(tlb.stats.evictions[0] > 1000 && tlb.stats.evictions[1] > 1000 && tlb.stats.evictions[2] > 1000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(holds_what_was_filled, end),
        cmocka_unit_test_teardown(entries_are_nested_page_table_entries, end),
        cmocka_unit_test_teardown(oldest_goes_first, end),
        cmocka_unit_test_teardown(clock_spares_what_is_used, end),
        cmocka_unit_test_teardown(random_choice_is_bounded_and_repeats, end),
        cmocka_unit_test_teardown(large_replaces_small_and_back, end),
        cmocka_unit_test_teardown(flush_and_drop, end),
        cmocka_unit_test_teardown(pool_runs_out, end),
        cmocka_unit_test_teardown(tables_are_budgeted_and_given_back, end),
        cmocka_unit_test_teardown(random_work, end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
