/* One element of a step: see mm/element.h. */
#include "mm/element.h"

#include <stdatomic.h>

#include "lib/log.h"
#include "lib/trace.h"
#include "mm/hold.h"
#include "mm/page.h"
#include "tdx/count.h"
#include "tdx/retry.h"

const struct step_rule step_rules[STEP_KINDS] = {
#define IN(state) (1u << (state))
    [STEP_BLOCK] = {TDH_MEM_RANGE_BLOCK, IN(MIRROR_LEAF) | IN(MIRROR_TABLE), true},
    [STEP_UNBLOCK] = {TDH_MEM_RANGE_UNBLOCK, IN(MIRROR_BLOCKED_LEAF) | IN(MIRROR_BLOCKED_TABLE), true},
    [STEP_DEMOTE] = {TDH_MEM_PAGE_DEMOTE, IN(MIRROR_LEAF) | IN(MIRROR_BLOCKED_LEAF), false},
    [STEP_PROMOTE] = {TDH_MEM_PAGE_PROMOTE, IN(MIRROR_TABLE) | IN(MIRROR_BLOCKED_TABLE), false},
    [STEP_RELOCATE] = {TDH_MEM_PAGE_RELOCATE, IN(MIRROR_LEAF) | IN(MIRROR_BLOCKED_LEAF), false},
    [STEP_REMOVE] = {TDH_MEM_PAGE_REMOVE, IN(MIRROR_LEAF) | IN(MIRROR_BLOCKED_LEAF), false},
    [STEP_SEPT_ADD] = {TDH_MEM_SEPT_ADD, IN(MIRROR_NONE), false},
    [STEP_SEPT_REMOVE] = {TDH_MEM_SEPT_REMOVE, IN(MIRROR_TABLE) | IN(MIRROR_BLOCKED_TABLE), true},
    [STEP_AUG] = {TDH_MEM_PAGE_AUG, IN(MIRROR_NONE), false},
#undef IN
};

/* --- the calls ---------------------------------------------------------------------------------------------------- */

/* The page that the module gives back must be the one that the mirror knows. */
static void check_returned(const struct mirror_iter *it, tdx_status_t status, hpa_t got, hpa_t known)
{
    if (tdx_ok(status) && !hpa_is(got, known))
        panic("gpa %llx: the module gave back %llx, not %llx", (unsigned long long)it->gpa.raw,
              (unsigned long long)got.raw, (unsigned long long)known.raw);
}

static tdx_status_t call_leaf(const struct tdp *t, const struct element *e)
{
    hpa_t tdr = t->td->tdr;
    gpa_t gpa = e->it.gpa;
    level_t level = e->it.level;
    struct tdx_page_answer out;

    switch (e->kind) {
    case STEP_BLOCK:
        return tdh_mem_range_block(tdr, gpa, level).status;
    case STEP_UNBLOCK:
        return tdh_mem_range_unblock(tdr, gpa, level).status;
    case STEP_DEMOTE:
        return tdh_mem_page_demote(tdr, gpa, level, e->table->sept).status;
    case STEP_SEPT_ADD:
        return tdh_mem_sept_add(tdr, gpa, level, e->table->sept).status;
    case STEP_AUG:
        return tdh_mem_page_aug(tdr, gpa, level, e->page).status;
    case STEP_PROMOTE:
        out = tdh_mem_page_promote(tdr, gpa, level);
        check_returned(&e->it, out.status, out.page, e->table->sept);
        return out.status;
    case STEP_SEPT_REMOVE:
        out = tdh_mem_sept_remove(tdr, gpa, level);
        check_returned(&e->it, out.status, out.page, e->table->sept);
        return out.status;
    case STEP_RELOCATE:
        out = tdh_mem_page_relocate(tdr, gpa, e->page);
        check_returned(&e->it, out.status, out.page, mirror_page(e->it.entry));
        return out.status;
    case STEP_REMOVE:
        out = tdh_mem_page_remove(tdr, gpa, level);
        check_returned(&e->it, out.status, out.page, mirror_page(e->it.entry));
        return out.status;
    default:
        panic("step %d is no leaf", e->kind);
    }
}

/* What has been tried for a call that was no success; each reply is given once. */
struct tries {
    bool busy;    /* the module may have left a mark in the entry: see clear_host_mark() */
    bool held;    /* the vCPUs are out */
    bool tracked; /* a TRACK was made up for */
};

/* BUSY that names RCX, the entry itself: a vCPU's ACCEPT has it, and fails when it comes back for it after the module
 * has noted that the host wants it too. Then it is not for repetition, the vCPUs go out at once. */
static bool is_entry_busy(tdx_status_t status)
{
    return tdx_is(status, TDX_OPERAND_BUSY) && (u32)status.raw == TDX_OPERAND_ID_RCX;
}

