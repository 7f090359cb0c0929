/* Splitting, merging, and blocking by hand: one region each; see mm/tdp.h. */
#include "mm/plan_build.h"

static struct tdp_report check_region(struct tdp *t, gpa_t gpa, level_t level, unsigned least)
{
    if (level.raw < least || level.raw > 2)
        return tdp_error(ERR_ARGUMENT, least ? "the level must be 2m or 1g" : "the level must be 4k, 2m or 1g", gpa);
    if (!gpa_is_aligned(gpa, level))
        return tdp_error(ERR_UNALIGNED, "the address must be aligned to the level", gpa);
    return tdp_check(t, gpa, level_bytes(level));
}

typedef struct plan_fault build_fn(struct tdp *t, struct plan *p, gpa_t gpa, level_t level);

/* Marks the entry that an operation by hand has blocked: faults on it park the vCPU. */
static void mark_by_hand(struct tdp *t, gpa_t gpa, level_t level)
{
    struct mirror_iter it;
    if (mirror_find(&it, &t->mirror, gpa, level) && mirror_is_blocked(it.entry) && mirror_freeze(&it))
        mirror_thaw(&it, it.entry | MIRROR_BY_HAND);
}

static struct tdp_report operate(struct tdp *t, gpa_t gpa, level_t level, unsigned least, build_fn *build,
                                 struct plan *dry)
{
    struct tdp_report r = check_region(t, gpa, level, least);
    struct tdp_op op;

    if (r.err != ERR_OK)
        return r;
    if (tdp_op_begin(&op, t, gpa, level_bytes(level), dry) != ERR_OK)
        return op.report;
    /* A block by hand blocks and tracks before finalisation too: it is asked for. */
    op.plan->tracking |= build == plan_block;
    struct plan_fault f = build(t, op.plan, gpa, level);
    op.report = tdp_error(f.err, f.what, f.err == ERR_OK ? gpa : f.at);
    tdp_op_perform(&op);
    if (op.report.err == ERR_OK && !dry && build == plan_block)
        mark_by_hand(t, gpa, level);
    return tdp_op_end(&op);
}

struct tdp_report tdp_split(struct tdp *t, gpa_t gpa, level_t level, struct plan *dry)
{
    return operate(t, gpa, level, 1, plan_split, dry);
}

struct tdp_report tdp_merge(struct tdp *t, gpa_t gpa, level_t level, struct plan *dry)
{
    if (level.raw > t->max_level.raw && level.raw <= 2)
        return tdp_error(ERR_ARGUMENT, "the level is above the largest that this TD may have", gpa);
    struct tdp_report r = operate(t, gpa, level, 1, plan_merge, dry);
    if (r.err == ERR_TDX && tdx_is(r.status, TDX_EPT_INVALID_PROMOTE_CONDITIONS))
        r.what = "PROMOTE: not all pages of the region are accepted, or not all are pending";
    return r;
}

struct tdp_report tdp_block(struct tdp *t, gpa_t gpa, level_t level, struct plan *dry)
{
    return operate(t, gpa, level, 0, plan_block, dry);
}

struct tdp_report tdp_unblock(struct tdp *t, gpa_t gpa, level_t level, struct plan *dry)
{
    return operate(t, gpa, level, 0, plan_unblock, dry);
}
