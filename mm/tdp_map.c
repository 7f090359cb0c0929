/* Mapping private memory on request, and moving it to its place: see mm/tdp.h. */
#include "mm/plan_build.h"

/* Begins an operation on memory that is private, all of it. */
static enum err begin_private(struct tdp_op *op, struct tdp *t, gpa_t gpa, u64 bytes, struct plan *dry)
{
    op->report = tdp_check(t, gpa, bytes);
    if (op->report.err != ERR_OK || tdp_op_begin(op, t, gpa, bytes, dry) != ERR_OK)
        return op->report.err;
    const struct slot *s = tdp_slot(t, gpa, bytes);
    gpa_t run = slot_attr_run(s, gpa, gpa_add(gpa, bytes));
    if (!slot_is_shared(s, gpa) && run.raw == gpa.raw + bytes)
        return ERR_OK;
    tdp_op_fail(op, ERR_ATTR_MISMATCH, "the range holds shared pages", slot_is_shared(s, gpa) ? gpa : run);
    return tdp_op_end(op).err;
}

struct tdp_report tdp_map(struct tdp *t, gpa_t gpa, u64 bytes, level_t max, struct plan *dry)
{
    struct tdp_op op;

    if (max.raw > 1)
        return tdp_error(ERR_ARGUMENT, "pages are mapped at 4k or 2m; 1g comes by merging", gpa);
    if (begin_private(&op, t, gpa, bytes, dry) != ERR_OK)
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
    struct tdp_op op;

    if (begin_private(&op, t, gpa, bytes, dry) != ERR_OK)
        return op.report;
    struct plan_fault f = plan_relocate(t, op.plan, gpa, bytes);
    op.report = tdp_error(f.err, f.what, f.err == ERR_OK ? gpa : f.at);
    tdp_op_perform(&op);
    return tdp_op_end(&op);
}
