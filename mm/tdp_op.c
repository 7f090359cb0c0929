/* What every operation of the TDP MMU begins and ends with: checks of the range, the lock, the plan, the counters. */
#include "mm/perform.h"

#include "lib/hw/cpu.h"

struct tdp_report tdp_error(enum err err, const char *what, gpa_t at)
{
    return (struct tdp_report){.err = err, .what = what, .at = at};
}

bool tdp_tracking(const struct tdp *t)
{
    return t->td->state != TD_CREATED && t->td->state != TD_KEYED && t->td->state != TD_INITIALIZED;
}

gpa_t tdp_end(const struct tdp *t)
{
    u64 end = 0;
    for (unsigned i = 0; i < t->slot_count; i++)
        end = max_u64(end, slot_end(&t->slots[i]).raw);
    return (gpa_t){end};
}

u64 tdp_home_entry(struct tdp *t, gpa_t gpa, level_t level)
{
    const struct slot *s = tdp_slot(t, gpa, level_bytes(level));
    hpa_t page = slot_page(s, gpa);
    return mirror_leaf_entry(page, slot_is_at_home(s, gpa, level, page));
}

struct tdp_report tdp_check(struct tdp *t, gpa_t gpa, u64 bytes)
{
    if (t->dead || t->td->dead)
        return tdp_error(ERR_TD_DEAD, "the TD is dead: only destruction is left", gpa);
    if (t->td->state != TD_INITIALIZED && t->td->state != TD_RUNNABLE)
        return tdp_error(ERR_STATE, "the TD is not initialised, or its key is gone", gpa);
    if (!gpa_is_aligned(gpa, LEVEL_4K) || !is_aligned(bytes, PAGE_BYTES))
        return tdp_error(ERR_UNALIGNED, "address and length must be multiples of 4K", gpa);
    if (bytes == 0)
        return tdp_error(ERR_ARGUMENT, "the length is zero", gpa);
    if (!tdp_slot(t, gpa, bytes))
        return tdp_error(ERR_RANGE, "the range is not inside one memory slot of the TD", gpa);
    return tdp_error(ERR_OK, NULL, gpa);
}

struct tdp_report tdp_check_lost(struct tdp *t, gpa_t gpa, u64 bytes)
{
    const struct slot *s = tdp_slot(t, gpa, bytes);
    gpa_t end = gpa_add(gpa, bytes), lost = slot_first_lost(s, gpa, end);
    struct tdp_report r = tdp_error(ERR_OK, NULL, gpa);

    if (gpa_is(lost, end))
        return r;
    r = tdp_error(ERR_LOST, "it stays private, and nothing is mapped there", lost);
    r.page = slot_page(s, lost);
    return r;
}

void tdp_op_fail(struct tdp_op *op, enum err err, const char *what, gpa_t at)
{
    op->report.err = err;
    op->report.what = what;
    op->report.at = at;
}

bool tdp_op_is_stopped(const struct tdp_op *op)
{
    bool (*stop)(void) = op->is_fault ? NULL : op->t->stop;
    return stop && stop();
}

void tdp_set_pause(struct tdp *t, u64 seamcalls)
{
    t->pause = seamcalls;
}

void tdp_set_stop(struct tdp *t, bool (*stop)(void))
{
    t->stop = stop;
}

/* --- claims ------------------------------------------------------------------------------------------------------- */

static bool is_stopped(const void *op)
{
    return tdp_op_is_stopped(op);
}

static enum err claim(struct tdp_op *op, gpa_t from, gpa_t end, bool exclusive)
{
    enum err e = claim_begin(&op->t->claims, &op->claim, from, end, exclusive, is_stopped, op);

    op->report.err = ERR_OK;
    op->report.what = NULL;
    if (e != ERR_OK) {
        tdp_op_fail(op, e, e == ERR_BUSY ? "another operation is at work here" : "stopped before it began", from);
    } else if (op->t->dead) {
        claim_end(&op->t->claims, &op->claim);
        tdp_op_fail(op, ERR_TD_DEAD, "the TD is dead: only destruction is left", from);
    }
    return op->report.err;
}

/* Is the 1G entry over `gpa` one that an operation on a part of its region changes, leaf or blocked table? */
static bool cuts_1g(const struct tdp *t, gpa_t gpa)
{
    struct mirror_iter it;
    return mirror_find(&it, &t->mirror, gpa, LEVEL_1G) && (mirror_is_leaf(it.entry) || mirror_is_blocked(it.entry));
}

/* What the range cuts is known when some of it is claimed; then, where that is a 1G entry, all of its region is. */
static enum err claim_range(struct tdp_op *op, gpa_t gpa, gpa_t end)
{
    for (level_t level = LEVEL_2M;; level = LEVEL_1G) {
        gpa_t from = gpa_floor(gpa, level), last = gpa_floor(gpa_add(end, -1ull), level);
        enum err e = claim(op, from, gpa_add(last, level_bytes(level)), true);
        if (e != ERR_OK || level_is(level, LEVEL_1G) || (!cuts_1g(op->t, gpa) && !cuts_1g(op->t, gpa_add(end, -1ull))))
            return e;
        claim_end(&op->t->claims, &op->claim);
    }
}

