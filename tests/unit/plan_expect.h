/* What a plan is to be, step by step, and what performing it is to cost: for the tests of plans. */
#ifndef TESTS_UNIT_PLAN_EXPECT_H
#define TESTS_UNIT_PLAN_EXPECT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "tests/host/testbed.h"

#define KIB4 TB_4K

static inline gpa_t at(uint64_t gpa)
{
    return (gpa_t){gpa};
}

static inline void expect_steps(struct plan *p, uint64_t calls, const char *steps)
{
    char all[4096] = "";
    for (unsigned i = 0; i < plan_lines(p); i++) {
        char line[128];
        plan_line(p, i, line, sizeof(line));
        if (i)
            strcat(all, "; ");
        strcat(all, line);
    }
    uint64_t found = plan_seamcalls(p);
    plan_free(p);
    assert_string_equal(all, steps);
    assert_int_equal(found, calls);
}

static inline void expect_cost(struct tdp_report r, uint64_t calls, uint64_t tracks)
{
    assert_int_equal(r.err, ERR_OK);
    assert_int_equal(r.seamcalls, calls);
    assert_int_equal(r.tracks, tracks);
    assert_int_equal(tb_calls(), calls);
    assert_int_equal(tb_tracks(), tracks);
    tb_enter(); /* the testbed looks for stale translations */
    tb_check();
}

static inline struct tdp_report fine(struct tdp_report r)
{
    assert_int_equal(r.err, ERR_OK);
    return r;
}

/* Plan, print, perform, count. */
static inline void convert(uint64_t gpa, uint64_t bytes, enum tdp_attr to, uint64_t calls, uint64_t tracks,
                           const char *steps)
{
    struct plan *p = plan_new();
    (void)fine(tdp_convert(tb.tdp, at(gpa), bytes, to, p));
    expect_steps(p, calls, steps);
    tb_calls_reset();
    expect_cost(tb_convert(gpa, bytes, to), calls, tracks);
}

static inline void merge(uint64_t gpa, level_t level, uint64_t calls, uint64_t tracks, const char *steps)
{
    struct plan *p = plan_new();
    (void)fine(tdp_merge(tb.tdp, at(gpa), level, p));
    expect_steps(p, calls, steps);
    tb_calls_reset();
    expect_cost(tdp_merge(tb.tdp, at(gpa), level, NULL), calls, tracks);
}

static inline void map(uint64_t gpa, uint64_t bytes, level_t max, uint64_t calls, uint64_t tracks, const char *steps)
{
    struct plan *p = plan_new();
    (void)fine(tdp_map(tb.tdp, at(gpa), bytes, max, p));
    expect_steps(p, calls, steps);
    tb_calls_reset();
    expect_cost(tdp_map(tb.tdp, at(gpa), bytes, max, NULL), calls, tracks);
}

static inline void split(uint64_t gpa, level_t level)
{
    (void)fine(tdp_split(tb.tdp, at(gpa), level, NULL));
}

static inline void block(uint64_t gpa, level_t level)
{
    (void)fine(tdp_block(tb.tdp, at(gpa), level, NULL));
}

static inline void have(uint64_t gpa, uint64_t bytes)
{
    (void)fine(tdp_map(tb.tdp, at(gpa), bytes, LEVEL_2M, NULL));
}

/* The first GiB as 512 pages of 2M, none accepted: that costs no memory of the test's. */
static inline void have_1g_of_2m(void)
{
    have(0, TB_1G);
}

static inline void have_1g(void)
{
    have_1g_of_2m();
    (void)fine(tdp_merge(tb.tdp, at(0), LEVEL_1G, NULL));
}

#endif
