/* A TD's merge policy: events on their way to it, its ticks, its change. See mm/policy/policy.h and policing.h. */
#include <stdatomic.h>

#include "lib/hw/cpu.h"
#include "lib/trace.h"
#include "mm/policy/batch.h"
#include "mm/tdp_internal.h"

_Static_assert(sizeof(((struct tdp_policy_status *)0)->values) / sizeof(u64) == POLICY_PARAMETERS_MAX, "a value each");

#define ADOPTED_A_TICK 512u /* regions looked at */
#define UNBLOCK_TRIES  4u
#define WORK_SPINS     1000000000u /* longer than a tick takes */

const struct policy *const policies[] = {&policy_none,  &policy_scan, &policy_fault, &policy_block,
                                         &policy_ready, &policy_hot,  NULL};

enum err policing_create(struct tdp *t)
{
    t->policing.policy = &policy_none;
    return queue_create(&t->policing.queue, t->slots[0].bytes);
}

void policing_destroy(struct tdp *t)
{
    queue_destroy(&t->policing.queue);
}

u64 policy_value(const struct tdp *t, unsigned n)
{
    return t->policing.values[n];
}

bool policy_is_due(struct tdp *t, u64 ms)
{
    struct policing *p = &t->policing;

    if (p->now - p->was_due < ms)
        return false;
    p->was_due = p->now;
    return true;
}

void policy_count(struct tdp *t, enum tdp_policy_counter which, u64 n)
{
    if (n)
        atomic_fetch_add_explicit(&t->policing.counters[which], n, memory_order_relaxed);
}

/* --- events ------------------------------------------------------------------------------------------------------- */

static const enum tdp_policy_counter counter_of[] = {[POLICY_CANDIDATE] = TDP_POLICY_CANDIDATES,
                                                     [POLICY_FAULT_BLOCKED] = TDP_POLICY_TOUCHED,
                                                     [POLICY_MERGED] = TDP_POLICY_MERGED,
                                                     [POLICY_REFUSED] = TDP_POLICY_REFUSED};

const char *policy_event_name(unsigned event)
{
    static const char *const names[] = {"mapped", "converted", "candidate", "fault_blocked", "merged", "refused"};
    return event < ARRAY_COUNT(names) ? names[event] : NULL;
}

void policy_raise(struct tdp *t, enum policy_event event, gpa_t gpa, level_t level)
{
    const struct policy *policy = tdp_policy(t);

    trace_record(TRACE_POLICY, event, gpa.raw, level.raw, 0);
    if (event >= POLICY_CANDIDATE)
        policy_count(t, counter_of[event], 1);
    if (policy->event)
        policy->event(t, event, gpa, level);
}

void policy_answer(struct tdp *t, struct plan *p, gpa_t gpa, level_t level)
{
    struct region r = {gpa, level};

    policy_raise(t, POLICY_FAULT_BLOCKED, gpa, level);
    bool merges =
        queue_holds(&t->policing.queue, r) && atomic_load(&t->policing.policy)->touched(t, gpa, level) == POLICY_MERGE;
    trace_record(TRACE_DECISION, merges ? DECISION_MERGE : DECISION_UNBLOCK, gpa.raw, level.raw, ERR_OK);
    if (merges) {
        p->skip_refused_promotes = true; /* what has become one page is passed over by UNBLOCK */
        plan_add(p, 0, STEP_PROMOTE, gpa, level);
    }
    plan_add(p, 0, STEP_UNBLOCK, gpa, level);
}

/* --- what policies share ------------------------------------------------------------------------------------------ */

enum policy_touch policy_unblock_touched(struct tdp *t, gpa_t gpa, level_t level)
{
    return POLICY_UNBLOCK;
}

enum policy_touch policy_merge_touched(struct tdp *t, gpa_t gpa, level_t level)
{
    return POLICY_MERGE;
}

void policy_queue_candidates(struct tdp *t, enum policy_event event, gpa_t gpa, level_t level)
{
    struct policing *p = &t->policing;
    struct region r = {gpa, level};

    if (event == POLICY_MAPPED || !queue_holds(&p->queue, r))
        return;
    spin_lock(&p->lock);
    if (event == POLICY_CANDIDATE && level.raw <= t->max_level.raw) {
        trace_record(TRACE_DECISION, DECISION_QUEUE, gpa.raw, level.raw, ERR_OK);
        queue_put(&p->queue, r, QUEUE_READY, p->now);
    } else if (event == POLICY_REFUSED) {
        trace_record(TRACE_DECISION, DECISION_REST, gpa.raw, level.raw, ERR_OK);
        queue_rest(&p->queue, r, p->now);
    } else {
        queue_drop(&p->queue, r);
    }
    spin_unlock(&p->lock);
}

