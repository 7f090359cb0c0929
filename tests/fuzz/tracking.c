/*
 * What TLB tracking is there for, checked without a look at how the module does it: a page leaves a TD, or changes its
 * size, only when no processor that runs the TD can still hold the translation that led to it. A processor may hold one
 * from its last INVEPT on; a translation can be made until its entry is blocked.
 *
 * Time is counted in steps of the input. What happens within one step, a call in the middle of another, has no order
 * here and is given the benefit of the doubt.
 */
#include "tests/fuzz/fuzz.h"

#include "sim/module/sept.h"

#define MAPPINGS_MAX (1u << 17)
#define MEMORY_PAGES ((u64)PLATFORM_HOST_GIB << 18)

/* One leaf or table entry of a TD's Secure EPT, named by the page that it points to. */
struct mapping {
    u64 hpa, td, blocked_at; /* 0: is not */
    u8 level;
    bool table;
};

struct view {
    unsigned count;
    struct mapping mappings[MAPPINGS_MAX];
    u32 at[MEMORY_PAGES]; /* of a page's mapping, if that one is in use and names the page */
};
static struct view views[2], *now = &views[0], *before = &views[1];
static u64 step, flushed_at[FUZZ_LPS];
static u64 invepts_seen;

void fuzz_tracking_start(void)
{
    now->count = before->count = 0;
    step = 0;
    invepts_seen = platform_host_counts.invepts;
    for (unsigned lp = 0; lp < FUZZ_LPS; lp++)
        flushed_at[lp] = 0;
}

static struct mapping *find(struct view *view, u64 hpa)
{
    u32 i = view->at[hpa / PAGE_4K];
    return i < view->count && view->mappings[i].hpa == hpa ? &view->mappings[i] : NULL;
}

void fuzz_tracking_begin(void)
{
    struct view *old = before;
    before = now;
    now = old;
    now->count = 0;
    step++;
}

void fuzz_tracking_entry(u64 td, u64 hpa, unsigned level, bool table, bool blocked)
{
    const struct mapping *old = find(before, hpa);
    u64 blocked_at = old && old->blocked_at ? old->blocked_at : step;
    if (now->count == MAPPINGS_MAX)
        fuzz_fail("too many mappings");
    now->at[hpa / PAGE_4K] = now->count;
    now->mappings[now->count++] = (struct mapping){hpa, td, blocked ? blocked_at : 0, (u8)level, table};
}

void fuzz_tracking_called(unsigned lp)
{
    if (platform_host_counts.invepts != invepts_seen)
        flushed_at[lp] = step + 1;
    invepts_seen = platform_host_counts.invepts;
}

/* Where a split needs no tracking, the old translation leads to the same bytes until a piece of it goes, which is tracked. */
static bool is_same_in_pieces(const struct mapping *old)
{
    const struct mapping *first = find(now, old->hpa);
    return plat_info()->features0 & FEATURES0_NON_BLOCKING_RESIZE && !old->table && first && first->td == old->td &&
           !first->table && first->level + 1u == old->level;
}

/* Is it as before, or part of a larger page now? The table of that one is what must have been tracked. */
static bool stays(const struct mapping *old)
{
    const struct mapping *same = find(now, old->hpa);
    if (same && same->td == old->td && same->level == old->level && same->table == old->table)
        return true;
    for (unsigned level = old->level + 1u; !old->table && level <= LEVEL_1G; level++) {
        const struct mapping *larger = find(now, old->hpa & ~((PAGE_4K << 9 * level) - 1));
        if (larger && larger->td == old->td && larger->level == level && !larger->table)
            return true;
    }
    return is_same_in_pieces(old);
}

void fuzz_tracking_end(void)
{
    for (unsigned i = 0; i < before->count; i++) {
        const struct mapping *old = &before->mappings[i];
        if (stays(old))
            continue;
        for (unsigned lp = 0; lp < FUZZ_LPS; lp++)
            if (platform_host_lps[lp].td && mdl_sys.lps[lp].tdr_hpa == old->td &&
                (!old->blocked_at || flushed_at[lp] < old->blocked_at))
                fuzz_fail(
                    "%llx left TD %llx while LP %u runs it, which may still know the way: blocked in step %llu, last "
                    "INVEPT in step %llu",
                    (unsigned long long)old->hpa, (unsigned long long)old->td, lp, (unsigned long long)old->blocked_at,
                    (unsigned long long)flushed_at[lp]);
    }
}
