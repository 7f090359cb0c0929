/* Plans of merging, splitting and blocking: see mm/plan_build.h. Removing: plan_build_zap.c; mapping:
 * plan_build_map.c; scattered memory: plan_build_gather.c. */
#include "mm/plan_build.h"

#include <stdatomic.h>

#include "tdx/abi_field.h"
#include "tdx/module.h"

static struct plan_fault fault(enum err err, const char *what, gpa_t at)
{
    return (struct plan_fault){err, what, at};
}

static struct plan_fault fine(const struct plan *p, gpa_t at)
{
    return fault(p->err, p->err == ERR_OK ? NULL : "no memory for the plan", at);
}

/* --- merging ------------------------------------------------------------------------------------------------------ */

static bool is_full(const struct mirror_table *t)
{
    return mirror_home_leaves(t) == TABLE_ENTRIES;
}

static bool is_home_leaf(u64 entry)
{
    return mirror_state(entry) == MIRROR_LEAF && (entry & MIRROR_AT_HOME);
}

/* All children leaves at home, or tables that are full of leaves at home themselves. */
static bool can_merge_2m_children(const struct mirror_table *t, unsigned *tables)
{
    *tables = 0;
    if (mirror_used(t) != TABLE_ENTRIES)
        return false;
    for (unsigned i = 0; i < TABLE_ENTRIES; i++) {
        u64 entry = atomic_load(&t->entry[i]);
        if (is_home_leaf(entry))
            continue;
        if (!mirror_is_table(entry) || (entry & MIRROR_BY_HAND) || !is_full(mirror_child(entry)))
            return false;
        ++*tables;
    }
    return true;
}

bool plan_can_merge(struct tdp *t, const struct mirror_iter *it, unsigned *tables)
{
    const struct slot *s = tdp_slot(t, it->gpa, level_bytes(it->level));

    *tables = 0;
    if (!mirror_is_table(it->entry) || it->level.raw > 2 || !s || !slot_may_be(s, it->gpa, it->level))
        return false;
    const struct mirror_table *child = mirror_child(it->entry);
    if (level_is(it->level, LEVEL_2M) || is_full(child))
        return is_full(child);
    return can_merge_2m_children(child, tables);
}

/* BLOCK (unless it is) and PROMOTE of one entry. */
static void add_promote(struct plan *p, u64 entry, gpa_t gpa, level_t level, unsigned round)
{
    if (!mirror_is_blocked(entry))
        plan_add(p, round + 1, STEP_BLOCK, gpa, level);
    plan_add(p, round, STEP_PROMOTE, gpa, level);
}

void plan_add_merge(struct plan *p, const struct mirror_iter *it, unsigned round)
{
    const struct mirror_table *child = mirror_child(it->entry);
    u64 entry = it->entry;

    if (!is_full(child)) {
        if (mirror_is_blocked(entry)) {
            plan_add(p, PLAN_FIRST_ROUND, STEP_UNBLOCK, it->gpa, it->level);
            entry = mirror_with_state(entry, MIRROR_TABLE);
        }
        level_t below = level_below(it->level);
        for (unsigned i = 0; i < TABLE_ENTRIES; i++) {
            u64 e = atomic_load(&child->entry[i]);
            if (mirror_is_table(e))
                add_promote(p, e, gpa_add(it->gpa, i * level_bytes(below)), below, round + 1);
        }
    }
    add_promote(p, entry, it->gpa, it->level, round);
}

/* The entry at exactly `level`, or why there is none. */
static struct plan_fault find(struct tdp *t, gpa_t gpa, level_t level, struct mirror_iter *it)
{
    if (mirror_find(it, &t->mirror, gpa, level))
        return fault(ERR_OK, NULL, gpa);
    switch (mirror_state(it->entry)) {
    case MIRROR_LEAF:
    case MIRROR_BLOCKED_LEAF:
        return fault(ERR_STATE, "a larger page is mapped here: split it first", it->gpa);
    case MIRROR_BLOCKED_TABLE:
        return fault(ERR_STATE, "a table above is blocked: unblock it first", it->gpa);
    case MIRROR_NONE:
        return fault(ERR_NOT_FOUND, "nothing is mapped here", it->gpa);
    default:
        return fault(ERR_BUSY, "another operation is at work on this entry", it->gpa);
    }
}

/* The first child of a table that is in the way of a merge: absent, blocked, away from home, or a table with such a
 * child. */
static gpa_t first_obstacle(const struct mirror_table *table, gpa_t gpa, level_t level, bool scattered)
{
    level_t below = level_below(level);
    for (unsigned i = 0; i < TABLE_ENTRIES; i++) {
        u64 entry = atomic_load(&table->entry[i]);
        gpa_t at = gpa_add(gpa, i * level_bytes(below));
        bool mergeable_table = mirror_is_table(entry) && !(entry & MIRROR_BY_HAND);
        bool in_place = is_home_leaf(entry) || (scattered && mirror_state(entry) == MIRROR_LEAF);
        if (in_place || (mergeable_table && is_full(mirror_child(entry))))
            continue;
        return mergeable_table && below.raw > 0 ? first_obstacle(mirror_child(entry), at, below, scattered) : at;
    }
    return gpa;
}

static struct plan_fault find_table(struct tdp *t, gpa_t gpa, level_t level, struct mirror_iter *it)
{
    struct plan_fault f = find(t, gpa, level, it);

