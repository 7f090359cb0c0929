/*
 * The experiment `dirty`: what does dirty logging cost, as live migration uses it? All large pages come apart; then pass by pass
 * the TD writes (and reads) here and there and the log is asked; then logging ends, and the merge policy has time to make
 * the pages large again. Which pages were written is known: the payload's order of access is calculated here once more.
 */
#include "guest/probe/order.h"
#include "kernel/experiment/world.h"
#include "kernel/time.h"
#include "lib/bits.h"
#include "lib/string.h"
#include "mm/page.h"
#include "mm/policy/policy.h"

enum { REGIONS, PASSES, WRITES, READS, SETTLE, STEP };
enum { POLICY };

static const struct order {
    const char *name;
    enum probe_order order;
} orders[] = {{"random", PROBE_RANDOM}, {"zipf", PROBE_ZIPF}};

/* One run under one policy. Bitmaps: a bit for each page of the regions. */
struct course {
    struct experiment_run *x;
    const struct policy *policy;
    u64 pages, bitmap_bytes;
    u64 *written, *told;
    u64 elsewhere; /* pages that the log told outside the regions */
    struct world_counts from;
};

static const gpa_t base = {WORLD_BASE};

static u64 bytes_of(const struct course *c)
{
    return c->pages * PAGE_BYTES;
}

/* --- samples ------------------------------------------------------------------------------------------------------ */

static struct json *begin(struct course *c, const char *step)
{
    struct json *j = sample_begin(c->x);

    json_text(j, "policy", c->policy->name);
    json_text(j, "step", step);
    return j;
}

static void end(struct course *c, struct json *j)
{
    struct world_counts to;

    world_counts(&to);
    world_add_counts(j, &c->from, &to);
    sample_end(c->x);
}

/* A step without members of its own; what follows is counted from here. */
static void sample(struct course *c, const char *step)
{
    end(c, begin(c, step));
}

/* --- which pages -------------------------------------------------------------------------------------------------- */

static void mark(u64 *bitmap, u64 page)
{
    bitmap[page / 64] |= 1ull << page % 64;
}

static void mark_told(gpa_t from, u64 bytes, void *arg)
{
    struct course *c = arg;

    for (u64 at = from.raw; at < from.raw + bytes; at += PAGE_BYTES) {
        u64 page = (at - base.raw) / PAGE_BYTES;
        if (at < base.raw || page >= c->pages)
            c->elsewhere++;
        else
            mark(c->told, page);
    }
}

/* As the payload's TOUCH goes. */
static void mark_written(struct course *c, const struct probe_work *work)
{
    struct probe_order_state order;

    probe_order_start(&order, work->order, c->pages, work->seed);
    for (u64 i = 0; i < work->count; i++)
        mark(c->written, probe_order_next(&order));
}

/* Pages of `a` that are not in `b`; with `b` NULL all of them. */
static u64 count(const struct course *c, const u64 *a, const u64 *b)
{
    u64 sum = 0;

    for (u64 i = 0; i < c->bitmap_bytes / sizeof(u64); i++)
        for (u64 bits = a[i] & ~(b ? b[i] : 0); bits; bits &= bits - 1)
            sum++;
    return sum;
}

/* --- steps -------------------------------------------------------------------------------------------------------- */

static enum err touch(struct course *c, const struct order *order, u64 pass, bool write)
{
    const struct probe_work work = {.op = PROBE_TOUCH,
                                    .gpa = base.raw,
                                    .len = bytes_of(c),
                                    .stride = PAGE_BYTES,
                                    .order = order->order,
                                    .count = c->x->values[write ? WRITES : READS],
                                    .write = write,
                                    .seed = c->x->seed + 2 * pass + write};
    struct probe_result result;

    if (work.count == 0)
        return ERR_OK;
    if (write)
        mark_written(c, &work);
    return world_work(c->x, write ? 0 : vm.vcpu_count - 1, &work, &result);
}

static enum err ask(struct course *c, struct tdp_dirty *dirty)
{
    memset(c->told, 0, c->bitmap_bytes);
    c->elsewhere = 0;
    return world_did(c->x, "dirty get", tdp_dirty_get(vm.tdp, mark_told, c, dirty));
}

static struct json *begin_pass(struct course *c, const char *step, const struct order *order, u64 pass)
{
    struct json *j = begin(c, step);

    json_text(j, "order", order->name);
    json_number(j, "pass", pass);
    return j;
}

static enum err one_pass(struct course *c, const struct order *order, u64 pass)
{
    struct tdp_dirty dirty;

    memset(c->written, 0, c->bitmap_bytes);
    world_counts(&c->from);
    enum err e = touch(c, order, pass, true);
    if (e == ERR_OK)
        e = touch(c, order, pass, false);
    if (e != ERR_OK)
        return e;
    end(c, begin_pass(c, "touch", order, pass));
    world_counts(&c->from);
    e = ask(c, &dirty);
    if (e != ERR_OK)
        return e;
    struct json *j = begin_pass(c, "get", order, pass);
    json_number(j, "written", count(c, c->written, NULL));
    json_number(j, "told", count(c, c->told, NULL));
    json_number(j, "missed", count(c, c->written, c->told));
    json_number(j, "false", count(c, c->told, c->written));
    json_number(j, "elsewhere", c->elsewhere);
    end(c, j);
    return e;
}

