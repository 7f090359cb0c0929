/*
 * 4K faults a second of one vCPU and of two at once, each in memory of its own and by a thread of its own, and the same for
 * AUG alone, without the VMM, and for faults without the module, whose calls succeed at once: whose the loss is; and for work
 * that shares nothing: what the machine gives.
 * One JSON object a line.
 *
 * Rounds of one and of two threads alternate, each so short that some are left alone by whatever else the machine does. Only
 * those count in which every thread had a processor to itself all the time, and beside the other; of them the median.
 */
#define _GNU_SOURCE
#include "tests/bench/threads.h"

#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>

#include "lib/bits.h"
#include "lib/hw/cpu.h"
#include "mm/page.h"
#include "tdx/leaf.h"
#include "tests/bench/world.h"
#include "tests/host/cpu.h"
#include "tests/host/seamcall.h"

#define ROUNDS       2000u
#define EACH         1024u /* pages a thread and round: a fraction of a millisecond */
#define EACH_BYTES   (EACH * WORLD_4K)
#define HALF_BYTES   (24 * WORLD_1G) /* of the TD: more than what all rounds take */
#define TD_BYTES     (2 * HALF_BYTES)
#define MEMORY_BYTES (80 * WORLD_1G)
#define BARE_GPA     (1ull << 40) /* memory of the TD that its MMU does not know */

enum kind { FAULT, BARE_AUG, ALONE };

struct worker {
    pthread_t thread;
    enum kind kind;
    unsigned vcpu;
    u64 gpa;
    hpa_t page;
    u64 begin, end, cpu; /* nanoseconds; the last of processor time */
};

static _Atomic unsigned missing; /* threads that have yet to come to the start */

void *threads_shared(u64 bytes)
{
    void *at = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (at == MAP_FAILED)
        world_fail("shared memory", bytes);
    return at;
}

static u64 now(clockid_t clock)
{
    struct timespec t;
    clock_gettime(clock, &t);
    return (u64)t.tv_sec * 1000000000 + (u64)t.tv_nsec;
}

static void fault(const struct worker *w, u64 offset)
{
    const struct vcpu_exit e = {.kind = VCPU_EXIT_EPT_VIOLATION, .gpa = {w->gpa + offset}, .accept = true};
    struct tdp_report r = tdp_fault(world.tdp, &e, w->vcpu);
    if (r.err != ERR_OK)
        world_fail(r.what ? r.what : "a fault", r.at.raw);
}

static void bare_aug(const struct worker *w, u64 offset)
{
    struct tdx_answer a;
    do
        a = tdh_mem_page_aug(world.td.tdr, (gpa_t){w->gpa + offset}, LEVEL_4K, hpa_add(w->page, offset));
    while (tdx_is(a.status, TDX_OPERAND_BUSY));
    if (!tdx_ok(a.status))
        world_fail("AUG", a.status.raw);
}

/* As long as a fault or so. */
static void alone(void)
{
    for (volatile unsigned i = 0; i < 150; i++)
        ;
}

static void *work(void *arg)
{
    struct worker *w = arg;
    cpu_set_t own;
    CPU_ZERO(&own);
    CPU_SET(w->vcpu, &own); /* where there is no such processor it may run anywhere */
    (void)pthread_setaffinity_np(pthread_self(), sizeof(own), &own);
    cpu_host_use(w->vcpu + 1);
    missing--;
    while (missing) /* asleep, they would not start together */
        cpu_relax();
    w->begin = now(CLOCK_MONOTONIC);
    u64 cpu = now(CLOCK_THREAD_CPUTIME_ID);
    for (u64 offset = 0; offset < EACH_BYTES; offset += WORLD_4K)
        if (w->kind == ALONE)
            alone();
        else if (w->kind == FAULT)
            fault(w, offset);
        else
            bare_aug(w, offset);
    w->cpu = now(CLOCK_THREAD_CPUTIME_ID) - cpu;
    w->end = now(CLOCK_MONOTONIC);
    return NULL;
}

static void add_table(u64 gpa, u8 level)
{
    hpa_t page;
    if (page_alloc(LEVEL_4K, &page) != ERR_OK ||
        !tdx_ok(tdh_mem_sept_add(world.td.tdr, (gpa_t){gpa}, (level_t){level}, page).status))
        world_fail("SEPT.ADD", gpa);
}

