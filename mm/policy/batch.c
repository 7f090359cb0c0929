/* What policies do: see mm/policy/batch.h. */
#include "mm/policy/batch.h"

#include <stdatomic.h>

#include "lib/log.h"
#include "mm/hold.h"
#include "mm/perform.h"
#include "mm/plan_build.h"
#include "tdx/abi_sept.h"

#define FAULTS_IN_A_ROW 2u /* of a vCPU at one address; the module's zero-step filter counts to six */
#define EXITS_BETWEEN   8u /* ... after that many others it has got on; after one TDVMCALL too */
#define RUNS_ON_MS      2u /* ... and where it has not left for so long: it would have, by the same fault */

struct batch batch_begin(struct tdp *t, u64 most)
{
    return (struct batch){.t = t, .regions = t->policing.regions, .most = (unsigned)min_u64(most, BATCH_MAX)};
}

struct batch batch_of(struct tdp *t, struct region *region)
{
    return (struct batch){.t = t, .regions = region, .count = 1, .most = 1, .in_fault = true};
}

/* --- the queue ---------------------------------------------------------------------------------------------------- */

static void put(struct tdp *t, struct region r, enum queue_list list)
{
    struct policing *p = &t->policing;
    enum trace_decision decision = list == QUEUE_READY ? DECISION_QUEUE : DECISION_HOLD;

    trace_record(TRACE_DECISION, decision, r.gpa.raw, r.level.raw, ERR_OK);
    spin_lock(&p->lock);
    queue_put(&p->queue, r, list, p->now);
    spin_unlock(&p->lock);
}

/* Not for a policy that sweeps, which finds it again and looks at no list. */
static void rest(struct tdp *t, struct region r)
{
    struct policing *p = &t->policing;

    if (!tdp_policy(t)->adopts)
        return;
    trace_record(TRACE_DECISION, DECISION_REST, r.gpa.raw, r.level.raw, ERR_OK);
    spin_lock(&p->lock);
    queue_rest(&p->queue, r, p->now);
    spin_unlock(&p->lock);
}

/* Busy beyond all bounds: no event tells when that ends. */
static void rest_if_busy(struct tdp *t, struct region r, enum err e)
{
    if (e == ERR_BUSY)
        rest(t, r);
}

static void take(struct batch *b, enum queue_list list, u64 ms)
{
    struct policing *p = &b->t->policing;

    spin_lock(&p->lock);
    while (b->count < b->most && queue_take(&p->queue, list, p->now, ms, &b->regions[b->count]))
        b->count++;
    spin_unlock(&p->lock);
}

void batch_take_ready(struct batch *b, u64 delay)
{
    struct policing *p = &b->t->policing;

    spin_lock(&p->lock);
    bool is_due = queue_count(&p->queue, QUEUE_READY) >= b->most || queue_age(&p->queue, QUEUE_READY, p->now) >= delay;
    spin_unlock(&p->lock);
    if (is_due)
        take(b, QUEUE_READY, 0);
}

void batch_take_cold(struct batch *b, u64 ttl)
{
    take(b, QUEUE_BLOCKED, ttl);
}

void batch_wake(struct tdp *t, u64 ms)
{
    struct policing *p = &t->policing;

    spin_lock(&p->lock);
    queue_wake(&p->queue, p->now, ms, BATCH_MAX);
    spin_unlock(&p->lock);
}

/* One that is listed has been touched already, and its merge refused. */
static void keep(struct tdp *t, struct region r)
{
    struct policing *p = &t->policing;

    trace_record(TRACE_DECISION, DECISION_HOLD, r.gpa.raw, r.level.raw, ERR_OK);
    spin_lock(&p->lock);
    if (!queue_is_listed(&p->queue, r))
        queue_put(&p->queue, r, QUEUE_BLOCKED, p->now);
    spin_unlock(&p->lock);
}

void batch_keep(struct batch *b)
{
    for (unsigned i = 0; i < b->count; i++)
        keep(b->t, b->regions[i]);
    b->count = 0;
}

/* --- one region, one step ----------------------------------------------------------------------------------------- */

static void add_cost(struct tdp *t, const struct tdp_report *r)
{
    policy_count(t, TDP_POLICY_SEAMCALLS, r->seamcalls);
    policy_count(t, TDP_POLICY_TRACKS, r->tracks);
    policy_count(t, TDP_POLICY_IPIS, r->ipis);
}

/* Claims the region for one step, `it` at its entry. False: others are at work there, or the entry is not of its level. */
static bool open_region(struct tdp_op *op, struct tdp *t, struct region r, bool exclusive, struct mirror_iter *it)
{
    tdp_op_begin_fault(op, t, r.gpa);
    if (tdp_op_claim(op, r.gpa, r.level, exclusive) != ERR_OK)
        return false;
    if (mirror_find(it, &t->mirror, r.gpa, r.level))
        return true;
    (void)tdp_op_end(op);
    return false;
}

