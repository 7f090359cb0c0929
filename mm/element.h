/*
 * One element of a step on its way through the module: the call and what is tried where it is no success (the table in
 * mm/perform.h), what goes in and comes out with it, and what becomes of the mirror. For mm/perform.c alone.
 */
#ifndef MM_ELEMENT_H
#define MM_ELEMENT_H

#include "mm/flush.h"
#include "mm/tdp_internal.h"
#include "tdx/abi_leaf.h"

/* What a plan's steps share. A single element has neither `op` nor `plan` where that takes no table in hand. */
struct performance {
    struct tdp_op *op;
    struct tdp *t;
    struct plan *plan;
    struct tdp_report *report;
    struct tlb_batch tlb;
    unsigned stops_left;           /* TRACKs and DROP_SHARED to come */
    struct flush_result unflushed; /* with `lost`: of the TD's memory, so that the plan cannot go on */
};

struct element {
    enum step_kind kind;
    struct mirror_iter it;      /* its entry in the mirror */
    hpa_t page;                 /* AUG, RELOCATE: the page that goes in */
    u64 home;                   /* AUG: the entry that maps it */
    struct mirror_table *table; /* goes in with DEMOTE and SEPT.ADD, comes out with PROMOTE and SEPT.REMOVE */
};

/* The mirror states in which an element may be (one bit a state), and the module's lock of the S-EPT tree. */
struct step_rule {
    enum tdx_leaf leaf;
    u32 states;
    bool exclusive;
};
extern const struct step_rule step_rules[STEP_KINDS];

/* What a status comes to for the operation. */
MUST_CHECK enum err element_err(tdx_status_t status);

/* The element's entry is frozen, and thawed on return: as it was, or where the step is done as it is now. The lock of the
 * tree is held as the rule says. */
MUST_CHECK tdx_status_t element_perform(struct performance *p, struct element *e);

/* A first call, the caller's own, ended with `status`, which is no success: all that is tried then. The mirror is the caller's. */
MUST_CHECK tdx_status_t element_call_again(struct performance *p, const struct element *e, tdx_status_t status);

/* All entries of the table that maps `gpa` at `level` are leaves at home now: the merge policy hears of it. */
void element_raise_candidate(struct tdp *t, gpa_t gpa, level_t level);

#endif
