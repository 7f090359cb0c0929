/* The VMM's local APIC: x2APIC registers over the APIC that the machine has. SDM vol. 3, section 11.12. */
#ifndef SIM_MACHINE_APIC_H
#define SIM_MACHINE_APIC_H

#include "sim/machine/cpu.h"

#define MSR_X2APIC_FIRST 0x800
#define MSR_X2APIC_LAST  0x83f

/* Of the CPU that executes this: its ID, and whether the real APIC is in x2APIC mode. */
u32 apic_own_id(void);
bool apic_is_x2(void);

/* On its own CPU: which mode the APIC was left in. */
void apic_init(struct cpu *cpu);
/* As INIT does. */
void apic_reset(struct cpu *cpu);

/* RDMSR and WRMSR of 800h to 83Fh; false where the architecture raises #GP. */
bool apic_read_msr(struct cpu *cpu, u32 msr, u64 *value);
bool apic_write_msr(struct cpu *cpu, u32 msr, u64 value);

/* IA32_APIC_BASE as the VMM sees it. */
u64 apic_base_read(struct cpu *cpu);
bool apic_base_write(struct cpu *cpu, u64 value);

/* The platform's own IPIs, by the real APIC of this CPU. */
void apic_send_nmi(struct cpu *cpu, u32 dest);
void apic_send_init(struct cpu *cpu, u32 dest);
void apic_send_startup(struct cpu *cpu, u32 dest, u8 vector);
/* Each interrupt that waits in this CPU's APIC, level-triggered ones as such. It waits there still. */
void apic_send_on(struct cpu *cpu, u32 dest);

/* What a CPU has set in its APIC, for that of another; no interrupts. On the CPUs themselves; xAPIC mode. */
struct apic_state {
    u32 spurious, task_priority, logical_id, logical_format, lvt[6], divide, initial, current;
};
void apic_save(struct cpu *cpu, struct apic_state *state);
void apic_load(struct cpu *cpu, const struct apic_state *state);
void apic_enable(struct cpu *cpu);
void apic_take_id(u32 id);
bool apic_is_in_service(struct cpu *cpu); /* an interrupt that the VMM has not ended */

/* Of an interrupt that the core has acknowledged. */
void apic_eoi(struct cpu *cpu);

/* An interrupt waits in the APIC that its priorities would let through. */
bool apic_has_deliverable(struct cpu *cpu);

#endif
