/* Does this CPU, or the QEMU that plays it, do what the platform needs of SVM? */
#ifndef SIM_MACHINE_SELFTEST_H
#define SIM_MACHINE_SELFTEST_H

#include "sim/machine/cpu.h"

/* What CPUID and MSRs say, before anything is changed: NULL, or what is missing and what to do about it. */
const char *selftest_features(void);

/* Runs small guests with SVM on and GIF = 0: NULL, or what went wrong. */
const char *selftest_run(struct cpu *cpu);

#endif
