/* Plans that remove private mappings, the first half of a conversion to shared: see mm/plan_build.h. */
#include "mm/plan_build.h"

/* What is to go, and where to. */
struct zap {
    struct tdp *t;
    struct plan *p;
    gpa_t from, end;
    bool piecewise;
};

static bool covers(const struct zap *z, gpa_t gpa, level_t level)
{
    return gpa.raw >= z->from.raw && gpa_add(gpa, level_bytes(level)).raw <= z->end.raw;
}

/*
 * TRACKs that follow the DEMOTE of a leaf which the range covers in part: one, for the BLOCKs of what is below; two,
 * where a 2M part below is covered in part again, and has to be blocked to be demoted in its turn.
 */
static unsigned rounds_after_demote(const struct zap *z, gpa_t gpa, level_t level)
{
    if (plan_demotes_mapped())
        return 1;
    gpa_t first = {max_u64(gpa.raw, z->from.raw)};
    gpa_t last = {min_u64(gpa_add(gpa, level_bytes(level)).raw, z->end.raw)};
    level_t below = level_below(level);
    return below.raw == 0 || (gpa_is_aligned(first, below) && gpa_is_aligned(last, below)) ? 1 : 2;
}

/* A leaf, real or one that a DEMOTE of this plan makes. Recursion ends at 4K, which is covered or not touched. */
static void zap_leaf(const struct zap *z, gpa_t gpa, level_t level, bool blocked)
{
    if (covers(z, gpa, level)) {
        if (!blocked)
            plan_add(z->p, 1, STEP_BLOCK, gpa, level);
        plan_add(z->p, 0, STEP_REMOVE, gpa, level);
        return;
    }
    unsigned round = rounds_after_demote(z, gpa, level);
    level_t below = level_below(level);
    if (!blocked && !plan_demotes_mapped())
        plan_add(z->p, round + 1, STEP_BLOCK, gpa, level);
    plan_add(z->p, round, STEP_DEMOTE, gpa, level);
    for (unsigned i = 0; i < TABLE_ENTRIES; i++) {
        gpa_t child = gpa_add(gpa, i * level_bytes(below));
        if (child.raw < z->end.raw && child.raw + level_bytes(below) > z->from.raw)
            zap_leaf(z, child, below, false);
    }
}

/* A region covered whole: merged first, it goes at one go, 4 calls instead of 2 a page. */
static bool merges_first(const struct zap *z, const struct mirror_iter *it)
{
    unsigned tables;
    return !z->piecewise && mirror_covered(it) && plan_can_merge(z->t, it, &tables);
}

static void zap_table(const struct zap *z, struct mirror_iter *it)
{
    if (merges_first(z, it)) {
        plan_add_merge(z->p, it, 1);
        plan_add(z->p, 1, STEP_BLOCK, it->gpa, it->level);
        plan_add(z->p, 0, STEP_REMOVE, it->gpa, it->level);
        mirror_next(it);
        return;
    }
    /* Nothing below a blocked table can be reached. */
    if (mirror_is_blocked(it->entry))
        plan_add(z->p, PLAN_FIRST_ROUND, STEP_UNBLOCK, it->gpa, it->level);
    mirror_down(it);
}

struct plan_fault plan_zap(struct tdp *t, struct plan *p, gpa_t gpa, u64 bytes, bool piecewise)
{
    struct zap z = {t, p, gpa, gpa_add(gpa, bytes), piecewise};
    struct mirror_iter it;

    mirror_begin(&it, &t->mirror, z.from, z.end);
    while (mirror_valid(&it)) {
        if (mirror_is_table(it.entry)) {
            zap_table(&z, &it);
            continue;
        }
        if (mirror_state(it.entry) == MIRROR_FROZEN)
            return (struct plan_fault){ERR_BUSY, "another operation is at work on this entry", it.gpa};
        if (mirror_is_leaf(it.entry))
            zap_leaf(&z, it.gpa, it.level, mirror_is_blocked(it.entry));
        mirror_next(&it);
    }
    return (struct plan_fault){p->err, p->err == ERR_OK ? NULL : "no memory for the plan", gpa};
}
