/* Does this CPU, or the QEMU that plays it, do what the platform needs of SVM? */
#ifndef SIM_MACHINE_SELFTEST_H
#define SIM_MACHINE_SELFTEST_H

#include "sim/machine/cpu.h"

/* What CPUID and MSRs say, before anything is changed: NULL, or what is missing and what to do about it. */
const char *selftest_features(void);

/*
 * Faults of emulators that the platform works around, as the self-test found them. QEMU 9.1 to 10.0.5 and 10.1.0 to 10.1.1 have both;
 * later ones the second at least.
 */
struct quirks {
    bool vmxon_is_nothing;  /* VMXON, VMCLEAR and VMPTRLD run without effect where they should raise #UD */
    bool cr_reads_are_cr0s; /* reading any control register exits where, and as if, CR0 was read */
};
const struct quirks *selftest_quirks(void);

/* Runs small guests with SVM on and GIF = 0: NULL, or what went wrong. */
const char *selftest_run(void);

#endif
