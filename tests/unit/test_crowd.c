/*
 * The TDP MMU under vCPUs on threads (tests/host/crowd.h): random faults, conversions, splits, merges, moves, blocks and
 * looks side by side, with BUSY, interrupts and stops; every word that a vCPU wrote is verified, the mirror agrees with
 * the module in the end, and no page is missing.
 *
 * SEED=n repeats a run, STEPS=n (of each vCPU) makes it longer.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "tests/host/crowd.h"

static uint64_t from_environment(const char *name, uint64_t otherwise)
{
    const char *text = getenv(name);
    return text ? strtoull(text, NULL, 0) : otherwise;
}

static void work(struct crowd_plan plan)
{
    plan.seed = from_environment("SEED", plan.seed);
    plan.steps = from_environment("STEPS", plan.steps);
    printf("SEED=%llu STEPS=%llu\n", (unsigned long long)plan.seed, (unsigned long long)plan.steps);
    fflush(stdout);
    struct crowd_result r = crowd_run(&plan);
    printf("%llu steps, %llu faults, %llu operations, %llu of them busy and %llu stopped\n",
           (unsigned long long)r.steps, (unsigned long long)r.faults, (unsigned long long)r.operations,
           (unsigned long long)r.busy, (unsigned long long)r.interrupted);
    if (!plan.fatal_at)
        assert_int_equal(r.steps, plan.vcpus * plan.steps);
    assert_true(r.faults > 0 && r.operations > 0);
    crowd_tell_missing();
    if (plan.baton && !plan.policies &&
        !getenv("SEED")) /* else what happens is for the machine to say, or for the seed */
        assert_int_equal(r.faults_missing, 0);
}

#ifndef THREADS_WATCHED
static void test_four_vcpus_at_the_seeds_mercy(void **state)
{
    work((struct crowd_plan){
        .vcpus = 4, .operators = 1, .seed = 6, .steps = 400, .baton = 60, .busy = 5, .interrupts = 5, .stops = 1});
}

static void test_scattered_memory_at_the_seeds_mercy(void **state)
{
    work((struct crowd_plan){.vcpus = 3,
                             .operators = 1,
                             .seed = 7,
                             .steps = 300,
                             .baton = 60,
                             .busy = 5,
                             .interrupts = 5,
                             .stops = 1,
                             .backing = TDP_SCATTER});
}
#endif

static void test_four_vcpus_as_threads_run(void **state)
{
    work((struct crowd_plan){
        .vcpus = 4, .operators = 1, .seed = 8, .steps = 1000, .busy = 5, .interrupts = 5, .stops = 1});
}

#ifndef THREADS_WATCHED
/* Every status at every leaf, while other CPUs go on; then the one that ends it for all. */
static void test_every_leaf_may_fail_beside_others(void **state)
{
    work((struct crowd_plan){
        .vcpus = 3, .operators = 2, .seed = 12, .steps = 3000, .baton = 60, .faults = 15, .giant = true});
    work((struct crowd_plan){
        .vcpus = 3, .operators = 2, .seed = 11, .steps = 4000, .baton = 60, .faults = 15, .backing = TDP_SCATTER});
}
#endif

/* Every merge policy beside the operators, changed again and again, as threads run and with every fault. */
static void test_policies_as_threads_run(void **state)
{
    work((struct crowd_plan){
        .vcpus = 3, .operators = 2, .seed = 12, .steps = 1000, .busy = 5, .interrupts = 5, .policies = true});
}

#ifndef THREADS_WATCHED
static void test_policies_at_the_seeds_mercy(void **state)
{
    for (unsigned seed = 13; seed < 16; seed++)
        work((struct crowd_plan){.vcpus = 3,
                                 .operators = 1,
                                 .seed = seed,
                                 .kicks_again = seed == 14,
                                 .steps = 400,
                                 .baton = 60,
                                 .busy = 5,
                                 .faults = seed == 15 ? 15 : 0,
                                 .policies = true,
                                 .backing = seed == 14 ? TDP_SCATTER : TDP_INPLACE});
}
#endif

/* The vCPUs run between the TRACKs of one operation. */
static void test_kicks_again_as_threads_run(void **state)
{
    work((struct crowd_plan){.vcpus = 4, .operators = 1, .seed = 17, .steps = 500, .busy = 5, .kicks_again = true});
}

static void test_every_leaf_may_fail_as_threads_run(void **state)
{
    work((struct crowd_plan){.vcpus = 3, .operators = 2, .seed = 13, .steps = 300, .faults = 15, .giant = true});
    work((struct crowd_plan){
        .vcpus = 3, .operators = 2, .seed = 10, .steps = 3000, .faults = 15, .backing = TDP_SCATTER});
}

#ifndef THREADS_WATCHED
static void test_a_td_dies_under_all(void **state)
{
    for (unsigned i = 1; i <= 8; i++)
        work((struct crowd_plan){
            .vcpus = 4, .operators = 1, .seed = i, .steps = 400, .baton = 60, .fatal_at = 50 + i * 97});
}
#endif

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_four_vcpus_as_threads_run),
        cmocka_unit_test(test_kicks_again_as_threads_run),
        cmocka_unit_test(test_every_leaf_may_fail_as_threads_run),
        cmocka_unit_test(test_policies_as_threads_run),
#ifndef THREADS_WATCHED /* threads that take turns are ordered, whatever else they forget */
        cmocka_unit_test(test_four_vcpus_at_the_seeds_mercy),
        cmocka_unit_test(test_policies_at_the_seeds_mercy),
        cmocka_unit_test(test_scattered_memory_at_the_seeds_mercy),
        cmocka_unit_test(test_every_leaf_may_fail_beside_others),
        cmocka_unit_test(test_a_td_dies_under_all),
#endif
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
