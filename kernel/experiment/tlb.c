/*
 * The experiment `tlb`: what do large pages save a TD? Its payload touches a working set again and again, sequentially, by
 * strides, at random, by Zipf's law, where all of it is mapped by pages of one size; the vCPU's performance counters say how many
 * page walks that took.
 */
#include "kernel/experiment/world.h"
#include "kernel/print.h"
#include "lib/bits.h"

enum { LEAST, MOST, COUNT, STRIDE, GIANT };

#define LINE_BYTES 64u

static const struct pattern {
    const char *name;
    enum probe_order order;
} patterns[] = {
    {"sequential", PROBE_SEQUENTIAL}, {"strided", PROBE_SEQUENTIAL}, {"random", PROBE_RANDOM}, {"zipf", PROBE_ZIPF}};

struct setting {
    level_t level;
    gpa_t base;
    u64 bytes; /* of the working set */
    const struct pattern *pattern;
};

/* Sequential work goes from cache line to cache line, the others from page to page. */
static u64 stride_of(const struct experiment_run *x, const struct pattern *p)
{
    return p == &patterns[0] ? LINE_BYTES : p == &patterns[1] ? x->values[STRIDE] : PAGE_BYTES;
}

static void sample(struct experiment_run *x, const struct setting *s, const struct probe_result *r,
                   const struct world_counts *from)
{
    struct world_counts to;

    world_counts(&to);
    struct json *j = sample_begin(x);
    json_text(j, "page", level_name(s->level));
    json_text(j, "order", s->pattern->name);
    json_number(j, "working_set", s->bytes);
    json_number(j, "accesses", r->touched);
    json_number(j, "work_tsc", r->tsc);
    json_bool(j, "counted", world_counts_walks());
    if (world_counts_walks())
        json_number(j, "misses", r->walks[0] + r->walks[1] + r->walks[2]);
    world_add_counts(j, from, &to);
    sample_end(x);
}

/* All of the working set is touched once before, so that what fits into the TLB is there. */
static enum err measure(struct experiment_run *x, const struct setting *s)
{
    const struct probe_work work = {.op = PROBE_TOUCH,
                                    .gpa = s->base.raw,
                                    .len = s->bytes,
                                    .stride = stride_of(x, s->pattern),
                                    .order = s->pattern->order,
                                    .count = x->values[COUNT],
                                    .seed = x->seed};
    struct probe_result result;
    struct world_counts from;
    enum err e = world_touch(x, 0, s->base, s->bytes, PAGE_BYTES, false);

    world_counts(&from);
    if (e == ERR_OK)
        e = world_work(x, 0, &work, &result);
    if (e == ERR_OK)
        sample(x, s, &result, &from);
    return e;
}

static enum err all_patterns(struct experiment_run *x, struct setting *s)
{
    enum err e = ERR_OK;

    for (u64 mib = x->values[LEAST]; mib <= x->values[MOST] && e == ERR_OK; mib *= 2)
        for (unsigned i = 0; i < ARRAY_COUNT(patterns) && e == ERR_OK; i++) {
            s->bytes = mib * MIB;
            s->pattern = &patterns[i];
            experiment_progress(x, "tlb: %s pages, %llu MiB, %s", level_name(s->level), (unsigned long long)mib,
                                s->pattern->name);
            e = measure(x, s);
        }
    return e;
}

static enum err merge_giants(struct experiment_run *x, gpa_t base, u64 bytes)
{
    enum err e = ERR_OK;

    for (u64 at = 0; at < bytes && e == ERR_OK; at += level_bytes(LEVEL_1G))
        e = world_did(x, "merge", tdp_merge(vm.tdp, gpa_add(base, at), LEVEL_1G, NULL));
    return e;
}

static enum err one_size(struct experiment_run *x, level_t level)
{
    bool giant = level_is(level, LEVEL_1G);
    u64 bytes = align_up(x->values[MOST] * MIB, level_bytes(level));
    struct setting s = {.level = level, .base = {align_up(WORLD_BASE, level_bytes(giant ? LEVEL_1G : LEVEL_2M))}};
    enum err e = world_begin(x, s.base.raw + bytes - WORLD_BASE, level, 1);

    if (e == ERR_OK)
        e = world_accept(x, 0, s.base, bytes);
    if (e == ERR_OK && giant)
        e = merge_giants(x, s.base, bytes);
    if (e == ERR_OK)
        e = all_patterns(x, &s);
    return e == ERR_OK ? world_end(x) : e;
}

static enum err run(struct experiment_run *x)
{
    enum err e = ERR_OK;

    if (x->values[LEAST] > x->values[MOST])
        return fault_say(&x->fault, ERR_RANGE, "least=%llu is more than most=%llu",
                         (unsigned long long)x->values[LEAST], (unsigned long long)x->values[MOST]);
    if (x->values[STRIDE] % 8 != 0)
        return fault_say(&x->fault, ERR_UNALIGNED, "stride=%llu: a multiple of 8 is needed",
                         (unsigned long long)x->values[STRIDE]);
    if (!vm_may_have_perfmon())
        print("The TDX module gives TDs no performance counters here: times alone can be told, no misses.\n");
    for (unsigned level = 0; level <= (x->values[GIANT] ? LEVEL_1G : LEVEL_2M).raw && e == ERR_OK; level++)
        e = one_size(x, (level_t){(u8)level});
    return e;
}

const struct experiment experiment_tlb = {
    .name = "tlb",
    .question = "how many TLB misses do 2M and 1G pages save a TD, by its way to touch a working set and by its size?",
    .parameters = {[LEAST] = {"least", "MiB", "the smallest working set; it is doubled up to ...", 16, 1, 1024 * 1024},
                   [MOST] = {"most", "MiB", "... the largest, for which the TD needs memory", 64, 1, 1024 * 1024},
                   [COUNT] = {"count", "accesses", "behind one touch of each page", 20000, 1, 1000000000},
                   [STRIDE] = {"stride", "bytes", "of strided accesses", 2 * PAGE_BYTES + LINE_BYTES, 8, GIB},
                   [GIANT] = {"giant", "0|1", "1G pages too", 0, 0, 1}},
    .run = run,
};
