/*
 * What operations cost, and what memory the TDP MMU needs, in TDs of 1 GiB to 4 TiB: sparse memory, all of the TD but its
 * last GiB mapped at 2M, of that a quarter at 4K (of a TD of 1 GiB a quarter at 2M, one at 4K). One JSON object a line; tests/bench/scale.py makes table and plot. See docs/benchmarks.md.
 *
 *   scale sizes [GIB]     1 GiB, 4 GiB, ... 4 TiB, or up to GIB
 *   scale threads         4K faults and AUGs of one and of two vCPUs (threads.c)
 *
 * Faults are in the free half of the last GiB, the other operations in the GiB before it.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "mm/page.h"
#include "tests/bench/steps.h"
#include "tests/bench/threads.h"
#include "tests/bench/world.h"

#define LARGEST 4096u /* GiB */

enum { FAULT_NEAR, FAULT_ELSEWHERE, FAULT_2M, CONVERT, BACK, MERGE, LOOK, MEASURED };
static const char *const names[MEASURED] = {
    "fault_4k", "fault_4k_elsewhere", "fault_2m", "convert_8", "back_8", "merge_1", "look"};

/* What the child knows and the parent tells: bytes taken for each GiB of the TD, or of what is mapped there. */
static struct shares {
    double slot, at_2m, at_4k;
} * shares;

static u64 td_bytes;

static void need(struct tdp_report r)
{
    if (r.err != ERR_OK)
        world_fail(r.what ? r.what : "an operation", r.at.raw);
}

/* --- what is measured --------------------------------------------------------------------------------------------- */

struct fault {
    u64 gpa;
    u8 level;
};

static void fault(void *arg)
{
    const struct fault *f = arg;
    const struct vcpu_exit e = {.kind = VCPU_EXIT_EPT_VIOLATION, .gpa = {f->gpa}, .accept = true, .level = {f->level}};
    need(tdp_fault(world.tdp, &e, 0));
}

static void convert(void *arg)
{
    need(tdp_convert(world.tdp, (gpa_t){*(u64 *)arg}, 8 * WORLD_4K, TDP_SHARED, NULL));
}

static void back(void *arg)
{
    need(tdp_convert(world.tdp, (gpa_t){*(u64 *)arg}, 8 * WORLD_4K, TDP_PRIVATE, NULL));
}

static void merge(void *arg)
{
    need(tdp_merge(world.tdp, (gpa_t){*(u64 *)arg}, LEVEL_2M, NULL));
}

static void look(void *arg)
{
    struct tdp_walk walk;
    need(tdp_walk(world.tdp, (gpa_t){*(u64 *)arg}, &walk));
    if (!walk.agree)
        world_fail("mirror and module disagree", *(u64 *)arg);
}

/* --- one size ----------------------------------------------------------------------------------------------------- */

static void measure(void)
{
    u64 last = td_bytes - WORLD_1G, before = td_bytes > WORLD_1G ? last - WORLD_1G : 0;
    u64 at = before + 7 * WORLD_2M;
    struct fault first = {last + WORLD_1G / 2 + 2 * WORLD_4K, 0}, near = {first.gpa + WORLD_4K, 0};
    struct fault other = {first.gpa + WORLD_2M, 0}, other_2 = {other.gpa + WORLD_4K, 0};
    struct fault large = {first.gpa - first.gpa % WORLD_2M + 2 * WORLD_2M, 1};

    fault(&first);                                      /* the tables */
    fault(&(struct fault){near.gpa + 2 * WORLD_4K, 0}); /* the vCPU comes to know the region */
    steps_measured(fault, &near);
    fault(&other);
    fault(&(struct fault){near.gpa + 3 * WORLD_4K, 0});
    steps_measured(fault, &other_2);
    steps_measured(fault, &large);
    steps_measured(convert, &at);
    steps_measured(back, &at);
    steps_measured(merge, &at);
    steps_measured(look, &at);
}

static void one_size(void *arg)
{
    u64 lower = td_bytes > WORLD_1G ? td_bytes - WORLD_1G : WORLD_1G / 4, free = page_free_bytes();
    (void)arg;
    world_start(&(struct world_config){.td_bytes = td_bytes, .vcpus = 1, .backing = TDP_INPLACE});
    u64 control = free - page_free_bytes();
    world_use_septum();
    shares->slot = (double)(free - control - page_free_bytes() - td_bytes) / ((double)td_bytes / WORLD_1G);
    world_finalize();
    free = page_free_bytes();
    for (u64 gpa = 0; gpa < lower; gpa += WORLD_1G)
        need(tdp_map(world.tdp, (gpa_t){gpa}, gpa + WORLD_1G < lower ? WORLD_1G : lower - gpa, LEVEL_2M, NULL));
    shares->at_2m = (double)(free - page_free_bytes()) / ((double)lower / WORLD_1G);
    free = page_free_bytes();
    need(tdp_map(world.tdp, (gpa_t){lower}, WORLD_1G / 4, LEVEL_4K, NULL));
    shares->at_4k = (double)(free - page_free_bytes()) * 4;
    world_enter();
    measure();
}

static void print_size(void)
{
    u64 counts[MEASURED];
    if (steps_count(one_size, NULL, counts, MEASURED) != MEASURED)
        world_fail("not all operations were counted", td_bytes);
    printf("{\"td_gib\":%llu", (unsigned long long)(td_bytes / WORLD_1G));
    for (unsigned i = 0; i < MEASURED; i++)
        printf(",\"%s\":%llu", names[i], (unsigned long long)counts[i]);
    printf(",\"slot_bytes\":%.0f,\"tables_2m_bytes\":%.0f,\"tables_4k_bytes\":%.0f}\n", shares->slot, shares->at_2m,
           shares->at_4k);
    fflush(stdout);
}

int main(int argc, char **argv)
{
    static const u64 sizes[] = {1, 4, 16, 64, 256, 1024, 4096};
    if (argc == 2 && strcmp(argv[1], "threads") == 0)
        return threads_main();
    u64 largest = argc > 2 ? strtoull(argv[2], NULL, 10) : LARGEST;

    shares = threads_shared(sizeof(*shares));
    world_boot((largest + largest / 32 + 8) * WORLD_1G); /* with PAMTs, the allocator's side tables, the VMM's own */
    for (unsigned i = 0; i < sizeof(sizes) / sizeof(sizes[0]) && sizes[i] <= largest; i++) {
        td_bytes = sizes[i] * WORLD_1G;
        print_size();
    }
    return 0;
}
