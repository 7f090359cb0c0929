/*
 * What only the lab can say of a sample: how long its SEAMCALLs took by the profile, and the TLB misses of all vCPUs. Samples get
 * a member `lab` with it (--wrap); Septum knows nothing of that.
 */
#ifndef LAB_FIGURES_H
#define LAB_FIGURES_H

#include "lab/cost.h"

/* Since the start. */
struct figures {
    u64 seamcall_ticks; /* of those that samples count as `seamcalls`: VP.ENTERs and flushes left out */
    u64 flush_ticks;    /* PHYMEM.PAGE.WBINVD */
    u64 tlb_misses[COST_LEVELS];
};

extern struct figures figures;

/* A SEAMCALL of this leaf takes so long. */
void figures_add_call(unsigned leaf, u64 ticks);

#endif
