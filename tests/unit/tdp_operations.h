/*
 * The operations of the TDP MMU, each on the state that makes its plan long: for the tests that let something fail in
 * them.
 */
#ifndef TESTS_UNIT_TDP_OPERATIONS_H
#define TESTS_UNIT_TDP_OPERATIONS_H

#include "tests/host/testbed.h"

#define MEMORY            (TB_1G + 8 * TB_2M)
#define OPERATIONS_MEMORY (3 * TB_1G) /* of the machine: what there is to set up and to copy is little */
#define BASE              TB_1G       /* where small operations take place */

static inline void need(struct tdp_report r)
{
    if (r.err != ERR_OK)
        TB_FAIL(r.what ? r.what : "set-up", r.status.raw);
}

static gpa_t at(uint64_t gpa)
{
    return (gpa_t){gpa};
}

/* --- operations --------------------------------------------------------------------------------------------------- */

static void have_nothing(void)
{
    need(tdp_map(tb.tdp, at(BASE + 7 * TB_2M), TB_2M, LEVEL_2M, NULL)); /* the tables above */
}

static void have_2m(void)
{
    need(tdp_map(tb.tdp, at(BASE), 3 * TB_2M, LEVEL_2M, NULL));
    tb_accept_range(BASE, 3 * TB_2M);
    for (uint64_t gpa = BASE; gpa < BASE + 3 * TB_2M; gpa += 61 * TB_4K)
        tb_write_page(gpa);
}

/* What have_2m() has written, and some that it has not. */
static void verify_some(void)
{
    for (unsigned i = 0; i < 2; i++)
        for (uint64_t gpa = BASE + i * TB_4K; gpa < BASE + 3 * TB_2M; gpa += 61 * TB_4K)
            tb_verify_range(gpa, TB_4K);
}

/* By hand: out of the TD's reach. */
static bool is_blocked(uint64_t gpa)
{
    struct tdp_walk w;
    struct tdp_report r = tdp_walk(tb.tdp, at(gpa), &w);
    return r.err == ERR_OK && w.state == TDP_BLOCKED;
}

static void have_4k(void)
{
    have_2m();
    need(tdp_split(tb.tdp, at(BASE), LEVEL_2M, NULL));
}

static void have_two_states(void)
{
    have_4k();
    need(tb_convert(BASE + 5 * TB_4K, TB_4K, TDP_SHARED));
    need(tb_convert(BASE + 5 * TB_4K, TB_4K, TDP_PRIVATE));
}

static void have_shared(void)
{
    have_2m();
    need(tb_convert(BASE + 3 * TB_4K, TB_2M, TDP_SHARED));
    tb_write_page(BASE + 3 * TB_4K);
}

static void have_empty_table(void)
{
    have_two_states();
    need(tb_convert(BASE, TB_2M, TDP_SHARED));
}

static void have_1g(void)
{
    need(tdp_map(tb.tdp, at(0), TB_1G, LEVEL_2M, NULL));
    need(tdp_merge(tb.tdp, at(0), LEVEL_1G, NULL));
}

static void have_1g_in_parts(void)
{
    need(tdp_map(tb.tdp, at(0), TB_1G, LEVEL_2M, NULL));
    need(tdp_split(tb.tdp, at(TB_2M), LEVEL_2M, NULL));
}

static void have_scattered(void)
{
    need(tdp_map(tb.tdp, at(0), TB_2M, LEVEL_4K, NULL)); /* pending, all of it: that merges too */
}

static void have_4k_twice(void)
{
    have_4k();
    need(tdp_split(tb.tdp, at(BASE + TB_2M), LEVEL_2M, NULL));
}

static void have_empty_table_for_4k(void)
{
    have_empty_table();
    tdp_choose(tb.tdp, (struct tdp_choice){TDP_CALLS, LEVEL_4K});
}

static void have_blocked(void)
{
    have_2m();
    need(tdp_block(tb.tdp, at(BASE), LEVEL_2M, NULL));
}

