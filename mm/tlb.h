/*
 * TLB tracking: from 'blocked' to 'no CPU can still translate through it'. TDX Module Base Architecture
 * Specification, "TLB tracking".
 *
 *     BLOCK ... BLOCK     a batch collects them
 *     TRACK               the TD's epoch goes from n to n + 1
 *     kick                every vCPU that entered in epoch n leaves once; entering again, it flushes
 *
 * After that DEMOTE, PROMOTE, REMOVE, SEPT.REMOVE and UNBLOCK take the blocked entries. Work of several TRACKs holds
 * the vCPUs out from the first to the last, which is one round of kicks; work of one TRACK kicks once.
 *
 * Left out: joining a TRACK that another CPU has in flight; tdp.ops lets one operation run at a time.
 */
#ifndef MM_TLB_H
#define MM_TLB_H

#include "mm/plan.h"
#include "tdx/td.h"

struct tlb_batch {
    struct td *td;
    struct tdp_report *report; /* where TRACKs and calls are counted */
    u64 blocked;               /* BLOCKs that no TRACK has covered yet */
    bool held;                 /* the vCPUs are out */
};

/* `stops`: how many TRACKs and drops of shared translations are to come. */
MUST_CHECK enum err tlb_begin(struct tlb_batch *b, struct td *td, struct tdp_report *report, unsigned stops);

/* One TRACK, and every vCPU out of the previous epoch. ERR_TDX (the report's status says more), ERR_BUSY,
 * ERR_TIMEOUT. */
MUST_CHECK enum err tlb_track(struct tlb_batch *b);

/* The last TRACK is done: vCPUs may enter. May be called again. */
void tlb_end(struct tlb_batch *b);

/* Drops translations of the shared half without a TRACK: kick, and INVEPT of the TD's EPTP on this CPU, which alone
 * runs vCPUs. */
MUST_CHECK enum err tlb_drop_shared(struct tlb_batch *b);

#endif