static tdx_status_t call_repeatedly(struct performance *p, const struct element *e, struct tries *tries)
{
    struct tdx_retry again = tdx_retry(step_rules[e->kind].leaf, e->it.gpa.raw);
    tdx_status_t status;

    do {
        status = call_leaf(p->t, e);
        p->report->seamcalls++;
        tries->busy |= tdx_verdict(status) == TDX_REPEAT;
    } while ((tries->held || !is_entry_busy(status)) && tdx_again(&again, status));
    return status;
}

/* The replies that lead to the same call once more, in any order and each of them once: true when one was given. */
static bool reply(struct performance *p, struct tries *tries, tdx_status_t status)
{
    if (tdx_verdict(status) == TDX_REPEAT && !tries->held) {
        tries->held = hold_begin(p->t->td, &p->report->ipis) == ERR_OK;
        return tries->held;
    }
    if (tdx_is(status, TDX_TLB_TRACKING_NOT_DONE) && !tries->tracked) {
        tries->tracked = true;
        return tlb_track(&p->tlb) == ERR_OK;
    }
    return false;
}

/* A call that gave BUSY may have left a mark in the entry that keeps the TD's ACCEPT out until the host has had the entry
 * once. Where no call of the plan has had it, SEPT.RD does. */
static void clear_host_mark(struct performance *p, const struct element *e)
{
    struct tdx_retry again = tdx_retry(TDH_MEM_SEPT_RD, e->it.gpa.raw);
    struct tdx_entry_answer a;

    do {
        a = tdh_mem_sept_rd(p->t->td->tdr, e->it.gpa, e->it.level);
        p->report->seamcalls++;
    } while (tdx_again(&again, a.status));
    if (!tdx_ok(a.status))
        log_msg(LOG_WARN, "gpa %llx: host priority not given back: %s", (unsigned long long)e->it.gpa.raw,
                tdx_status_name(a.status));
}

/* From the answer that `status` is to the last one: success, or nothing is left to be tried. */
static tdx_status_t reply_until_done(struct performance *p, const struct element *e, struct tries *tries,
                                     tdx_status_t status)
{
    while (reply(p, tries, status)) {
        tdx_count_retry();
        status = call_repeatedly(p, e, tries);
    }
    if (tries->busy && !tdx_ok(status) && tdx_verdict(status) != TDX_TD_DEAD)
        clear_host_mark(p, e);
    if (tries->held)
        hold_end(p->t->td);
    return status;
}

static tdx_status_t call_module(struct performance *p, const struct element *e)
{
    struct tries tries = {0};
    return reply_until_done(p, e, &tries, call_repeatedly(p, e, &tries));
}

tdx_status_t element_call_again(struct performance *p, const struct element *e, tdx_status_t status)
{
    struct tries tries = {.busy = tdx_verdict(status) == TDX_REPEAT};

    if (tries.busy && !is_entry_busy(status)) {
        tdx_count_retry();
        status = call_repeatedly(p, e, &tries);
    }
    return reply_until_done(p, e, &tries, status);
}

enum err element_err(tdx_status_t status)
{
    switch (tdx_verdict(status)) {
    case TDX_DONE:
        return ERR_OK;
    case TDX_REPEAT:
        return ERR_BUSY;
    case TDX_TD_DEAD:
        return ERR_TD_DEAD;
    default:
        return ERR_TDX;
    }
}

/* --- one element -------------------------------------------------------------------------------------------------- */

static void bring_page(struct performance *p, struct element *e)
{
    u64 bytes = level_bytes(e->it.level);

    e->home = tdp_home_entry(p->t, e->it.gpa, e->it.level);
    e->page = mirror_page(e->home);
    if (p->plan && p->plan->from_shared)
        flush_shared(e->page, bytes);
    else
        flush_into_td(e->page, bytes);
}

/* A table or page that goes into the module leaves the VMM's caches where the platform asks for it. */
static void bring(struct performance *p, struct element *e)
{
    switch (e->kind) {
    case STEP_DEMOTE:
    case STEP_SEPT_ADD:
        e->table = plan_next_table(p->plan);
        flush_into_td(e->table->sept, PAGE_BYTES);
        return;
    case STEP_PROMOTE:
    case STEP_SEPT_REMOVE:
        e->table = mirror_child(e->it.entry);
        return;
    case STEP_AUG:
        bring_page(p, e);
        return;
    case STEP_RELOCATE:
        e->page = slot_place(tdp_slot(p->t, e->it.gpa, PAGE_BYTES), e->it.gpa);
        flush_into_td(e->page, PAGE_BYTES);
        return;
    default:
        return;
    }
}

