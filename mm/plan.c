/* Plans: their storage, their cost and their print. What goes into them: mm/plan_build.h; doing them: mm/perform.h. */
#include "mm/plan_step.h"

#include "lib/format.h"
#include "lib/log.h"
#include "mm/page.h"

#define CHUNK_STEPS ((PAGE_BYTES - 16) / sizeof(struct plan_step))

struct step_chunk {
    struct step_chunk *next;
    u64 count;
    struct plan_step step[CHUNK_STEPS];
};
_Static_assert(sizeof(struct step_chunk) <= PAGE_BYTES, "a chunk is a page");

static const struct {
    const char *name;
    bool calls, tables;
} kinds[STEP_KINDS] = {
#define X(kind, name, calls, tables) {name, calls, tables},
    STEP_LIST(X)
#undef X
};

const char *step_name(enum step_kind kind)
{
    return kinds[kind].name;
}

/* --- storage ------------------------------------------------------------------------------------------------------ */

struct plan *plan_new(void)
{
    return page_take(sizeof(struct plan));
}

static void drop_steps(struct step_list *list)
{
    for (struct step_chunk *c = list->first, *next; c; c = next) {
        next = c->next;
        page_give(c, sizeof(*c));
    }
    *list = (struct step_list){0};
}

static void drop_tables(struct plan *p)
{
    while (p->tables_in_hand) {
        struct mirror_table *t = plan_next_table(p);
        page_free(t->sept, LEVEL_4K);
        mirror_table_free(t);
    }
}

void plan_reset(struct plan *p, bool tracking)
{
    for (unsigned r = 0; r < PLAN_ROUNDS; r++)
        drop_steps(&p->round[r]);
    drop_tables(p);
    *p = (struct plan){.tracking = tracking};
}

void plan_free(struct plan *p)
{
    if (!p)
        return;
    plan_reset(p, false);
    page_give(p, sizeof(*p));
}

static struct plan_step *new_step(struct plan *p, struct step_list *list)
{
    struct step_chunk *c = list->last;
    if (!c || c->count == CHUNK_STEPS) {
        c = page_take(sizeof(*c));
        if (!c) {
            p->err = ERR_NO_MEMORY;
            return NULL;
        }
        *(list->last ? &list->last->next : &list->first) = c;
        list->last = c;
    }
    return &c->step[c->count++];
}

static bool continues(const struct step_list *list, enum step_kind kind, gpa_t gpa, level_t level)
{
    if (!list->last)
        return false;
    const struct plan_step *s = &list->last->step[list->last->count - 1];
    return s->kind == kind && level_is(s->level, level) && s->count < ~0u &&
           gpa_is(gpa_add(s->gpa, s->count * level_bytes(level)), gpa);
}

void plan_add(struct plan *p, unsigned round, enum step_kind kind, gpa_t gpa, level_t level)
{
    struct step_list *list = &p->round[round];

    ASSERT(round < PLAN_ROUNDS && (kind != STEP_BLOCK || round > 0));
    if (p->err != ERR_OK || (kind == STEP_BLOCK && !p->tracking))
        return;
    if (continues(list, kind, gpa, level)) {
        list->last->step[list->last->count - 1].count++;
    } else {
        struct plan_step *s = new_step(p, list);
        if (!s)
            return;
        *s = (struct plan_step){.gpa = gpa, .count = 1, .kind = (u8)kind, .level = level};
    }
    list->calls += kinds[kind].calls;
    list->has_block |= kind == STEP_BLOCK;
    list->has_aug |= kind == STEP_AUG;
    p->tables_needed += kinds[kind].tables;
}

bool plan_is_empty(const struct plan *p)
{
    for (unsigned r = 0; r < PLAN_ROUNDS; r++)
        if (p->round[r].first)
            return false;
    return true;
}

/* --- pages in hand ------------------------------------------------------------------------------------------------ */

enum err plan_take_tables(struct plan *p, unsigned node)
{
    for (u64 i = 0; i < p->tables_needed; i++) {
        struct mirror_table *t = mirror_table_new(node);
        if (!t) {
            drop_tables(p);
            return ERR_NO_MEMORY;
        }
        plan_keep_table(p, t);
    }
    return ERR_OK;
}

void plan_keep_table(struct plan *p, struct mirror_table *table)
{
    table->next = p->tables;
    p->tables = table;
    p->tables_in_hand++;
}

