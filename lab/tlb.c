/* See tlb.h. */
#include "lab/tlb.h"

#include <stdlib.h>
#include <string.h>

#include "lab/figures.h"
#include "lab/machine.h"
#include "sim/machine/pmu.h"
#include "sim/machine/pool.h"
#include "sim/module/seam.h"

#define TABLE_BYTES 4096u

/* --- tables of all TLBs ------------------------------------------------------------------------------------------- */

static void *take(u64 bytes)
{
    void *at = aligned_alloc(TABLE_BYTES, bytes);

    if (!at)
        machine_stop("this host has no memory left");
    return memset(at, 0, bytes);
}

void *pool_page(void)
{
    return take(TABLE_BYTES);
}

void pool_give(void *page)
{
    free(page);
}

/* --- one TLB ------------------------------------------------------------------------------------------------------ */

void tlb_start(struct tlb *tlb)
{
    u32 capacity[STLB_SIZES];

    if (tlb->memory) {
        stlb_flush(&tlb->stlb);
        return;
    }
    for (unsigned size = 0; size < STLB_SIZES; size++)
        capacity[size] = (u32)cost_at(COST_TLB_ENTRIES, size);
    tlb->tables_left = STLB_TABLES_MAX;
    tlb->memory = take(stlb_bytes(capacity));
    stlb_init(&tlb->stlb, capacity, STLB_FIFO, &tlb->tables_left, tlb->memory);
}

void tlb_flush(struct tlb *tlb)
{
    stlb_flush(&tlb->stlb);
}

bool tlb_is_of(const struct tlb *tlb, u64 eptp)
{
    return ept_strip_keyid(eptp) == ept_strip_keyid(tlb->eptp);
}

static enum tlb_answer walk(struct tlb *tlb, struct td_vmcs *td, u64 gpa, u32 access, u32 *permissions)
{
    const struct ept_space space = {td->eptp, td->shared_eptp, td->gpaw};

    stlb_drop(&tlb->stlb, gpa);
    struct ept_walk found = ept_translate(&space, gpa, access);
    *permissions = found.permissions;
    if (found.outcome == EPT_VIOLATION)
        return TLB_VIOLATION;
    if (found.outcome != EPT_OK)
        machine_stop("the walk for GPA 0x%llx ends in a misconfigured entry", (unsigned long long)gpa);
    figures.tlb_misses[found.level]++;
    if (!stlb_fill(&tlb->stlb, gpa, found.hpa, found.level, found.permissions))
        machine_stop("no memory left for the tables of a TLB");
    pmu_count_walk(&td->pmu, access, 0, found.level, (unsigned)cost_at(COST_TLB_MISS, found.level));
    machine_pass(cost_at(COST_TLB_MISS, found.level));
    return TLB_MISSED;
}

enum tlb_answer tlb_translate(struct tlb *tlb, struct td_vmcs *td, u64 gpa, bool write, u64 *hpa, u32 *permissions)
{
    u32 access = write ? EPT_WRITE : EPT_READ;
    struct stlb_entry entry;

    tlb->eptp = td->eptp;
    if (stlb_find(&tlb->stlb, gpa, &entry) && !(access & ~entry.permissions)) {
        *hpa = entry.hpa;
        return TLB_HIT;
    }
    machine_pass(0); /* the tables are everybody's */
    return walk(tlb, td, gpa, access, permissions);
}
