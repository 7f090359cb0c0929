/*
 * The border between the simulated machine and the model of P-SEAMLDR: what SEAMCALL does where RAX has bit 63. Intel TDX Loader
 * (SEAMLDR) Interface Specification. The module that it installs is the model of sim/module/, whatever the image holds.
 */
#ifndef SIM_SEAMLDR_SEAMLDR_H
#define SIM_SEAMLDR_SEAMLDR_H

#include "sim/module/seam.h"

#define SEAMLDR_REFUSALS_MAX 16

/* What the machine comes with, and what its P-SEAMLDR meets. */
struct seamldr_setup {
    bool present;
    bool module_loaded; /* by the firmware */
    u32 busy_every;     /* each n-th call finds another CPU inside; 0: only where one is */
    u64 called;         /* CPUs that have called in an installation that others began and left, one bit each */
    u32 refusal_count; /* so many installations answer on the last logical processor what is said here, then what they find */
    u64 refusals[SEAMLDR_REFUSALS_MAX];
};

/* Before the first SEAMCALL, and again for a fresh platform in tests. */
void seamldr_reset(const struct seamldr_setup *setup);

/* A SEAMCALL with bit 63 of RAX. False: VMfailInvalid, and no register has changed. */
bool seamldr_call(struct seam_lp *lp);

/* SEAMEXTEND.SEAM_READY: is there a module that SEAMCALL without bit 63 enters? By any CPU. */
bool seamldr_module_is_ready(void);

#endif
