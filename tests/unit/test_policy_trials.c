/*
 * What every merge policy has to survive: memory that changes under its hands, scattered backing, the end of a slot, tear-down
 * with a full queue, every status at each of its calls. After each trial the TD's data is verified, mirror and module
 * agree, and no page is missing.
 */
#include "tests/unit/policy_world.h"

#include "lib/hw/cpu.h"

#define A      TB_2M
#define B      (5 * TB_2M)
#define LAST   (TB_1G + 15 * TB_2M)
#define SECOND 1000u

/* Parameters that have each act at the next tick. */
static const struct trial {
    const struct policy *policy;
    u64 values[POLICY_PARAMETERS_MAX];
} trials[] = {{&policy_none, {0}},          {&policy_scan, {1u << 20, 1, 64}},
              {&policy_fault, {0}},         {&policy_block, {SECOND, 64, 50}},
              {&policy_ready, {64, 0, 50}}, {&policy_hot, {64, 0, SECOND, 50}}};
#define TRIALS (sizeof(trials) / sizeof(trials[0]))

static u64 now;

static void begin(const struct trial *t)
{
    now = SECOND;
    assert_int_equal(tdp_policy_choose(tb.tdp, t->policy, t->values), ERR_OK);
}

static void ticks(unsigned n)
{
    while (n--)
        tick_at(now += 7);
}

static void each(enum tdp_backing backing, void (*trial)(void))
{
    for (unsigned i = 0; i < TRIALS; i++) {
        tb.backing = backing;
        tb_create(TB_1G + 16 * TB_2M, LEVEL_1G, false);
        begin(&trials[i]);
        trial();
        ticks(20);
        assert_int_equal(tdp_policy_choose(tb.tdp, &policy_none, trials[0].values), ERR_OK);
        assert_int_equal(status().blocked, 0);
        tb_check();
        tb_destroy();
    }
}

static bool merges(void)
{
    return status().policy != &policy_none && status().policy != &policy_fault;
}

/* Those that want proof of use: the region is touched when it is blocked again. */
static void touch_when_blocked(u64 region)
{
    const struct policy *policy = status().policy;

    for (unsigned i = 0; (policy == &policy_block || policy == &policy_hot) && i < 2000 && !status().blocked; i++)
        ticks(1);
    tb_verify_page(region);
}

/* What a policy that merges has made of an accepted region in the end. */
static void expect_merged(u64 region)
{
    if (walk(region).level.raw == 0 || walk(region).is_table)
        touch_when_blocked(region);
    expect(region, TDP_MAPPED, merges());
    verify(region);
}

/* --- memory that changes ------------------------------------------------------------------------------------------ */

static void one_page_pending(void)
{
    have(A);
    cut(A, false);
    ticks(30);
    verify(A);
    expect(A, TDP_MAPPED, 0);
    tb_accept_range(A + HOLE, TB_4K);
    ticks(1000); /* whatever rests, has rested */
    expect_merged(A);
}

/* Nobody has accepted any of it. What merges it all the same is split again by the TD's ACCEPT of 4K. */
static void all_pending(void)
{
    fine(tdp_map(tb.tdp, at(A), TB_2M, LEVEL_4K, NULL));
    ticks(30);
    for (u64 i = 0; i < 512; i++)
        (void)tb_accept(A + i * TB_4K, 0);
    tb_accept_range(A, TB_2M);
    tb_write_page(A), tb_write_page(A + TB_2M - TB_4K);
    ticks(1000);
    verify(A);
}

static void converted_while_it_waits(void)
{
    have(A);
    cut(A, true); /* in the queue */
    fine(tb_convert(A + HOLE, TB_4K, TDP_SHARED));
    ticks(30);
    expect(A + HOLE, TDP_IS_SHARED, 0);
    verify(A);
    fine(tb_convert(A + HOLE, TB_4K, TDP_PRIVATE));
    tb_accept_range(A + HOLE, TB_4K);
    ticks(1000);
    expect_merged(A);
}

static void converted_while_it_is_blocked(void)
{
    have(A);
    cut(A, true);
    ticks(1);
    fine(tb_convert(A + HOLE, TB_4K, TDP_SHARED)); /* blocked, or merged by now */
    expect(A + HOLE, TDP_IS_SHARED, 0);
    ticks(300);
    verify(A);
    fine(tb_convert(A, TB_2M, TDP_SHARED));
    ticks(300);
    fine(tb_convert(A, TB_2M, TDP_PRIVATE));
    tb_accept_range(A, TB_2M);
    expect(A, TDP_MAPPED, 1);
}

static void touches(void)
{
    verify(A);
}

static void (*tracked)(void);

static void when_kicked(void)
{
    void (*what)(void) = tracked;
    tracked = NULL;
    if (what)
        what();
}

/* The TD touches the region after its BLOCK and before anybody has left for the TRACK. */
static void touched_while_it_is_tracked(void)
{
    have(A);
    cut(A, true);
    hold_host.kicked = when_kicked;
    tracked = touches;
    ticks(1);
    hold_host.kicked = NULL;
    tracked = NULL;
    ticks(1000);
    expect_merged(A);
}

static void merged_by_hand_meanwhile(void)
{
    have(A);
    cut(A, true);
    ticks(1);
    struct tdp_report r = tdp_merge(tb.tdp, at(A), LEVEL_2M, NULL);
    assert_true(r.err == ERR_OK || r.err == ERR_EXISTS);
    ticks(300);
    expect(A, TDP_MAPPED, 1);
    fine(tdp_split(tb.tdp, at(A), LEVEL_2M, NULL));
    ticks(300);
    verify(A);
}

static void at_the_end_of_the_slot(void)
{
    have(LAST);
    cut(LAST, true);
    ticks(300);
    expect_merged(LAST);
}

