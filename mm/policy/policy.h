/*
 * Merge policies: who decides when to merge. The TDP MMU raises events, and asks what a fault on a blocked entry comes
 * to; a policy answers with plans. Only `none` exists: it never merges, and unblocks what a TD touches.
 */
#ifndef MM_POLICY_POLICY_H
#define MM_POLICY_POLICY_H

#include "lib/addr.h"

struct plan;
struct tdp;

enum policy_event {
    POLICY_MAPPED,        /* a leaf of `level` was mapped at `gpa` */
    POLICY_CONVERTED,     /* the run of pages that begins at `gpa` changed its attribute */
    POLICY_CANDIDATE,     /* all 512 children of the region of `level` at `gpa` are leaves at home */
    POLICY_FAULT_BLOCKED, /* a vCPU touched the entry of `level` at `gpa`, which is blocked, not by hand */
    POLICY_TICK,          /* time has passed; no address */
};

/* Both are called by any CPU, several at once, with a claim (mm/claim.h) that holds `gpa`: they may read the tree there, but
 * not change it. answer_blocked() has the region of the entry exclusively. A tick comes without a claim. */
struct policy {
    const char *name;
    void (*event)(struct tdp *t, enum policy_event event, gpa_t gpa, level_t level);
    /* Files into `p` what lets the vCPU go on that faulted on the blocked entry of `level` at `gpa`. */
    void (*answer_blocked)(struct tdp *t, struct plan *p, gpa_t gpa, level_t level);
};

extern const struct policy policy_none;

/* Raises an event: traced, then given to the TD's policy. */
void policy_raise(struct tdp *t, enum policy_event event, gpa_t gpa, level_t level);

#endif
