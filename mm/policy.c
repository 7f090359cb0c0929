/* Merge policies: see mm/policy.h. */
#include "mm/policy.h"

#include "lib/trace.h"
#include "mm/tdp_internal.h"

static enum policy_action none_event(struct tdp *t, enum policy_event event, gpa_t gpa, level_t level)
{
    return POLICY_UNBLOCK;
}

const struct policy policy_none = {"none", none_event};

enum policy_action policy_raise(struct tdp *t, enum policy_event event, gpa_t gpa, level_t level)
{
    trace_record(TRACE_POLICY, event, gpa.raw, level.raw, 0);
    return t->policy->event(t, event, gpa, level);
}
