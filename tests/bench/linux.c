/*
 * Linux's way, call by call on the module model: what KVM's TDX code does for each task, as its published series have it.
 *
 *   map       AUG of each page at the level of the fault, 4K or 2M (large pages: the series of 2025-26, not upstream)
 *   remove    for each mapping by itself: BLOCK, TRACK, kick of all vCPUs, REMOVE, WBINVD of each 4K of it
 *   split     BLOCK, TRACK, kick, DEMOTE; for a conversion only the mappings that are cut at the range's ends
 *   back      AUG of each 4K page, for a Linux guest accepts again at 4K; empty tables stay
 *   merge     BLOCK, TRACK, kick, PROMOTE, WBINVD of the table, each region by itself (the series of 2023-24; dropped since)
 *   tear down key first, then RECLAIM and WBINVD of each mapping as it is
 *
 * There are no 1G mappings: what is to be one stays 512 of 2M. Scattered memory is not gathered.
 */
#include "tests/bench/task.h"

#include <string.h>

#include "lib/bits.h"
#include "mm/flush.h"
#include "mm/page.h"
#include "tests/bench/world.h"

#define REGIONS 1024u /* of 2M */
#define PAGES   512u

/* A region's mapping: nothing, one 2M page, or a table with some 4K pages. */
static struct region {
    enum { NOTHING, LARGE, TABLE } is;
    hpa_t table;
    bool present[PAGES];
} regions[REGIONS];

static hpa_t base, upper[3]; /* memory behind GPA 0; tables above: of 512G, of two GiB */

static void need(tdx_status_t status, const char *what)
{
    if (!tdx_ok(status))
        world_fail(what, status.raw);
}

static hpa_t new_page(void)
{
    hpa_t page;
    if (page_alloc(LEVEL_4K, &page) != ERR_OK)
        world_fail("no memory", 0);
    return page;
}

static hpa_t add_table(u64 gpa, unsigned level)
{
    hpa_t page = new_page();
    need(tdh_mem_sept_add(world.td.tdr, (gpa_t){gpa}, (level_t){(u8)level}, page).status, "SEPT.ADD");
    return page;
}

void linux_start(void)
{
    memset(regions, 0, sizeof(regions));
    memset(upper, 0, sizeof(upper));
    if (page_alloc_range(REGIONS * WORLD_2M, WORLD_1G, &base) != ERR_OK)
        world_fail("no memory for the TD", 0);
}

/* --- one mapping -------------------------------------------------------------------------------------------------- */

static struct region *at(u64 gpa)
{
    return &regions[gpa / WORLD_2M];
}

static void aug(u64 gpa, level_t level)
{
    hpa_t *table = &upper[1 + gpa / WORLD_1G];
    if (!upper[0].raw)
        upper[0] = add_table(0, 3);
    if (!table->raw)
        *table = add_table(align_down(gpa, WORLD_1G), 2);
    struct region *r = at(gpa);
    if (level.raw == 0 && r->is == NOTHING) {
        r->table = add_table(align_down(gpa, WORLD_2M), 1);
        r->is = TABLE;
    }
    need(tdh_mem_page_aug(world.td.tdr, (gpa_t){gpa}, level, hpa_add(base, gpa)).status, "AUG");
    if (level.raw == 0)
        r->present[gpa / WORLD_4K % PAGES] = true;
    else
        r->is = LARGE;
}

static void block_and_track(u64 gpa, level_t level)
{
    need(tdh_mem_range_block(world.td.tdr, (gpa_t){gpa}, level).status, "BLOCK");
    need(tdh_mem_track(world.td.tdr).status, "TRACK");
    world_kick();
}

static void flush(hpa_t page, level_t level)
{
    u64 ipis = 0;
    if (flush_from_td(&world.td, page, level, &ipis).lost)
        world_fail("a flush", page.raw);
}

static void remove(u64 gpa, level_t level)
{
    block_and_track(gpa, level);
    need(tdh_mem_page_remove(world.td.tdr, (gpa_t){gpa}, level).status, "REMOVE");
    flush(hpa_add(base, gpa), level);
}

static void split(u64 gpa)
{
    struct region *r = at(gpa);
    hpa_t table = new_page();
    block_and_track(gpa, LEVEL_2M);
    need(tdh_mem_page_demote(world.td.tdr, (gpa_t){gpa}, LEVEL_2M, table).status, "DEMOTE");
    r->is = TABLE;
    r->table = table;
    memset(r->present, true, sizeof(r->present));
}

