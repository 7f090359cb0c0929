/*
 * Random work: one process in which the VMM's real mm/ and tdx/ drive the real module model, with a TD that accepts,
 * writes and reads its memory meanwhile. After every step the mirror is compared with the module entry by entry, the
 * TD's translation cache with its tables, and what was touched with what the TD wrote. At the end no page is missing.
 *
 * SEED=n repeats a run, STEPS=n makes it longer.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include <cmocka.h>

#include "tests/host/platform.h"
#include "tests/host/testbed.h"

#define WORK_BYTES (8 * TB_2M) /* most of the traffic; random in place and length */

static uint64_t work_base; /* behind a GiB that is used as a whole, or 0 where there is none */

static uint64_t random_state, step, refusals;

static uint64_t random_below(uint64_t n)
{
    random_state += 0x9e3779b97f4a7c15ull;
    uint64_t z = random_state;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
    return (z ^ (z >> 31)) % n;
}

/* A range of the work area: single pages, odd ranges, whole regions, several regions. */
static void random_range(uint64_t *gpa, uint64_t *bytes)
{
    uint64_t pages = WORK_BYTES / TB_4K, first = random_below(pages), count = 1;
    switch (random_below(4)) {
    case 0:
        break;
    case 1:
        count = 1 + random_below(40);
        break;
    case 2:
        first &= ~511ull;
        count = 512 * (1 + random_below(2));
        break;
    default:
        count = 1 + random_below(1200);
        break;
    }
    if (first + count > pages)
        count = pages - first;
    *gpa = work_base + first * TB_4K;
    *bytes = count * TB_4K;
}

static uint64_t random_region(void)
{
    return work_base + random_below(WORK_BYTES / TB_2M) * TB_2M;
}

static uint64_t random_page(uint64_t gpa, uint64_t bytes)
{
    return gpa + random_below(bytes / TB_4K) * TB_4K;
}

/* What an operation may answer besides ERR_OK; everything else ends the test. */
static bool went(struct tdp_report r, enum err allowed, enum err allowed_too)
{
    if (r.err == ERR_OK)
        return true;
    if (r.err != allowed && r.err != allowed_too)
        TB_FAIL(r.what ? r.what : err_text(r.err), r.status.raw);
    TB_NEED(r.what != NULL, r.err);
    return false;
}

/* --- operations: planned, then performed under interrupt pressure, and the cost compared -------------------------- */

enum what { MAP, CONVERT, SPLIT, MERGE };

struct request {
    enum what what;
    uint64_t gpa, bytes;
    level_t level;
    enum tdp_attr to;
};

static struct tdp_report ask(const struct request *q, struct plan *dry)
{
    gpa_t gpa = {q->gpa};
    switch (q->what) {
    case MAP:
        return tdp_map(tb.tdp, gpa, q->bytes, q->level, dry);
    case CONVERT:
        return dry ? tdp_convert(tb.tdp, gpa, q->bytes, q->to, dry) : tb_convert(q->gpa, q->bytes, q->to);
    case SPLIT:
        return tdp_split(tb.tdp, gpa, q->level, dry);
    default:
        return tdp_merge(tb.tdp, gpa, q->level, dry);
    }
}

/* A dry run changes nothing, fails as the real one does, and says its cost, unless the module refuses a PROMOTE. */
static struct tdp_report request(struct request q)
{
    struct plan *plan = plan_new();
    tb_calls_reset();
    struct tdp_report planned = ask(&q, plan);
    TB_NEED(tb_calls() == 0, tb_calls());
    /* An interrupt waits: with IF clear it must not stop DEMOTE or PROMOTE. */
    platform_host_knobs.pending = random_below(2);
    platform_host_knobs.pending_events = PLAT_EVENT_INTERRUPT;
    struct tdp_report r = ask(&q, NULL);
    platform_host_knobs.pending = false;
    TB_NEED(tb_calls() == r.seamcalls && tb_tracks() == r.tracks, tb_calls());
    if (r.status.raw >> 32 == 0xc0000b09 || r.seamcalls > plan_seamcalls(plan))
        refusals++; /* in a conversion the plan without that PROMOTE comes next, so that more calls are made than planned */
    else
        TB_NEED(r.err == planned.err && (r.err != ERR_OK || r.seamcalls == plan_seamcalls(plan)), r.seamcalls);
    plan_free(plan);
    return r;
}

static struct tdp_report map(uint64_t gpa, uint64_t bytes, level_t max)
{
    return request((struct request){.what = MAP, .gpa = gpa, .bytes = bytes, .level = max});
}

static struct tdp_report convert(uint64_t gpa, uint64_t bytes, enum tdp_attr to)
{
    return request((struct request){.what = CONVERT, .gpa = gpa, .bytes = bytes, .to = to});
}

static struct tdp_report split(uint64_t gpa, level_t level)
{
    return request((struct request){.what = SPLIT, .gpa = gpa, .level = level});
}

static struct tdp_report merge(uint64_t gpa, level_t level)
{
    return request((struct request){.what = MERGE, .gpa = gpa, .level = level});
}

