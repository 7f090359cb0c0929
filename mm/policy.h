/*
 * Merge policies: who decides when to merge. The TDP MMU raises events; a policy may answer some of them. Only `none`
 * exists, which never merges, and unblocks what a TD touches.
 */
#ifndef MM_POLICY_H
#define MM_POLICY_H

#include "lib/addr.h"

struct tdp;

enum policy_event {
    POLICY_MAPPED,        /* a leaf of `level` was mapped at `gpa` */
    POLICY_CONVERTED,     /* `gpa` changed its attribute */
    POLICY_CANDIDATE,     /* all 512 children of the region of `level` at `gpa` are leaves at home */
    POLICY_FAULT_BLOCKED, /* a vCPU touched an entry that is blocked, not by hand */
    POLICY_TICK,
};

/* What a fault on a blocked entry comes to. */
enum policy_action { POLICY_UNBLOCK, POLICY_MERGE };

struct policy {
    const char *name;
    /* May not change the tree: called with tdp.ops held. The answer counts for POLICY_FAULT_BLOCKED only. */
    enum policy_action (*event)(struct tdp *t, enum policy_event event, gpa_t gpa, level_t level);
};

extern const struct policy policy_none;

/* Raises an event: traced, then given to the TD's policy. */
enum policy_action policy_raise(struct tdp *t, enum policy_event event, gpa_t gpa, level_t level);

#endif
