/*
 * EPT-violation exits: see mm/tdp.h. TDX Module Base Architecture Specification, "EPT violations"; ABI Specification,
 * TDH.VP.ENTER, "TD exit due to EPT violation".
 *
 * The seventh fault of a vCPU in a row without progress of the TD trips the module's zero-step filter, so the bound
 * here is below.
 *
 * Faults that only map claim their 2M region beside each other; where two meet, at one entry, the second waits for the
 * first and plans again. A fault that changes what is mapped, by splitting or unblocking, claims the entry's region for
 * itself, as any operation does.
 */
#include <stdatomic.h>

#include "mm/page.h"
#include "mm/perform.h"
#include "mm/plan_build.h"

#include "lib/hw/cpu.h"
#include "lib/trace.h"
#include "tdx/count.h"

#define IDLE_FAULTS_MAX 3u  /* in a row on one address with nothing to do about them */
#define BUSY_FAULTS_MAX 64u /* in a row on one address, each answered by a change */
#define EPT_WRITE       2u  /* in the exit qualification */
#define TRIES_MAX       16u /* claims and plans of one fault, others changing the mirror in between */

/* A fault, and what is claimed for its answer. */
struct fault {
    const struct vcpu_exit *exit;
    gpa_t gpa; /* the page */
    struct slot *slot;
    bool maps;    /* the answer is to map what was free */
    bool touched; /* ... or about an entry that was blocked, not by hand */
    struct tdp_op op;
};

/* The largest page that slot and attributes allow; ACCEPT says what level it can take. */
static level_t level_for(const struct fault *f, level_t free_level)
{
    level_t level = {(u8)min_u64(f->op.t->dirty.on ? 0 : f->op.t->max_level.raw, LEVEL_2M.raw)};
    if (f->exit->accept)
        level.raw = (u8)min_u64(level.raw, f->exit->level.raw);
    level.raw = (u8)min_u64(level.raw, free_level.raw);
    while (level.raw > 0 && (!slot_may_be(f->slot, f->gpa, level) || slot_shared_count(f->slot, f->gpa, level)))
        level = level_below(level);
    return level;
}

static void plan_blocked(struct fault *f, const struct mirror_iter *it)
{
    struct tdp *t = f->op.t;

    if (it->entry & MIRROR_BY_HAND) {
        tdp_op_fail(&f->op, ERR_STATE, "the page is blocked by hand: the vCPU waits until it is unblocked", it->gpa);
        return;
    }
    f->touched = true;
    if (mirror_is_leaf(it->entry))
        dirty_mark(t, it->gpa, it->level, !f->exit->accept && !(f->exit->qualification & EPT_WRITE));
    policy_answer(t, f->op.plan, it->gpa, it->level);
}

/* ACCEPT of less than what is mapped wants the page split, one level a fault. */
static bool wants_split(const struct fault *f, const struct mirror_iter *it)
{
    return mirror_state(it->entry) == MIRROR_LEAF && f->exit->accept && it->level.raw > f->exit->level.raw;
}

/* What answers the fault needs a plan: tables are missing, or what is mapped is not as it should be. */
static void answer_by_plan(struct fault *f, const struct mirror_iter *it, level_t level)
{
    struct tdp_op *op = &f->op;
    struct plan_fault pf = {.err = ERR_OK};

    if (!tdp_op_want_plan(op))
        return;
    if (mirror_state(it->entry) == MIRROR_NONE)
        pf = plan_map(op->t, op->plan, gpa_floor(f->gpa, level), level_bytes(level), level);
    else if (mirror_is_blocked(it->entry))
        plan_blocked(f, it);
    else
        pf = plan_split(op->t, op->plan, it->gpa, it->level);
    if (pf.err != ERR_OK)
        tdp_op_fail(op, pf.err, pf.what, f->gpa);
    tdp_op_perform(op);
}

static void answer_entry(struct fault *f, struct mirror_iter *it)
{
    struct tdp_op *op = &f->op;
    level_t level = LEVEL_4K;

    f->maps = mirror_state(it->entry) == MIRROR_NONE;
    if (f->maps) {
        struct tdp_report lost = tdp_check_lost(f->op.t, f->gpa, PAGE_BYTES);
        if (lost.err != ERR_OK) {
            tdp_op_fail(&f->op, lost.err, lost.what, lost.at);
            return;
        }
        level = level_for(f, it->level);
        if (level_is(level, it->level)) {
            op->stale = !perform_aug(op->t, it, tdp_home_entry(op->t, it->gpa, level), &op->report);
            if (op->stale)
                tdp_op_fail(op, ERR_BUSY, "the mirror has changed since the fault was looked at", f->gpa);
            return;
        }
    } else if (!mirror_is_blocked(it->entry) && !wants_split(f, it)) {
        return; /* there is nothing to do */
    }
    answer_by_plan(f, it, level);
}

