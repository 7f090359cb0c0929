/*
 * Several operations in one plan, so that one TRACK and one round of kicks serve them all: merging each region of a
 * range, and any mixture of conversions to shared, splits, merges and relocations. See mm/tdp.h.
 */
#include "mm/plan_build.h"

#include "mm/page.h"

/* --- a range of regions ------------------------------------------------------------------------------------------- */

/* Regions that PROMOTE refused are blocked, and tracked: what is above comes first, for below it nothing is reached. */
static u64 plan_unblock_refused(struct tdp_op *op, gpa_t gpa, u64 bytes, level_t level)
{
    struct mirror_iter it;
    u64 refused = 0;

    mirror_begin(&it, &op->t->mirror, gpa, gpa_add(gpa, bytes));
    while (mirror_valid(&it)) {
        if (mirror_state(it.entry) == MIRROR_BLOCKED_TABLE && !(it.entry & MIRROR_BY_HAND)) {
            plan_add(op->plan, 0, STEP_UNBLOCK, it.gpa, it.level);
            refused += level_is(it.level, level);
        }
        if (mirror_is_table(it.entry) && it.level.raw > LEVEL_2M.raw)
            mirror_down(&it);
        else
            mirror_next(&it);
    }
    return refused;
}

static void merge_range(struct tdp_op *op, gpa_t gpa, u64 bytes, level_t level)
{
    u64 regions = plan_merge_range(op->t, op->plan, gpa, bytes, level), refused;

    op->report = tdp_error(op->plan->err, op->plan->err == ERR_OK ? NULL : "no memory for the plan", gpa);
    if (op->report.err == ERR_OK && regions == 0)
        op->report = tdp_error(ERR_STATE, "no region of the range is whole, private, unblocked and in place", gpa);
    op->plan->skip_refused_promotes = true;
    tdp_op_perform(op);
    if (op->report.err != ERR_OK || op->dry)
        return;
    plan_reset(op->plan, tdp_tracking(op->t));
    refused = plan_unblock_refused(op, gpa, bytes, level);
    if (refused)
        tdp_op_perform(op);
    op->report.regions = regions - refused;
    if (op->report.err == ERR_OK && regions == refused) {
        op->report.err = ERR_STATE;
        op->report.what = "PROMOTE refused: of no region all pages are accepted, or all pending";
    }
}

struct tdp_report tdp_merge_range(struct tdp *t, gpa_t gpa, u64 bytes, level_t level, struct plan *dry)
{
    struct tdp_report r = tdp_check(t, gpa, bytes);
    struct tdp_op op;

    if (r.err != ERR_OK)
        return r;
    if (level.raw < 1 || level.raw > min_u64(2, t->max_level.raw))
        return tdp_error(ERR_ARGUMENT, "the level must be 2m or 1g, and one that this TD may have", gpa);
    if (tdp_op_begin(&op, t, gpa, bytes, dry) != ERR_OK)
        return op.report;
    merge_range(&op, gpa, bytes, level);
    return tdp_op_end(&op);
}

/* --- a mixture ---------------------------------------------------------------------------------------------------- */

/* What a part changes entries in: its range, with the pages that are cut at its ends. */
struct reach {
    u64 from, end;
};

/* A page at the end of the range is cut, so all of it counts; where nothing is mapped nothing is cut. False: the walk to
 * `gpa` ends at a blocked table. */
static bool widen(const struct tdp *t, gpa_t gpa, struct reach *r)
{
    struct mirror_iter it;

    (void)mirror_find(&it, &t->mirror, gpa, LEVEL_4K);
    if (!mirror_is_leaf(it.entry))
        return !mirror_is_table(it.entry);
    r->from = min_u64(r->from, it.gpa.raw);
    r->end = max_u64(r->end, it.gpa.raw + level_bytes(it.level));
    return true;
}

static bool is_region(const struct tdp_part *part)
{
    return part->kind == TDP_SPLIT || part->kind == TDP_MERGE;
}

static u64 bytes_of(const struct tdp_part *part)
{
    return is_region(part) ? level_bytes(part->level) : part->bytes;
}

static struct tdp_report check_part(struct tdp *t, const struct tdp_part *part)
{
    if (is_region(part) && (part->level.raw < 1 || part->level.raw > t->max_level.raw))
        return tdp_error(ERR_ARGUMENT, "the level must be 2m or 1g, and one that this TD may have", part->gpa);
    if (is_region(part) && !gpa_is_aligned(part->gpa, part->level))
        return tdp_error(ERR_UNALIGNED, "the address must be aligned to the level", part->gpa);
    struct tdp_report r = tdp_check(t, part->gpa, bytes_of(part));
    return r.err == ERR_OK && part->kind == TDP_SHARE ? tdp_check_lost(t, part->gpa, part->bytes) : r;
}

