/*
 * The experiment `latency`: how long does each SEAMCALL take, by leaf and by level? It leads TDs through their life, with all
 * that a VMM does to their memory on the way, again and again, and lets tdx/latency.h note each call. TDH.VP.ENTER is with
 * what the TD does until it leaves.
 */
#include "kernel/experiment/world.h"
#include "lib/bits.h"
#include "lib/format.h"
#include "mm/page.h"
#include "tdx/latency.h"

enum { ROUNDS, LIVES, GIANT };

#define SOME_PAGES 8u /* that are shared in each round */

static const gpa_t region = {WORLD_BASE};

/* --- what is done to memory --------------------------------------------------------------------------------------- */

static enum err there_and_back(struct experiment_run *x, gpa_t gpa, u64 bytes)
{
    enum err e = world_convert(x, 0, gpa, bytes, true);

    return e == ERR_OK ? world_convert(x, 0, gpa, bytes, false) : e;
}

static enum err merge(struct experiment_run *x, gpa_t gpa, level_t level)
{
    return world_did(x, "merge", tdp_merge(vm.tdp, gpa, level, NULL));
}

/* BLOCK, TRACK, UNBLOCK of one entry; SEPT.RD of it and of those above. */
static enum err handle_entry(struct experiment_run *x, gpa_t gpa, level_t level)
{
    struct tdp_census census;
    enum err e = world_did(x, "block", tdp_block(vm.tdp, gpa, level, NULL));

    if (e == ERR_OK)
        e = world_did(x, "unblock", tdp_unblock(vm.tdp, gpa, level, NULL));
    return e == ERR_OK ? world_did(x, "census", tdp_census(vm.tdp, gpa, level_bytes(level), &census)) : e;
}

/* All of a region goes page by page and comes back as one, over the table that is left: SEPT.REMOVE. */
static enum err over_empty_table(struct experiment_run *x, gpa_t gpa)
{
    gpa_t second = gpa_add(gpa, PAGE_BYTES);
    u64 bytes = level_bytes(LEVEL_2M);
    enum err e = world_convert(x, 0, gpa, PAGE_BYTES, true);

    if (e == ERR_OK)
        e = world_convert(x, 0, second, bytes - PAGE_BYTES, true);
    return e == ERR_OK ? world_convert(x, 0, gpa, bytes, false) : e;
}

static enum err round_of_2m(struct experiment_run *x)
{
    enum err e = there_and_back(x, region, level_bytes(LEVEL_2M));

    if (e == ERR_OK)
        e = handle_entry(x, region, LEVEL_2M);
    if (e == ERR_OK)
        e = there_and_back(x, region, SOME_PAGES * PAGE_BYTES);
    if (e == ERR_OK)
        e = handle_entry(x, region, LEVEL_4K);
    if (e == ERR_OK)
        e = merge(x, region, LEVEL_2M);
    return e == ERR_OK ? over_empty_table(x, region) : e;
}

static enum err round_of_1g(struct experiment_run *x, gpa_t giant)
{
    enum err e = merge(x, giant, LEVEL_1G);

    if (e == ERR_OK)
        e = handle_entry(x, giant, LEVEL_1G);
    if (e == ERR_OK)
        e = there_and_back(x, giant, SOME_PAGES * PAGE_BYTES);
    if (e == ERR_OK)
        e = merge(x, giant, LEVEL_1G);
    return e == ERR_OK ? there_and_back(x, giant, level_bytes(LEVEL_1G)) : e;
}

/* --- lives -------------------------------------------------------------------------------------------------------- */

static enum err live_in_place(struct experiment_run *x, u64 life)
{
    level_t level = x->values[GIANT] ? LEVEL_1G : LEVEL_2M;
    gpa_t giant = {align_up(WORLD_BASE, level_bytes(LEVEL_1G))};
    u64 bytes = x->values[GIANT] ? giant.raw + level_bytes(LEVEL_1G) - WORLD_BASE : level_bytes(LEVEL_2M);
    enum err e = world_begin(x, bytes, level, 1);

