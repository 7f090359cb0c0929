/*
 * Interrupts for vCPUs: posted by whoever has one (tdx/posted.h), by each vCPU's own timer, and NMIs. What a vCPU that halts waits
 * for.
 */
#ifndef KERNEL_VM_INTERRUPT_H
#define KERNEL_VM_INTERRUPT_H

#include "kernel/vm/vm.h"

/* Before the vCPUs run: takes what interrupts are posted by. ERR_PLATFORM: this machine has no x2APIC, so no TD of it gets any. */
MUST_CHECK enum err interrupt_init(struct fault_text *fault);
/* When they do not run any more, and their TD is gone. */
void interrupt_end(void);

/* On any CPU. */
void interrupt_post(unsigned vcpu, u8 vector);
void interrupt_nmi(unsigned vcpu);

/* On the vCPU's CPU before each entry: its timer and NMIs. */
void interrupt_tick(struct vm_vcpu *v);
/* Ticks of the bus clock of the vCPUs' timers (drivers/virt/vapic.h). */
u64 interrupt_bus_now(void);

/* Does anything wait for the vCPU, which halts, that wakes it? With interrupts off, so that nothing comes between the answer and
 * irq_wait(). */
bool interrupt_wakes(const struct vm_vcpu *v);

#endif
