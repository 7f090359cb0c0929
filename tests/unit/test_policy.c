/*
 * Merge policies, decision by decision: what each does at each event and tick, and what it costs. Costs are DESIGN's: m regions
 * merged behind one TRACK are 2m+1 calls, a look at one is two, a touch that merges is one.
 */
#include "tests/unit/policy_world.h"

#define TREE_BUSY 0x8000020000000092ull /* OPERAND_BUSY, the tree */
#define LONG      100000                /* answers, beyond all bounds of repetition */

#define A TB_2M
#define B (5 * TB_2M)
#define C (9 * TB_2M)

/* --- none --------------------------------------------------------------------------------------------------------- */

static void test_none_never_merges(void **state)
{
    have(A);
    cut(A, true);
    tb_calls_reset();
    for (u64 now = 0; now < 10000; now += 100)
        tick_at(now);
    assert_int_equal(tb_calls(), 0);
    expect(A, TDP_MAPPED, 0);
    assert_int_equal(counter(TDP_POLICY_CANDIDATES), 1);
}

/* --- ready -------------------------------------------------------------------------------------------------------- */

static void test_ready_merges_after_its_delay(void **state)
{
    choose(&policy_ready, 64, 10, 50, 0);
    tick_at(100);
    have(A);
    cut(A, true);
    tb_calls_reset();
    tick_at(109);
    assert_int_equal(tb_calls(), 0);
    assert_int_equal(status().ready, 1);
    tick_at(110);
    assert_int_equal(tb_calls(), 2 + 3);
    assert_int_equal(tb_tracks(), 1);
    assert_int_equal(counter(TDP_POLICY_MERGED), 1);
    assert_int_equal(counter(TDP_POLICY_SEAMCALLS), 5);
    assert_int_equal(status().ready, 0);
    expect(A, TDP_MAPPED, 1);
    verify(A);
}

static void test_ready_merges_many_behind_one_track(void **state)
{
    choose(&policy_ready, 3, 1000, 50, 0);
    tick_at(0);
    have(A), have(B), have(C);
    cut(A, true), cut(B, true);
    tick_at(1);
    expect(B, TDP_MAPPED, 0);
    cut(C, true); /* the batch is full, whatever the delay */
    tb_calls_reset();
    tick_at(2);
    assert_int_equal(tb_calls(), 3 * 2 + 2 * 3 + 1);
    assert_int_equal(tb_tracks(), 1);
    expect(A, TDP_MAPPED, 1);
    expect(C, TDP_MAPPED, 1);
    verify(B);
}

/* The first page pending: seen by a look, at 0, and after rests of 50, 100, 200, ... ms. */
static void test_ready_waits_for_acceptance(void **state)
{
    u64 looks = 0;

    choose(&policy_ready, 64, 0, 50, 0);
    have(A);
    fine(tb_convert(A, TB_4K, TDP_SHARED));
    fine(tb_convert(A, TB_4K, TDP_PRIVATE));
    for (u64 now = 0; now <= 750; now++) {
        tick_at(now);
        bool is_time = now == 0 || now == 50 || now == 150 || now == 350 || now == 750;
        assert_int_equal(counter(TDP_POLICY_LOOKS), looks += is_time);
    }
    assert_int_equal(counter(TDP_POLICY_PENDING), looks);
    assert_int_equal(counter(TDP_POLICY_BLOCKED), 0);
    tb_accept_range(A, TB_4K);
    tick_at(1550);
    expect(A, TDP_MAPPED, 1);
}

/* 511 accepted and one pending where no look sees it: refused, unblocked, left to rest. */
static void test_ready_backs_off_when_refused(void **state)
{
    choose(&policy_ready, 64, 0, 50, 0);
    have(A);
    cut(A, false);
    tb_calls_reset();
    tick_at(0);
    assert_int_equal(tb_calls(), 2 + 3 + 1);
    assert_int_equal(counter(TDP_POLICY_REFUSED), 1);
    assert_int_equal(counter(TDP_POLICY_IN_VAIN), 1);
    assert_int_equal(status().resting, 1);
    expect(A, TDP_MAPPED, 0);
    tb_calls_reset();
    tick_at(49);
    assert_int_equal(tb_calls(), 0);
    tb_accept_range(A + HOLE, TB_4K);
    tick_at(50);
    expect(A, TDP_MAPPED, 1);
    verify(A);
}