/* The least range that holds all parts. */
static struct tdp_report check_parts(struct tdp *t, const struct tdp_part *parts, unsigned count, struct reach *all)
{
    *all = (struct reach){~0ull, 0};
    if (count == 0 || count > TDP_PARTS_MAX)
        return tdp_error(ERR_ARGUMENT, "there are no parts, or too many", (gpa_t){0});
    for (unsigned i = 0; i < count; i++) {
        struct tdp_report r = check_part(t, &parts[i]);
        if (r.err != ERR_OK)
            return r;
        all->from = min_u64(all->from, parts[i].gpa.raw);
        all->end = max_u64(all->end, parts[i].gpa.raw + bytes_of(&parts[i]));
    }
    return tdp_error(ERR_OK, NULL, parts[0].gpa);
}

static struct tdp_report reach_of(struct tdp *t, const struct tdp_part *part, struct reach *r)
{
    gpa_t last = gpa_add(part->gpa, bytes_of(part) - PAGE_BYTES);
    *r = (struct reach){part->gpa.raw, last.raw + PAGE_BYTES};
    if (!is_region(part) && (!widen(t, part->gpa, r) || !widen(t, last, r)))
        return tdp_error(ERR_STATE, "a table here is blocked: unblock it first", part->gpa);
    return tdp_error(ERR_OK, NULL, part->gpa);
}

static struct tdp_report check_reaches(struct tdp *t, const struct tdp_part *parts, unsigned count)
{
    struct reach reach[TDP_PARTS_MAX];

    for (unsigned i = 0; i < count; i++) {
        struct tdp_report r = reach_of(t, &parts[i], &reach[i]);
        if (r.err != ERR_OK)
            return r;
        for (unsigned k = 0; k < i; k++)
            if (reach[k].from < reach[i].end && reach[i].from < reach[k].end)
                return tdp_error(ERR_ARGUMENT, "two parts are about the same memory", parts[i].gpa);
    }
    return tdp_error(ERR_OK, NULL, parts[0].gpa);
}

static struct plan_fault build(struct tdp *t, struct plan *p, const struct tdp_part *part)
{
    switch (part->kind) {
    case TDP_SHARE:
        return plan_zap(t, p, part->gpa, part->bytes, false);
    case TDP_SPLIT:
        return plan_split(t, p, part->gpa, part->level);
    case TDP_MERGE:
        return plan_merge(t, p, part->gpa, part->level);
    default:
        return plan_relocate(t, p, part->gpa, part->bytes);
    }
}

static void give_spares(const struct tdp_part *parts, unsigned count, hpa_t *spare)
{
    for (unsigned i = 0; i < count; i++)
        if (parts[i].kind == TDP_SHARE && !hpa_is(spare[i], HPA_NONE)) {
            page_free(spare[i], LEVEL_4K);
            spare[i] = HPA_NONE;
        }
}

/* `at` of a failure is where it was; conversions are done as far as their REMOVEs went. */
static void perform_parts(struct tdp_op *op, const struct tdp_part *parts, unsigned count)
{
    hpa_t spare[TDP_PARTS_MAX];
    unsigned prepared = 0;

    for (; prepared < count && op->report.err == ERR_OK && !op->dry; prepared++)
        if (parts[prepared].kind == TDP_SHARE)
            op->report = tdp_share_prepare(op->t, parts[prepared].gpa, parts[prepared].bytes, &spare[prepared]);
    if (op->report.err == ERR_OK)
        tdp_op_perform(op);
    else
        give_spares(parts, prepared, spare);
    for (unsigned i = 0; i < prepared; i++)
        if (parts[i].kind == TDP_SHARE && !hpa_is(spare[i], HPA_NONE))
            (void)tdp_share_finish(op->t, parts[i].gpa, parts[i].bytes, &spare[i]);
}

struct tdp_report tdp_together(struct tdp *t, const struct tdp_part *parts, unsigned count, struct plan *dry)
{
    struct reach all;
    struct tdp_report r = check_parts(t, parts, count, &all);
    struct tdp_op op;

    if (r.err != ERR_OK)
        return r;
    if (tdp_op_begin(&op, t, (gpa_t){all.from}, all.end - all.from, dry) != ERR_OK)
        return op.report;
    op.report = check_reaches(t, parts, count);
    for (unsigned i = 0; i < count && op.report.err == ERR_OK; i++) {
        struct plan_fault f = build(t, op.plan, &parts[i]);
        if (f.err != ERR_OK)
            op.report = tdp_error(f.err, f.what, f.at);
    }
    perform_parts(&op, parts, count);
    return tdp_op_end(&op);
}
