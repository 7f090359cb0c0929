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
 * Of one TD one TRACK is in flight at a time, its kick included. A caller that finds one in flight needs the next, for
 * that one may have begun before the caller's BLOCKs; of all callers that wait for it the first to see its turn does it,
 * and the others have joined it:
 *
 *     CPU 0   BLOCK  TRACK 7 ---- kick ---- done
 *     CPU 1              BLOCK   wait for 8 ..... TRACK 8 ---- kick ---- done
 *     CPU 2                 BLOCK   wait for 8 ............................ joined: done
 */
#ifndef MM_TLB_H
#define MM_TLB_H

#include "lib/lock.h"
#include "mm/plan.h"
#include "tdx/td.h"

/* The TRACKs of one TD. `lock`, a leaf in the lock order, guards the rest: */
struct tlb {
    struct spin lock;
    bool in_flight;
    u64 begun; /* TRACKs that anybody began */
    u64 ended; /* the last of them that came to a good end, kick and all: it covers whatever was blocked before it began */
};

struct tlb_batch {
    struct td *td;
    struct tlb *tlb;
    struct tdp_report *report; /* where TRACKs, calls and IPIs are counted */
    u64 blocked;               /* BLOCKs that no TRACK has covered yet */
    bool held;                 /* the vCPUs are out */
};

/* `stops`: how many TRACKs and drops of shared translations are to come; 0 also where the vCPUs may run in between. */
MUST_CHECK enum err tlb_begin(struct tlb_batch *b, struct td *td, struct tlb *tlb, struct tdp_report *report,
                              unsigned stops);

/* One TRACK, done here or joined, and every vCPU out of the previous epoch. ERR_TDX (the report's status says more),
 * ERR_BUSY, ERR_TIMEOUT. */
MUST_CHECK enum err tlb_track(struct tlb_batch *b);

/* The last TRACK is done: vCPUs may enter. May be called again. */
void tlb_end(struct tlb_batch *b);

/* Drops translations of the shared half without a TRACK: every vCPU leaves once, and INVEPT comes before it enters again
 * (tdx/vcpu.c). */
MUST_CHECK enum err tlb_drop_shared(struct tlb_batch *b);

#endif
