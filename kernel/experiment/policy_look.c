/* Between two looks at a merge policy: see policy_look.h. */
#include "kernel/experiment/policy_look.h"

#include "lib/bits.h"
#include "mm/policy/policy.h"

void policy_look(struct policy_look *l)
{
    world_counts(&l->counts);
    tdp_policy_status(vm.tdp, &l->policy);
}

enum err policy_look_again(struct experiment_run *x, const struct policy *policy, struct policy_look *l)
{
    policy_look(l);
    if (l->policy.policy == policy)
        return ERR_OK;
    return fault_say(&x->fault, ERR_STATE, "the policy %s has ended: the log says why", policy->name);
}

static u64 since(const struct policy_look *from, const struct policy_look *to, enum tdp_policy_counter which)
{
    return to->policy.counters[which] - from->policy.counters[which];
}

/* SEAMCALLs by what they were for: the policy's own, those of touches of what it had blocked, and all others. A policy at
 * work just now may have counted a call in one place only. */
static void add_purposes(struct json *j, const struct policy_look *from, const struct policy_look *to)
{
    u64 policy = since(from, to, TDP_POLICY_SEAMCALLS), touches = since(from, to, TDP_POLICY_TOUCH_SEAMCALLS);
    u64 all = max_u64(to->counts.seamcalls - from->counts.seamcalls, policy + touches);

    json_object(j, "seamcalls_for");
    json_number(j, "policy", policy);
    json_number(j, "touches", touches);
    json_number(j, "work", all - policy - touches);
    json_end_object(j);
}

static void add_settings(struct json *j, const struct tdp_policy_status *now)
{
    const struct parameter *of = now->policy->parameters;

    json_object(j, "policy_parameters");
    for (unsigned i = 0; i < POLICY_PARAMETERS_MAX && of[i].name; i++)
        json_number(j, of[i].name, now->values[i]);
    json_end_object(j);
}

void policy_look_add(struct json *j, const struct policy_look *from, const struct policy_look *to)
{
    add_settings(j, &to->policy);
    world_add_policy(j, &from->policy, &to->policy);
    add_purposes(j, from, to);
    world_add_counts(j, &from->counts, &to->counts);
}
