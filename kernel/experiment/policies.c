/*
 * The experiment `policies`: what does each merge policy make of the same work, and what does it cost the TD? The work is that
 * of a guest that shares a page here and there and takes it back at 4K: in each round one page of each region, at random,
 * while another vCPU reads all of them. Then the policy has time, and the share of large pages is watched.
 */
#include "kernel/experiment/world.h"
#include "kernel/time.h"
#include "lib/bits.h"
#include "lib/string.h"
#include "mm/policy/policy.h"

enum { REGIONS, ROUNDS, SETTLE, STEP, TOUCH };
enum { POLICY };

static gpa_t region(u64 i)
{
    return (gpa_t){WORLD_BASE + i * level_bytes(LEVEL_2M)};
}

/* How many of the TD's 2M pages there were before the work, and how many there are now. */
static enum err large_pages(struct experiment_run *x, u64 *count)
{
    struct tdp_sizes sizes;
    enum err e = tdp_sizes(vm.tdp, &sizes).err;

    *count = sizes.mapped[LEVEL_2M.raw] / level_bytes(LEVEL_2M);
    return e == ERR_OK ? e : fault_say(&x->fault, e, "the pages could not be counted: %s", err_text(e));
}

static enum err cut(struct experiment_run *x)
{
    enum err e = ERR_OK;

    for (u64 i = 0; i < x->values[REGIONS] && e == ERR_OK; i++) {
        gpa_t page = gpa_add(region(i), experiment_random(x, TABLE_ENTRIES) * PAGE_BYTES);
        e = world_convert(x, 0, page, PAGE_BYTES, true);
        if (e == ERR_OK)
            e = world_convert(x, 0, page, PAGE_BYTES, false);
        if (e == ERR_OK)
            e = world_fill(x, 0, page, PAGE_BYTES); /* the pattern again, where the page is new */
    }
    return e;
}

/* Until all is large again, or the time is over. */
static enum err settle(struct experiment_run *x, u64 whole, u64 *ms, u64 *now)
{
    u64 from = time_us();
    enum err e = large_pages(x, now);

    while (e == ERR_OK && *now < whole && time_us() - from < x->values[SETTLE] * 1000) {
        if (x->values[TOUCH])
            e = world_touch(x, vm.vcpu_count - 1, region(0), x->values[REGIONS] * level_bytes(LEVEL_2M),
                            level_bytes(LEVEL_2M), false);
        if (e == ERR_OK)
            e = world_wait(x, x->values[STEP]);
        if (e == ERR_OK)
            e = large_pages(x, now);
    }
    *ms = (time_us() - from) / 1000;
    return e;
}

static void sample(struct experiment_run *x, const struct policy *policy, u64 round, u64 ms, u64 whole, u64 large,
                   const struct world_counts *from)
{
    struct tdp_policy_status s;
    struct world_counts to;

    world_counts(&to);
    tdp_policy_status(vm.tdp, &s);
    struct json *j = sample_begin(x);
    json_text(j, "policy", policy->name);
    json_text(j, "workload", "convert back at 4k");
    json_number(j, "round", round);
    json_number(j, "large", large);
    json_number(j, "whole", whole);
    json_bool(j, "settled", large == whole);
    json_number(j, "ms", ms);
    json_object(j, "so_far");
#define X(name, text) json_number(j, text, s.counters[TDP_POLICY_##name]);
    TDP_POLICY_COUNTER_LIST(X)
#undef X
    json_end_object(j);
    world_add_counts(j, from, &to);
    sample_end(x);
}

static enum err one_round(struct experiment_run *x, const struct policy *policy, u64 round, u64 whole)
{
    struct world_counts from;
    u64 ms = 0, large = 0;

    world_counts(&from);
    enum err e = cut(x);
    if (e == ERR_OK)
        e = settle(x, whole, &ms, &large);
    if (e == ERR_OK)
        sample(x, policy, round, ms, whole, large, &from);
    return e;
}

static enum err one_policy(struct experiment_run *x, const struct policy *policy)
{
    u64 bytes = x->values[REGIONS] * level_bytes(LEVEL_2M), values[POLICY_PARAMETERS_MAX], whole = 0;
    enum err e = world_begin(x, bytes, LEVEL_2M, vm_vcpus_max() > 1 ? 2 : 1);

    if (e == ERR_OK)
        e = world_accept(x, 0, region(0), bytes);
    if (e == ERR_OK)
        e = world_fill(x, 0, region(0), bytes);
    if (e == ERR_OK)
        e = large_pages(x, &whole);
    for (unsigned i = 0; i < POLICY_PARAMETERS_MAX; i++)
        values[i] = policy->parameters[i].initial;
    if (e == ERR_OK && (e = tdp_policy_choose(vm.tdp, policy, values)) != ERR_OK)
        (void)fault_say(&x->fault, e, "the policy could not be chosen: %s", err_text(e));
    x->random = x->seed; /* the same pages under each policy */
    for (u64 round = 0; round < x->values[ROUNDS] && e == ERR_OK; round++)
        e = one_round(x, policy, round, whole);
    return e == ERR_OK ? world_verify(x, vm.vcpu_count - 1, region(0), bytes) : e;
}

static enum err run(struct experiment_run *x)
{
    enum err e = ERR_OK;

    for (unsigned i = 0; policies[i] && e == ERR_OK; i++) {
        if (x->chosen[POLICY] && strcmp(x->chosen[POLICY], policies[i]->name) != 0)
            continue;
        e = one_policy(x, policies[i]);
        if (e == ERR_OK)
            e = world_end(x);
    }
    return e;
}

const struct experiment experiment_policies = {
    .name = "policies",
    .question =
        "what does each merge policy make of pages that are shared and taken back at 4k, and what does it cost?",
    .parameters = {[REGIONS] = {"regions", "2m regions", "that the work is on", 8, 1, 4096},
                   [ROUNDS] = {"rounds", "", "of one page in each region", 3, 1, 100000},
                   [SETTLE] = {"settle", "ms", "that the policy has at most after each round", 2000, 1, 3600000},
                   [STEP] = {"step", "ms", "between two looks at the pages", 20, 1, 60000},
                   [TOUCH] = {"touch", "0|1", "the other vCPU reads each region between the looks", 1, 0, 1}},
    .choices = {[POLICY] = {"policy", "one alone", experiment_policy_name}},
    .run = run,
};
