/* Merge policies: see mm/policy.h. */
#include "mm/policy.h"

#include "lib/trace.h"
#include "mm/tdp_internal.h"

static void none_event(struct tdp *t, enum policy_event event, gpa_t gpa, level_t level) {}

/* Whatever is blocked has been tracked: UNBLOCK is all that it takes. */
static void none_answer_blocked(struct tdp *t, struct plan *p, gpa_t gpa, level_t level)
{
    plan_add(p, 0, STEP_UNBLOCK, gpa, level);
}

const struct policy policy_none = {"none", none_event, none_answer_blocked};

void policy_raise(struct tdp *t, enum policy_event event, gpa_t gpa, level_t level)
{
    trace_record(TRACE_POLICY, event, gpa.raw, level.raw, 0);
    t->policy->event(t, event, gpa, level);
}
