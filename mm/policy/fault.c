/*
 * The policy `fault`, option B of the RFC: whenever an ordinary EPT violation has mapped a page, the region around it is
 * looked at, and merged at once where all of it is mapped. The page that was just mapped is pending then, while the others
 * are accepted as a rule, which PROMOTE refuses.
 */
#include "mm/policy/batch.h"

enum { LOOK };

static void after_fault(struct tdp *t, gpa_t gpa)
{
    struct region r = {gpa_floor(gpa, LEVEL_2M), LEVEL_2M};
    struct batch b = batch_of(t, &r);

    if (policy_value(t, LOOK))
        batch_look(&b);
    batch_block(&b);
    batch_merge(&b);
}

const struct policy policy_fault = {
    .name = "fault",
    .what = "merges in the fault that mapped the last page of a region (option B of the RFC)",
    .parameters = {[LOOK] = {"look", "0|1", "asks first whether the region is accepted, by two SEPT.RD", 0, 0, 1}},
    .touched = policy_unblock_touched,
    .after_fault = after_fault,
};
