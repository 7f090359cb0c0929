/* Instructions that the CPU underneath refuses with #UD and that the simulated one has: VMX, SEAMCALL, MOVDIR64B and a few more. */
#ifndef SIM_MACHINE_VMX_H
#define SIM_MACHINE_VMX_H

#include "sim/machine/guest.h"

/* The #UD exit of the VMM. */
void vmx_undefined_exit(struct cpu *cpu);

/*
 * For an emulator that runs VMXON as nothing: from the write that sets CR4.VMXE on, the VMM is single-stepped for a while, and a
 * VMXON that comes up is carried out. VMX operation is taken to have begun when none does. vmx_watch_exit() is the #DB exit.
 */
void vmx_watch(struct cpu *cpu);
void vmx_watch_exit(struct cpu *cpu);

/* SEAMCALL with VMX root and privilege checked: runs the module, and the TD if the module enters one. */
void seam_call(struct cpu *cpu, const struct insn *insn);

/* MOVDIR64B, and what follows it in a simple loop around it. */
void movdir_run(struct cpu *cpu, const struct insn *insn);

#endif
