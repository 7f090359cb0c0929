/* The mirror on its own: walking in order, freezing, and counts that are always what a scan finds. */
#include <setjmp.h>
#include <stdatomic.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "mm/mirror.h"
#include "mm/page.h"
#include "tests/host/cpu.h"
#include "tests/host/platform.h"

#define PAGE 0x1000ull
#define M2   0x200000ull
#define G1   0x40000000ull

static struct mirror m;
static uint64_t total;

static gpa_t at(uint64_t gpa)
{
    return (gpa_t){gpa};
}

static void set(uint64_t gpa, level_t level, uint64_t entry)
{
    struct mirror_iter it;
    assert_true(mirror_find(&it, &m, at(gpa), level));
    assert_true(mirror_freeze(&it));
    mirror_thaw(&it, entry);
}

static void hang_table(uint64_t gpa, level_t level)
{
    struct mirror_table *t = mirror_table_new(PAGE_ANY_NODE);
    assert_non_null(t);
    set(gpa, level, mirror_table_entry(t));
}

/* Everything below a table goes, whatever it is; pages of leaves were never taken. */
static void clear(struct mirror_table *t)
{
    for (unsigned i = 0; i < 512; i++) {
        if (mirror_is_table(t->entry[i])) {
            struct mirror_table *child = mirror_child(t->entry[i]);
            clear(child);
            page_free(child->sept, LEVEL_4K);
            mirror_table_free(child);
        }
        t->entry[i] = 0;
    }
    t->counts = 0;
}

static int fresh(void **state)
{
    platform_host_start(NULL);
    cpu_host_reset();
    page_init();
    page_add_range((hpa_t){0x100000}, 64 << 20);
    total = page_free_bytes();
    assert_int_equal(mirror_create(&m), ERR_OK);
    hang_table(0, LEVEL_512G);
    hang_table(0, LEVEL_1G);
    hang_table(M2, LEVEL_2M);
    set(M2 + 0x3000, LEVEL_4K, mirror_leaf_entry((hpa_t){0x777000}, true));
    set(3 * M2, LEVEL_2M, mirror_leaf_entry((hpa_t){0x40000000}, false));
    return 0;
}

static int done(void **state)
{
    clear(m.root);
    mirror_destroy(&m);
    assert_int_equal(page_free_bytes(), total);
    return 0;
}

static void test_walk_is_in_order_and_cut_to_the_range(void **state)
{
    static const struct {
        uint64_t gpa;
        unsigned level;
        enum mirror_state state;
    } expected[] = {
        {0, 3, MIRROR_TABLE},          {0, 2, MIRROR_TABLE},          {M2, 1, MIRROR_TABLE},
        {M2 + 0x2000, 0, MIRROR_NONE}, {M2 + 0x3000, 0, MIRROR_LEAF}, {M2 + 0x4000, 0, MIRROR_NONE},
        {M2 + 0x5000, 0, MIRROR_NONE},
    };
    struct mirror_iter it;
    unsigned n = 0;
    for (mirror_begin(&it, &m, at(M2 + 0x2000), at(M2 + 0x6000)); mirror_valid(&it); n++) {
        assert_true(n < sizeof(expected) / sizeof(expected[0]));
        assert_int_equal(it.gpa.raw, expected[n].gpa);
        assert_int_equal(it.level.raw, expected[n].level);
        assert_int_equal(mirror_state(it.entry), expected[n].state);
        assert_int_equal(mirror_covered(&it), it.level.raw == 0);
        if (mirror_is_table(it.entry))
            mirror_down(&it);
        else
            mirror_next(&it);
    }
    assert_int_equal(n, sizeof(expected) / sizeof(expected[0]));
}

static void test_next_climbs_out_of_a_finished_table(void **state)
{
    struct mirror_iter it;
    mirror_begin(&it, &m, at(M2 + 511 * PAGE), at(4 * M2));
    while (it.level.raw > 0)
        mirror_down(&it);
    mirror_next(&it);
    assert_int_equal(it.gpa.raw, 2 * M2);
    assert_int_equal(it.level.raw, 1);
    mirror_next(&it);
    assert_int_equal(mirror_state(it.entry), MIRROR_LEAF);
    assert_true(mirror_covered(&it));
    mirror_next(&it);
    assert_false(mirror_valid(&it));
}

