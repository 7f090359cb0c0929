/* Events of the TDP MMU on their way to the policy: see mm/policy/policy.h. */
#include "mm/policy/policy.h"

#include "lib/trace.h"
#include "mm/tdp_internal.h"

void policy_raise(struct tdp *t, enum policy_event event, gpa_t gpa, level_t level)
{
    trace_record(TRACE_POLICY, event, gpa.raw, level.raw, 0);
    t->policy->event(t, event, gpa, level);
}
