/*
 * The policy of docs/write-a-policy.md, and its tests: a region is merged when the TD has touched it twice while it was blocked. The first
 * touch only unblocks it; what is not touched again in time is forgotten.
 */
#include "mm/policy/batch.h"
#include "tests/unit/policy_world.h"

enum { TTL, BATCH };

/* By 2M region, those of all GiBs together: touched once already? */
static bool touched_once[512];

static enum policy_touch touched(struct tdp *t, gpa_t gpa, level_t level)
{
    bool *once = &touched_once[gpa_index(gpa, LEVEL_2M)];
    bool is_second = *once;

    *once = !is_second;
    return is_second ? POLICY_MERGE : POLICY_UNBLOCK;
}

/* A region that was unblocked by its first touch is a candidate still. */
static void event(struct tdp *t, enum policy_event event, gpa_t gpa, level_t level)
{
    bool comes_back = event == POLICY_FAULT_BLOCKED && touched_once[gpa_index(gpa, LEVEL_2M)] == false;

    policy_queue_candidates(t, comes_back ? POLICY_CANDIDATE : event, gpa, level);
}

static void tick(struct tdp *t, u64 now)
{
    struct batch cold = batch_begin(t, BATCH_MAX);
    batch_take_cold(&cold, policy_value(t, TTL));
    for (unsigned i = 0; i < cold.count; i++)
        touched_once[gpa_index(cold.regions[i].gpa, LEVEL_2M)] = false;
    batch_unblock(&cold);

    struct batch b = batch_begin(t, policy_value(t, BATCH));
    batch_take_ready(&b, 0);
    batch_look(&b);
    batch_block(&b);
    batch_keep(&b);
}

static const struct policy policy_twice = {
    .name = "twice",
    .what = "merges what the TD touches twice",
    .parameters = {[TTL] = {"ttl", "ms", "untouched for so long, it is forgotten", 1000, 1, 60000},
                   [BATCH] = {"batch", "regions", "blocked behind one TRACK at most", 64, 1, BATCH_MAX}},
    .adopts = true,
    .event = event,
    .touched = touched,
    .tick = tick,
};

/* --- its tests ---------------------------------------------------------------------------------------------------- */

#define A TB_2M
#define B (5 * TB_2M)

static void test_the_second_touch_merges(void **state)
{
    choose(&policy_twice, 1000, 64, 0, 0);
    have(A);
    cut(A, true);
    tick_at(0);
    verify(A);
    expect(A, TDP_MAPPED, 0);
    tick_at(1);
    verify(A);
    expect(A, TDP_MAPPED, 1);
    assert_int_equal(counter(TDP_POLICY_TOUCHED), 2);
}

static void test_a_touch_too_late_is_a_first_one(void **state)
{
    choose(&policy_twice, 1000, 64, 0, 0);
    have(B);
    cut(B, true);
    tick_at(0);
    verify(B);
    tick_at(1);
    tick_at(1001); /* nobody came: forgotten, and it rests */
    assert_int_equal(counter(TDP_POLICY_COLD), 1);
    verify(B);
    expect(B, TDP_MAPPED, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_the_second_touch_merges, make, unmake),
        cmocka_unit_test_setup_teardown(test_a_touch_too_late_is_a_first_one, make, unmake),
    };
    return cmocka_run_group_tests(tests, machine, NULL);
}