static void merge(u64 gpa)
{
    block_and_track(gpa, LEVEL_2M);
    struct tdx_page_answer a = tdh_mem_page_promote(world.td.tdr, (gpa_t){gpa}, LEVEL_2M);
    need(a.status, "PROMOTE");
    flush(a.page, LEVEL_4K);
    at(gpa)->is = LARGE;
}

/* --- tasks -------------------------------------------------------------------------------------------------------- */

static void map(u64 gpa, u64 bytes, unsigned level)
{
    u64 step = level ? WORLD_2M : WORLD_4K;
    for (u64 end = gpa + bytes; gpa < end; gpa += step)
        aug(gpa, (level_t){(u8)level});
}

static void split_if_cut(u64 gpa)
{
    if (gpa % WORLD_2M && at(gpa)->is == LARGE)
        split(align_down(gpa, WORLD_2M));
}

static void share(u64 gpa, u64 bytes)
{
    u64 end = gpa + bytes;
    split_if_cut(gpa);
    split_if_cut(end);
    while (gpa < end) {
        struct region *r = at(gpa);
        bool *present = &r->present[gpa / WORLD_4K % PAGES];
        if (r->is == LARGE) {
            remove(gpa, LEVEL_2M);
            r->is = NOTHING;
        } else if (r->is == TABLE && *present) {
            remove(gpa, LEVEL_4K);
            *present = false;
        }
        gpa += r->is == NOTHING ? WORLD_2M : WORLD_4K;
    }
}

/* Shared mappings go with a round of kicks; then each page comes back by a fault of its own. */
static void own(u64 gpa, u64 bytes)
{
    world_kick();
    map(gpa, bytes, 0);
}

static void reclaim(hpa_t page, level_t level)
{
    if (td_reclaim(&world.td, page).err != ERR_OK)
        world_fail("RECLAIM", page.raw);
    flush(page, level);
}

static void tear_down_region(u64 gpa)
{
    struct region *r = at(gpa);
    if (r->is == LARGE)
        reclaim(hpa_add(base, gpa), LEVEL_2M);
    for (unsigned i = 0; r->is == TABLE && i < PAGES; i++)
        if (r->present[i])
            reclaim(hpa_add(base, gpa + i * WORLD_4K), LEVEL_4K);
    if (r->is == TABLE)
        reclaim(r->table, LEVEL_4K);
}

static void give(hpa_t page, void *arg)
{
    (void)arg;
    page_free(page, LEVEL_4K);
}

static void tear_down(void)
{
    world_leave();
    if (td_release_key(&world.td).err != ERR_OK)
        world_fail("releasing the key", 0);
    for (u64 gpa = 0; gpa < REGIONS * WORLD_2M; gpa += WORLD_2M)
        tear_down_region(gpa);
    for (unsigned i = 0; i < sizeof(upper) / sizeof(upper[0]); i++)
        if (upper[i].raw)
            reclaim(upper[i], LEVEL_4K);
    if (td_destroy(&world.td, give, NULL).err != ERR_OK)
        world_fail("destroying the TD", 0);
}

static bool each_region(const struct task *k, void (*work)(u64 gpa))
{
    for (u64 gpa = k->gpa; k->level == 1 && gpa < k->gpa + k->bytes; gpa += WORLD_2M)
        work(gpa);
    return k->level == 1;
}

bool linux_do(const struct task *k, bool measured)
{
    switch (k->kind) {
    case TASK_MAP:
    case TASK_FAULT:
        map(k->gpa, k->bytes ? k->bytes : WORLD_4K, k->level);
        return true;
    case TASK_SHARE:
        share(k->gpa, k->bytes);
        return true;
    case TASK_OWN:
        own(k->gpa, k->bytes);
        return true;
    case TASK_SPLIT:
        return each_region(k, split);
    case TASK_MERGE:
        return each_region(k, merge) || !measured;
    case TASK_SHARE_AND_MERGE:
        share(k->gpa, k->bytes);
        merge(align_down(k->gpa, WORLD_2M) + WORLD_2M);
        return true;
    case TASK_TEAR_DOWN:
        tear_down();
        return true;
    case TASK_ACCEPT_ONE:
        return !measured; /* makes no difference to what Linux does */
    default:
        return false;
    }
}
