/*
 * Memory that goes back to a prepared state between two inputs. The module gets at memory through plat_page() alone, so
 * the pages that it has asked for are all that can have changed: they are cleared, and the world's few pages copied in.
 */
#include "tests/fuzz/fuzz.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MEMORY_PAGES ((u64)PLATFORM_HOST_GIB << 18)

struct fuzz_snapshot {
    struct sys sys;
    struct plat_info info;
    struct platform_host_knobs knobs;
    struct platform_host_counts counts;
    struct seam_lp lps[PLATFORM_HOST_LPS];
    unsigned page_count;
    u64 *hpas;
    u8 (*pages)[PAGE_4K];
};

static u64 used_pages[MEMORY_PAGES];
static bool is_used[MEMORY_PAGES];
u64 *fuzz_used_pages = used_pages;
unsigned fuzz_used_page_count;

void fuzz_page_used(u64 hpa)
{
    u64 page = hpa / PAGE_4K;
    if (is_used[page])
        return;
    is_used[page] = true;
    used_pages[fuzz_used_page_count++] = page * PAGE_4K;
}

static void clear_memory(void)
{
    for (unsigned i = 0; i < fuzz_used_page_count; i++) {
        memset(fuzz_memory(used_pages[i]), 0, PAGE_4K);
        is_used[used_pages[i] / PAGE_4K] = false;
    }
    fuzz_used_page_count = 0;
}

void fuzz_memory_start(const struct plat_info *info)
{
    clear_memory();
    platform_host_start(info);
    platform_host_knobs.page_used = fuzz_page_used;
}

static bool is_zero(const u8 *page)
{
    return page[0] == 0 && memcmp(page, page + 1, PAGE_4K - 1) == 0;
}

static void *allocate(size_t bytes)
{
    void *memory = malloc(bytes ? bytes : 1);
    if (memory)
        return memory;
    fprintf(stderr, "fuzz: no memory for %zu bytes of a snapshot\n", bytes);
    exit(2);
}

struct fuzz_snapshot *fuzz_snapshot_take(void)
{
    struct fuzz_snapshot *s = allocate(sizeof(*s));
    s->sys = mdl_sys;
    s->info = *plat_info();
    s->knobs = platform_host_knobs;
    s->counts = platform_host_counts;
    memcpy(s->lps, platform_host_lps, sizeof(s->lps));
    s->hpas = allocate(fuzz_used_page_count * sizeof(*s->hpas));
    s->page_count = 0;
    for (unsigned i = 0; i < fuzz_used_page_count; i++)
        if (!is_zero(fuzz_memory(used_pages[i])))
            s->hpas[s->page_count++] = used_pages[i];
    s->pages = allocate(s->page_count * sizeof(*s->pages));
    for (unsigned i = 0; i < s->page_count; i++)
        memcpy(s->pages[i], fuzz_memory(s->hpas[i]), PAGE_4K);
    return s;
}

void fuzz_snapshot_load(const struct fuzz_snapshot *s)
{
    clear_memory();
    mdl_sys = s->sys;
    platform_host_set_info(&s->info);
    platform_host_knobs = s->knobs;
    platform_host_counts = s->counts;
    memcpy(platform_host_lps, s->lps, sizeof(s->lps));
    for (unsigned i = 0; i < s->page_count; i++) {
        fuzz_page_used(s->hpas[i]);
        memcpy(fuzz_memory(s->hpas[i]), s->pages[i], PAGE_4K);
    }
}
