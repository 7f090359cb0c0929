/* CPUID of the simulated Intel server CPU. SDM vol. 2, CPUID. */
#ifndef SIM_MACHINE_CPUID_H
#define SIM_MACHINE_CPUID_H

#include "sim/machine/cpu.h"

/* What the VMM on `cpu` sees: EAX, EBX, ECX, EDX. */
void cpuid_as_intel(const struct cpu *cpu, u32 leaf, u32 subleaf, u32 out[4]);

/* The CPUID exit of the VMM. */
void cpuid_exit(struct cpu *cpu);

#endif
