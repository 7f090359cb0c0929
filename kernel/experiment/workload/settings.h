/*
 * Parameters of merge policies that differ from their defaults: what `with=delay:50,batch:1` says, in an experiment that tries
 * several policies. Each is for all of them that have one of its name.
 */
#ifndef KERNEL_EXPERIMENT_WORKLOAD_SETTINGS_H
#define KERNEL_EXPERIMENT_WORKLOAD_SETTINGS_H

#include "kernel/vm/fault_text.h"
#include "mm/policy/policy.h"

/* Is all of `text` good? `only`: the one policy that is tried, by name; NULL: all. ERR_ARGUMENT: `fault` says what is not. */
MUST_CHECK enum err settings_check(const char *text, const char *only, struct fault_text *fault);
/* The policy's values: its defaults, and what `text` (NULL, or checked) says. */
void settings_of(const char *text, const struct policy *policy, u64 values[POLICY_PARAMETERS_MAX]);

#endif
