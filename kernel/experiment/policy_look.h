/* What a merge policy did between two looks, and what all of it cost: members of the samples of every experiment about policies. */
#ifndef KERNEL_EXPERIMENT_POLICY_LOOK_H
#define KERNEL_EXPERIMENT_POLICY_LOOK_H

#include "kernel/experiment/world.h"

struct policy;

struct policy_look {
    struct world_counts counts;
    struct tdp_policy_status policy;
};

void policy_look(struct policy_look *l);
/* At the end of what `policy` was to look after. ERR_STATE: it has ended before. */
MUST_CHECK enum err policy_look_again(struct experiment_run *x, const struct policy *policy, struct policy_look *l);
/* Members from `policy_parameters` on. */
void policy_look_add(struct json *j, const struct policy_look *from, const struct policy_look *to);

#endif