/* What stood before the policy was chosen is found, some of it in each tick. */
static void test_ready_adopts_what_stands(void **state)
{
    have(A), have(TB_1G + TB_2M);
    cut(A, true), cut(TB_1G + TB_2M, true);
    choose(&policy_ready, 64, 0, 50, 0);
    tick_at(0);
    expect(A, TDP_MAPPED, 1);
    tick_at(1);
    expect(TB_1G + TB_2M, TDP_MAPPED, 1);
}

/* 512 pages of 2M are a candidate too, where a GiB may be one page. */
static void test_ready_makes_a_gib(void **state)
{
    choose(&policy_ready, 64, 0, 50, 0);
    fine(tdp_map(tb.tdp, at(0), TB_1G, LEVEL_2M, NULL));
    tb_accept_range(0, TB_1G);
    tb_write_page(0x123000);
    tb_calls_reset();
    tick_at(0);
    assert_int_equal(tb_calls(), 2 + 3);
    expect(0x123000, TDP_MAPPED, 2);
    fine(tb_convert(A + HOLE, TB_4K, TDP_SHARED)); /* and again, region by region */
    fine(tb_convert(A + HOLE, TB_4K, TDP_PRIVATE));
    tb_accept_range(A + HOLE, TB_4K);
    tick_at(1);
    tick_at(2);
    expect(0x123000, TDP_MAPPED, 2);
    assert_int_equal(level(A), 2);
    tb_verify_page(0x123000);
}

/* --- hot and block ------------------------------------------------------------------------------------------------ */

static void test_hot_merges_what_is_touched(void **state)
{
    choose(&policy_hot, 64, 0, 1000, 100);
    have(A), have(B);
    cut(A, true), cut(B, true);
    tb_calls_reset();
    tick_at(0);
    assert_int_equal(tb_calls(), 2 * 2 + 2 + 1);
    assert_int_equal(status().blocked, 2);
    assert_true(walk(A).is_table);
    steps_reset();
    u64 faults = tb_faults;
    verify(A);
    assert_int_equal(steps(), 1); /* PROMOTE */
    assert_int_equal(tb_faults, faults + 1);
    expect(A, TDP_MAPPED, 1);
    assert_int_equal(counter(TDP_POLICY_TOUCHED), 1);
    assert_int_equal(counter(TDP_POLICY_TOUCH_SEAMCALLS), 1);
    assert_int_equal(counter(TDP_POLICY_IN_VAIN), 0);
    assert_int_equal(level(A), 1);
    assert_int_equal(level(B), 0);
    tb_calls_reset();
    tick_at(999);
    assert_int_equal(tb_calls(), 0);
    tick_at(1000); /* nobody has touched the other */
    assert_int_equal(tb_calls(), 1);
    assert_int_equal(counter(TDP_POLICY_COLD), 1);
    assert_int_equal(counter(TDP_POLICY_IN_VAIN), 1);
    assert_int_equal(status().blocked, 0);
    expect(B, TDP_MAPPED, 0);
    verify(B);
    tick_at(1100); /* and is tried again */
    assert_int_equal(status().blocked, 1);
}

static void test_hot_looks_before_it_blocks(void **state)
{
    choose(&policy_hot, 64, 0, 1000, 100);
    have(A);
    fine(tb_convert(A, TB_4K, TDP_SHARED));
    fine(tb_convert(A, TB_4K, TDP_PRIVATE));
    tick_at(0);
    assert_int_equal(counter(TDP_POLICY_BLOCKED), 0);
    assert_int_equal(counter(TDP_POLICY_PENDING), 1);
}