enum err tdp_op_claim(struct tdp_op *op, gpa_t gpa, level_t level, bool exclusive)
{
    gpa_t from = gpa_floor(gpa, level);

    if (op->claim.end)
        claim_end(&op->t->claims, &op->claim);
    enum err e = claim(op, from, gpa_add(from, level_bytes(level)), exclusive);
    if (e != ERR_OK)
        op->claim.end = 0;
    return e;
}

bool tdp_op_try(struct tdp_op *op, gpa_t gpa, level_t level, bool exclusive)
{
    gpa_t from = gpa_floor(gpa, level);

    if (op->claim.end)
        claim_end(&op->t->claims, &op->claim);
    bool granted = claim_try(&op->t->claims, &op->claim, from, gpa_add(from, level_bytes(level)), exclusive);
    if (!granted)
        op->claim.end = 0;
    return granted;
}

/* --- beginning, performing, ending -------------------------------------------------------------------------------- */

static enum err begin(struct tdp_op *op, struct tdp *t, gpa_t gpa, struct plan *dry)
{
    *op = (struct tdp_op){.t = t, .dry = dry, .plan = dry ? dry : plan_new(), .tsc = cpu_tsc()};
    op->report.at = gpa;
    if (!op->plan) {
        tdp_op_fail(op, ERR_NO_MEMORY, "no memory for the plan", gpa);
        return ERR_NO_MEMORY;
    }
    plan_reset(op->plan, tdp_tracking(t));
    return ERR_OK;
}

static void give_plan(struct tdp_op *op)
{
    if (!op->dry)
        plan_free(op->plan);
}

enum err tdp_op_begin(struct tdp_op *op, struct tdp *t, gpa_t gpa, u64 bytes, struct plan *dry)
{
    enum err e = begin(op, t, gpa, dry);
    if (e != ERR_OK)
        return e;
    e = claim_range(op, gpa, gpa_add(gpa, bytes));
    if (e != ERR_OK)
        give_plan(op);
    else if (!dry)
        t->operations++;
    return e;
}

enum err tdp_op_begin_look(struct tdp_op *op, struct tdp *t, gpa_t gpa)
{
    *op = (struct tdp_op){.t = t, .report = tdp_error(ERR_OK, NULL, gpa), .tsc = cpu_tsc()};
    return claim_range(op, (gpa_t){0}, tdp_end(t));
}

void tdp_op_begin_fault(struct tdp_op *op, struct tdp *t, gpa_t gpa)
{
    *op = (struct tdp_op){.t = t, .is_fault = true, .report = tdp_error(ERR_OK, NULL, gpa), .tsc = cpu_tsc()};
}

bool tdp_op_want_plan(struct tdp_op *op)
{
    if (!op->plan)
        op->plan = plan_new();
    if (op->plan)
        plan_reset(op->plan, tdp_tracking(op->t));
    else
        tdp_op_fail(op, ERR_NO_MEMORY, "no memory for the plan", op->report.at);
    return op->plan;
}

static enum err take_home(struct slot *s, gpa_t region)
{
    return slot_take_home(s, region);
}

static enum err give_empty_home(struct slot *s, gpa_t region)
{
    slot_give_empty_home(s, region);
    return ERR_OK;
}

/* `work` for each 2M region that the plan relocates pages in, until it fails. */
static enum err each_gathered(struct tdp_op *op, enum err (*work)(struct slot *s, gpa_t region))
{
    struct plan_cursor c;
    const struct plan_step *s;
    enum err e = ERR_OK;

    plan_begin(&c, op->plan);
    while (e == ERR_OK && (s = plan_next(&c))) {
        if (s->kind != STEP_RELOCATE)
            continue;
        gpa_t region = gpa_floor(s->gpa, LEVEL_2M), end = gpa_add(s->gpa, s->count * PAGE_BYTES);
        for (; region.raw < end.raw && e == ERR_OK; region = gpa_add(region, level_bytes(LEVEL_2M)))
            e = work(tdp_slot(op->t, region, level_bytes(LEVEL_2M)), region);
    }
    return e;
}

/* Every page that the plan needs is in hand before its first step. */
static void take_pages(struct tdp_op *op)
{
    struct tdp_report *r = &op->report;

    r->err = plan_take_tables(op->plan, tdp_node(op->t));
    if (r->err != ERR_OK) {
        r->what = "no memory for page tables";
    } else if (op->plan->gathers) {
        r->err = each_gathered(op, take_home);
        if (r->err != ERR_OK)
            r->what = "no free 2m block to gather a region's pages in";
    }
}

void tdp_op_perform(struct tdp_op *op)
{
    struct tdp_report *r = &op->report;
    if (r->err != ERR_OK || op->dry)
        return;
    take_pages(op);
    if (r->err == ERR_OK)
        perform(op);
    if (r->err != ERR_OK && op->plan->gathers)
        (void)each_gathered(op, give_empty_home);
}

struct tdp_report tdp_op_end(struct tdp_op *op)
{
    struct tdp_report *r = &op->report;
    r->tsc = cpu_tsc() - op->tsc;
    if (r->err != ERR_TDX && r->err != ERR_TD_DEAD && r->err != ERR_BUSY)
        r->status = (tdx_status_t){0};
    if (op->claim.end)
        claim_end(&op->t->claims, &op->claim);
    give_plan(op);
    return *r;
}
