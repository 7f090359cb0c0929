/*
 * A vCPU's TLB: the simulated platform's (sim/machine/stlb.h), filled by the walk of extended page tables that the platform
 * has (sim/machine/ept.h), with the entries and the costs that the profile says.
 */
#ifndef LAB_TLB_H
#define LAB_TLB_H

#include "sim/machine/ept.h"
#include "sim/machine/stlb.h"

struct td_vmcs;

struct tlb {
    struct stlb stlb;
    void *memory; /* of stlb; NULL: never used */
    u32 tables_left;
    u64 eptp;
};

enum tlb_answer { TLB_HIT, TLB_MISSED, TLB_VIOLATION };

/* An empty one, for a new vCPU. */
void tlb_start(struct tlb *tlb);
void tlb_flush(struct tlb *tlb);
bool tlb_is_of(const struct tlb *tlb, u64 eptp);

/* TLB_HIT: *hpa is the byte's. TLB_MISSED: the entry was fetched, and time has passed. TLB_VIOLATION: *permissions are those of
 * the entry that ended the walk. */
enum tlb_answer tlb_translate(struct tlb *tlb, struct td_vmcs *td, u64 gpa, bool write, u64 *hpa, u32 *permissions);

#endif
