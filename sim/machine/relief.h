/*
 * Relief for the machine's first CPU. QEMU's TCG changes a word of flags of that CPU whenever another one executes XRSTOR, FXRSTOR,
 * FRSTOR or FLDENV (its IGNNE#), and not atomically: what the first CPU has noted there meanwhile is lost. That are its GIF and whether
 * nested paging is on, which VMRUN and #VMEXIT change (docs/simulator.md). So the first CPU rests as soon as others run, and one that
 * the VMM is not shown goes on in its place, with its APIC ID.
 */
#ifndef SIM_MACHINE_RELIEF_H
#define SIM_MACHINE_RELIEF_H

#include "sim/machine/cpu.h"

/* At start: does this machine's first CPU want relief? */
bool relief_is_wanted(void);
/* Once, at start: the real APIC ID of a CPU that is not in the list, and a stack for it. Without it there is no relief. */
void relief_init(u32 apic_id, void *stack_top);

/*
 * INIT or SIPI of the VMM, to all others or to one. A SIPI calls the relief, unless it is the firmware's: with local_apic = x2apic
 * that wakes all its CPUs at once when its services end, and wants to hear of each.
 */
void relief_see_ipi(struct cpu *from, bool is_startup, bool to_all, u8 vector);

/* Between exits, on each CPU: is it the first, and to be relieved now? Not while its APIC has an interrupt in service. */
bool relief_is_due(struct cpu *cpu);
/* Does not return, unless the relief does not come, which is logged. */
void relief_take_over(struct cpu *cpu);

#endif
