/*
 * What the tests of merge policies stand on: a TD of the testbed, regions that have fallen apart, ticks. Parameters are given
 * in the order that the policy's file names them in.
 */
#ifndef TESTS_UNIT_POLICY_WORLD_H
#define TESTS_UNIT_POLICY_WORLD_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "mm/page.h"
#include "mm/tdp_internal.h"
#include "tdx/count.h"
#include "tests/host/hold.h"
#include "tests/host/seamcall.h"
#include "tests/host/testbed.h"

#define LEAF_BLOCK   7u
#define LEAF_PROMOTE 23u
#define LEAF_SEPT_RD 25u
#define LEAF_TRACK   38u
#define LEAF_UNBLOCK 39u
#define HOLE         0x3000ull /* the page of a region that a conversion has cut out */

static inline gpa_t at(uint64_t gpa)
{
    return (gpa_t){gpa};
}

static inline void fine(struct tdp_report r)
{
    if (r.err != ERR_OK)
        fail_msg("%s at %llx: %d", r.what ? r.what : "?", (unsigned long long)r.at.raw, r.err);
}

static inline void choose(const struct policy *policy, u64 a, u64 b, u64 c, u64 d)
{
    u64 values[POLICY_PARAMETERS_MAX] = {a, b, c, d};
    assert_int_equal(tdp_policy_choose(tb.tdp, policy, values), ERR_OK);
}

static inline void tick_at(u64 now)
{
    tdp_policy_tick(tb.tdp, now);
}

static inline u64 counter(enum tdp_policy_counter which)
{
    struct tdp_policy_status s;
    tdp_policy_status(tb.tdp, &s);
    return s.counters[which];
}

static inline struct tdp_policy_status status(void)
{
    struct tdp_policy_status s;
    tdp_policy_status(tb.tdp, &s);
    return s;
}

/* Calls so far as tb_calls() counts them, but for SEPT.RD, by which the testbed looks on, too. */
static u64 reads_before;

static inline void steps_reset(void)
{
    tb_calls_reset();
    reads_before = tdx_counts.leaf[LEAF_SEPT_RD];
}

static inline u64 steps(void)
{
    return tb_calls() - (tdx_counts.leaf[LEAF_SEPT_RD] - reads_before);
}

static inline struct tdp_walk walk(uint64_t gpa)
{
    struct tdp_walk w;
    fine(tdp_walk(tb.tdp, at(gpa), &w));
    assert_true(w.agree);
    return w;
}

static inline unsigned level(uint64_t gpa)
{
    level_t level;
    assert_int_equal(tdp_level(tb.tdp, at(gpa), &level), ERR_OK);
    return level.raw;
}

static inline void expect(uint64_t gpa, enum tdp_state state, unsigned level)
{
    struct tdp_walk w = walk(gpa);
    assert_int_equal(w.state, state);
    assert_int_equal(w.level.raw, level);
}

/* A 2M page of accepted memory with data at its ends. */
static inline void have(uint64_t region)
{
    fine(tdp_map(tb.tdp, at(region), TB_2M, LEVEL_2M, NULL));
    tb_accept_range(region, TB_2M);
    tb_write_page(region);
    tb_write_page(region + TB_2M - TB_4K);
}

/* One page of it was shared, and is private again; `accepted` by the TD, too. */
static inline void cut(uint64_t region, bool accepted)
{
    fine(tb_convert(region + HOLE, TB_4K, TDP_SHARED));
    fine(tb_convert(region + HOLE, TB_4K, TDP_PRIVATE));
    if (accepted)
        tb_accept_range(region + HOLE, TB_4K);
}

static inline void verify(uint64_t region)
{
    tb_verify_page(region);
    tb_verify_page(region + TB_2M - TB_4K);
}

static inline int machine(void **state)
{
    tb_machine();
    return 0;
}

static inline int make(void **state)
{
    tb.backing = TDP_INPLACE;
    tb_create(TB_1G + 16 * TB_2M, LEVEL_1G, false);
    return 0;
}

static inline int unmake(void **state)
{
    tb_check();
    tb_destroy();
    return 0;
}

#endif