/* The children of a demoted leaf, at home where they could be merged again. */
static void fill_children(struct performance *p, struct element *e)
{
    level_t level = level_below(e->it.level);
    hpa_t page = mirror_page(e->it.entry);
    u64 counts = 0;

    for (unsigned i = 0; i < TABLE_ENTRIES; i++) {
        u64 offset = i * level_bytes(level);
        u64 home = tdp_home_entry(p->t, gpa_add(e->it.gpa, offset), level);
        bool at_home = hpa_is(mirror_page(home), hpa_add(page, offset)) && (home & MIRROR_AT_HOME);
        u64 entry = mirror_leaf_entry(hpa_add(page, offset), at_home);
        atomic_store_explicit(&e->table->entry[i], entry, memory_order_relaxed);
        counts += at_home ? 1 + MIRROR_HOME_LEAF : 1;
    }
    e->table->counts = counts;
}

/* The page below a merged table: where its first child was. */
static u64 merged_entry(struct performance *p, const struct element *e)
{
    u64 home = tdp_home_entry(p->t, e->it.gpa, e->it.level);
    ASSERT(hpa_is(mirror_page(e->table->entry[0]), mirror_page(home)));
    return home;
}

static struct flush_result flush(struct performance *p, hpa_t page, level_t level)
{
    struct flush_result r = flush_from_td(p->t->td, page, level, &p->report->ipis);
    p->report->lost += r.lost;
    return r;
}

/* A page of the TD's that nothing needs any more; lost, it only counts. */
static void free_page(struct performance *p, hpa_t page)
{
    flush(p, page, LEVEL_4K);
    page_free(page, LEVEL_4K);
}

static void free_table(struct performance *p, struct mirror_table *table)
{
    free_page(p, table->sept);
    mirror_table_free(table);
}

/* What the mirror entry becomes when the module has done the step. */
static u64 entry_after(struct performance *p, struct element *e)
{
    u64 old = e->it.entry;
    switch (e->kind) {
    case STEP_BLOCK:
        return mirror_with_state(old, mirror_is_leaf(old) ? MIRROR_BLOCKED_LEAF : MIRROR_BLOCKED_TABLE);
    case STEP_UNBLOCK:
        return mirror_with_state(old, mirror_is_leaf(old) ? MIRROR_LEAF : MIRROR_TABLE);
    case STEP_DEMOTE:
        fill_children(p, e);
        return mirror_table_entry(e->table);
    case STEP_SEPT_ADD:
        return mirror_table_entry(e->table);
    case STEP_PROMOTE:
        return merged_entry(p, e);
    case STEP_AUG:
        return e->home;
    case STEP_RELOCATE:
        return mirror_leaf_entry(e->page, true);
    default: /* REMOVE, SEPT.REMOVE */
        return 0;
    }
}

void element_raise_candidate(struct tdp *t, gpa_t gpa, level_t level)
{
    policy_raise(t, POLICY_CANDIDATE, gpa_floor(gpa, level_above(level)), level_above(level));
}

/* What follows a change of the mirror. `old` is the entry before; `full`: see element_raise_candidate(). */
static void after_change(struct performance *p, struct element *e, u64 old, bool full)
{
    switch (e->kind) {
    case STEP_PROMOTE:
        policy_raise(p->t, POLICY_MERGED, e->it.gpa, e->it.level);
        free_table(p, e->table);
        break;
    case STEP_SEPT_REMOVE:
        free_table(p, e->table);
        break;
    case STEP_REMOVE:
        p->unflushed = flush(p, mirror_page(old), e->it.level);
        break;
    case STEP_RELOCATE:
        slot_move(tdp_slot(p->t, e->it.gpa, PAGE_BYTES), e->it.gpa);
        free_page(p, mirror_page(old));
        break;
    case STEP_AUG:
        dirty_mark(p->t, e->it.gpa, e->it.level, false);
        policy_raise(p->t, POLICY_MAPPED, e->it.gpa, e->it.level);
        break;
    case STEP_BLOCK:
        p->tlb.blocked++;
        break;
    case STEP_UNBLOCK:
        policy_count(p->t, TDP_POLICY_IN_VAIN, !mirror_is_leaf(old) && !(old & MIRROR_BY_HAND));
        break;
    default:
        break;
    }
    if (full)
        element_raise_candidate(p->t, e->it.gpa, e->it.level);
}

tdx_status_t element_perform(struct performance *p, struct element *e)
{
    u64 old = e->it.entry;
    bring(p, e);
    tdx_status_t status = call_module(p, e);
    trace_record(TRACE_PLAN_STEP, e->kind, e->it.level.raw, e->it.gpa.raw, status.raw);
    if (tdx_ok(status)) {
        bool full = mirror_thaw(&e->it, entry_after(p, e));
        after_change(p, e, old, full);
        return status;
    }
    (void)mirror_thaw(&e->it, old);
    if (e->kind == STEP_PROMOTE && tdx_verdict(status) == TDX_REFUSED)
        policy_raise(p->t, POLICY_REFUSED, e->it.gpa, e->it.level);
    if (e->kind == STEP_DEMOTE || e->kind == STEP_SEPT_ADD)
        plan_keep_table(p->plan, e->table);
    return status;
}