static struct tdp_report map_2m(void)
{
    return tdp_map(tb.tdp, at(BASE), 2 * TB_2M, LEVEL_2M, NULL);
}
static struct tdp_report map_4k(void)
{
    return tdp_map(tb.tdp, at(BASE), TB_2M, LEVEL_4K, NULL);
}
static struct tdp_report map_some(void)
{
    return tdp_map(tb.tdp, at(BASE + TB_4K), 3 * TB_4K, LEVEL_4K, NULL);
}
static struct tdp_report share_some(void)
{
    return tb_convert(BASE + 2 * TB_4K, 3 * TB_4K, TDP_SHARED);
}
static struct tdp_report share_odd(void)
{
    return tb_convert(BASE + TB_2M - TB_4K, TB_2M + 2 * TB_4K, TDP_SHARED);
}
static struct tdp_report share_2m(void)
{
    return tb_convert(BASE, TB_2M, TDP_SHARED);
}
static struct tdp_report share_in_1g(void)
{
    return tb_convert(TB_2M + TB_4K, 2 * TB_4K, TDP_SHARED);
}
static struct tdp_report own_odd(void)
{
    return tb_convert(BASE + 3 * TB_4K, TB_2M, TDP_PRIVATE);
}
static struct tdp_report own_2m(void)
{
    return tb_convert(BASE, TB_2M, TDP_PRIVATE);
}
static struct tdp_report split_2m(void)
{
    return tdp_split(tb.tdp, at(BASE), LEVEL_2M, NULL);
}
static struct tdp_report merge_2m(void)
{
    return tdp_merge(tb.tdp, at(BASE), LEVEL_2M, NULL);
}
static struct tdp_report merge_1g(void)
{
    return tdp_merge(tb.tdp, at(0), LEVEL_1G, NULL);
}
static struct tdp_report block_2m(void)
{
    return tdp_block(tb.tdp, at(BASE), LEVEL_2M, NULL);
}
static struct tdp_report unblock_2m(void)
{
    return tdp_unblock(tb.tdp, at(BASE), LEVEL_2M, NULL);
}
static struct tdp_report merge_both(void)
{
    return tdp_merge_range(tb.tdp, at(BASE), 2 * TB_2M, LEVEL_2M, NULL);
}
static struct tdp_report split_and_merge(void)
{
    const struct tdp_part parts[] = {
        {.kind = TDP_SPLIT, .gpa = at(BASE + 2 * TB_2M), .level = LEVEL_2M},
        {.kind = TDP_MERGE, .gpa = at(BASE), .level = LEVEL_2M},
    };
    return tdp_together(tb.tdp, parts, 2, NULL);
}
static struct tdp_report gather(void)
{
    return tdp_merge(tb.tdp, at(0), LEVEL_2M, NULL);
}
static struct tdp_report relocate(void)
{
    return tdp_relocate(tb.tdp, at(0), TB_2M, NULL);
}
static struct tdp_report prepare_destroy(void)
{
    return tdp_prepare_destroy(tb.tdp);
}

static const struct operation {
    const char *name;
    void (*have)(void);
    struct tdp_report (*run)(void);
} operations[] = {
    {"map 2m", have_nothing, map_2m},
    {"map 4k", have_nothing, map_4k},
    {"map some", have_nothing, map_some},
    {"share some of 2m", have_2m, share_some},
    {"share an odd range", have_2m, share_odd},
    {"share a leaf", have_2m, share_2m},
    {"share some of 4k", have_4k, share_some},
    {"share a region of 4k", have_4k, share_2m},
    {"share a region in two states", have_two_states, share_2m},
    {"share some of a blocked leaf", have_blocked, share_some},
    {"share some of 1g", have_1g, share_in_1g},
    {"own an odd range", have_shared, own_odd},
    {"own a region over an empty table", have_empty_table, own_2m},
    {"split", have_2m, split_2m},
    {"merge", have_4k, merge_2m},
    {"merge 1g", have_1g_in_parts, merge_1g},
    {"block", have_2m, block_2m},
    {"unblock", have_blocked, unblock_2m},
    {"merge a range", have_4k_twice, merge_both},
    {"split one and merge another", have_4k, split_and_merge},
    {"own a region as 4k over an empty table", have_empty_table_for_4k, own_2m},
    {"gather", have_scattered, gather},
    {"relocate", have_scattered, relocate},
    {"prepare tear-down", have_4k, prepare_destroy},
};

/* The TD that the operation is about. */
static void create_for(const struct operation *op)
{
    bool scattered = op->have == have_scattered;
    tb.backing = scattered ? TDP_SCATTER : TDP_INPLACE;
    tb_create(scattered ? 2 * TB_2M : MEMORY, LEVEL_1G, false);
}

/* What failed leaves nothing blocked that was not blocked before. */
static void check_blocked(const struct operation *op)
{
    struct tdp_census c;
    need(tdp_census(tb.tdp, at(0), 0, &c));
    TB_NEED(c.blocked <= (op->have == have_blocked), c.blocked);
}

#endif