/* --- ticks -------------------------------------------------------------------------------------------------------- */

/* What stood before the policy was chosen is told to it. */
static void adopt(struct tdp *t)
{
    struct policing *p = &t->policing;
    struct batch found = batch_begin(t, BATCH_MAX);

    batch_sweep(&found, ADOPTED_A_TICK);
    for (unsigned i = 0; i < found.count; i++) {
        spin_lock(&p->lock);
        bool is_known = queue_is_listed(&p->queue, found.regions[i]);
        spin_unlock(&p->lock);
        if (!is_known)
            policy_raise(t, POLICY_CANDIDATE, found.regions[i].gpa, found.regions[i].level);
    }
    p->sweeps = p->swept.raw != 0;
}

bool tdp_policy_has_work(const struct tdp *t)
{
    const struct policy *policy = tdp_policy(t);
    return policy->tick != NULL;
}

bool tdp_is_dead(const struct tdp *t)
{
    return t->dead;
}

void policy_adopt(struct tdp *t)
{
    t->policing.adopts = true;
}

void tdp_policy_tick(struct tdp *t, u64 now)
{
    struct policing *p = &t->policing;

    p->now = now;
    if (t->dead || t->td->state != TD_RUNNABLE || !spin_try(&p->work))
        return;
    const struct policy *policy = p->policy;
    if (atomic_exchange(&p->adopts, false)) {
        p->swept = (gpa_t){0};
        p->sweeps = policy->adopts;
    }
    if (p->sweeps)
        adopt(t);
    if (policy->tick)
        policy->tick(t, now);
    spin_unlock(&p->work);
}

/* --- choosing ----------------------------------------------------------------------------------------------------- */

static bool take_work(struct policing *p)
{
    for (u32 spins = 0; spins < WORK_SPINS; spins++) {
        if (spin_try(&p->work))
            return true;
        cpu_relax();
    }
    return false;
}

/* Whatever a policy has blocked is unblocked, as the mirror tells: what has gone wrong with it is not on any list. */
static unsigned unblock_all(struct tdp *t)
{
    struct policing *p = &t->policing;
    unsigned found = 0;

    p->swept = (gpa_t){0};
    do {
        struct batch b = batch_begin(t, BATCH_MAX);
        batch_find_blocked(&b);
        found += b.count;
        batch_release(&b);
    } while (p->swept.raw);
    return found;
}

/* ERR_BUSY: not all of it could be unblocked, and waits to be touched. */
static enum err let_go(struct tdp *t)
{
    for (unsigned tries = 0; tries < UNBLOCK_TRIES; tries++)
        if (unblock_all(t) == 0)
            return ERR_OK;
    return ERR_BUSY;
}

static void forget(struct policing *p)
{
    struct region r;

    spin_lock(&p->lock);
    for (unsigned list = 0; list < QUEUE_LISTS; list++)
        while (queue_take(&p->queue, (enum queue_list)list, p->now, 0, &r))
            ;
    spin_unlock(&p->lock);
}

enum err tdp_policy_choose(struct tdp *t, const struct policy *policy, const u64 values[])
{
    struct policing *p = &t->policing;
    enum err e = ERR_OK;

    if (!take_work(p))
        return ERR_BUSY;
    p->policy = &policy_none; /* nobody is to see the values of one under the name of the other */
    if (!t->dead && t->td->state == TD_RUNNABLE)
        e = let_go(t);
    forget(p);
    for (unsigned i = 0; i < POLICY_PARAMETERS_MAX; i++)
        p->values[i] = values[i];
    p->policy = policy;
    policy_adopt(t);
    spin_unlock(&p->work);
    return e;
}

void tdp_policy_status(struct tdp *t, struct tdp_policy_status *s)
{
    struct policing *p = &t->policing;

    s->policy = p->policy;
    for (unsigned i = 0; i < POLICY_PARAMETERS_MAX; i++)
        s->values[i] = p->values[i];
    for (unsigned i = 0; i < TDP_POLICY_COUNTERS; i++)
        s->counters[i] = p->counters[i];
    spin_lock(&p->lock);
    s->ready = queue_count(&p->queue, QUEUE_READY);
    s->blocked = queue_count(&p->queue, QUEUE_BLOCKED);
    s->resting = queue_resting(&p->queue);
    spin_unlock(&p->lock);
}