/* The pages' tables are there, as for the most faults. */
static void prepare(struct worker *w)
{
    if (w->kind == FAULT) {
        for (u64 offset = 0; offset < EACH_BYTES; offset += WORLD_2M)
            fault(w, offset + WORLD_2M - WORLD_4K);
    }
    if (w->kind != BARE_AUG)
        return;
    for (u64 offset = 0; offset < EACH_BYTES; offset += WORLD_2M)
        add_table(w->gpa + offset, 1);
    if (page_alloc_range(EACH_BYTES, WORLD_2M, &w->page) != ERR_OK)
        world_fail("no memory", EACH_BYTES);
}

/* Nanoseconds; 0: something else ran meanwhile, or the threads did not run together. */
static u64 round_of(enum kind kind, unsigned threads, u64 gpa)
{
    struct worker w[2];
    u64 begin = ~0ull, end = 0, last_begin = 0, first_end = ~0ull;
    bool alone = true;

    missing = threads;
    for (unsigned i = 0; i < threads; i++) {
        w[i] = (struct worker){.kind = kind, .vcpu = i, .gpa = gpa + i * EACH_BYTES};
        prepare(&w[i]);
    }
    for (unsigned i = 0; i < threads; i++)
        if (pthread_create(&w[i].thread, NULL, work, &w[i]))
            world_fail("no thread", i);
    for (unsigned i = 0; i < threads; i++) {
        pthread_join(w[i].thread, NULL);
        begin = min_u64(begin, w[i].begin);
        last_begin = max_u64(last_begin, w[i].begin);
        end = max_u64(end, w[i].end);
        first_end = min_u64(first_end, w[i].end);
        alone = alone && w[i].cpu * 100 > (w[i].end - w[i].begin) * 90;
    }
    return alone && last_begin < first_end && (first_end - last_begin) * 100 > (end - begin) * 80 ? end - begin : 0;
}

static int by_size(const void *a, const void *b)
{
    u64 x = *(const u64 *)a, y = *(const u64 *)b;
    return (x > y) - (x < y);
}

/* Faults or calls a second. */
static double rate(u64 *rounds, unsigned count, unsigned threads)
{
    qsort(rounds, count, sizeof(*rounds), by_size);
    return count ? threads * EACH * 1e9 / (double)rounds[count / 2] : 0;
}

static void measure(enum kind kind, const char *name, u64 base)
{
    static u64 taken[2][ROUNDS];
    unsigned count[2] = {0};

    for (unsigned i = 0; i < ROUNDS; i++)
        for (unsigned threads = 1; threads <= 2; threads++) {
            u64 ns = round_of(kind, threads, base + (i * 3 + threads - 1) * EACH_BYTES);
            if (ns)
                taken[threads - 1][count[threads - 1]++] = ns;
        }
    double one = rate(taken[0], count[0], 1), two = rate(taken[1], count[1], 2);
    printf("{\"kind\":\"%s\",\"rounds_1\":%u,\"rounds_2\":%u,\"per_s_1\":%.0f,\"per_s_2\":%.0f,\"ratio\":%.2f}\n", name,
           count[0], count[1], one, two, one > 0 ? two / one : 0);
    fflush(stdout);
}

static bool succeed(struct seamcall_regs *regs)
{
    regs->rax = 0;
    return true;
}

int threads_main(void)
{
    world_boot(MEMORY_BYTES);
    world_start(&(struct world_config){.td_bytes = TD_BYTES, .vcpus = 2, .backing = TDP_INPLACE});
    world_use_septum();
    world_finalize();
    measure(FAULT, "fault_4k", 0);
    add_table(BARE_GPA, 3);
    for (u64 gpa = 0; gpa < ROUNDS * 3 * EACH_BYTES; gpa += WORLD_1G)
        add_table(BARE_GPA + gpa, 2);
    measure(BARE_AUG, "aug", BARE_GPA);
    measure(ALONE, "alone", 0);
    /* From here on the module knows nothing of what happens. */
    seamcall_host_answer = succeed;
    measure(FAULT, "fault_4k_without_module", HALF_BYTES);
    return 0;
}
