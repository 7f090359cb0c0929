/*
 * TD vCPUs on this CPU: a second VMCB, whose nested page tables are a software TLB over the Secure EPT and the shared EPT. To the
 * module this is a logical processor in VMX non-root operation: SDM volume 3, chapters "VMX non-root operation" and "VM exits".
 * docs/simulator.md lists what is left out.
 *
 * The caller switches extended state (XSAVE area, XCR0) around td_run(); everything else of the TD's state is switched here.
 */
#ifndef SIM_MACHINE_TD_H
#define SIM_MACHINE_TD_H

#include "sim/machine/cpu.h"

/* Once for each CPU before its first TD: takes the TD's VMCB (cpu->td), bitmaps and TLBs from the pool. */
void td_init(struct cpu *cpu);

/*
 * VM entry with cpu->lp.td, then whatever is the processor's own business, until a VM exit that the module has to see. On return
 * guest state and exit information are in *cpu->lp.td. The VMM's hidden segment state, SYSENTER and syscall MSRs are as
 * before; DR0 to DR3 and CR2 are not, as after TDH.VP.ENTER. GIF is 0, extended state is the TD's.
 */
void td_run(struct cpu *cpu);

/* INVEPT, by the module or the VMM, on this CPU: translations of `eptp` are gone; all of them with TD_INVEPT_ALL. */
#define TD_INVEPT_ALL (~0ull)
void td_tlb_invept(struct cpu *cpu, u64 eptp);

/* Software TLB of a CPU: misses and steps of EPT walks since the start, by page size filled (0 4K, 1 2M, 2 1G). */
struct td_tlb_stats { u64 misses[3], walk_steps[3], evictions[3], flushes; };
void td_tlb_stats(struct cpu *cpu, struct td_tlb_stats *out);

#endif