/* Option C takes what it gets, one region behind each TRACK. */
static void test_block_does_not_look(void **state)
{
    choose(&policy_block, 1000, 1, 500, 0);
    have(A), have(B);
    cut(A, false), cut(B, true);
    tb_calls_reset();
    tick_at(0);
    assert_int_equal(tb_calls(), 2);
    tick_at(1);
    assert_int_equal(tb_calls(), 2 * 2);
    assert_int_equal(tb_tracks(), 2);
    steps_reset();
    verify(A); /* one page pending: PROMOTE, refused, and UNBLOCK */
    assert_int_equal(steps(), 2);
    assert_int_equal(counter(TDP_POLICY_REFUSED), 1);
    assert_int_equal(counter(TDP_POLICY_IN_VAIN), 1);
    assert_int_equal(counter(TDP_POLICY_TOUCH_SEAMCALLS), 2);
    expect(A, TDP_MAPPED, 0);
    verify(B);
    expect(B, TDP_MAPPED, 1);
    tb_accept_range(A + HOLE, TB_4K);
    tick_at(500);
    assert_int_equal(status().blocked, 0);
    tick_at(501);
    verify(A);
    expect(A, TDP_MAPPED, 1);
}

/* --- scan --------------------------------------------------------------------------------------------------------- */

static void test_scan_walks_in_periods(void **state)
{
    have(A), have(C);
    cut(A, true), cut(C, true);
    choose(&policy_scan, 4, 10, 64, 0);
    tb_calls_reset();
    tick_at(10); /* regions 0 to 3 */
    assert_int_equal(tb_calls(), 2 + 3);
    expect(A, TDP_MAPPED, 1);
    tick_at(19);
    tick_at(20); /* 4 to 7 */
    expect(C, TDP_MAPPED, 0);
    tb_calls_reset();
    tick_at(30);
    assert_int_equal(tb_calls(), 2 + 3);
    expect(C, TDP_MAPPED, 1);
    cut(A, true); /* behind its back: found when it comes round again, over what is free in strides */
    for (u64 now = 40; now < 1500; now += 10)
        tick_at(now);
    expect(A, TDP_MAPPED, 1);
}

/* --- fault -------------------------------------------------------------------------------------------------------- */

/* DESIGN's hypothesis about option B: the fault that maps the last page finds it pending beside 511 that are accepted. */
static void test_fault_is_refused_by_the_page_that_it_has_mapped(void **state)
{
    choose(&policy_fault, 0, 0, 0, 0);
    for (u64 i = 0; i < 512; i++)
        if (i != 7)
            assert_int_equal(tb_accept(A + i * TB_4K, 0), 0);
    assert_int_equal(counter(TDP_POLICY_BLOCKED), 0);
    tb_calls_reset();
    assert_int_equal(tb_accept(A + 7 * TB_4K, 0), 0); /* AUG; BLOCK, TRACK, PROMOTE, UNBLOCK */
    assert_int_equal(tb_calls(), 1 + 4);
    assert_int_equal(counter(TDP_POLICY_REFUSED), 1);
    tick_at(100000);
    expect(A, TDP_MAPPED, 0);
}

static void test_fault_merges_what_is_pending_as_a_whole(void **state)
{
    choose(&policy_fault, 0, 0, 0, 0);
    fine(tdp_map(tb.tdp, at(A), TB_2M - TB_4K, LEVEL_4K, NULL));
    tb_faults = 0;
    assert_int_equal(tb_accept(A + TB_2M - TB_4K, 0), 0);
    assert_int_equal(tb_faults, 2); /* the page is mapped, and merged; what is accepted is less than that: split */
    assert_int_equal(counter(TDP_POLICY_MERGED), 1);
    expect(A, TDP_PENDING, 0);
}

static void test_fault_looks_first_if_told_to(void **state)
{
    choose(&policy_fault, 1, 0, 0, 0);
    for (u64 i = 0; i < 512; i++)
        assert_int_equal(tb_accept(A + i * TB_4K, 0), 0);
    assert_int_equal(counter(TDP_POLICY_PENDING), 1);
    assert_int_equal(counter(TDP_POLICY_BLOCKED), 0);
}

/* --- change of policy, and what is not to be -------------------------------------------------------------------------- */

static void test_nothing_stays_blocked_when_a_policy_goes(void **state)
{
    choose(&policy_hot, 64, 0, 1000, 100);
    have(A), have(B);
    cut(A, true), cut(B, true);
    tick_at(0);
    assert_int_equal(status().blocked, 2);
    choose(&policy_none, 0, 0, 0, 0);
    assert_int_equal(status().blocked, 0);
    expect(A, TDP_MAPPED, 0);
    expect(B, TDP_MAPPED, 0);
    u64 faults = tb_faults;
    verify(A), verify(B);
    assert_int_equal(tb_faults, faults);
}

