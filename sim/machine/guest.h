/* The VMM's registers, its memory through its own page tables, and events for it. */
#ifndef SIM_MACHINE_GUEST_H
#define SIM_MACHINE_GUEST_H

#include "sim/machine/cpu.h"
#include "sim/machine/insn.h"

#define VECTOR_DB  1
#define VECTOR_NMI 2
#define VECTOR_UD  6
#define VECTOR_GP  13

static inline u64 *guest_gpr(struct cpu *cpu, unsigned number)
{
    return number == RAX ? &cpu->vmm->rax : number == RSP ? &cpu->vmm->rsp : &cpu->lp.vmm[number];
}

/* CPL of the VMM: SVM keeps it in SS.DPL. */
static inline unsigned guest_cpl(const struct cpu *cpu)
{
    return cpu->vmm->ss.attributes >> 5 & 3;
}

enum insn_mode guest_mode(const struct cpu *cpu);

/* Physical address of a linear one; false where the page tables have none, or in paging modes other than long mode's. */
bool guest_translate(struct cpu *cpu, u64 linear, u64 *gpa);

/* Bytes at a linear address, page by page; false where one is not mapped or not plain RAM. */
bool guest_read(struct cpu *cpu, u64 linear, void *to, unsigned bytes);

/* The instruction at RIP; false where it cannot be read or decoded. */
bool guest_insn(struct cpu *cpu, struct insn *insn);
/* Linear address of its memory operand. */
bool guest_operand(struct cpu *cpu, const struct insn *insn, u64 *linear);

/* The event is delivered before the next instruction, RIP as it is. */
void guest_inject(struct cpu *cpu, unsigned vector); /* exception without an error code */
void guest_inject_error(struct cpu *cpu, unsigned vector, u32 error);

#endif
