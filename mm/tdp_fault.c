/*
 * EPT-violation exits: see mm/tdp.h. TDX Module Base Architecture Specification, "EPT violations"; ABI Specification,
 * TDH.VP.ENTER, "TD exit due to EPT violation".
 *
 * The seventh fault of a vCPU in a row without progress of the TD trips the module's zero-step filter, so the bound
 * here is below.
 */
#include "mm/plan_build.h"

#include "lib/trace.h"

#define IDLE_FAULTS_MAX 3u  /* in a row on one address with nothing to do about them */
#define BUSY_FAULTS_MAX 64u /* in a row on one address, each answered by a change */

/* A fault, the region that is to be mapped for it, and what is said of it. */
struct fault {
    struct tdp *t;
    const struct vcpu_exit *exit;
    gpa_t gpa; /* the page */
    struct slot *slot;
};

static struct tdp_report by_hand(gpa_t at)
{
    return tdp_error(ERR_STATE, "the page is blocked by hand: the vCPU waits until it is unblocked", at);
}

/* The largest page that slot and attributes allow; ACCEPT says what level it can take. */
static level_t level_for(const struct fault *f, level_t free_level)
{
    level_t level = {(u8)min_u64(f->t->max_level.raw, LEVEL_2M.raw)};
    if (f->exit->accept)
        level.raw = (u8)min_u64(level.raw, f->exit->level.raw);
    level.raw = (u8)min_u64(level.raw, free_level.raw);
    while (level.raw > 0 && (!slot_may_be(f->slot, f->gpa, level) || slot_shared_count(f->slot, f->gpa, level)))
        level = level_below(level);
    return level;
}

/* Files what answers the fault; ERR_OK with an empty plan: there is nothing to do. */
static struct tdp_report plan_answer(const struct fault *f, struct plan *p, struct mirror_iter *it)
{
    struct plan_fault pf = {.err = ERR_OK};

    switch (mirror_state(it->entry)) {
    case MIRROR_NONE: {
        level_t level = level_for(f, it->level);
        pf = plan_map(f->t, p, gpa_floor(f->gpa, level), level_bytes(level), level);
        break;
    }
    case MIRROR_BLOCKED_LEAF:
    case MIRROR_BLOCKED_TABLE:
        if (it->entry & MIRROR_BY_HAND)
            return by_hand(it->gpa);
        policy_raise(f->t, POLICY_FAULT_BLOCKED, it->gpa, it->level);
        f->t->policy->answer_blocked(f->t, p, it->gpa, it->level);
        break;
    case MIRROR_LEAF:
        /* ACCEPT of less than what is mapped wants the page split, one level a fault. */
        if (f->exit->accept && it->level.raw > f->exit->level.raw)
            pf = plan_split(f->t, p, it->gpa, it->level);
        break;
    default:
        break;
    }
    return tdp_error(pf.err, pf.what, f->gpa);
}

/* A shared page is always mapped while its attribute says shared: this is a stale translation, or an attribute
 * mismatch. */
static struct tdp_report answer_shared(const struct fault *f)
{
    if (!slot_is_shared(f->slot, f->gpa))
        return tdp_error(ERR_ATTR_MISMATCH, "shared access to private memory", f->gpa);
    return tdp_error(ERR_OK, NULL, f->gpa);
}

static void answer_private(const struct fault *f, struct tdp_op *op)
{
    struct mirror_iter it;

    if (slot_is_shared(f->slot, f->gpa)) {
        op->report = tdp_error(ERR_ATTR_MISMATCH, "private access to shared memory", f->gpa);
        return;
    }
    (void)mirror_find(&it, &f->t->mirror, f->gpa, LEVEL_4K);
    op->report = plan_answer(f, op->plan, &it);
    tdp_op_perform(op);
}

/* A fault that repeats at one address is counted: apart where nothing was done about it. */
static void judge_progress(const struct fault *f, struct tdp_fault_history *h, struct tdp_report *r)
{
    if (!gpa_is(h->gpa, f->gpa) || h->operations != f->t->operations)
        *h = (struct tdp_fault_history){.gpa = f->gpa, .operations = f->t->operations};
    if (r->err != ERR_OK)
        return;
    if (r->seamcalls)
        h->idle = 0;
    else
        h->idle++;
    h->busy++;
    if (h->idle > IDLE_FAULTS_MAX || h->busy > BUSY_FAULTS_MAX) {
        *r = tdp_error(ERR_NO_PROGRESS,
                       f->exit->pending ? "access to a page that the TD has not accepted"
                                        : "the same fault repeats though the page is mapped",
                       f->gpa);
        h->idle = h->busy = 0;
    }
}

struct tdp_report tdp_fault(struct tdp *t, const struct vcpu_exit *exit, unsigned vcpu)
{
    struct fault f = {t, exit, gpa_floor(exit->gpa, LEVEL_4K), NULL};
    struct tdp_report r = tdp_check(t, f.gpa, PAGE_BYTES);
    struct tdp_op op;

    if (r.err != ERR_OK)
        return r;
    if (vcpu >= TD_VCPUS_MAX)
        return tdp_error(ERR_ARGUMENT, "no such vCPU", f.gpa);
    if (tdp_op_begin(&op, t, f.gpa, NULL) != ERR_OK)
        return op.report;
    t->operations--; /* a fault is no operation of someone else */
    f.slot = tdp_slot(t, f.gpa, PAGE_BYTES);
    if (exit->shared)
        op.report = answer_shared(&f);
    else
        answer_private(&f, &op);
    judge_progress(&f, &t->faults[vcpu], &op.report);
    trace_record(TRACE_FAULT, exit->gpa.raw, exit->level.raw, exit->accept, op.report.err);
    return tdp_op_end(&op);
}
