/*
 * The experiment `fragment`: what does it cost to bring a scattered region together, r pages of which are away from home, against
 * leaving it as it is? In scattered memory all pages are away at first; all but r are moved home, the region is touched as it
 * is, gathered (RELOCATE and PROMOTE), and touched again.
 */
#include "kernel/experiment/world.h"
#include "lib/bits.h"

enum { ROUNDS, COUNT };

static const u64 pages_away[] = {1, 8, 64, 256, 512};

static struct json *begin(struct experiment_run *x, const char *step, u64 away, u64 round)
{
    struct json *j = sample_begin(x);

    json_text(j, "step", step);
    json_number(j, "away", away);
    json_number(j, "round", round);
    return j;
}

static void end(struct experiment_run *x, struct json *j, const struct world_counts *from)
{
    struct world_counts to;

    world_counts(&to);
    world_add_counts(j, from, &to);
    sample_end(x);
}

/* Reads all over the region, at random; each page has been read once before. */
static enum err touch(struct experiment_run *x, const char *step, gpa_t gpa, u64 away, u64 round)
{
    const struct probe_work work = {.op = PROBE_TOUCH,
                                    .gpa = gpa.raw,
                                    .len = level_bytes(LEVEL_2M),
                                    .stride = PAGE_BYTES,
                                    .order = PROBE_RANDOM,
                                    .count = x->values[COUNT],
                                    .seed = x->seed};
    struct probe_result result;
    struct world_counts from;
    enum err e = world_touch(x, 0, gpa, level_bytes(LEVEL_2M), PAGE_BYTES, false);

    world_counts(&from);
    if (e == ERR_OK)
        e = world_work(x, 0, &work, &result);
    if (e != ERR_OK)
        return e;
    struct json *j = begin(x, step, away, round);
    json_number(j, "accesses", result.touched);
    json_number(j, "work_tsc", result.tsc);
    end(x, j, &from);
    return e;
}

static enum err gather(struct experiment_run *x, gpa_t gpa, u64 away, u64 round)
{
    struct world_counts from;

    world_counts(&from);
    enum err e = world_did(x, "merge", tdp_merge(vm.tdp, gpa, LEVEL_2M, NULL));
    if (e == ERR_OK)
        end(x, begin(x, "gather", away, round), &from);
    return e;
}

static enum err one(struct experiment_run *x, gpa_t gpa, u64 away, u64 round)
{
    u64 home = TABLE_ENTRIES - away;
    enum err e = world_accept(x, 0, gpa, level_bytes(LEVEL_2M));

    if (e == ERR_OK)
        e = world_fill(x, 0, gpa, level_bytes(LEVEL_2M));
    if (e == ERR_OK && home)
        e = world_did(x, "relocate", tdp_relocate(vm.tdp, gpa, home * PAGE_BYTES, NULL));
    if (e == ERR_OK)
        e = touch(x, "left", gpa, away, round);
    if (e == ERR_OK)
        e = gather(x, gpa, away, round);
    if (e == ERR_OK)
        e = touch(x, "gathered", gpa, away, round);
    return e == ERR_OK ? world_verify(x, 0, gpa, level_bytes(LEVEL_2M)) : e;
}

static enum err one_round(struct experiment_run *x, u64 round)
{
    enum err e = world_begin_scattered(x, ARRAY_COUNT(pages_away) * level_bytes(LEVEL_2M), LEVEL_2M, 1);

    for (unsigned i = 0; i < ARRAY_COUNT(pages_away) && e == ERR_OK; i++) {
        experiment_progress(x, "fragment: round %llu of %llu, %llu pages away", (unsigned long long)round + 1,
                            (unsigned long long)x->values[ROUNDS], (unsigned long long)pages_away[i]);
        e = one(x, (gpa_t){WORLD_BASE + i * level_bytes(LEVEL_2M)}, pages_away[i], round);
    }
    return e == ERR_OK ? world_end(x) : e;
}

static enum err run(struct experiment_run *x)
{
    enum err e = ERR_OK;

    for (u64 round = 0; round < x->values[ROUNDS] && e == ERR_OK; round++)
        e = one_round(x, round);
    return e;
}

const struct experiment experiment_fragment = {
    .name = "fragment",
    .question = "what does it cost to gather a scattered region, r pages away from home, against leaving it?",
    .parameters = {[ROUNDS] = {"rounds", "", "of a TD with a region for each of 1, 8, 64, 256 and 512 pages", 2, 1,
                               100000},
                   [COUNT] = {"count", "accesses", "before and after", 5000, 1, 1000000000}},
    .run = run,
};
