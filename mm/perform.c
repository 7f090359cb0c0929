/* Performing plans: see mm/perform.h. */
#include "mm/perform.h"

#include "lib/log.h"
#include "lib/trace.h"
#include "mm/element.h"

/* --- steps -------------------------------------------------------------------------------------------------------- */

static struct rw_held lock_tree(struct tdp *t, enum step_kind kind)
{
    return step_rules[kind].exclusive ? rw_lock_exclusive(&t->tree) : rw_lock_shared(&t->tree);
}

static bool may_pass_over(const struct performance *p, enum step_kind kind, tdx_status_t status)
{
    return kind == STEP_PROMOTE && p->plan->skip_refused_promotes && tdx_verdict(status) == TDX_REFUSED;
}

enum found { FOUND, PASSED_OVER, STALE };

/* Has another CPU done meanwhile what this step is for? Only faults and SEPT.ADDs above a claim can meet in this way. */
static bool is_done_already(struct performance *p, const struct element *e)
{
    u64 entry = e->it.entry;
    return (e->kind == STEP_SEPT_ADD && mirror_state(entry) == MIRROR_TABLE) ||
           (e->kind == STEP_AUG && mirror_state(entry) == MIRROR_LEAF &&
            hpa_is(mirror_page(entry), mirror_page(tdp_home_entry(p->t, e->it.gpa, e->it.level))));
}

/* The element's entry, frozen. A tear-down plan goes on where an earlier PROMOTE was passed over; what built on it is
 * passed over too. */
static enum found find_element(struct performance *p, const struct plan_step *s, gpa_t gpa, struct element *e)
{
    *e = (struct element){.kind = (enum step_kind)s->kind};
    do {
        bool found = mirror_find(&e->it, &p->t->mirror, gpa, s->level);
        if (found && is_done_already(p, e))
            return PASSED_OVER;
        if (!found || !(step_rules[s->kind].states & 1u << mirror_state(e->it.entry)))
            return p->plan->skip_refused_promotes ? PASSED_OVER : STALE;
    } while (!mirror_freeze(&e->it)); /* each turn of this is a change that another CPU made */
    return FOUND;
}

/* The module has given the page back, and yet it must not become shared memory. */
static enum err give_up_page(struct performance *p)
{
    p->report->status = p->unflushed.status;
    p->report->page = p->unflushed.first;
    return p->unflushed.err;
}

static enum err perform_at(struct performance *p, const struct plan_step *s, gpa_t gpa)
{
    struct element e;

    p->report->at = gpa;
    if (tdp_op_is_stopped(p->op))
        return ERR_INTERRUPTED;
    switch (find_element(p, s, gpa, &e)) {
    case PASSED_OVER:
        return ERR_OK;
    case STALE:
        p->op->stale = true;
        return ERR_BUSY;
    default:
        p->report->status = element_perform(p, &e);
        if (p->unflushed.lost)
            return give_up_page(p);
        return may_pass_over(p, e.kind, p->report->status) ? ERR_OK : element_err(p->report->status);
    }
}

static enum err perform_run(struct performance *p, const struct plan_step *s)
{
    struct rw_held tree = lock_tree(p->t, (enum step_kind)s->kind);
    enum err err = ERR_OK;

    for (u32 i = 0; i < s->count && err == ERR_OK; i++)
        err = perform_at(p, s, gpa_add(s->gpa, i * level_bytes(s->level)));
    rw_unlock(tree);
    return err;
}

static enum err perform_stop(struct performance *p, enum step_kind kind)
{
    enum err err = kind == STEP_TRACK ? tlb_track(&p->tlb) : tlb_drop_shared(&p->tlb);
    if (err == ERR_OK && --p->stops_left == 0)
        tlb_end(&p->tlb);
    return err == ERR_TDX ? element_err(p->report->status) : err;
}

static enum err perform_step(struct performance *p, const struct plan_step *s)
{
    if (s->kind == STEP_TRACK || s->kind == STEP_DROP_SHARED)
        return perform_stop(p, (enum step_kind)s->kind);
    return perform_run(p, s);
}

/* --- undo --------------------------------------------------------------------------------------------------------- */

/* Unblocks what this step blocked and what is blocked still. */
static enum err unblock_run(struct performance *p, const struct plan_step *s)
{
    struct rw_held tree = lock_tree(p->t, STEP_UNBLOCK);
    enum err err = ERR_OK;

    for (u32 i = 0; i < s->count && err == ERR_OK; i++) {
        struct element e = {.kind = STEP_UNBLOCK};
        gpa_t gpa = gpa_add(s->gpa, i * level_bytes(s->level));
        if (mirror_find(&e.it, &p->t->mirror, gpa, s->level) && mirror_is_blocked(e.it.entry) &&
            !(e.it.entry & MIRROR_BY_HAND) && mirror_freeze(&e.it)) {
            p->report->status = element_perform(p, &e);
            err = element_err(p->report->status);
        }
    }
    rw_unlock(tree);
    return err;
}

/* BLOCKs that the plan never came to find nothing blocked, or what was blocked before: by hand, and left so. */
static enum err undo_blocks(struct performance *p)
{
    struct plan_cursor c;
    const struct plan_step *s;
    enum err err = ERR_OK;

    if (p->tlb.blocked)
        err = tlb_track(&p->tlb);
    plan_begin(&c, p->plan);
    while (err == ERR_OK && (s = plan_next(&c)))
        if (s->kind == STEP_BLOCK)
            err = unblock_run(p, s);
    return err;
}

