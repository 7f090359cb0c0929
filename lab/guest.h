/*
 * TD vCPUs of the lab: each runs the probe's own code (guest/probe/) on a stack of its own, as far as its CPU's time goes. Its
 * TDCALLs and its accesses to TD memory leave the TD as a processor would: by TDCALL, EPT violation, interrupt.
 */
#ifndef LAB_GUEST_H
#define LAB_GUEST_H

#include "lib/types.h"

struct seam_lp;

/* VM entry with lp->td, until the exit that the module has to see, which is written into *lp->td. */
void guest_run(struct seam_lp *lp);
/* INVEPT on a CPU. */
void guest_invept(unsigned cpu, u64 eptp);
/* A TD is made: memory of its payload is what the image says, and no vCPU has run yet. */
void guest_forget_all(void);

#endif