static bool is_candidate(struct tdp *t, const struct mirror_iter *it)
{
    unsigned tables;
    return !t->dirty.on && mirror_state(it->entry) == MIRROR_TABLE && plan_can_merge(t, it, &tables) && tables == 0;
}

static bool is_held_blocked(struct tdp *t, const struct mirror_iter *it)
{
    return mirror_state(it->entry) == MIRROR_BLOCKED_TABLE && !(it->entry & MIRROR_BY_HAND);
}

static enum trace_decision decision_of(enum step_kind kind)
{
    return kind == STEP_BLOCK ? DECISION_BLOCK : kind == STEP_PROMOTE ? DECISION_MERGE : DECISION_UNBLOCK;
}

/* ERR_NOT_FOUND: what stands there is nothing for this step. */
static enum err step(struct tdp *t, struct region r, enum step_kind kind,
                     bool (*fits)(struct tdp *t, const struct mirror_iter *it))
{
    struct mirror_iter it;
    struct tdp_op op;

    if (!open_region(&op, t, r, true, &it))
        return ERR_NOT_FOUND;
    if (fits(t, &it))
        perform_one(&op, kind, &it);
    else
        op.report.err = ERR_NOT_FOUND;
    struct tdp_report report = tdp_op_end(&op);
    add_cost(t, &report);
    trace_record(TRACE_DECISION, decision_of(kind), r.gpa.raw, r.level.raw, report.err);
    return report.err;
}

static void keep_those(struct batch *b, bool (*good)(const struct batch *b, struct region r))
{
    unsigned kept = 0;

    for (unsigned i = 0; i < b->count; i++)
        if (good(b, b->regions[i]))
            b->regions[kept++] = b->regions[i];
    b->count = kept;
}

/* --- look --------------------------------------------------------------------------------------------------------- */

/* Pending is what it was when it was mapped, and what no exit says that it is no longer. */
static bool is_pending(struct tdp *t, gpa_t gpa, level_t level, struct tdp_report *cost)
{
    struct tdx_entry entry;
    enum err e = tdp_read_module(t, gpa, level, &entry, cost);

    if (e == ERR_BUSY && hold_begin(t->td, &cost->ipis) == ERR_OK) { /* the TD must not find the host's mark there */
        e = tdp_read_module(t, gpa, level, &entry, cost);
        hold_end(t->td);
    }
    return e == ERR_OK && entry.state == SEPT_PENDING;
}

static bool look_at(const struct batch *b, struct region r)
{
    level_t below = level_below(r.level);
    struct mirror_iter it;
    struct tdp_op op;

    if (!open_region(&op, b->t, r, false, &it))
        return false;
    bool good = is_candidate(b->t, &it), pending = false;
    if (good) {
        gpa_t last = gpa_add(r.gpa, level_bytes(r.level) - level_bytes(below));
        pending = is_pending(b->t, r.gpa, below, &op.report) || is_pending(b->t, last, below, &op.report);
        policy_count(b->t, TDP_POLICY_LOOKS, 1);
    }
    struct tdp_report report = tdp_op_end(&op);
    add_cost(b->t, &report);
    if (pending) {
        policy_count(b->t, TDP_POLICY_PENDING, 1);
        rest(b->t, r);
    }
    return good && !pending;
}

void batch_look(struct batch *b)
{
    keep_those(b, look_at);
}

/* --- block -------------------------------------------------------------------------------------------------------- */

/* Has it been inside, without an exit, since an earlier tick saw it there? */
static bool runs_on(struct tdp_fault_history *h, const struct vcpu *v, u64 now)
{
    u64 exits = v->exits;

    if (v->inside && h->seen_inside == exits)
        return now - h->seen_at >= RUNS_ON_MS;
    h->seen_inside = v->inside ? exits : ~0ull;
    h->seen_at = now;
    return false;
}

/* Would a BLOCK meet this vCPU at the instruction that has faulted in the region, before it has got on? */
static bool stands_on(struct tdp *t, unsigned vcpu, struct region r)
{
    struct tdp_fault_history *h = &t->faults[vcpu];
    const struct vcpu *v = &t->td->vcpus[vcpu];
    gpa_t at = {atomic_load_explicit(&h->gpa, memory_order_relaxed)};
    u64 since = v->exits - atomic_load_explicit(&h->exits, memory_order_relaxed);

    if (!gpa_is(gpa_floor(at, r.level), r.gpa) || v->calls != atomic_load_explicit(&h->calls, memory_order_relaxed))
        return false;
    if (atomic_load_explicit(&h->busy, memory_order_relaxed) >= FAULTS_IN_A_ROW)
        return since < EXITS_BETWEEN && !runs_on(h, v, t->policing.now);
    return since == 0 && !v->inside;
}

static bool is_stood_on(const struct batch *b, struct region r)
{
    for (unsigned i = 0; i < b->t->td->vcpu_count && !b->in_fault; i++)
        if (stands_on(b->t, i, r))
            return true;
    return false;
}

