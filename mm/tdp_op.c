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

struct slot *tdp_slot(struct tdp *t, gpa_t gpa, u64 bytes)
{
    for (unsigned i = 0; i < t->slot_count; i++)
        if (slot_holds(&t->slots[i], gpa, bytes))
            return &t->slots[i];
    return NULL;
}

u64 tdp_home_entry(struct tdp *t, gpa_t gpa, level_t level)
{
    const struct slot *s = tdp_slot(t, gpa, level_bytes(level));
    return mirror_leaf_entry(slot_page(s, gpa), slot_is_at_home(s, gpa, level));
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

enum err tdp_op_begin(struct tdp_op *op, struct tdp *t, gpa_t gpa, struct plan *dry)
{
    *op = (struct tdp_op){.t = t, .dry = dry, .plan = dry ? dry : plan_new()};
    if (!op->plan) {
        op->report = tdp_error(ERR_NO_MEMORY, "no memory for the plan", gpa);
        return ERR_NO_MEMORY;
    }
    op->report.at = gpa;
    plan_reset(op->plan, tdp_tracking(t));
    op->held = rw_lock_exclusive(&t->ops);
    t->operations += !dry;
    op->tsc = cpu_tsc();
    return ERR_OK;
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

    r->err = plan_take_tables(op->plan);
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
        perform(op->t, op->plan, r);
    if (r->err != ERR_OK && op->plan->gathers)
        (void)each_gathered(op, give_empty_home);
}

struct tdp_report tdp_op_end(struct tdp_op *op)
{
    struct tdp_report *r = &op->report;
    r->tsc = cpu_tsc() - op->tsc;
    if (r->err != ERR_TDX && r->err != ERR_TD_DEAD && r->err != ERR_BUSY)
        r->status = (tdx_status_t){0};
    rw_unlock(op->held);
    if (!op->dry)
        plan_free(op->plan);
    return *r;
}