static void undo(struct performance *p)
{
    struct tdp_report keep = *p->report; /* the first failure is what is reported, with the cost of the undo */
    enum err err = undo_blocks(p);
    keep.seamcalls = p->report->seamcalls;
    keep.tracks = p->report->tracks;
    keep.ipis = p->report->ipis;
    if (err != ERR_OK) {
        log_msg(LOG_ERROR, "a failed plan could not be undone: %s (%s); the TD is given up", err_text(err),
                tdx_status_name(p->report->status));
        p->t->dead = true;
        keep.err = ERR_TD_DEAD;
    }
    *p->report = keep;
}

/* --- all of it ---------------------------------------------------------------------------------------------------- */

/* "PROMOTE 2M": the failing step, in words that live on. */
static const char *step_words(const struct plan_step *s)
{
#define X(kind, name, calls, tables) {name " 4K", name " 2M", name " 1G", name " 512G"},
    static const char *const words[STEP_KINDS][4] = {STEP_LIST(X)};
#undef X
    if (s->kind == STEP_TRACK || s->kind == STEP_DROP_SHARED)
        return step_name((enum step_kind)s->kind);
    return words[s->kind][s->level.raw];
}

static void fail(struct performance *p, const struct plan_step *s, enum err err)
{
    p->report->err = err;
    p->report->what = err == ERR_INTERRUPTED ? "stopped between two steps"
                      : p->op->stale         ? "the mirror has changed since the plan was made"
                      : p->unflushed.lost    ? p->unflushed.what
                                             : step_words(s);
    if (err == ERR_TD_DEAD)
        p->t->dead = true;
    else
        undo(p);
}

void perform(struct tdp_op *op)
{
    struct tdp_report *report = &op->report;
    struct performance p = {
        .op = op, .t = op->t, .plan = op->plan, .report = report, .stops_left = plan_stops(op->plan)};
    struct plan_cursor c;
    const struct plan_step *s;
    enum err err = tlb_begin(&p.tlb, p.t->td, &p.t->tlb, report, p.t->kicks_again ? 0 : p.stops_left);

    if (err != ERR_OK) {
        report->err = err;
        report->what = "holding the vCPUs out";
        return;
    }
    plan_begin(&c, p.plan);
    while (err == ERR_OK && (s = plan_next(&c))) {
        err = perform_step(&p, s);
        if (err != ERR_OK)
            fail(&p, s, err);
    }
    tlb_end(&p.tlb);
}

void perform_one(struct tdp_op *op, enum step_kind kind, const struct mirror_iter *it)
{
    const struct plan_step s = {.gpa = it->gpa, .count = 1, .kind = (u8)kind, .level = it->level};
    struct performance p = {.op = op, .t = op->t, .report = &op->report};
    struct element e = {.kind = kind, .it = *it};

    op->report.err = tlb_begin(&p.tlb, p.t->td, &p.t->tlb, p.report, 0);
    struct rw_held tree = lock_tree(p.t, kind);
    op->stale = !mirror_freeze(&e.it);
    if (!op->stale)
        op->report.status = element_perform(&p, &e);
    rw_unlock(tree);
    op->report.err = op->stale ? ERR_BUSY : element_err(op->report.status);
    op->report.what = op->report.err == ERR_OK ? NULL : step_words(&s);
    if (op->report.err == ERR_TD_DEAD)
        p.t->dead = true;
}

/* --- one page, without a plan -------------------------------------------------------------------------------------- */

/* The call was no success: what is tried for a step of a plan is tried here. */
static __attribute__((noinline)) tdx_status_t aug_again(struct tdp *t, const struct mirror_iter *it, hpa_t page,
                                                        struct tdp_report *r, tdx_status_t status)
{
    struct performance p = {.t = t, .report = r};
    struct element e = {.kind = STEP_AUG, .it = *it, .page = page};
    const struct plan_step s = {.gpa = it->gpa, .count = 1, .kind = STEP_AUG, .level = it->level};

    r->err = tlb_begin(&p.tlb, t->td, &t->tlb, r, 0);
    status = element_call_again(&p, &e, status);
    r->status = status;
    r->err = element_err(status);
    r->what = r->err == ERR_OK ? NULL : step_words(&s);
    if (r->err == ERR_TD_DEAD)
        t->dead = true;
    return status;
}

/* Nothing is blocked, so nothing is undone. */
bool perform_aug(struct tdp *t, struct mirror_iter *it, u64 home, struct tdp_report *r)
{
    hpa_t page = mirror_page(home);
    struct rw_held tree = rw_lock_shared(&t->tree);
    bool full = false, frozen = mirror_freeze(it), done = false;

    if (frozen) {
        flush_into_td(page, level_bytes(it->level));
        tdx_status_t status = tdh_mem_page_aug(t->td->tdr, it->gpa, it->level, page).status;
        r->seamcalls++;
        if (!tdx_ok(status))
            status = aug_again(t, it, page, r, status);
        trace_record(TRACE_PLAN_STEP, STEP_AUG, it->level.raw, it->gpa.raw, status.raw);
        done = tdx_ok(status);
        full = mirror_thaw(it, done ? home : 0);
    }
    rw_unlock(tree);
    if (done && t->dirty.on)
        dirty_mark(t, it->gpa, it->level, false);
    if (done && policy_hears(t))
        policy_raise(t, POLICY_MAPPED, it->gpa, it->level);
    if (full)
        element_raise_candidate(t, it->gpa, it->level);
    return frozen;
}
