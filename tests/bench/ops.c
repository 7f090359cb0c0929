/*
 * What the operations of the TDP MMU cost, beside the least that they can and beside Linux: one JSON object a line, for
 * each row with 1 and with 4 vCPUs inside. tests/bench/bench makes the table. See docs/benchmarks.md.
 *
 *   ops septum|linux [OP]
 *
 * Under callgrind bench_measured() is what is collected, without what uncounted_*() stand for: the module, the work on
 * the pages themselves, and the vCPUs that a kick drives out.
 */
#define _GNU_SOURCE /* fork() */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/bits.h"
#include "mm/hold.h"
#include "mm/page.h"
#include "tests/bench/task.h"
#include "tests/bench/uncounted.h"
#include "tests/bench/world.h"
#include "tests/host/platform.h"
#include "tests/host/seamcall.h"

#define MEMORY_BYTES (5 * WORLD_1G)
#define TD_BYTES     (2 * WORLD_1G)

static gpa_t at(u64 gpa)
{
    return (gpa_t){gpa};
}

/* --- Septum's ----------------------------------------------------------------------------------------------------- */

/* What callgrind collects of a fault: nothing around it. */
struct tdp_report bench_measured_fault(const struct vcpu_exit *e);
__attribute__((noinline)) struct tdp_report bench_measured_fault(const struct vcpu_exit *e)
{
    return tdp_fault(world.tdp, e, 0);
}

static struct tdp_report fault(const struct task *k)
{
    const struct vcpu_exit e = {
        .kind = VCPU_EXIT_EPT_VIOLATION, .gpa = at(k->gpa), .accept = true, .level = {(u8)k->level}};
    world.counts.exits++;
    return uncounted_apart ? bench_measured_fault(&e) : tdp_fault(world.tdp, &e, 0);
}

static struct tdp_report split(const struct task *k)
{
    struct tdp_report r = {.err = ERR_OK};
    u64 step = level_bytes((level_t){(u8)k->level});
    for (u64 gpa = k->gpa; gpa < k->gpa + k->bytes && r.err == ERR_OK; gpa += step)
        r = tdp_split(world.tdp, at(gpa), (level_t){(u8)k->level}, NULL);
    return r;
}

/* An ACCEPT by a vCPU that is not inside: tasks that come before. */
static struct tdp_report accept_one(const struct task *k)
{
    struct guest_action a = {.kind = GUEST_TDCALL};
    a.gpr[RAX] = 6;
    a.gpr[RCX] = k->gpa;
    guest_push(world.td.vcpus[0].tdvpr.raw, &a);
    while (!a.done)
        (void)vcpu_enter(&world.td.vcpus[0]);
    return (struct tdp_report){.err = a.gpr[RAX] ? ERR_STATE : ERR_OK};
}

static struct tdp_report share_and_merge(const struct task *k)
{
    const struct tdp_part parts[] = {
        {.kind = TDP_SHARE, .gpa = at(k->gpa), .bytes = k->bytes},
        {.kind = TDP_MERGE, .gpa = at(align_down(k->gpa, WORLD_2M) + WORLD_2M), .level = LEVEL_2M},
    };
    return tdp_together(world.tdp, parts, 2, NULL);
}

static void give(hpa_t page, void *arg)
{
    page_free(page, LEVEL_4K);
}

/* vCPUs are inside while it merges, and not from then on. */
static struct tdp_report tear_down(void)
{
    struct tdp_report r = tdp_prepare_destroy(world.tdp);
    world_leave();
    if (r.err == ERR_OK)
        r.err = td_release_key(&world.td).err;
    if (r.err == ERR_OK)
        r = tdp_destroy(world.tdp);
    if (r.err == ERR_OK)
        r.err = td_destroy(&world.td, give, NULL).err;
    return r;
}

static struct tdp_report bench_task(const struct task *k)
{
    level_t level = {(u8)k->level};

    tdp_choose(world.tdp, (struct tdp_choice){k->time ? TDP_TIME : TDP_CALLS, level});
    switch (k->kind) {
    case TASK_MAP:
        return tdp_map(world.tdp, at(k->gpa), k->bytes, level, NULL);
    case TASK_FAULT:
        return fault(k);
    case TASK_SHARE:
        return tdp_convert(world.tdp, at(k->gpa), k->bytes, TDP_SHARED, NULL);
    case TASK_OWN:
        return tdp_convert(world.tdp, at(k->gpa), k->bytes, TDP_PRIVATE, NULL);
    case TASK_SPLIT:
        return split(k);
    case TASK_MERGE:
        return tdp_merge_range(world.tdp, at(k->gpa), k->bytes, level, NULL);
    case TASK_BLOCK:
        return tdp_block(world.tdp, at(k->gpa), level, NULL);
    case TASK_RELOCATE:
        return tdp_relocate(world.tdp, at(k->gpa), k->bytes, NULL);
    case TASK_ACCEPT_ONE:
        return accept_one(k);
    case TASK_SHARE_AND_MERGE:
        return share_and_merge(k);
    default:
        return tear_down();
    }
}