static bool block_one(const struct batch *b, struct region r)
{
    if (is_stood_on(b, r)) {
        policy_count(b->t, TDP_POLICY_DEFERRED, 1);
        trace_record(TRACE_DECISION, DECISION_DEFER, r.gpa.raw, r.level.raw, ERR_OK);
        if (tdp_policy(b->t)->adopts)
            put(b->t, r, QUEUE_READY);
        return false;
    }
    enum err e = step(b->t, r, STEP_BLOCK, is_candidate);
    rest_if_busy(b->t, r, e);
    policy_count(b->t, TDP_POLICY_BLOCKED, e == ERR_OK);
    return e == ERR_OK;
}

static enum err track(struct tdp *t)
{
    struct tdp_report report = {.err = ERR_OK};
    struct tlb_batch tlb;
    enum err e = tlb_begin(&tlb, t->td, &t->tlb, &report, 1);

    if (e == ERR_OK)
        e = tlb_track(&tlb);
    tlb_end(&tlb);
    add_cost(t, &report);
    if (e == ERR_TDX && tdx_verdict(report.status) == TDX_TD_DEAD)
        t->dead = true;
    return e;
}

/* Without a TRACK nothing that is blocked can be merged or unblocked: the policy ends, and who touches it tries again. */
void batch_block(struct batch *b)
{
    keep_those(b, block_one);
    if (b->count == 0)
        return;
    enum err e = track(b->t);
    if (e == ERR_OK)
        return;
    policy_count(b->t, TDP_POLICY_FAILED, 1);
    log_msg(LOG_ERROR, "policy %s ends: TRACK: %s", tdp_policy(b->t)->name, err_text(e));
    b->t->policing.policy = &policy_none;
    batch_keep(b);
}

/* --- merge, unblock ----------------------------------------------------------------------------------------------- */

static enum err unblock_one(struct tdp *t, struct region r)
{
    enum err e = step(t, r, STEP_UNBLOCK, is_held_blocked);

    if (e != ERR_OK && e != ERR_NOT_FOUND) {
        policy_count(t, TDP_POLICY_FAILED, 1);
        put(t, r, QUEUE_BLOCKED); /* again, later */
    }
    return e;
}

void batch_release(struct batch *b)
{
    for (unsigned i = 0; i < b->count; i++)
        (void)unblock_one(b->t, b->regions[i]);
    b->count = 0;
}

static void merge_one(struct tdp *t, struct region r)
{
    enum err e = step(t, r, STEP_PROMOTE, is_held_blocked);

    if (e == ERR_OK)
        return;
    rest_if_busy(t, r, e);
    (void)unblock_one(t, r);
}

void batch_merge(struct batch *b)
{
    for (unsigned i = 0; i < b->count; i++)
        merge_one(b->t, b->regions[i]);
    b->count = 0;
}

/* What is not blocked any more was touched meanwhile, or converted. */
void batch_unblock(struct batch *b)
{
    for (unsigned i = 0; i < b->count; i++)
        if (unblock_one(b->t, b->regions[i]) == ERR_OK) {
            policy_count(b->t, TDP_POLICY_COLD, 1);
            rest(b->t, b->regions[i]);
        }
    b->count = 0;
}

/* --- sweep -------------------------------------------------------------------------------------------------------- */

/* Files what fits at and above the 2M region at `gpa`; where the next one begins. */
static gpa_t sweep_one(struct batch *b, gpa_t gpa, bool (*fits)(struct tdp *t, const struct mirror_iter *it))
{
    gpa_t next = gpa_add(gpa, level_bytes(LEVEL_2M));
    struct mirror_iter it;
    struct tdp_op op;

    tdp_op_begin_fault(&op, b->t, gpa);
    if (tdp_op_claim(&op, gpa, LEVEL_2M, false) != ERR_OK)
        return next;
    if (gpa_is_aligned(gpa, LEVEL_1G) && mirror_find(&it, &b->t->mirror, gpa, LEVEL_1G) && fits(b->t, &it))
        b->regions[b->count++] = (struct region){gpa, LEVEL_1G};
    if (!mirror_find(&it, &b->t->mirror, gpa, LEVEL_2M))
        next = gpa_add(gpa_floor(gpa, it.level), level_bytes(it.level));
    else if (fits(b->t, &it))
        b->regions[b->count++] = (struct region){gpa, LEVEL_2M};
    (void)tdp_op_end(&op);
    return next;
}

static void sweep(struct batch *b, u64 regions, bool (*fits)(struct tdp *t, const struct mirror_iter *it))
{
    struct policing *p = &b->t->policing;
    gpa_t end = slot_end(&b->t->slots[0]);

    for (u64 i = 0; i < regions && b->count + 2 <= b->most && p->swept.raw < end.raw; i++)
        p->swept = sweep_one(b, p->swept, fits);
    if (p->swept.raw >= end.raw)
        p->swept = (gpa_t){0};
}

void batch_sweep(struct batch *b, u64 regions)
{
    sweep(b, regions, is_candidate);
}

void batch_find_blocked(struct batch *b)
{
    sweep(b, ~0ull, is_held_blocked);
}
