/* Plans that map private memory: see mm/plan_build.h. */
#include "mm/plan_build.h"

struct map {
    struct tdp *t;
    struct plan *p;
    gpa_t from, end;
    level_t max;
    bool tables_only;   /* no AUGs at all */
    bool as_512;        /* whole free regions get their 4K pages by AUG of 2M and DEMOTE */
    unsigned aug_round; /* of all AUGs but, in a plan that is not from shared memory, those of such regions */
};

static bool covers(const struct map *m, gpa_t gpa, level_t level)
{
    return gpa.raw >= m->from.raw && gpa_add(gpa, level_bytes(level)).raw <= m->end.raw;
}

/* All of the range is private or becomes so: a region that it covers may be one page where the backing allows. */
static bool may_be_2m(const struct map *m, gpa_t gpa)
{
    const struct slot *s = tdp_slot(m->t, gpa, level_bytes(LEVEL_2M));
    return !m->tables_only && covers(m, gpa, LEVEL_2M) && s && slot_may_be(s, gpa, LEVEL_2M);
}

/* AUG 2M and DEMOTE: four calls where 4K by 4K takes 513. Two where DEMOTE needs no BLOCK. */
static void map_as_512(const struct map *m, gpa_t gpa)
{
    unsigned round = plan_demotes_mapped() ? m->aug_round : 1;
    plan_add(m->p, round, STEP_AUG, gpa, LEVEL_2M);
    if (!plan_demotes_mapped())
        plan_add(m->p, 1, STEP_BLOCK, gpa, LEVEL_2M);
    plan_add(m->p, 0, STEP_DEMOTE, gpa, LEVEL_2M);
}

static bool has_whole_region(const struct map *m)
{
    gpa_t first = gpa_floor(gpa_add(m->from, level_bytes(LEVEL_2M) - PAGE_BYTES), LEVEL_2M);
    return may_be_2m(m, first);
}

static void map_free(const struct map *m, gpa_t gpa, level_t level);

/*
 * A table, and what the range wants below it. Tables go in in round 1: in front of the AUGs of both rounds, and where
 * those are in round 1 too, of the AUGs below them. A TRACK behind the round does not mind them.
 */
static void map_below(const struct map *m, gpa_t gpa, level_t level)
{
    level_t below = level_below(level);
    plan_add(m->p, 1, STEP_SEPT_ADD, gpa, level);
    for (unsigned i = 0; i < TABLE_ENTRIES; i++) {
        gpa_t child = gpa_add(gpa, i * level_bytes(below));
        if (child.raw < m->end.raw && child.raw + level_bytes(below) > m->from.raw)
            map_free(m, child, below);
    }
}

/* An entry that is free, now or after the plan's SEPT.ADDs. */
static void map_free(const struct map *m, gpa_t gpa, level_t level)
{
    if (level.raw == 0) {
        if (!m->tables_only)
            plan_add(m->p, m->aug_round, STEP_AUG, gpa, level);
    } else if (level.raw == 1 && may_be_2m(m, gpa) && m->max.raw >= 1) {
        plan_add(m->p, m->aug_round, STEP_AUG, gpa, level);
    } else if (level.raw == 1 && may_be_2m(m, gpa) && m->as_512) {
        map_as_512(m, gpa);
    } else {
        map_below(m, gpa, level);
    }
}

/* An empty table in the way of a 2M page: AUG refuses to go over it. */
static bool is_in_the_way(const struct map *m, const struct mirror_iter *it)
{
    return level_is(it->level, LEVEL_2M) && mirror_used(mirror_child(it->entry)) == 0 &&
           (m->max.raw >= 1 || m->as_512) && may_be_2m(m, it->gpa);
}

static void replace_empty_table(const struct map *m, const struct mirror_iter *it)
{
    if (!mirror_is_blocked(it->entry))
        plan_add(m->p, m->aug_round + 1, STEP_BLOCK, it->gpa, it->level);
    plan_add(m->p, m->aug_round, STEP_SEPT_REMOVE, it->gpa, it->level);
    map_free(m, it->gpa, it->level);
}

static struct plan_fault map_table(const struct map *m, struct mirror_iter *it)
{
    if (is_in_the_way(m, it)) {
        replace_empty_table(m, it);
        mirror_next(it);
    } else if (mirror_is_blocked(it->entry)) {
        return (struct plan_fault){ERR_STATE, "a table here is blocked: unblock it first", it->gpa};
    } else {
        mirror_down(it);
    }
    return (struct plan_fault){.err = ERR_OK};
}

/* Memory of the range that is lost cannot be mapped. */
static struct plan_fault check_lost(const struct map *m)
{
    struct tdp_report r = tdp_check_lost(m->t, m->from, m->end.raw - m->from.raw);
    return (struct plan_fault){r.err, r.what, r.at};
}

static struct plan_fault map_range(const struct map *m)
{
    struct mirror_iter it;
    struct plan_fault f = check_lost(m);

    mirror_begin(&it, &m->t->mirror, m->from, m->end);
    while (mirror_valid(&it) && f.err == ERR_OK) {
        if (mirror_is_table(it.entry)) {
            f = map_table(m, &it);
            continue;
        }
        if (mirror_state(it.entry) == MIRROR_FROZEN)
            return (struct plan_fault){ERR_BUSY, "another operation is at work on this entry", it.gpa};
        if (mirror_state(it.entry) == MIRROR_NONE)
            map_free(m, it.gpa, it.level);
        mirror_next(&it);
    }
    if (f.err == ERR_OK && m->p->err != ERR_OK)
        f = (struct plan_fault){m->p->err, "no memory for the plan", m->from};
    return f;
}

/* AUGs of shared memory must stay in order of address: where one is in round 1, for a BLOCK and a DEMOTE follow it, all
 * are. */
struct plan_fault plan_map(struct tdp *t, struct plan *p, gpa_t gpa, u64 bytes, level_t max)
{
    struct map m = {.t = t, .p = p, .from = gpa, .end = gpa_add(gpa, bytes), .max = max};
    m.as_512 = max.raw == 0 && (t->choice.goal == TDP_CALLS || !p->tracking || plan_demotes_mapped());
    m.aug_round = m.as_512 && p->from_shared && !plan_demotes_mapped() && has_whole_region(&m);
    return map_range(&m);
}

struct plan_fault plan_tables(struct tdp *t, struct plan *p, gpa_t gpa, u64 bytes)
{
    struct map m = {.t = t, .p = p, .from = gpa, .end = gpa_add(gpa, bytes), .tables_only = true};
    return map_range(&m);
}