static void test_a_block_by_hand_is_left_alone(void **state)
{
    choose(&policy_hot, 64, 0, 1000, 100);
    have(A);
    cut(A, true);
    fine(tdp_block(tb.tdp, at(A), LEVEL_2M, NULL));
    tick_at(0);
    tick_at(5000);
    assert_int_equal(counter(TDP_POLICY_BLOCKED), 0);
    assert_false(tb_store(A, false, 1));
    assert_int_equal(tb_last_fault.err, ERR_STATE);
    fine(tdp_unblock(tb.tdp, at(A), LEVEL_2M, NULL));
    assert_int_equal(counter(TDP_POLICY_IN_VAIN), 0);
}

/* The vCPU has left by a fault in the region, and has not entered again: what is blocked now would meet it there. */
static void test_no_block_where_a_vcpu_stands(void **state)
{
    struct vcpu_exit exit = {.kind = VCPU_EXIT_EPT_VIOLATION, .gpa = at(A + HOLE)};

    choose(&policy_block, 1000, 1, 500, 0);
    have(A);
    cut(A, true);
    fine(tdp_fault(tb.tdp, &exit, 0));
    tick_at(0);
    assert_int_equal(counter(TDP_POLICY_DEFERRED), 1);
    assert_int_equal(counter(TDP_POLICY_BLOCKED), 0);
    tb_enter();
    tick_at(1);
    assert_int_equal(counter(TDP_POLICY_BLOCKED), 1);
    fine(tdp_fault(tb.tdp, &exit, 0)); /* it is back at once, a second time: */
    fine(tdp_fault(tb.tdp, &exit, 0));
    expect(A, TDP_MAPPED, 1);
    cut(A, true);
    fine(tdp_fault(tb.tdp, &exit, 0));
    fine(tdp_fault(tb.tdp, &exit, 0));
    for (unsigned i = 0; i < 7; i++) { /* not before it has got on */
        tb_enter();
        tick_at(2 + i);
    }
    assert_int_equal(counter(TDP_POLICY_BLOCKED), 1);
    tb_enter();
    tick_at(10);
    assert_int_equal(counter(TDP_POLICY_BLOCKED), 2);
}

/* It reads in a loop, and nothing takes it out: that it does not fault shows that it has got on. */
static void test_a_vcpu_that_runs_on_stands_nowhere(void **state)
{
    struct vcpu_exit exit = {.kind = VCPU_EXIT_EPT_VIOLATION, .gpa = at(A + HOLE)};

    choose(&policy_block, 1000, 1, 500, 0);
    have(A);
    cut(A, true);
    for (unsigned i = 0; i < 2; i++)
        fine(tdp_fault(tb.tdp, &exit, 0));
    for (unsigned ms = 10; ms < 20; ms += 2) { /* in and out between the ticks */
        tb_enter();
        tb.td.vcpus[0].inside = ms % 4 != 0;
        tick_at(ms);
    }
    assert_int_equal(counter(TDP_POLICY_BLOCKED), 0);
    tb_enter();
    tb.td.vcpus[0].inside = 1;
    tick_at(30);
    tick_at(31);
    assert_int_equal(counter(TDP_POLICY_BLOCKED), 0);
    hold_host.forget_kick = true; /* nobody is inside indeed */
    tick_at(32);
    hold_host.forget_kick = false;
    tb.td.vcpus[0].inside = 0;
    assert_int_equal(counter(TDP_POLICY_BLOCKED), 1);
}

/* Twice at one page, and a TDVMCALL behind that: wherever the vCPU is now, it is not at the instruction that has faulted. */
static void test_a_call_of_the_td_says_that_it_has_got_on(void **state)
{
    struct vcpu_exit exit = {.kind = VCPU_EXIT_EPT_VIOLATION, .gpa = at(A + HOLE)};
    struct vcpu *v = &tb.td.vcpus[0];

    choose(&policy_block, 1000, 1, 500, 0);
    have(A);
    cut(A, true);
    fine(tdp_fault(tb.tdp, &exit, 0));
    fine(tdp_fault(tb.tdp, &exit, 0));
    tb_enter();
    tick_at(0);
    assert_int_equal(counter(TDP_POLICY_BLOCKED), 0);
    v->calls++;
    tick_at(1);
    assert_int_equal(counter(TDP_POLICY_BLOCKED), 1);
    fine(tdp_fault(tb.tdp, &exit, 0)); /* the first in a row again: one exit is enough */
    cut(A, true);
    tb_enter();
    tick_at(2);
    assert_int_equal(counter(TDP_POLICY_BLOCKED), 2);
    assert_int_equal(counter(TDP_POLICY_IPIS), 0);
}

