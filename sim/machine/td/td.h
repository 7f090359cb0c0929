/*
 * TD vCPUs on this CPU: a second VMCB, whose nested page tables are a software TLB over the Secure EPT and the shared
 * EPT. To the module this is a logical processor in VMX non-root operation: SDM volume 3, chapters "VMX non-root
 * operation" and "VM exits". docs/simulator.md lists what is left out.
 *
 * The caller switches extended state (XSAVE area, XCR0) around it; everything else of the TD's state is switched
 * here.
 */
#ifndef SIM_MACHINE_TD_TD_H
#define SIM_MACHINE_TD_TD_H

#include "sim/machine/cpu.h"

/* Once for each CPU before its first TD: takes the TD's VMCB (cpu->td), bitmaps and TLBs from the pool. */
void td_init(struct cpu *cpu);

/*
 * Around all td_run() of one TDH.VP.ENTER. What VMRUN does not switch changes hands here: FS, GS, LDTR, TR, syscall
 * and SYSENTER MSRs, DR0 to DR3, TSC_AUX. In between, these parts of *cpu->lp.td are the real CPU's: the module
 * neither reads nor changes them. DR0 to DR3, TSC_AUX and CR2 do not come back to the VMM, as on a server.
 */
void td_begin(struct cpu *cpu);
void td_end(struct cpu *cpu, struct td_vmcs *td);

/*
 * VM entry with cpu->lp.td, then whatever is the processor's own business, until a VM exit that the module has to
 * see. On return guest state and exit information are in *cpu->lp.td. GIF is 0, extended state is the TD's.
 */
void td_run(struct cpu *cpu);

/* INVEPT, by the module or the VMM, on this CPU: translations of `eptp` are gone; all of them with TD_INVEPT_ALL. */
#define TD_INVEPT_ALL (~0ull)
void td_tlb_invept(struct cpu *cpu, u64 eptp);

/* Software TLB of a CPU: misses and steps of EPT walks since the start, by page size filled (0 4K, 1 2M, 2 1G). */
struct td_tlb_stats {
    u64 misses[3], walk_steps[3], evictions[3], flushes;
};
void td_tlb_stats(struct cpu *cpu, struct td_tlb_stats *out);

#endif