/* --- what is measured --------------------------------------------------------------------------------------------- */

/* What callgrind collects. */
struct tdp_report bench_measured(const struct task *k);
__attribute__((noinline)) struct tdp_report bench_measured(const struct task *k)
{
    return bench_task(k);
}

static bool septum_do(const struct task *k, bool measured)
{
    uncounted_apart = measured;
    struct tdp_report r = measured && k->kind != TASK_FAULT ? bench_measured(k) : bench_task(k);
    uncounted_apart = false;
    if (r.err != ERR_OK)
        world_fail(r.what ? r.what : "a task", r.status.raw ? r.status.raw : r.err);
    return true;
}

/* --- rows --------------------------------------------------------------------------------------------------------- */

static void start(const struct row *row, unsigned vcpus, bool septum)
{
    const struct world_config config = {
        .features0 = row->features0,
        .td_bytes = row->scatter                      ? 8 * WORLD_2M
                    : row->run.kind == TASK_TEAR_DOWN ? WORLD_1G
                                                      : TD_BYTES,
        .vcpus = vcpus,
        .backing = row->scatter ? TDP_SCATTER : TDP_INPLACE,
        .unfinished = row->unfinished,
    };
    world_start(&config);
    if (septum)
        world_use_septum();
    else
        linux_start();
    if (!row->unfinished)
        world_finalize();
}

/* False: the other side has no such thing. */
static bool run(const struct row *row, unsigned vcpus, bool septum)
{
    bool (*work)(const struct task *, bool) = septum ? septum_do : linux_do;

    start(row, vcpus, septum);
    for (unsigned i = 0; i < HAVE_MAX && row->have[i].kind != TASK_NONE; i++)
        if (!work(&row->have[i], false))
            return false;
    world_enter();
    world_counts_reset();
    world_send_nmis(row->nmis);
    return work(&row->run, true);
}

static void print_counts(const struct row *row, unsigned vcpus, bool ran)
{
    const struct world_counts *c = &world.counts;
    printf("{\"op\":\"%s\",\"vcpus\":%u", row->op, vcpus);
    if (ran)
        printf(",\"seamcalls\":%llu,\"tracks\":%llu,\"kick_rounds\":%llu,\"ipis\":%llu,\"flushes\":%llu,\"exits\":%llu"
               ",\"longest_pause\":%llu",
               (unsigned long long)world_calls(), (unsigned long long)world_tracks(),
               (unsigned long long)c->kick_rounds, (unsigned long long)c->ipis, (unsigned long long)world_flushes(),
               (unsigned long long)c->exits, (unsigned long long)c->longest_pause);
}

static void print_bounds(const struct row *row, unsigned vcpus)
{
    printf(",\"seamcalls_bound\":%llu,\"tracks_bound\":%llu,\"kick_rounds_bound\":%llu,\"ipis_bound\":%llu",
           (unsigned long long)(row->calls + vcpus * row->per_vcpu), (unsigned long long)row->tracks,
           (unsigned long long)row->kick_rounds, (unsigned long long)(row->kick_rounds * vcpus));
    if (row->why)
        printf(",\"why\":\"%s\"", row->why);
}

static void count(const struct row *row, unsigned vcpus, bool septum)
{
    print_counts(row, vcpus, (septum || !row->no_linux) && run(row, vcpus, septum));
    if (septum)
        print_bounds(row, vcpus);
    printf(",\"pid\":%ld}\n", (long)getpid());
}

/* Each row has a machine of its own. */
static void count_in_child(const struct row *row, unsigned vcpus, bool septum)
{
    int status = 0;
    fflush(stdout);
    pid_t pid = fork();
    if (pid == 0) {
        count(row, vcpus, septum);
        exit(0);
    }
    if (pid < 0 || waitpid(pid, &status, 0) != pid || status)
        world_fail(row->op, (u64)status);
}

/* ops septum|linux [one row] */
int main(int argc, char **argv)
{
    static const unsigned vcpus[] = {1, 4};
    bool septum = argc < 2 || strcmp(argv[1], "linux") != 0;

    world_boot(MEMORY_BYTES);
    for (unsigned i = 0; i < row_count; i++)
        for (unsigned v = 0; v < sizeof(vcpus) / sizeof(vcpus[0]); v++)
            if (argc < 3 || strcmp(argv[2], rows[i].op) == 0)
                count_in_child(&rows[i], vcpus[v], septum);
    return 0;
}