static bool is_blocked_somewhere(uint64_t gpa, uint64_t bytes)
{
    struct tdp_census c;
    TB_NEED(tdp_census(tb.tdp, (gpa_t){gpa}, bytes, &c).err == ERR_OK, gpa);
    return c.blocked != 0;
}

/* Touches a few pages of the range: writes some, verifies the others. */
static void use(uint64_t gpa, uint64_t bytes)
{
    for (int i = 0; i < 6; i++) {
        uint64_t page = random_page(gpa, bytes);
        if (!tb_is_accepted(page) && !tb_is_shared(page))
            continue;
        if (random_below(2))
            tb_write_page(page);
        else
            tb_verify_page(page);
    }
}

static void step_map(uint64_t gpa, uint64_t bytes)
{
    level_t max = random_below(2) ? LEVEL_2M : LEVEL_4K;
    went(map(gpa, bytes, max), ERR_EXISTS, ERR_ATTR_MISMATCH);
}

static void step_accept(uint64_t gpa, uint64_t bytes)
{
    tb_accept_range(gpa, bytes);
    use(gpa, bytes);
}

static void step_convert(uint64_t gpa, uint64_t bytes)
{
    enum tdp_attr to = random_below(2) ? TDP_SHARED : TDP_PRIVATE;
    went(convert(gpa, bytes, to), ERR_OK, ERR_OK);
    if (to == TDP_PRIVATE && random_below(2))
        tb_accept_range(gpa, bytes);
}

static void step_split(uint64_t gpa, uint64_t bytes)
{
    went(split(random_region(), LEVEL_2M), ERR_EXISTS, ERR_NOT_FOUND);
}

static void step_merge(uint64_t gpa, uint64_t bytes)
{
    struct tdp_report r = merge(random_region(), LEVEL_2M);
    if (r.err == ERR_TDX && r.status.raw >> 32 == 0xc0000b09)
        return; /* some accepted, some pending */
    if (r.err != ERR_EXISTS && r.err != ERR_NOT_FOUND)
        went(r, ERR_STATE, ERR_OK);
}

/* Blocked, looked at, unblocked: what is blocked by hand stays so, whatever else is done around it. */
static void step_block(uint64_t gpa, uint64_t bytes)
{
    level_t level = random_below(2) ? LEVEL_2M : LEVEL_4K;
    gpa_t at = {level.raw ? random_region() : gpa};
    if (!went(tdp_block(tb.tdp, at, level, NULL), ERR_NOT_FOUND, ERR_STATE))
        return;
    tb_check();
    if (tb_is_accepted(at.raw)) {
        uint64_t value;
        TB_NEED(!tb_load(at.raw, false, &value), at.raw);
        TB_NEED(tb_last_fault.err == ERR_STATE, tb_last_fault.err);
    }
    switch (random_below(4)) {
    case 0: /* a conversion of blocked memory */
        went(convert(at.raw, TB_4K, TDP_SHARED), ERR_OK, ERR_OK);
        break;
    case 1: /* of a range around it, either way */
        if (gpa <= at.raw && at.raw < gpa + bytes)
            went(convert(gpa, bytes, random_below(2) ? TDP_SHARED : TDP_PRIVATE), ERR_STATE, ERR_OK);
        break;
    case 2:
        if (level.raw)
            step_merge(gpa, bytes);
        break;
    default:
        break;
    }
    if (is_blocked_somewhere(at.raw, TB_4K))
        went(tdp_unblock(tb.tdp, at, level, NULL), ERR_OK, ERR_OK);
    TB_NEED(!is_blocked_somewhere(at.raw, TB_4K), at.raw);
}

/* Scattered pages that are mapped go home. */
static void step_relocate(uint64_t gpa, uint64_t bytes)
{
    for (uint64_t at = gpa; at < gpa + bytes; at += TB_4K)
        if (tb_is_shared(at))
            return;
    struct tdp_report r = tdp_relocate(tb.tdp, (gpa_t){gpa}, bytes, NULL);
    if (r.err != ERR_NOT_FOUND)
        went(r, ERR_EXISTS, ERR_OK);
}

static void step_use(uint64_t gpa, uint64_t bytes)
{
    use(gpa, bytes);
}

/* Everything accepted, then one page: what a merge wants to find. */
static void step_ripen(uint64_t gpa, uint64_t bytes)
{
    uint64_t region = random_region();
    went(convert(region, TB_2M, TDP_PRIVATE), ERR_OK, ERR_OK);
    tb_accept_range(region, TB_2M);
    use(region, TB_2M);
    struct tdp_report r = merge(region, LEVEL_2M);
    went(r, ERR_EXISTS, ERR_OK);
    use(region, TB_2M);
}

