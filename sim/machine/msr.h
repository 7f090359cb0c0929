/* The MSR exits of the VMM: SDM vol. 4 for the numbers, Intel TDX CPU architectural extensions for SEAMRR and KeyIDs. */
#ifndef SIM_MACHINE_MSR_H
#define SIM_MACHINE_MSR_H

#include "sim/machine/cpu.h"

/* An MSR permission map (two pages) that intercepts what the platform answers itself. */
void *msr_make_map(void);

void msr_init(struct cpu *cpu);
void msr_exit(struct cpu *cpu);

/* CR4 bits that the VMM may set. */
u64 msr_cr4_allowed(void);

/* Bits of the VMX capability MSRs that VMXON looks at. */
#define VMX_REVISION 0x14u

#endif
