/* Mapping private memory on request, and moving it to its place: see mm/tdp.h. */
#include "mm/plan_build.h"

static struct tdp_report check_private(struct tdp *t, gpa_t gpa, u64 bytes)
{
    struct tdp_report r = tdp_check(t, gpa, bytes);
    if (r.err != ERR_OK)
        return r;
    const struct slot *s = tdp_slot(t, gpa, bytes);
    gpa_t run = slot_attr_run(s, gpa, gpa_add(gpa, bytes));
    if (slot_is_shared(s, gpa) || run.raw != gpa.raw + bytes)
        return tdp_error(ERR_ATTR_MISMATCH, "the range holds shared pages", slot_is_shared(s, gpa) ? gpa : run);
    return r;
}

struct tdp_report tdp_map(struct tdp *t, gpa_t gpa, u64 bytes, level_t max, struct plan *dry)
{
    struct tdp_report r = check_private(t, gpa, bytes);
    struct tdp_op op;

    if (r.err != ERR_OK)
        return r;
    if (max.raw > 1)
        return tdp_error(ERR_ARGUMENT, "pages are mapped at 4k or 2m; 1g comes by merging", gpa);
    if (tdp_op_begin(&op, t, gpa, dry) != ERR_OK)
        return op.report;
    struct plan_fault f = plan_map(t, op.plan, gpa, bytes, max);
    op.report = tdp_error(f.err, f.what, f.err == ERR_OK ? gpa : f.at);
    if (f.err == ERR_OK && plan_is_empty(op.plan))
        op.report = tdp_error(ERR_EXISTS, "all of the range is mapped", gpa);
    tdp_op_perform(&op);
    return tdp_op_end(&op);
}

struct tdp_report tdp_relocate(struct tdp *t, gpa_t gpa, u64 bytes, struct plan *dry)
{
    struct tdp_report r = check_private(t, gpa, bytes);
    struct tdp_op op;

    if (r.err != ERR_OK)
        return r;
    if (tdp_op_begin(&op, t, gpa, dry) != ERR_OK)
        return op.report;
    struct plan_fault f = plan_relocate(t, op.plan, gpa, bytes);
    op.report = tdp_error(f.err, f.what, f.err == ERR_OK ? gpa : f.at);
    tdp_op_perform(&op);
    return tdp_op_end(&op);
}
