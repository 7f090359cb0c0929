/*
 * Conversion between private and shared: see mm/tdp.h and docs/tdp-mmu.md.
 *
 * To shared: private mappings go (mm/plan_build_zap.c), the content is reset under KeyID 0, the attributes change,
 * and the shared EPT maps the pages at once. To private: shared entries go, then every translation through them, then
 * the caches, and only then AUG, for AUG checks nothing of this.
 *
 *       private                      TD's view                             shared
 *     S-EPT 2M leaf --BLOCK,TRACK,DEMOTE--> 512 x 4K --BLOCK,TRACK,REMOVE--> free --reset--> shared EPT leaf
 *     AUG <-- flush lines <-- TRACK (or kick and INVEPT) <-- shared EPT entries cleared <--- shared EPT leaf
 *
 * Both ways memory stays where it is: the slot's home.
 */
#include "mm/perform.h"
#include "mm/plan_build.h"

#include "lib/hw/cpu.h"
#include "mm/page.h"

/* A conversion's range and slot. */
struct conversion {
    struct tdp *t;
    struct slot *slot;
    gpa_t from, end;
};

/* Calls `work` for each run of pages whose attribute is `attr`. */
static enum err each_run(const struct conversion *c, enum tdp_attr attr, gpa_t end,
                         enum err (*work)(const struct conversion *c, gpa_t gpa, u64 bytes))
{
    enum err e = ERR_OK;
    for (gpa_t gpa = c->from, next; gpa.raw < end.raw && e == ERR_OK; gpa = next) {
        next = slot_attr_run(c->slot, gpa, end);
        if (slot_is_shared(c->slot, gpa) == (attr == TDP_SHARED))
            e = work(c, gpa, next.raw - gpa.raw);
    }
    return e;
}

/* Calls `work` for each piece of [gpa, gpa + bytes) that is contiguous in host memory: 4K or, at home, the rest of a
 * 2M region. */
static void each_page(const struct conversion *c, gpa_t gpa, u64 bytes, void (*work)(hpa_t page, u64 bytes))
{
    gpa_t end = gpa_add(gpa, bytes), next;
    for (; gpa.raw < end.raw; gpa = next) {
        u64 piece = c->slot->backing == TDP_INPLACE ? level_bytes(LEVEL_2M) : PAGE_BYTES;
        next = (gpa_t){min_u64(align_down(gpa.raw, piece) + piece, end.raw)};
        work(slot_page(c->slot, gpa), next.raw - gpa.raw);
    }
}

/* --- to shared ---------------------------------------------------------------------------------------------------- */

static enum err prepare_run(const struct conversion *c, gpa_t gpa, u64 bytes)
{
    return shared_ept_prepare(&c->t->shared, c->slot, gpa, bytes);
}

/* Nothing private is left in the run. What the TD left there, it left under its key: the VMM and the TD begin anew. */
static enum err share_run(const struct conversion *c, gpa_t gpa, u64 bytes)
{
    each_page(c, gpa, bytes, cpu_reset_pages);
    slot_set_attr(c->slot, gpa, bytes, TDP_SHARED);
    shared_ept_map(&c->t->shared, c->slot, gpa, bytes);
    policy_raise(c->t, POLICY_CONVERTED, gpa, LEVEL_4K);
    return ERR_OK;
}

static void build_zap(struct tdp_op *op, const struct conversion *c, bool piecewise)
{
    plan_reset(op->plan, tdp_tracking(c->t));
    struct plan_fault f = plan_zap(c->t, op->plan, c->from, c->end.raw - c->from.raw, piecewise);
    op->report.err = f.err;
    op->report.what = f.what;
}

static bool is_refused_promote(const struct tdp_report *r)
{
    return r->err == ERR_TDX && tdx_is(r->status, TDX_EPT_INVALID_PROMOTE_CONDITIONS);
}

/* The first address of the range where the mirror has a leaf (`leaf`), or has nothing (not `leaf`); else its end. */
static gpa_t first_with(const struct conversion *c, bool leaf)
{
    struct mirror_iter it;
    mirror_begin(&it, &c->t->mirror, c->from, c->end);
    while (mirror_valid(&it)) {
        if (mirror_is_table(it.entry))
            mirror_down(&it);
        else if (mirror_is_leaf(it.entry) == leaf)
            return mirror_part_start(&it);
        else
            mirror_next(&it);
    }
    return c->end;
}

