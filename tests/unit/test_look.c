/*
 * Looking at much memory (mm/tdp.h): runs, in pieces between which the vCPUs may enter; sizes by the mirror alone, beside what
 * a census counts with the module's help.
 */
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
#include "tests/host/hold.h"
#include "tests/host/seamcall.h"
#include "tests/host/testbed.h"

#define MEMORY       (TB_1G + 16 * TB_2M)
#define LEAF_SEPT_RD 25u
#define PIECE        512u /* SEPT.RDs while the vCPUs are held out once */

static gpa_t at(uint64_t gpa)
{
    return (gpa_t){gpa};
}

static void fine(struct tdp_report r)
{
    assert_int_equal(r.err, ERR_OK);
}

static int machine(void **state)
{
    tb_machine();
    return 0;
}

static int make(void **state)
{
    tb_create(MEMORY, LEVEL_1G, false);
    return 0;
}

static int unmake(void **state)
{
    seamcall_host_watch = NULL;
    tb_check();
    tb_destroy();
    return 0;
}

/* --- runs in pieces ----------------------------------------------------------------------------------------------- */

static uint64_t last_hold;
static unsigned reads, most_reads;

/* How many SEPT.RDs come in one hold; and none comes outside of one. */
static void count_reads(const struct seamcall_regs *regs)
{
    if ((regs->rax & 0xffff) != LEAF_SEPT_RD)
        return;
    assert_true(hold_host.depth > 0);
    reads = hold_host.holds == last_hold ? reads + 1 : 1;
    last_hold = hold_host.holds;
    most_reads = reads > most_reads ? reads : most_reads;
}

static uint64_t covered;

static void follow(gpa_t from, uint64_t bytes, level_t level, enum tdp_state state, void *arg)
{
    assert_int_equal(from.raw, covered); /* in order, without a gap */
    covered += bytes;
    unsigned *runs = arg;
    ++*runs;
}

static void test_vcpus_are_let_in_between_pieces(void **state)
{
    unsigned runs = 0;

    fine(tdp_map(tb.tdp, at(0), 8 * TB_2M, LEVEL_4K, NULL));
    fine(tb_convert(3 * TB_2M + 0x5000, TB_4K, TDP_SHARED));
    uint64_t holds = hold_host.holds;
    covered = most_reads = 0;
    seamcall_host_watch = count_reads;
    struct tdp_report r = tdp_each_run(tb.tdp, at(0), 16 * TB_2M, follow, &runs);
    fine(r);
    assert_int_equal(covered, 16 * TB_2M);
    assert_int_equal(runs, 4); /* pending, one page shared, pending, absent: pieces do not cut them */
    assert_int_equal(r.seamcalls, 8 * 512 - 1);
    assert_int_equal(most_reads, PIECE);
    assert_int_equal(hold_host.holds - holds, 9); /* the last for what is absent */
    assert_int_equal(hold_host.depth, 0);
}

static void test_a_part_of_a_page_is_a_run(void **state)
{
    unsigned runs = 0;

    fine(tdp_map(tb.tdp, at(0), 2 * TB_2M, LEVEL_2M, NULL));
    covered = TB_2M - 3 * TB_4K;
    fine(tdp_each_run(tb.tdp, at(covered), 5 * TB_4K, follow, &runs));
    assert_int_equal(covered, TB_2M + 2 * TB_4K);
    assert_int_equal(runs, 1);
}

static void test_an_error_ends_it(void **state)
{
    unsigned runs = 0;

    fine(tdp_map(tb.tdp, at(0), 4 * TB_2M, LEVEL_4K, NULL));
    covered = 0;
    seamcall_host_inject(LEAF_SEPT_RD, 700, 0xc000010000000001ull);
    struct tdp_report r = tdp_each_run(tb.tdp, at(0), 4 * TB_2M, follow, &runs);
    assert_int_equal(r.err, ERR_TDX);
    assert_int_equal(r.at.raw, 700 * TB_4K);
    assert_int_equal(r.seamcalls, 701);
    assert_int_equal(hold_host.depth, 0);
    r = tdp_each_run(tb.tdp, at(MEMORY), TB_4K, follow, &runs);
    assert_int_equal(r.err, ERR_RANGE);
    assert_int_equal(r.seamcalls, 0);
    hold_host.next = ERR_TIMEOUT;
    r = tdp_each_run(tb.tdp, at(0), TB_4K, follow, &runs);
    assert_int_equal(r.err, ERR_TIMEOUT);
    assert_int_equal(hold_host.depth, 0);
}

/* --- sizes -------------------------------------------------------------------------------------------------------- */

/* What the mirror alone says is what a census finds; it makes no SEAMCALL and holds nobody out. */
static void sizes_are_right(void)
{
    struct tdp_census c;
    struct tdp_sizes s;

    fine(tdp_census(tb.tdp, at(0), 0, &c));
    uint64_t holds = hold_host.holds;
    tb_calls_reset();
    struct tdp_report r = tdp_sizes(tb.tdp, &s);
    fine(r);
    assert_int_equal(tb_calls(), 0);
    assert_int_equal(hold_host.holds, holds);
    assert_int_equal(s.mapped[0], c.leaf[0] * TB_4K);
    assert_int_equal(s.mapped[1], c.leaf[1] * TB_2M);
    assert_int_equal(s.mapped[2], c.leaf[2] * TB_1G);
    assert_int_equal(s.shared, c.shared_bytes);
}