/* --- BUSY beyond all bounds ------------------------------------------------------------------------------------------- */

/* No event tells that it has ended: who has met it tries again. */
static void test_busy_is_tried_again(void **state)
{
    static const unsigned leaves[] = {LEAF_BLOCK, LEAF_PROMOTE};

    for (unsigned i = 0; i < 2; i++) {
        choose(&policy_ready, 64, 0, 50, 0);
        have(A);
        cut(A, true);
        seamcall_host_inject_times(leaves[i], 0, LONG, TREE_BUSY);
        tick_at(0);
        seamcall_host_inject_none();
        expect(A, TDP_MAPPED, 0);
        assert_int_equal(status().resting, 1);
        tick_at(50);
        expect(A, TDP_MAPPED, 1);
        verify(A);
        unmake(state), make(state);
    }
}

/* What is blocked and touched before the policy has filed it was not blocked in vain, and is not cold either. */
static void touch_meanwhile(void)
{
    hold_host.kicked = NULL;
    tb_verify_page(A);
}

static void test_touched_while_it_is_blocked_is_not_cold(void **state)
{
    choose(&policy_block, 1000, 1, 500, 0);
    have(A);
    cut(A, true);
    hold_host.kicked = touch_meanwhile;
    tick_at(0);
    assert_int_equal(counter(TDP_POLICY_MERGED), 1);
    tick_at(5000);
    assert_int_equal(counter(TDP_POLICY_COLD), 0);
    assert_int_equal(status().resting, 0);
    expect(A, TDP_MAPPED, 1);
}

/* A vCPU reads the same page again and again, and each time meets a block of the policy that is gone when it is asked about. */
static void test_blocks_in_vain_are_no_fault_without_progress(void **state)
{
    struct vcpu_exit exit = {.kind = VCPU_EXIT_EPT_VIOLATION, .gpa = at(A)};

    choose(&policy_scan, 1u << 20, 10, 64, 0);
    have(A);
    cut(A, false);
    for (unsigned i = 1; i <= 80; i++) {
        tick_at(10 * i);
        assert_int_equal(counter(TDP_POLICY_BLOCKED), i);
        fine(tdp_fault(tb.tdp, &exit, 0));
        for (unsigned n = 0; n < 8; n++)
            tb_enter();
    }
    for (unsigned i = 0; i < 2; i++)
        fine(tdp_fault(tb.tdp, &exit, 0));
    assert_int_equal(tdp_fault(tb.tdp, &exit, 0).err, ERR_NO_PROGRESS);
}

int main(void)
{
#define T(test) cmocka_unit_test_setup_teardown(test, make, unmake)
    const struct CMUnitTest tests[] = {
        T(test_none_never_merges),
        T(test_ready_merges_after_its_delay),
        T(test_ready_merges_many_behind_one_track),
        T(test_ready_waits_for_acceptance),
        T(test_ready_backs_off_when_refused),
        T(test_ready_adopts_what_stands),
        T(test_ready_makes_a_gib),
        T(test_hot_merges_what_is_touched),
        T(test_hot_looks_before_it_blocks),
        T(test_block_does_not_look),
        T(test_scan_walks_in_periods),
        T(test_a_vcpu_that_runs_on_stands_nowhere),
        T(test_blocks_in_vain_are_no_fault_without_progress),
        T(test_fault_is_refused_by_the_page_that_it_has_mapped),
        T(test_fault_merges_what_is_pending_as_a_whole),
        T(test_fault_looks_first_if_told_to),
        T(test_nothing_stays_blocked_when_a_policy_goes),
        T(test_a_block_by_hand_is_left_alone),
        T(test_no_block_where_a_vcpu_stands),
        T(test_a_call_of_the_td_says_that_it_has_got_on),
        T(test_busy_is_tried_again),
        T(test_touched_while_it_is_blocked_is_not_cold),
    };
    return cmocka_run_group_tests(tests, machine, NULL);
}