/* Room in the shared EPT for all runs of `attr`, and a table for where the conversion may end early. */
static struct tdp_report prepare(const struct conversion *c, enum tdp_attr attr, hpa_t *spare)
{
    *spare = HPA_NONE;
    if (each_run(c, attr, c->end, prepare_run) != ERR_OK || page_alloc_near(tdp_node(c->t), spare) != ERR_OK)
        return tdp_error(ERR_NO_MEMORY, "no memory for the shared EPT", c->from);
    return tdp_error(ERR_OK, NULL, c->from);
}

/* It ends at `at`: the table is put in where that is inside a 2M page, or given back. */
static void end_at(const struct conversion *c, gpa_t at, hpa_t *spare)
{
    if (!gpa_is_aligned(at, LEVEL_2M) && at.raw < c->end.raw)
        shared_ept_cut(&c->t->shared, at, spare);
    if (!hpa_is(*spare, HPA_NONE))
        page_free(*spare, LEVEL_4K);
}

struct tdp_report tdp_share_prepare(struct tdp *t, gpa_t gpa, u64 bytes, hpa_t *spare)
{
    const struct conversion c = {t, tdp_slot(t, gpa, bytes), gpa, gpa_add(gpa, bytes)};
    return prepare(&c, TDP_PRIVATE, spare);
}

gpa_t tdp_share_finish(struct tdp *t, gpa_t gpa, u64 bytes, hpa_t *spare)
{
    const struct conversion c = {t, tdp_slot(t, gpa, bytes), gpa, gpa_add(gpa, bytes)};
    gpa_t at = slot_first_lost(c.slot, c.from, first_with(&c, true));
    end_at(&c, at, spare);
    (void)each_run(&c, TDP_PRIVATE, at, share_run);
    return at;
}

/* With the plan as it is, would the vCPUs be out for longer than they may be, and can it be made shorter? */
static bool is_too_long(const struct tdp_op *op, const struct conversion *c)
{
    bool one_region = gpa_is(gpa_floor(c->from, LEVEL_2M), gpa_floor(gpa_add(c->end, -1ull), LEVEL_2M));
    return !op->dry && op->report.err == ERR_OK && !one_region && plan_pause(op->plan) > c->t->pause;
}

/* REMOVEs come last, in order of address: up to the first leaf that is left the range is converted, whatever
 * failed. False: the range is too long. */
static bool to_shared(struct tdp_op *op, const struct conversion *c)
{
    hpa_t spare;

    build_zap(op, c, false);
    if (is_too_long(op, c))
        return false;
    if (op->report.err == ERR_OK && !op->dry)
        op->report = prepare(c, TDP_PRIVATE, &spare);
    if (op->report.err != ERR_OK || op->dry)
        return true;
    tdp_op_perform(op);
    if (is_refused_promote(&op->report)) {
        /* some pages are accepted and some not: they cannot be merged to be removed at one go */
        build_zap(op, c, true);
        tdp_op_perform(op);
    }
    op->report.at = tdp_share_finish(c->t, c->from, c->end.raw - c->from.raw, &spare);
    return true;
}

/* --- to private --------------------------------------------------------------------------------------------------- */

static enum err clear_run(const struct conversion *c, gpa_t gpa, u64 bytes)
{
    shared_ept_clear(&c->t->shared, gpa, bytes);
    return ERR_OK;
}

static enum err own_run(const struct conversion *c, gpa_t gpa, u64 bytes)
{
    slot_set_attr(c->slot, gpa, bytes, TDP_PRIVATE);
    policy_raise(c->t, POLICY_CONVERTED, gpa, LEVEL_4K);
    return ERR_OK;
}

static enum err remap_run(const struct conversion *c, gpa_t gpa, u64 bytes)
{
    shared_ept_map(&c->t->shared, c->slot, gpa, bytes);
    return ERR_OK;
}

/*
 * The plan is marked `from_shared`: between its TRACK (or, without one, a kick and INVEPT) and its first AUG nobody
 * has a translation through the cleared entries any more, and each AUG flushes its page first. AUGs go in order of
 * address: what a failure leaves unmapped is shared again. False: the range is too long.
 */