static void test_sizes_without_a_seamcall(void **state)
{
    sizes_are_right();
    fine(tdp_map(tb.tdp, at(0), TB_1G + 3 * TB_2M, LEVEL_2M, NULL));
    sizes_are_right();
    fine(tdp_split(tb.tdp, at(5 * TB_2M), LEVEL_2M, NULL));
    fine(tb_convert(TB_1G - 2 * TB_4K, 4 * TB_4K, TDP_SHARED)); /* in both windows */
    fine(tdp_block(tb.tdp, at(7 * TB_2M), LEVEL_2M, NULL));
    sizes_are_right();
    fine(tdp_unblock(tb.tdp, at(7 * TB_2M), LEVEL_2M, NULL));
    fine(tb_convert(TB_1G - 2 * TB_4K, 4 * TB_4K, TDP_PRIVATE));
    fine(tdp_merge(tb.tdp, at(0), LEVEL_1G, NULL));
    sizes_are_right();
    struct tdp_sizes s;
    fine(tdp_sizes(tb.tdp, &s));
    assert_int_equal(s.mapped[2], TB_1G);
}

/* The census does not see what is below a blocked table; it is mapped all the same. */
static void test_sizes_below_a_blocked_table(void **state)
{
    struct tdp_sizes s;

    fine(tdp_map(tb.tdp, at(0), 2 * TB_2M, LEVEL_2M, NULL));
    fine(tdp_split(tb.tdp, at(TB_2M), LEVEL_2M, NULL));
    fine(tdp_block(tb.tdp, at(TB_2M), LEVEL_2M, NULL));
    fine(tdp_sizes(tb.tdp, &s));
    assert_int_equal(s.mapped[0], TB_2M);
    assert_int_equal(s.mapped[1], TB_2M);
}

/* --- sizes at a glance -------------------------------------------------------------------------------------------- */

static unsigned asked;

static bool is_patient(void)
{
    return ++asked % 3 != 0; /* two more tries for each GiB */
}

static struct tdp_sizes glance(u64 old_gib)
{
    struct tdp_sizes s;
    u64 old;

    asked = 0;
    fine(tdp_glance(tb.tdp, is_patient, &s, &old));
    assert_int_equal(old, old_gib);
    assert_int_equal(asked, 3 * old_gib);
    return s;
}

/* An operation has a part of the first GiB to itself: that GiB is as it was at the last glance, the next one as it is. */
static void test_a_glance_waits_for_nobody(void **state)
{
    struct claim claim;

    fine(tdp_map(tb.tdp, at(0), TB_2M, LEVEL_2M, NULL));
    assert_int_equal(claim_begin(&tb.tdp->claims, &claim, at(TB_2M), at(2 * TB_2M), true, NULL, NULL), ERR_OK);
    assert_int_equal(glance(1).mapped[1], 0); /* never seen */
    claim_end(&tb.tdp->claims, &claim);
    assert_int_equal(glance(0).mapped[1], TB_2M);
    fine(tdp_map(tb.tdp, at(2 * TB_2M), TB_2M, LEVEL_2M, NULL));
    fine(tdp_map(tb.tdp, at(TB_1G), TB_2M, LEVEL_4K, NULL));
    assert_int_equal(claim_begin(&tb.tdp->claims, &claim, at(TB_2M), at(2 * TB_2M), true, NULL, NULL), ERR_OK);
    struct tdp_sizes s = glance(1);
    assert_int_equal(s.mapped[1], TB_2M);
    assert_int_equal(s.mapped[0], TB_2M);
    /* It stands in no line: what comes after it and meets the other alone is not kept waiting by it. */
    assert_ptr_equal(tb.tdp->claims.last, &claim);
    claim_end(&tb.tdp->claims, &claim);
    assert_int_equal(glance(0).mapped[1], 2 * TB_2M);
}

/* Beside others who share it there is nothing to wait for. */
static void test_a_glance_beside_faults(void **state)
{
    struct claim claim;

    fine(tdp_map(tb.tdp, at(0), TB_2M, LEVEL_2M, NULL));
    assert_int_equal(claim_begin(&tb.tdp->claims, &claim, at(0), at(TB_2M), false, NULL, NULL), ERR_OK);
    assert_int_equal(glance(0).mapped[1], TB_2M);
    claim_end(&tb.tdp->claims, &claim);
}

/* --- a page that is half accepted --------------------------------------------------------------------------------- */

static uint64_t entry_shown;

static bool show_entry(struct seamcall_regs *regs)
{
    if ((regs->rax & 0xffff) != LEAF_SEPT_RD)
        return false;
    *regs = (struct seamcall_regs){.rcx = entry_shown, .rdx = 2 << 8 | 1};
    return true;
}

/* An interrupt has stopped an ACCEPT of 2M: the module counts in the entry, below the page's address, what is done. */
static void test_an_accept_that_was_interrupted(void **state)
{
    struct tdp_walk before, w;

    fine(tdp_map(tb.tdp, at(0), TB_2M, LEVEL_2M, NULL));
    fine(tdp_walk(tb.tdp, at(0x3000), &before));
    entry_shown = before.module_raw | 11 << 12;
    seamcall_host_answer = show_entry;
    fine(tdp_walk(tb.tdp, at(0x3000), &w));
    seamcall_host_answer = NULL;
    assert_int_equal(w.module_raw, entry_shown);
    assert_int_equal(w.state, TDP_PENDING);
    assert_int_equal(w.page.raw, before.page.raw);
    assert_true(w.agree);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, make, unmake)
    const struct CMUnitTest tests[] = {
        T(test_vcpus_are_let_in_between_pieces),
        T(test_a_part_of_a_page_is_a_run),
        T(test_an_error_ends_it),
        T(test_sizes_without_a_seamcall),
        T(test_sizes_below_a_blocked_table),
        T(test_a_glance_waits_for_nobody),
        T(test_a_glance_beside_faults),
        T(test_an_accept_that_was_interrupted),
    };
    return cmocka_run_group_tests(tests, machine, NULL);
}