    if (e == ERR_OK)
        e = world_accept(x, 0, region, level_bytes(LEVEL_2M));
    if (e == ERR_OK && x->values[GIANT])
        e = world_accept(x, 0, giant, level_bytes(LEVEL_1G));
    for (u64 i = 0; i < x->values[ROUNDS] && e == ERR_OK; i++) {
        experiment_progress(x, "latency: life %llu of %llu, round %llu of %llu", (unsigned long long)life + 1,
                            (unsigned long long)x->values[LIVES], (unsigned long long)i + 1,
                            (unsigned long long)x->values[ROUNDS]);
        e = round_of_2m(x);
        if (e == ERR_OK && x->values[GIANT])
            e = round_of_1g(x, giant);
    }
    return e;
}

/* A region of pages from anywhere, brought together: RELOCATE. */
static enum err live_scattered(struct experiment_run *x)
{
    enum err e = world_begin_scattered(x, level_bytes(LEVEL_2M), LEVEL_2M, 1);

    if (e == ERR_OK)
        e = world_accept(x, 0, region, level_bytes(LEVEL_2M));
    return e == ERR_OK ? merge(x, region, LEVEL_2M) : e;
}

static enum err live(struct experiment_run *x)
{
    enum err e = ERR_OK;

    for (u64 life = 0; life < x->values[LIVES] && e == ERR_OK; life++) {
        e = live_in_place(x, life);
        if (e == ERR_OK)
            e = world_end(x);
        if (e == ERR_OK)
            e = live_scattered(x);
        if (e == ERR_OK)
            e = world_end(x);
    }
    return e;
}

/* --- samples ------------------------------------------------------------------------------------------------------ */

/* By power of two: the member "2048" counts calls of 1024 to 2047 ticks. */
static void add_histogram(struct json *j, const struct tdx_latency *l)
{
    char name[24];

    json_object(j, "histogram");
    for (unsigned power = 0; power < TDX_LATENCY_POWERS; power++) {
        u64 count = tdx_latency_in_power(l, power);
        if (count == 0)
            continue;
        format_to(name, sizeof(name), "%llu", 2ull << power);
        json_number(j, name, count);
    }
    json_end_object(j);
}

static void sample(struct experiment_run *x, unsigned leaf, unsigned level, const struct tdx_latency *l)
{
    static const char *const levels[TDX_LATENCY_LEVELS] = {"4k", "2m", "1g", "512g", "none"};
    struct json *j = sample_begin(x);

    json_text(j, "leaf", tdx_leaf_name(leaf));
    json_text(j, "level", levels[level]);
    json_number(j, "count", l->count);
    json_number(j, "others", l->others);
    json_number(j, "total", l->total);
    json_number(j, "least", l->least);
    json_number(j, "median_at_most", tdx_latency_percentile(l, 50));
    json_number(j, "p99_at_most", tdx_latency_percentile(l, 99));
    json_number(j, "longest", l->longest);
    add_histogram(j, l);
    sample_end(x);
}

static void tell(struct experiment_run *x, const struct tdx_latencies *all)
{
    for (unsigned leaf = 0; leaf < TDX_LEAF_COUNT_MAX; leaf++)
        for (unsigned level = 0; level < TDX_LATENCY_LEVELS; level++)
            if (all->of[leaf][level].count || all->of[leaf][level].others)
                sample(x, leaf, level, &all->of[leaf][level]);
}

static enum err run(struct experiment_run *x)
{
    struct tdx_latencies *all = page_take(sizeof(*all));

    if (all == NULL)
        return fault_say(&x->fault, ERR_NO_MEMORY, "no memory for the histograms: %llu KiB are needed",
                         (unsigned long long)sizeof(*all) / KIB);
    tdx_latency_begin(all);
    enum err e = live(x);
    struct fault_text why = x->fault;
    enum err end = world_end(x);
    tdx_latency_end();
    if (e == ERR_OK && end == ERR_OK)
        tell(x, all);
    if (end == ERR_OK) /* else a vCPU runs, and may be about to note a call */
        page_give(all, sizeof(*all));
    if (e != ERR_OK)
        x->fault = why;
    return e == ERR_OK ? end : e;
}

const struct experiment experiment_latency = {
    .name = "latency",
    .question = "how long does each SEAMCALL of a TD's life take, by leaf and by level?",
    .parameters = {[ROUNDS] = {"rounds", "", "of work on the memory of each TD", 4, 1, 1000000},
                   [LIVES] = {"lives", "", "of TDs, one in place and one scattered each", 2, 1, 100000},
                   [GIANT] = {"giant", "0|1", "a 1G page too", 0, 0, 1}},
    .run = run,
};