static void test_each_survives_what_changes(void **state)
{
    each(TDP_INPLACE, one_page_pending);
    each(TDP_INPLACE, all_pending);
    each(TDP_INPLACE, converted_while_it_waits);
    each(TDP_INPLACE, converted_while_it_is_blocked);
    each(TDP_INPLACE, touched_while_it_is_tracked);
    each(TDP_INPLACE, merged_by_hand_meanwhile);
    each(TDP_INPLACE, at_the_end_of_the_slot);
}

/* --- scattered memory --------------------------------------------------------------------------------------------- */

static void accept_small(u64 region)
{
    for (u64 i = 0; i < 512; i++)
        assert_int_equal(tb_accept(region + i * TB_4K, 0), 0);
    tb_write_page(region), tb_write_page(region + TB_2M - TB_4K);
}

/* Pages from anywhere cannot be one; moved to their home they can. */
static void scattered(void)
{
    accept_small(A);
    ticks(300);
    expect(A, TDP_MAPPED, 0);
    fine(tdp_relocate(tb.tdp, at(A), TB_2M, NULL));
    ticks(1000);
    expect_merged(A);
}

static void test_each_survives_scattered_memory(void **state)
{
    each(TDP_SCATTER, scattered);
}

/* --- a GiB -------------------------------------------------------------------------------------------------------- */

static void a_gib(void)
{
    fine(tdp_map(tb.tdp, at(0), TB_1G, LEVEL_2M, NULL));
    tb_accept_range(0, TB_1G);
    tb_write_page(B);
    ticks(300);
    touch_when_blocked(B);
    expect(B, TDP_MAPPED, merges() ? 2 : 1);
    fine(tb_convert(A + HOLE, TB_4K, TDP_SHARED));
    ticks(300);
    tb_verify_page(B);
}

static void test_each_survives_a_gib(void **state)
{
    each(TDP_INPLACE, a_gib);
}

/* --- tear-down ---------------------------------------------------------------------------------------------------- */

static void test_each_is_torn_down_at_work(void **state)
{
    for (unsigned i = 0; i < TRIALS; i++)
        for (unsigned n = 0; n < 4; n++) {
            tb.backing = TDP_INPLACE;
            tb_create(TB_1G + 16 * TB_2M, LEVEL_1G, false);
            begin(&trials[i]);
            for (unsigned r = 0; r < 8; r++) {
                have(r * TB_2M);
                cut(r * TB_2M, r & 1);
            }
            ticks(n);
            tb_destroy();
        }
}

/* --- failures ----------------------------------------------------------------------------------------------------- */

/* Busy for a while and beyond all bounds, refused, interrupted, unknown. */
static const struct {
    u64 status;
    unsigned times;
} failures[] = {{0x8000020000000001, 1}, {0x8000020000000092, 3}, {0x8000020000000092, 600}, {0x8000020000000092, 1300},
                {0xc0000b0800000001, 1}, {0xc0000b0b00000001, 1}, {0xc0000b0d00000001, 1},   {0xc000010000000001, 1},
                {0x8000000400000000, 2}, {0xdead0bad00000000, 1}};

static void one_failure(const struct trial *t, unsigned number, unsigned nth, unsigned f)
{
    tb.backing = TDP_INPLACE;
    tb_create(TB_1G + 16 * TB_2M, LEVEL_2M, false);
    have(A), have(B);
    cut(A, true), cut(B, false);
    begin(t);
    seamcall_host_inject_times(number, nth, failures[f].times, failures[f].status);
    ticks(2);
    seamcall_host_inject_none(); /* a touch now may meet what is left of them otherwise, and fail rightly */
    verify(A), verify(B);
    ticks(400);
    if (!tb.tdp->dead) {
        verify(A), verify(B);
        assert_int_equal(tdp_policy_choose(tb.tdp, &policy_none, trials[0].values), ERR_OK);
        ticks(1);
        verify(A), verify(B);
        tb_check();
    }
    tb_destroy();
}

static void test_each_survives_every_failure(void **state)
{
    static const unsigned leaves[] = {LEAF_BLOCK, LEAF_TRACK, LEAF_PROMOTE, LEAF_UNBLOCK, LEAF_SEPT_RD};

    for (unsigned i = 1; i < TRIALS; i++)
        for (unsigned l = 0; l < sizeof(leaves) / sizeof(leaves[0]); l++)
            for (unsigned f = 0; f < sizeof(failures) / sizeof(failures[0]); f++)
                for (unsigned nth = 0; nth < 2; nth++)
                    one_failure(&trials[i], leaves[l], nth, f);
}

/* A vCPU that does not leave ends the policy, not the TD: what is blocked waits for its touch. */
static void test_a_failed_round_of_kicks_ends_the_policy(void **state)
{
    for (unsigned i = 1; i < TRIALS; i++) {
        if (trials[i].policy == &policy_fault)
            continue;
        tb.backing = TDP_INPLACE;
        tb_create(TB_1G + 16 * TB_2M, LEVEL_2M, false);
        have(A);
        cut(A, true);
        begin(&trials[i]);
        hold_host.next = ERR_TIMEOUT;
        ticks(1);
        assert_ptr_equal(status().policy, &policy_none);
        assert_int_equal(counter(TDP_POLICY_FAILED), 1);
        verify(A);
        tb_check();
        tb_destroy();
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_each_survives_what_changes),
        cmocka_unit_test(test_each_survives_scattered_memory),
        cmocka_unit_test(test_each_survives_a_gib),
        cmocka_unit_test(test_each_is_torn_down_at_work),
        cmocka_unit_test(test_each_survives_every_failure),
        cmocka_unit_test(test_a_failed_round_of_kicks_ends_the_policy),
    };
    return cmocka_run_group_tests(tests, machine, NULL);
}
