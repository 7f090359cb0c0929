/*
 * The end of a TD's memory: see mm/tdp.h. What can be merged is merged while the TD still has its key, since RECLAIM
 * of a 2M page is one call; after TDH.MNG.VPFLUSHDONE PROMOTE is refused. TDX Module Base Architecture Specification,
 * "TD teardown".
 */
#include "mm/perform.h"
#include "mm/plan_build.h"

#include <stdatomic.h>

#include "mm/page.h"

struct tdp_report tdp_prepare_destroy(struct tdp *t)
{
    struct tdp_report r = tdp_check(t, t->slots[0].base, t->slots[0].bytes);
    struct tdp_op op;

    if (r.err != ERR_OK)
        return r;
    if (tdp_op_begin(&op, t, (gpa_t){0}, tdp_end(t).raw, NULL) != ERR_OK)
        return op.report;
    op.plan->skip_refused_promotes = true;
    for (unsigned i = 0; i < t->slot_count; i++)
        plan_merge_all(t, op.plan, t->slots[i].base, t->slots[i].bytes);
    op.report = tdp_error(op.plan->err, op.plan->err == ERR_OK ? NULL : "no memory for the plan", t->slots[0].base);
    tdp_op_perform(&op);
    return tdp_op_end(&op);
}

/* --- reclaiming --------------------------------------------------------------------------------------------------- */

static bool reclaim(struct tdp *t, hpa_t page, gpa_t gpa, struct tdp_report *r)
{
    struct td_fault f = td_reclaim(t->td, page);
    r->seamcalls++;
    r->at = gpa;
    r->page = page;
    r->err = f.err;
    r->status = f.status;
    r->what = f.leaf;
    return f.err == ERR_OK;
}

static bool reclaim_table(struct tdp *t, struct mirror_table *table, level_t level, gpa_t gpa, struct tdp_report *r);

/* Whatever the entry, for `gpa`, points to is the VMM's again; it becomes NONE, so that a second try goes on behind it. */
static bool reclaim_entry(struct tdp *t, _Atomic u64 *at, level_t level, gpa_t gpa, struct tdp_report *r)
{
    u64 entry = atomic_load(at);

    if (mirror_is_table(entry)) {
        struct mirror_table *child = mirror_child(entry);
        if (!reclaim_table(t, child, level_below(level), gpa, r) || !reclaim(t, child->sept, gpa, r))
            return false;
        page_free(child->sept, LEVEL_4K);
        mirror_table_free(child);
    } else if (mirror_is_leaf(entry) && !reclaim(t, mirror_page(entry), gpa, r)) {
        return false;
    }
    atomic_store(at, 0);
    return true;
}

/* Recursion ends at 4K: at most four deep. */
static bool reclaim_table(struct tdp *t, struct mirror_table *table, level_t level, gpa_t gpa, struct tdp_report *r)
{
    for (unsigned i = 0; i < TABLE_ENTRIES; i++)
        if (!reclaim_entry(t, &table->entry[i], level, gpa_add(gpa, i * level_bytes(level)), r))
            return false;
    table->counts = 0;
    return true;
}

static void free_all(struct tdp *t)
{
    tdp_forget_seen(t);
    for (unsigned i = 0; i < t->slot_count; i++)
        slot_destroy(&t->slots[i]);
    shared_ept_destroy(&t->shared);
    mirror_destroy(&t->mirror);
    policing_destroy(t);
    dirty_destroy(t);
    page_give(t, sizeof(*t));
}

struct tdp_report tdp_destroy(struct tdp *t)
{
    struct tdp_report r = tdp_error(ERR_OK, NULL, (gpa_t){0});

    if (mirror_used(t->mirror.root) && t->td->state != TD_KEY_FREED)
        return tdp_error(ERR_STATE, "the TD still has its key", r.at);
    if (reclaim_table(t, t->mirror.root, MIRROR_TOP, r.at, &r))
        free_all(t);
    return r;
}