    if (f.err != ERR_OK)
        return f;
    if (mirror_is_leaf(it->entry))
        return fault(ERR_EXISTS, "this is one page already", gpa);
    if (mirror_state(it->entry) == MIRROR_NONE)
        return fault(ERR_NOT_FOUND, "nothing is mapped here", gpa);
    if (!mirror_is_table(it->entry))
        return fault(ERR_BUSY, "another operation is at work on this entry", gpa);
    return f;
}

struct plan_fault plan_merge(struct tdp *t, struct plan *p, gpa_t gpa, level_t level)
{
    struct mirror_iter it;
    unsigned tables;
    struct plan_fault f = find_table(t, gpa, level, &it);

    if (f.err != ERR_OK)
        return f;
    if (plan_can_gather(t, &it)) {
        plan_add_gather(p, &it);
        return fine(p, gpa);
    }
    const struct slot *s = tdp_slot(t, gpa, level_bytes(level));
    if (!slot_may_be(s, gpa, level) && !(level_is(level, LEVEL_2M) && slot_may_gather(s, gpa)))
        return fault(ERR_STATE, "the memory behind this region cannot be one page of this size", gpa);
    if (!plan_can_merge(t, &it, &tables))
        return fault(ERR_STATE, "a page of the region is absent, shared, blocked or not in place",
                     first_obstacle(mirror_child(it.entry), gpa, level, s->backing == TDP_SCATTER));
    plan_add_merge(p, &it, 0);
    return fine(p, gpa);
}

/* One region of a range; false where it cannot be one page. */
static bool add_region(struct tdp *t, struct plan *p, const struct mirror_iter *it)
{
    unsigned tables;

    if (!mirror_is_table(it->entry) || (it->entry & MIRROR_BY_HAND))
        return false;
    if (plan_can_gather(t, it))
        plan_add_gather(p, it);
    else if (plan_can_merge(t, it, &tables))
        plan_add_merge(p, it, 0);
    else
        return false;
    return true;
}

u64 plan_merge_range(struct tdp *t, struct plan *p, gpa_t gpa, u64 bytes, level_t level)
{
    struct mirror_iter it;
    u64 regions = 0;

    mirror_begin(&it, &t->mirror, gpa, gpa_add(gpa, bytes));
    while (mirror_valid(&it)) {
        if (mirror_state(it.entry) == MIRROR_TABLE && it.level.raw > level.raw) {
            mirror_down(&it);
            continue;
        }
        if (level_is(it.level, level) && mirror_covered(&it))
            regions += add_region(t, p, &it);
        mirror_next(&it);
    }
    return regions;
}

void plan_merge_all(struct tdp *t, struct plan *p, gpa_t gpa, u64 bytes)
{
    struct mirror_iter it;
    unsigned tables;

    mirror_begin(&it, &t->mirror, gpa, gpa_add(gpa, bytes));
    while (mirror_valid(&it)) {
        if (mirror_covered(&it) && plan_can_merge(t, &it, &tables)) {
            plan_add_merge(p, &it, 0);
            mirror_next(&it);
        } else if (mirror_state(it.entry) == MIRROR_TABLE) {
            mirror_down(&it);
        } else {
            mirror_next(&it);
        }
    }
}

/* --- splitting and blocking --------------------------------------------------------------------------------------- */

bool plan_demotes_mapped(void)
{
    return tdx_module.features0 & FEATURES0_NON_BLOCKING_RESIZE;
}

struct plan_fault plan_split(struct tdp *t, struct plan *p, gpa_t gpa, level_t level)
{
    struct mirror_iter it;
    struct plan_fault f = find(t, gpa, level, &it);

    if (f.err != ERR_OK)
        return f;
    if (mirror_is_table(it.entry))
        return fault(ERR_EXISTS, "this region is split already", gpa);
    if (!mirror_is_leaf(it.entry))
        return fault(ERR_NOT_FOUND, "nothing is mapped here", gpa);
    if (mirror_state(it.entry) == MIRROR_LEAF && !plan_demotes_mapped())
        plan_add(p, 1, STEP_BLOCK, gpa, level);
    plan_add(p, 0, STEP_DEMOTE, gpa, level);
    return fine(p, gpa);
}

struct plan_fault plan_block(struct tdp *t, struct plan *p, gpa_t gpa, level_t level)
{
    struct mirror_iter it;
    struct plan_fault f = find(t, gpa, level, &it);

    if (f.err != ERR_OK)
        return f;
    if (mirror_is_blocked(it.entry))
        return fault(ERR_EXISTS, "this entry is blocked already", gpa);
    if (mirror_state(it.entry) == MIRROR_NONE)
        return fault(ERR_NOT_FOUND, "nothing is mapped here", gpa);
    plan_add(p, 1, STEP_BLOCK, gpa, level);
    return fine(p, gpa);
}

struct plan_fault plan_unblock(struct tdp *t, struct plan *p, gpa_t gpa, level_t level)
{
    struct mirror_iter it;
    struct plan_fault f = find(t, gpa, level, &it);

    if (f.err != ERR_OK)
        return f;
    if (!mirror_is_blocked(it.entry))
        return fault(ERR_STATE, "this entry is not blocked", gpa);
    plan_add(p, 0, STEP_UNBLOCK, gpa, level);
    return fine(p, gpa);
}
