/* SVM instructions and the switch of register sets around VMRUN. APM vol. 2, chapter 15. */
#ifndef SIM_MACHINE_HW_SVM_H
#define SIM_MACHINE_HW_SVM_H

#include "sim/machine/vmcb.h"

/*
 * Runs the guest of `vmcb` until #VMEXIT. `gpr` holds its registers by x86 number and takes them back; entries RAX and RSP are
 * left alone, those two live in the VMCB. GIF is 0 before and after. The first form runs with the host's IF = 0; in the second
 * a physical interrupt that the VMCB intercepts exits whatever the guest's own IF is (V_INTR_MASKING).
 */
void svm_run(struct vmcb *vmcb, u64 *gpr);
void svm_run_interruptible(struct vmcb *vmcb, u64 *gpr);

/* FS, GS, TR, LDTR with their hidden parts, KernelGSBase, STAR, LSTAR, CSTAR, SFMASK, SYSENTER_*. */
void svm_vmload(struct vmcb *vmcb);
void svm_vmsave(struct vmcb *vmcb);

/*
 * The caller becomes the guest: the place behind this call goes to *rip, *rsp, *rflags, and the CPU continues in `entry`, on its
 * own stack, with interrupts off and GIF = 0. When `entry` runs a VMCB with these three values, the call returns, virtualised.
 */
void svm_become_guest(u64 *rip, u64 *rsp, u64 *rflags, void *stack_top, void (*entry)(void));

/* SVM and no-execute on for this CPU; `host_save` is where VMRUN keeps the core's state. */
void svm_enable(void *host_save);

void svm_clgi(void);
void svm_stgi(void);

/* Lets a pending NMI into the core's own handler (after an NMI exit). */
void svm_take_nmi(void);
/*
 * Acknowledges the interrupt that waits at the local APIC, without an EOI: its vector, 0 where none waits any more. An NMI may come
 * in beside it, and is gone then.
 */
u32 svm_take_interrupt(bool *nmi);

#endif