/* Until all that was large is large again, or the time is over; somebody touches each region now and then. */
static enum err recover(struct course *c, u64 whole)
{
    u64 began = time_us(), large = 0, limit = c->x->values[SETTLE] * 1000;
    enum err e = world_large(c->x, &large);

    while (e == ERR_OK && large < whole && time_us() - began < limit) {
        e = world_touch(c->x, vm.vcpu_count - 1, base, bytes_of(c), level_bytes(LEVEL_2M), false);
        if (e == ERR_OK)
            e = world_large(c->x, &large);
        if (e == ERR_OK && large < whole) /* or the touch has merged the last one */
            e = world_wait(c->x, c->x->values[STEP]);
        if (e == ERR_OK)
            e = world_large(c->x, &large);
    }
    if (e != ERR_OK)
        return e;
    struct json *j = begin(c, "recover");
    json_number(j, "whole", whole);
    json_number(j, "large", large);
    json_bool(j, "settled", large >= whole);
    json_number(j, "ms", (time_us() - began) / 1000);
    end(c, j);
    return e;
}

static enum err all_passes(struct course *c)
{
    enum err e = ERR_OK;

    for (unsigned i = 0; i < ARRAY_COUNT(orders); i++)
        for (u64 pass = 0; pass < c->x->values[PASSES] && e == ERR_OK; pass++) {
            experiment_progress(c->x, "dirty: policy %s, %s, pass %llu of %llu", c->policy->name, orders[i].name,
                                (unsigned long long)pass + 1, (unsigned long long)c->x->values[PASSES]);
            e = one_pass(c, &orders[i], pass);
        }
    return e;
}

static enum err log_and_recover(struct course *c)
{
    u64 whole = 0;
    enum err e = world_large(c->x, &whole);

    if (e == ERR_OK)
        e = world_policy(c->x, c->policy, NULL);
    world_counts(&c->from);
    if (e == ERR_OK)
        e = world_did(c->x, "dirty on", tdp_dirty_on(vm.tdp));
    if (e != ERR_OK)
        return e;
    sample(c, "on");
    e = all_passes(c);
    world_counts(&c->from);
    if (e == ERR_OK)
        e = world_did(c->x, "dirty off", tdp_dirty_off(vm.tdp));
    if (e != ERR_OK)
        return e;
    sample(c, "off");
    world_counts(&c->from);
    return recover(c, whole);
}

static enum err one_policy(struct course *c)
{
    enum err e = world_begin(c->x, bytes_of(c), LEVEL_2M, vm_vcpus_max() > 1 ? 2 : 1);

    if (e == ERR_OK)
        e = world_accept(c->x, 0, base, bytes_of(c));
    if (e == ERR_OK)
        e = world_fill(c->x, 0, base, bytes_of(c));
    if (e == ERR_OK)
        e = log_and_recover(c);
    return e == ERR_OK ? world_end(c->x) : e;
}

static enum err each_policy(struct course *c)
{
    enum err e = ERR_OK;

    for (unsigned i = 0; policies[i] && e == ERR_OK; i++) {
        c->policy = policies[i];
        if (c->x->chosen[POLICY] == NULL || strcmp(c->x->chosen[POLICY], policies[i]->name) == 0)
            e = one_policy(c);
    }
    return e;
}

static enum err run(struct experiment_run *x)
{
    u64 pages = x->values[REGIONS] * TABLE_ENTRIES;
    struct course c = {.x = x, .pages = pages, .bitmap_bytes = pages / 8};

    c.written = page_take(c.bitmap_bytes);
    c.told = page_take(c.bitmap_bytes);
    enum err e = c.written && c.told ? each_policy(&c)
                                     : fault_say(&x->fault, ERR_NO_MEMORY, "no memory for two bitmaps of %llu bytes",
                                                 (unsigned long long)c.bitmap_bytes);
    page_give(c.written, c.bitmap_bytes);
    page_give(c.told, c.bitmap_bytes);
    return e;
}

const struct experiment experiment_dirty = {
    .name = "dirty",
    .question =
        "what do dirty logging, its passes and the recovery behind it cost, and how many pages does it tell in vain?",
    .parameters = {[REGIONS] = {"regions", "2m regions", "that the work is on", 4, 1, 65536},
                   [PASSES] = {"passes", "", "at random, and as many by Zipf's law", 3, 1, 100000},
                   [WRITES] = {"writes", "accesses", "in each pass, by one vCPU", 256, 1, 1000000000},
                   [READS] = {"reads", "accesses", "in each pass, by another where there is one", 32, 0, 1000000000},
                   [SETTLE] = {"settle", "ms", "that the policy has at most to recover", 2000, 1, 3600000},
                   [STEP] = {"step", "ms", "between two looks at that", 20, 1, 60000}},
    .choices = {[POLICY] = {.key = "policy", .what = "one alone", .name = experiment_policy_name}},
    .run = run,
};
