/* The policy `none`: it never merges, and unblocks what a TD touches. */
#include "mm/policy/policy.h"

const struct policy policy_none = {
    .name = "none",
    .what = "never merges",
    .touched = policy_unblock_touched,
};