/* A shared page is always mapped while its attribute says shared: this is a stale translation, or an attribute
 * mismatch. */
static void answer_shared(struct fault *f)
{
    if (!slot_is_shared(f->slot, f->gpa))
        tdp_op_fail(&f->op, ERR_ATTR_MISMATCH, "shared access to private memory", f->gpa);
}

/* True: the claim is enough for what the answer changes. Else it has to be of `level`, and exclusive. */
static bool claim_suffices(const struct fault *f, const struct mirror_iter *it, level_t *level)
{
    const struct claim *c = &f->op.claim;

    *level = it->level.raw > LEVEL_2M.raw ? it->level : LEVEL_2M;
    if (!mirror_is_blocked(it->entry) && !wants_split(f, it))
        return true;
    return c->exclusive && c->end - c->from >= level_bytes(*level);
}

/* With some claim taken: one plan and its performance. op.stale: again, with the claim that is wanted now. */
static void answer_private(struct fault *f, level_t *level, bool *exclusive)
{
    struct tdp_op *op = &f->op;
    struct mirror_iter it;

    op->stale = false;
    if (slot_is_shared(f->slot, f->gpa)) {
        tdp_op_fail(op, ERR_ATTR_MISMATCH, "private access to shared memory", f->gpa);
    } else if ((void)mirror_find(&it, &op->t->mirror, f->gpa, LEVEL_4K), !claim_suffices(f, &it, level)) {
        *exclusive = true;
        op->stale = true;
        tdp_op_fail(op, ERR_BUSY, "the mirror changes faster than the fault is answered", f->gpa);
    } else {
        answer_entry(f, &it);
    }
}

static void answer(struct fault *f)
{
    struct tdp_op *op = &f->op;
    level_t level = LEVEL_2M;
    bool exclusive = false;
    unsigned tries = 0;

    do {
        if (tries++)
            tdx_count_retry();
        if (tdp_op_claim(op, f->gpa, level, exclusive) != ERR_OK)
            return;
        if (f->exit->shared)
            answer_shared(f);
        else
            answer_private(f, &level, &exclusive);
    } while (op->stale && tries < TRIES_MAX);
}

/* --- the usual fault ---------------------------------------------------------------------------------------------- */

static bool learn(struct tdp *t, struct tdp_near *n, gpa_t region)
{
    struct mirror_iter it;

    *n = (struct tdp_near){.region = region, .cuts = mirror_cuts(&t->mirror)};
    n->slot = tdp_slot(t, region, level_bytes(LEVEL_2M));
    if (!n->slot || n->slot->backing != TDP_INPLACE || !mirror_find(&it, &t->mirror, region, LEVEL_4K))
        return false;
    n->home = tdp_home_entry(t, region, LEVEL_4K);
    n->table = it.path[0];
    return true;
}

/* The region is claimed. */
static bool map_near(struct tdp *t, struct tdp_near *n, gpa_t gpa, struct tdp_report *r)
{
    gpa_t region = gpa_floor(gpa, LEVEL_2M);
    bool known = n->table && gpa_is(n->region, region) && n->cuts == mirror_cuts(&t->mirror);
    struct mirror_iter it;

    if ((!known && !learn(t, n, region)) || slot_is_shared(n->slot, gpa) || page_lost_bytes() || t->dead || t->td->dead)
        return false;
    mirror_stand(&it, n->table, gpa);
    return mirror_state(it.entry) == MIRROR_NONE && perform_aug(t, &it, n->home + (gpa.raw - region.raw), r);
}

/*
 * The TD meets a page for the first time, 4K it has to be, for there is a table already: by far the most faults where there
 * are any such tables, and what they cost is what a boot costs. False: it is not of this kind, and nothing was done.
 */
