/* The policy `none`: it never merges, and unblocks what a TD touches. See mm/policy/policy.h. */
#include "mm/policy/policy.h"

#include "mm/plan_step.h"

static void event(struct tdp *t, enum policy_event event, gpa_t gpa, level_t level) {}

/* Whatever is blocked has been tracked: UNBLOCK is all that it takes. */
static void answer_blocked(struct tdp *t, struct plan *p, gpa_t gpa, level_t level)
{
    plan_add(p, 0, STEP_UNBLOCK, gpa, level);
}

const struct policy policy_none = {"none", event, answer_blocked};
