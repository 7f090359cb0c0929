/* See figures.h. Each look of an experiment at its counters is noted here with the lab's own, under the time of the look. */
#include "lab/figures.h"

#include "kernel/experiment/world.h"
#include "tdx/abi_leaf.h"

#define LOOKS 1024u /* a power of two; a sample is about two of the newest */

struct figures figures;

static struct look {
    u64 tsc;
    struct figures figures;
} looks[LOOKS];
static unsigned newest;

void __real_world_counts(struct world_counts *now);
void __wrap_world_counts(struct world_counts *now);
void __real_world_add_counts(struct json *j, const struct world_counts *from, const struct world_counts *to);
void __wrap_world_add_counts(struct json *j, const struct world_counts *from, const struct world_counts *to);

void figures_add_call(unsigned leaf, u64 ticks)
{
    if (leaf == TDH_PHYMEM_PAGE_WBINVD)
        figures.flush_ticks += ticks;
    else if (leaf != TDH_VP_ENTER)
        figures.seamcall_ticks += ticks;
}

void __wrap_world_counts(struct world_counts *now)
{
    __real_world_counts(now);
    newest = (newest + 1) % LOOKS;
    looks[newest] = (struct look){now->tsc, figures};
}

static const struct figures *find(const struct world_counts *counts)
{
    for (unsigned i = 0; i < LOOKS; i++)
        if (looks[i].tsc == counts->tsc)
            return &looks[i].figures;
    return NULL;
}

/* A look that is too long ago gives no member. */
void __wrap_world_add_counts(struct json *j, const struct world_counts *from, const struct world_counts *to)
{
    const struct figures *a = find(from), *b = find(to);

    __real_world_add_counts(j, from, to);
    if (!a || !b)
        return;
    json_object(j, "lab");
    json_number(j, "seamcall_ticks", b->seamcall_ticks - a->seamcall_ticks);
    json_number(j, "flush_ticks", b->flush_ticks - a->flush_ticks);
    json_object(j, "tlb_misses");
    json_number(j, "4k", b->tlb_misses[0] - a->tlb_misses[0]);
    json_number(j, "2m", b->tlb_misses[1] - a->tlb_misses[1]);
    json_number(j, "1g", b->tlb_misses[2] - a->tlb_misses[2]);
    json_end_object(j);
    json_end_object(j);
}