static void test_parts_at_the_edges(void **state)
{
    struct mirror_iter it;
    mirror_begin(&it, &m, at(3 * M2 + 0x5000), at(3 * M2 + 0x9000));
    while (mirror_is_table(it.entry))
        mirror_down(&it);
    assert_int_equal(it.gpa.raw, 3 * M2);
    assert_false(mirror_covered(&it));
    assert_int_equal(mirror_part_start(&it).raw, 3 * M2 + 0x5000);
    assert_int_equal(mirror_part_end(&it).raw, 3 * M2 + 0x9000);
}

static void test_find_ends_where_the_way_ends(void **state)
{
    struct mirror_iter it;
    assert_true(mirror_find(&it, &m, at(M2 + 0x3000), LEVEL_4K));
    assert_int_equal(mirror_page(it.entry).raw, 0x777000);
    assert_false(mirror_find(&it, &m, at(3 * M2 + 0x3000), LEVEL_4K)); /* a larger leaf */
    assert_int_equal(it.level.raw, 1);
    assert_false(mirror_find(&it, &m, at(G1 + 0x3000), LEVEL_4K)); /* nothing */
    assert_int_equal(it.level.raw, 2);
    assert_true(mirror_find(&it, &m, at(M2), LEVEL_2M));
    set(M2, LEVEL_2M, mirror_with_state(it.entry, MIRROR_BLOCKED_TABLE));
    assert_false(mirror_find(&it, &m, at(M2 + 0x3000), LEVEL_4K)); /* a blocked table */
    assert_int_equal(it.level.raw, 1);
}

static void test_only_one_freezes(void **state)
{
    struct mirror_iter one, two;
    assert_true(mirror_find(&one, &m, at(M2 + 0x3000), LEVEL_4K));
    two = one;
    assert_true(mirror_freeze(&one));
    assert_false(mirror_freeze(&two)); /* what it read is no longer there */
    two.entry = atomic_load(&two.path[0]->entry[3]);
    assert_int_equal(mirror_state(two.entry), MIRROR_FROZEN);
    assert_false(mirror_freeze(&two));
    mirror_thaw(&one, one.entry);
    assert_true(mirror_find(&two, &m, at(M2 + 0x3000), LEVEL_4K));
    assert_true(mirror_freeze(&two));
    mirror_thaw(&two, two.entry);
}

static void test_counts_are_what_a_scan_finds(void **state)
{
    struct mirror_iter it;
    srand(7);
    assert_true(mirror_find(&it, &m, at(M2), LEVEL_2M));
    const struct mirror_table *t = mirror_child(it.entry);
    for (int step = 0; step < 20000; step++) {
        uint64_t leaf = mirror_leaf_entry((hpa_t){(uint64_t)(1 + rand() % 999) << 12}, rand() % 4);
        uint64_t entry = rand() % 3 ? mirror_with_state(leaf, rand() % 3 ? MIRROR_LEAF : MIRROR_BLOCKED_LEAF) : 0;
        set(M2 + (uint64_t)(rand() % 512) * PAGE, LEVEL_4K, entry);
        unsigned used = 0, home = 0;
        for (unsigned i = 0; i < 512; i++) {
            used += mirror_state(t->entry[i]) != MIRROR_NONE;
            home += mirror_state(t->entry[i]) == MIRROR_LEAF && (t->entry[i] & MIRROR_AT_HOME);
        }
        assert_int_equal(mirror_used(t), used);
        assert_int_equal(mirror_home_leaves(t), home);
    }
}

static void test_marks_do_not_outlive_their_state(void **state)
{
    uint64_t leaf = mirror_leaf_entry((hpa_t){0x5000}, true);
    uint64_t blocked = mirror_with_state(leaf, MIRROR_BLOCKED_LEAF) | MIRROR_BY_HAND;
    assert_int_equal(mirror_page(blocked).raw, 0x5000);
    assert_int_equal(mirror_with_state(blocked, MIRROR_LEAF), leaf);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, fresh, done)
    const struct CMUnitTest tests[] = {
        T(test_walk_is_in_order_and_cut_to_the_range),
        T(test_next_climbs_out_of_a_finished_table),
        T(test_parts_at_the_edges),
        T(test_find_ends_where_the_way_ends),
        T(test_only_one_freezes),
        T(test_counts_are_what_a_scan_finds),
        T(test_marks_do_not_outlive_their_state),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