static bool map_at_once(struct tdp *t, const struct vcpu_exit *exit, struct tdp_near *n, struct tdp_report *r)
{
    gpa_t region = gpa_floor(r->at, LEVEL_2M);
    struct claim claim;

    if (exit->shared || t->td->state != TD_RUNNABLE ||
        claim_begin(&t->claims, &claim, region, gpa_add(region, level_bytes(LEVEL_2M)), false, NULL, NULL) != ERR_OK)
        return false;
    bool done = map_near(t, n, r->at, r);
    claim_end(&t->claims, &claim);
    return done;
}

static __attribute__((noinline)) struct tdp_report answer_at_leisure(struct tdp *t, const struct vcpu_exit *exit)
{
    struct fault f = {.exit = exit, .gpa = gpa_floor(exit->gpa, LEVEL_4K)};
    struct tdp_report r = tdp_check(t, f.gpa, PAGE_BYTES);

    if (r.err != ERR_OK)
        return r;
    f.slot = tdp_slot(t, f.gpa, PAGE_BYTES);
    tdp_op_begin_fault(&f.op, t, f.gpa);
    answer(&f);
    r = tdp_op_end(&f.op);
    if (f.touched)
        policy_count(t, TDP_POLICY_TOUCH_SEAMCALLS, r.seamcalls);
    if (f.maps && r.err == ERR_OK)
        policy_after_fault(t, f.gpa);
    return r;
}

/* --- both --------------------------------------------------------------------------------------------------------- */

static u64 changes_of(const struct tdp *t)
{
    return t->operations + atomic_load_explicit(&t->policing.counters[TDP_POLICY_BLOCKED], memory_order_relaxed);
}

/* A fault that repeats at one address is counted: apart where nothing was done about it. */
static __attribute__((noinline)) void judge(struct tdp *t, struct tdp_fault_history *h, gpa_t gpa, u64 calls,
                                            bool pending, struct tdp_report *r)
{
    u64 changes = changes_of(t);
    bool is_first = atomic_exchange(&h->gpa, gpa.raw) != gpa.raw;

    if (atomic_exchange(&h->calls, calls) != calls || is_first)
        h->busy = 0;
    if (is_first || h->changes != changes)
        h->idle = h->answered = 0;
    h->changes = changes;
    if (r->err != ERR_OK)
        return;
    h->idle = r->seamcalls ? 0 : h->idle + 1;
    h->answered++;
    h->busy++;
    if (h->idle <= IDLE_FAULTS_MAX && h->answered <= BUSY_FAULTS_MAX)
        return;
    r->err = ERR_NO_PROGRESS;
    r->what =
        pending ? "access to a page that the TD has not accepted" : "the same fault repeats though the page is mapped";
    r->at = gpa;
    h->idle = h->answered = 0;
    h->busy = 0;
}

/* The usual one, another page than the last and something done about it, in few instructions. */
static void judge_progress(struct tdp *t, unsigned vcpu, const struct vcpu_exit *exit, struct tdp_report *r)
{
    struct tdp_fault_history *h = &t->faults[vcpu];
    const struct vcpu *v = &t->td->vcpus[vcpu];
    gpa_t gpa = gpa_floor(exit->gpa, LEVEL_4K);

    atomic_store_explicit(&h->exits, v->exits, memory_order_relaxed);
    if (h->gpa == gpa.raw || r->err != ERR_OK || r->seamcalls == 0) {
        judge(t, h, gpa, v->calls, exit->pending, r);
        return;
    }
    atomic_store_explicit(&h->gpa, gpa.raw, memory_order_relaxed);
    atomic_store_explicit(&h->calls, v->calls, memory_order_relaxed);
    atomic_store_explicit(&h->busy, 1, memory_order_relaxed);
    h->answered = 1;
    h->idle = 0;
    h->changes = changes_of(t);
}

struct tdp_report tdp_fault(struct tdp *t, const struct vcpu_exit *exit, unsigned vcpu)
{
    struct tdp_report r = {.at = gpa_floor(exit->gpa, LEVEL_4K), .tsc = cpu_tsc()};

    if (vcpu >= TD_VCPUS_MAX)
        return tdp_error(ERR_ARGUMENT, "no such vCPU", r.at);
    if (map_at_once(t, exit, &t->faults[vcpu].near, &r)) {
        r.tsc = cpu_tsc() - r.tsc;
        policy_after_fault(t, r.at);
    } else {
        r = answer_at_leisure(t, exit);
    }
    judge_progress(t, vcpu, exit, &r);
    trace_record(TRACE_FAULT, exit->gpa.raw, exit->level.raw, exit->accept, r.err);
    return r;
}
