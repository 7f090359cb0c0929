/*
 * The experiment `convert`: what does it cost to share n pages of a 2M page, or of a 1G page, to take them back, and to merge
 * what fell apart? The payload asks for it by MapGPA as a guest would; the merge is by hand.
 */
#include "kernel/experiment/world.h"
#include "lib/bits.h"

enum { ROUNDS, GIANT };

static const u64 page_counts[] = {1, 8, 64, 511, 512};

/* One step between two looks at the counters. */
static void sample(struct experiment_run *x, const char *step, level_t level, u64 pages, u64 round,
                   const struct world_counts *from)
{
    struct world_counts to;

    world_counts(&to);
    struct json *j = sample_begin(x);
    json_text(j, "step", step);
    json_text(j, "leaf", level_is(level, LEVEL_1G) ? "1g" : "2m");
    json_number(j, "pages", pages);
    json_number(j, "round", round);
    world_add_counts(j, from, &to);
    sample_end(x);
}

static enum err merge(struct experiment_run *x, gpa_t gpa, level_t level)
{
    struct tdp_report r = tdp_merge(vm.tdp, gpa, level, NULL);

    return r.err == ERR_OK || r.err == ERR_EXISTS ? ERR_OK : vm_say(&x->fault, "merge", &r);
}

static enum err one(struct experiment_run *x, gpa_t gpa, level_t level, u64 pages, u64 round)
{
    gpa_t whole = gpa_floor(gpa, level);
    struct world_counts from;

    world_counts(&from);
    enum err e = world_convert(x, 0, gpa, pages * PAGE_BYTES, true);
    if (e != ERR_OK)
        return e;
    sample(x, "to shared", level, pages, round, &from);
    world_counts(&from);
    e = world_convert(x, 0, gpa, pages * PAGE_BYTES, false);
    if (e != ERR_OK)
        return e;
    sample(x, "to private", level, pages, round, &from);
    world_counts(&from);
    e = merge(x, whole, level);
    if (e == ERR_OK)
        sample(x, "merge", level, pages, round, &from);
    return e;
}

static enum err all(struct experiment_run *x, gpa_t base, level_t level)
{
    enum err e = ERR_OK;

    for (u64 round = 0; round < x->values[ROUNDS]; round++)
        for (unsigned i = 0; i < ARRAY_COUNT(page_counts) && e == ERR_OK; i++) {
            u64 region = experiment_random(x, level_bytes(level) / level_bytes(LEVEL_2M));
            u64 page = experiment_random(x, TABLE_ENTRIES + 1 - page_counts[i]);
            e = one(x, gpa_add(base, region * level_bytes(LEVEL_2M) + page * PAGE_BYTES), level, page_counts[i], round);
        }
    return e;
}

static enum err run(struct experiment_run *x)
{
    level_t level = x->values[GIANT] ? LEVEL_1G : LEVEL_2M;
    u64 bytes = level_bytes(level);
    gpa_t base = {align_up(WORLD_BASE, bytes)};
    enum err e = world_begin(x, base.raw + bytes - WORLD_BASE, level, 1);

    if (e == ERR_OK)
        e = world_accept(x, 0, base, bytes);
    if (e == ERR_OK)
        e = merge(x, base, level);
    return e == ERR_OK ? all(x, base, level) : e;
}

const struct experiment experiment_convert = {
    .name = "convert",
    .question = "what do n pages of a large page cost that are shared, taken back and merged again?",
    .parameters = {[ROUNDS] = {"rounds", "", "of 1, 8, 64, 511 and 512 pages each", 3, 1, 100000},
                   [GIANT] = {"giant", "0|1", "a 1G page in the place of a 2M page", 0, 0, 1}},
    .run = run,
};