static bool to_private(struct tdp_op *op, const struct conversion *c)
{
    level_t max = {(u8)min_u64(c->t->max_level.raw, c->t->choice.back.raw)};
    hpa_t spare;

    op->plan->from_shared = true;
    struct plan_fault f = plan_map(c->t, op->plan, c->from, c->end.raw - c->from.raw, max);
    op->report = tdp_error(f.err, f.what, c->from); /* `at` is how far the conversion came */
    if (is_too_long(op, c))
        return false;
    if (op->report.err == ERR_OK && !op->dry)
        op->report = prepare(c, TDP_SHARED, &spare);
    if (op->report.err != ERR_OK || op->dry)
        return true;
    (void)each_run(c, TDP_SHARED, c->end, clear_run);
    tdp_op_perform(op);
    op->report.at = op->report.err == ERR_OK ? c->end : first_with(c, false);
    end_at(c, op->report.at, &spare);
    (void)each_run(c, TDP_SHARED, op->report.at, own_run);
    (void)each_run(c, TDP_SHARED, c->end, remap_run);
    return true;
}

/* --- both --------------------------------------------------------------------------------------------------------- */

/* Has all of the range the attribute `to` already? */
static bool is_done(const struct conversion *c, enum tdp_attr to)
{
    return slot_is_shared(c->slot, c->from) == (to == TDP_SHARED) &&
           slot_attr_run(c->slot, c->from, c->end).raw == c->end.raw;
}

/* One claim, one plan. False: nothing is done, for the vCPUs would be out for too long. */
static bool convert_piece(const struct conversion *c, enum tdp_attr to, struct plan *dry, struct tdp_report *r)
{
    struct tdp_op op;
    bool short_enough = true;

    if (tdp_op_begin(&op, c->t, c->from, c->end.raw - c->from.raw, dry) != ERR_OK) {
        *r = op.report;
        return true;
    }
    if (is_done(c, to))
        op.report.at = c->end;
    else if (to == TDP_SHARED)
        short_enough = to_shared(&op, c);
    else
        short_enough = to_private(&op, c);
    *r = tdp_op_end(&op);
    return short_enough;
}

/* About the first half of the piece, ending between regions; the whole of it where it is one region. */
static gpa_t shorten(gpa_t from, gpa_t end)
{
    level_t unit = end.raw - from.raw > level_bytes(LEVEL_1G) ? LEVEL_1G : LEVEL_2M;
    gpa_t half = gpa_floor(gpa_add(from, (end.raw - from.raw) / 2), unit);
    if (half.raw <= from.raw)
        half = gpa_add(gpa_floor(from, unit), level_bytes(unit));
    return half.raw < end.raw ? half : end;
}

static void add_cost(struct tdp_report *sum, const struct tdp_report *piece)
{
    sum->err = piece->err;
    sum->what = piece->what;
    sum->status = piece->status;
    sum->at = piece->at;
    sum->page = piece->page;
    sum->lost += piece->lost;
    sum->seamcalls += piece->seamcalls;
    sum->tracks += piece->tracks;
    sum->ipis += piece->ipis;
    sum->tsc += piece->tsc;
}

/* As long as the one before, or a little longer: it ends between regions too, for cutting one costs a page's call each. */
static void next_piece(struct conversion *c, gpa_t end)
{
    u64 bytes = c->end.raw - c->from.raw;

    c->from = c->end;
    c->end = (gpa_t){min_u64(align_up(c->from.raw + bytes, level_bytes(LEVEL_2M)), end.raw)};
}

/* The piece ends in front of memory that is lost; false: it begins there, and the conversion ends. */
static bool end_before_lost(struct conversion *c, struct tdp_report *sum)
{
    struct tdp_report r = tdp_check_lost(c->t, c->from, c->end.raw - c->from.raw);

    if (r.err == ERR_OK)
        return true;
    if (gpa_is(r.at, c->from)) {
        add_cost(sum, &r);
        return false;
    }
    c->end = r.at;
    return true;
}

struct tdp_report tdp_convert(struct tdp *t, gpa_t gpa, u64 bytes, enum tdp_attr to, struct plan *dry)
{
    struct tdp_report sum = tdp_check(t, gpa, bytes);
    gpa_t end = gpa_add(gpa, bytes);
    struct conversion c = {t, tdp_slot(t, gpa, bytes), gpa, end};

    if (sum.err == ERR_OK && to == TDP_PRIVATE && tdp_has_device(t, gpa, bytes))
        return tdp_error(ERR_RANGE, "a device is in the range, which is never private", gpa);
    while (sum.err == ERR_OK && c.from.raw < end.raw && end_before_lost(&c, &sum)) {
        struct tdp_report r;
        if (!convert_piece(&c, to, dry, &r)) {
            c.end = shorten(c.from, c.end);
            continue;
        }
        add_cost(&sum, &r);
        next_piece(&c, end);
    }
    return sum;
}
