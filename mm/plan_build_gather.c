/* Plans that bring scattered memory home: see mm/plan_build.h. */
#include "mm/plan_build.h"

#include <stdatomic.h>

static bool is_home_leaf(u64 entry)
{
    return mirror_state(entry) == MIRROR_LEAF && (entry & MIRROR_AT_HOME);
}

/* One page, `after` TRACKs before the end. RELOCATE leaves its entry unblocked. */
static void add_relocate(struct plan *p, u64 entry, gpa_t gpa, unsigned after)
{
    if (!mirror_is_blocked(entry))
        plan_add(p, after + 1, STEP_BLOCK, gpa, LEVEL_4K);
    plan_add(p, after, STEP_RELOCATE, gpa, LEVEL_4K);
    p->gathers = true;
}

bool plan_can_gather(struct tdp *t, const struct mirror_iter *it)
{
    const struct mirror_table *child = mirror_child(it->entry);

    if (!level_is(it->level, LEVEL_2M) || mirror_used(child) != TABLE_ENTRIES ||
        mirror_home_leaves(child) == TABLE_ENTRIES ||
        !slot_may_gather(tdp_slot(t, it->gpa, level_bytes(LEVEL_2M)), it->gpa))
        return false;
    for (unsigned i = 0; i < TABLE_ENTRIES; i++)
        if (mirror_state(atomic_load(&child->entry[i])) != MIRROR_LEAF)
            return false;
    return true;
}

/* Pages that are not in their place go there, behind one TRACK; then the region is like any other. */
void plan_add_gather(struct plan *p, const struct mirror_iter *it)
{
    const struct mirror_table *child = mirror_child(it->entry);

    if (mirror_is_blocked(it->entry))
        plan_add(p, PLAN_FIRST_ROUND, STEP_UNBLOCK, it->gpa, it->level);
    for (unsigned i = 0; i < TABLE_ENTRIES; i++) {
        u64 entry = atomic_load(&child->entry[i]);
        if (!is_home_leaf(entry))
            add_relocate(p, entry, gpa_add(it->gpa, i * PAGE_BYTES), 1);
    }
    plan_add(p, 1, STEP_BLOCK, it->gpa, it->level);
    plan_add(p, 0, STEP_PROMOTE, it->gpa, it->level);
}

static struct plan_fault fault(enum err err, const char *what, gpa_t at)
{
    return (struct plan_fault){err, what, at};
}

/* Larger pages are at home, or they would not be. */
static struct plan_fault relocate_leaf(struct tdp *t, struct plan *p, const struct mirror_iter *it)
{
    if (it->level.raw > 0 || (it->entry & MIRROR_AT_HOME))
        return fault(ERR_OK, NULL, it->gpa);
    if (!slot_may_gather(tdp_slot(t, it->gpa, PAGE_BYTES), it->gpa))
        return fault(ERR_STATE, "the memory behind this region has no home: it is not scattered, or can be no 2m page",
                     it->gpa);
    add_relocate(p, it->entry, it->gpa, 0);
    return fault(ERR_OK, NULL, it->gpa);
}

/* Nothing below a blocked table can be reached. */
static void enter_table(struct plan *p, struct mirror_iter *it)
{
    if (mirror_is_blocked(it->entry))
        plan_add(p, PLAN_FIRST_ROUND, STEP_UNBLOCK, it->gpa, it->level);
    mirror_down(it);
}

struct plan_fault plan_relocate(struct tdp *t, struct plan *p, gpa_t gpa, u64 bytes)
{
    struct mirror_iter it;
    struct plan_fault f = {.err = ERR_OK};
    bool found = false;

    mirror_begin(&it, &t->mirror, gpa, gpa_add(gpa, bytes));
    while (mirror_valid(&it) && f.err == ERR_OK) {
        if (mirror_state(it.entry) == MIRROR_FROZEN)
            return fault(ERR_BUSY, "another operation is at work on this entry", it.gpa);
        if (mirror_is_table(it.entry)) {
            enter_table(p, &it);
            continue;
        }
        found |= mirror_is_leaf(it.entry);
        if (mirror_is_leaf(it.entry))
            f = relocate_leaf(t, p, &it);
        mirror_next(&it);
    }
    if (f.err != ERR_OK)
        return f;
    if (p->err != ERR_OK)
        return fault(p->err, "no memory for the plan", gpa);
    if (!found)
        return fault(ERR_NOT_FOUND, "nothing is mapped here", gpa);
    return p->gathers ? f : fault(ERR_EXISTS, "all of the range is in its place already", gpa);
}