struct mirror_table *plan_next_table(struct plan *p)
{
    struct mirror_table *t = p->tables;
    ASSERT(p->tables_in_hand > 0);
    p->tables_in_hand--;
    p->tables = t->next;
    t->next = NULL;
    return t;
}

/* --- reading ------------------------------------------------------------------------------------------------------ */

unsigned plan_tracks(const struct plan *p)
{
    unsigned sum = 0;
    for (unsigned r = 0; r < PLAN_ROUNDS; r++)
        sum += p->round[r].has_block;
    return sum;
}

/* Does DROP_SHARED stand in front of `round`? Then this is the first with an AUG, and no TRACK comes before. */
static bool drops_shared(const struct plan *p, unsigned round)
{
    if (!p->from_shared || !p->tracking || !p->round[round].has_aug)
        return false;
    while (++round < PLAN_ROUNDS)
        if (p->round[round].has_aug || p->round[round].has_block)
            return false;
    return true;
}

unsigned plan_stops(const struct plan *p)
{
    unsigned sum = plan_tracks(p);
    for (unsigned r = 0; r < PLAN_ROUNDS; r++)
        sum += drops_shared(p, r);
    return sum;
}

u64 plan_pause(const struct plan *p)
{
    u64 sum = 0, pause = 0;

    if (plan_stops(p) < 2)
        return 0;
    for (unsigned r = PLAN_ROUNDS; r-- > 0;) {
        if (drops_shared(p, r))
            pause = sum;
        sum += p->round[r].calls;
        if (p->round[r].has_block)
            pause = ++sum;
    }
    return pause;
}

void plan_begin(struct plan_cursor *c, const struct plan *p)
{
    *c = (struct plan_cursor){.plan = p, .round = PLAN_ROUNDS, .between = {.count = 1}};
}

/* Goes to the next round; true when a step of its own, `between`, stands in front of it. */
static bool enter_round(struct plan_cursor *c)
{
    const struct plan *p = c->plan;
    bool track = c->round < PLAN_ROUNDS && p->round[c->round].has_block;

    c->chunk = p->round[--c->round].first;
    c->index = 0;
    c->between.kind = track ? STEP_TRACK : STEP_DROP_SHARED;
    return track || drops_shared(p, c->round);
}

const struct plan_step *plan_next(struct plan_cursor *c)
{
    for (;;) {
        if (c->chunk && c->index < c->chunk->count)
            return &c->chunk->step[c->index++];
        if (c->chunk) {
            c->chunk = c->chunk->next;
            c->index = 0;
        } else if (c->round == 0) {
            return NULL;
        } else if (enter_round(c)) {
            return &c->between;
        }
    }
}

u64 plan_seamcalls(const struct plan *p)
{
    u64 sum = plan_tracks(p);
    for (unsigned r = 0; r < PLAN_ROUNDS; r++)
        sum += p->round[r].calls;
    return sum;
}

/* The vCPUs are held out from the first stop to the last: one round, however many stops. */
u64 plan_kick_rounds(const struct plan *p)
{
    return plan_stops(p) > 0;
}

unsigned plan_lines(const struct plan *p)
{
    struct plan_cursor c;
    unsigned lines = 0;

    plan_begin(&c, p);
    while (plan_next(&c))
        lines++;
    return lines;
}

size_t plan_line(const struct plan *p, unsigned line, char *to, size_t bytes)
{
    static const char *const levels[] = {"4K", "2M", "1G", "512G"};
    struct plan_cursor c;
    const struct plan_step *s;

    plan_begin(&c, p);
    do
        s = plan_next(&c);
    while (s && line--);
    if (!s)
        return format_to(to, bytes, "%s", "");
    if (s->kind == STEP_TRACK || s->kind == STEP_DROP_SHARED)
        return format_to(to, bytes, "%s", step_name((enum step_kind)s->kind));
    if (s->count == 1)
        return format_to(to, bytes, "%s %s @0x%llx", step_name((enum step_kind)s->kind), levels[s->level.raw],
                         (unsigned long long)s->gpa.raw);
    return format_to(to, bytes, "%s %s x %u @0x%llx", step_name((enum step_kind)s->kind), levels[s->level.raw],
                     s->count, (unsigned long long)s->gpa.raw);
}