/* The GiB below: pending 2M pages merged, cut, and merged again. It is never accepted, so it costs no memory. */
static void step_giant(uint64_t gpa, uint64_t bytes)
{
    uint64_t at = random_below(TB_1G / TB_4K) * TB_4K, length = (1 + random_below(3)) * TB_4K;
    if (work_base == 0)
        return;
    if (random_below(2)) {
        at &= ~(TB_2M - 1);
        length = TB_2M * (1 + random_below(3));
    }
    if (at + length > TB_1G)
        length = TB_1G - at;
    went(map(0, TB_1G, LEVEL_2M), ERR_EXISTS, ERR_OK);
    went(merge(0, LEVEL_1G), ERR_EXISTS, ERR_OK);
    went(convert(at, length, TDP_SHARED), ERR_OK, ERR_OK);
    use(at, length);
    went(convert(at, length, TDP_PRIVATE), ERR_OK, ERR_OK);
}

/* Addresses and lengths that no operation can take: an error, in words, and not one SEAMCALL. */
static void step_nonsense(uint64_t gpa, uint64_t bytes)
{
    struct tdp_walk w;
    uint64_t bad_bytes = random_below(2) ? 0 : bytes + 1 + random_below(4094);
    uint64_t bad_gpa =
        random_below(2) ? gpa + 1 + random_below(4094) : work_base + WORK_BYTES + random_below(1ull << 62);
    level_t level = {(uint8_t)random_below(3)};
    struct tdp_report r[] = {
        map(gpa, bad_bytes, LEVEL_2M),
        map(bad_gpa, bytes, LEVEL_2M),
        convert(gpa, bad_bytes, TDP_SHARED),
        tdp_convert(tb.tdp, (gpa_t){bad_gpa}, bytes, TDP_PRIVATE, NULL),
        split(bad_gpa, LEVEL_2M),
        merge(bad_gpa, LEVEL_1G),
        tdp_block(tb.tdp, (gpa_t){bad_gpa}, level, NULL),
        tdp_unblock(tb.tdp, (gpa_t){bad_gpa}, level, NULL),
        tdp_relocate(tb.tdp, (gpa_t){bad_gpa}, bytes, NULL),
        tdp_walk(tb.tdp, (gpa_t){work_base + WORK_BYTES + random_below(1ull << 62)}, &w),
    };
    for (unsigned i = 0; i < sizeof(r) / sizeof(r[0]); i++)
        TB_NEED(r[i].err != ERR_OK && r[i].what && r[i].seamcalls == 0, i);
}

static const struct {
    const char *name;
    void (*run)(uint64_t gpa, uint64_t bytes);
    unsigned weight;
} steps[] = {
    {"map", step_map, 3},     {"accept", step_accept, 4},     {"convert", step_convert, 8},   {"split", step_split, 3},
    {"merge", step_merge, 5}, {"block", step_block, 4},       {"use", step_use, 3},           {"ripen", step_ripen, 3},
    {"giant", step_giant, 1}, {"nonsense", step_nonsense, 1}, {"relocate", step_relocate, 2},
};

static void random_step(void)
{
    uint64_t sum = 0, gpa, bytes;
    for (unsigned i = 0; i < sizeof(steps) / sizeof(steps[0]); i++)
        sum += steps[i].weight;
    uint64_t pick = random_below(sum);
    unsigned i = 0;
    while (pick >= steps[i].weight)
        pick -= steps[i++].weight;
    random_range(&gpa, &bytes);
    if (getenv("TRACE"))
        printf("step %llu: %s %llx %llx\n", (unsigned long long)step, steps[i].name, (unsigned long long)gpa,
               (unsigned long long)bytes);
    steps[i].run(gpa, bytes);
    tb_enter();
    tb_check();
    use(gpa, bytes);
}

static uint64_t from_environment(const char *name, uint64_t otherwise)
{
    const char *text = getenv(name);
    return text ? strtoull(text, NULL, 0) : otherwise;
}

static void work_at_random(uint64_t base, enum tdp_backing backing, uint64_t count)
{
    uint64_t seed = from_environment("SEED", 20221117);
    printf("SEED=%llu STEPS=%llu\n", (unsigned long long)seed, (unsigned long long)count);
    fflush(stdout);
    random_state = seed;
    refusals = 0;
    work_base = base;
    tb.backing = backing;
    tb_create(base + WORK_BYTES, LEVEL_1G, false);
    for (step = 0; step < count; step++)
        random_step();
    tb_verify_range(work_base, WORK_BYTES);
    printf("%llu faults answered, %llu PROMOTEs refused\n", (unsigned long long)tb_faults,
           (unsigned long long)refusals);
    /* Else the work has not met what it is for. Scattered memory is hardly ever ready for a merge. */
    TB_NEED(tb_faults > count / 4, tb_faults);
    TB_NEED(backing == TDP_SCATTER || refusals || count < 500, refusals);
    tb_destroy();
}

static void random_work_keeps_data_mirror_and_pages(void **state)
{
    work_at_random(TB_1G, TDP_INPLACE, from_environment("STEPS", 1000));
}

static void random_work_on_scattered_memory(void **state)
{
    work_at_random(0, TDP_SCATTER, from_environment("STEPS", 1000) / 2);
}

static int machine(void **state)
{
    tb_machine();
    return 0;
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(random_work_keeps_data_mirror_and_pages),
        cmocka_unit_test(random_work_on_scattered_memory),
    };
    return cmocka_run_group_tests(tests, machine, NULL);
}
