/*
 * Accesses of a TD to CR0 and CR4: the guest/host masks and read shadows decide whether the module sees them, the
 * rest of a write is the processor's own. SDM volume 3, sections 26.1.3 and 26.3 ("Changes to instruction behavior"),
 * table 28-3 (qualification). CR3 is not intercepted, CR8 only for the emulator's sake: see td/apic.c.
 *
 * PDPTE loads of PAE paging are left to the CPU, which reads them at each walk.
 */
#include "sim/machine/hw/svm.h"
#include "sim/machine/log.h"
#include "sim/machine/td/internal.h"

/* Access types of the qualification. */
enum cr_access { CR_MOV_TO = 0, CR_MOV_FROM = 1, CR_CLTS = 2, CR_LMSW = 3 };
#define QUAL_TYPE_SHIFT     4
#define QUAL_LMSW_MEMORY    (1u << 6)
#define QUAL_REGISTER_SHIFT 8
#define QUAL_LMSW_SHIFT     16

#define CR0_LMSW_BITS (CR0_PE | CR0_MP | CR0_EM | CR0_TS)
#define CR0_KNOWN     0xe005003full

static enum td_next leave(struct cpu *cpu, const struct insn *insn, unsigned cr, enum cr_access type, u64 more)
{
    td_leave(cpu, REASON_CR_ACCESS, cr | (u64)type << QUAL_TYPE_SHIFT | more);
    td_vmcs(cpu)->exit_instr_len = insn->length;
    return TD_LEAVE;
}

static u64 operand(const struct cpu *cpu, unsigned n)
{
    u64 value = td_read_gpr(cpu, n);
    return td_code_mode(cpu) == INSN_64 ? value : (u32)value;
}

static bool cr0_is_legal(const struct cpu *cpu, u64 value)
{
    const struct td_vmcs *v = td_vmcs(cpu);
    bool enables = (value & CR0_PG) && !(v->cr0 & CR0_PG), disables = !(value & CR0_PG) && (v->cr0 & CR0_PG);

    if (value >> 32 || ((value & CR0_NW) && !(value & CR0_CD)) || ((value & CR0_PG) && !(value & CR0_PE)))
        return false;
    if (enables && (v->efer & EFER_LME) && (!(v->cr4 & CR4_PAE) || cpu->td->cs.attributes & 1u << 9))
        return false;
    return !(disables && (td_code_mode(cpu) == INSN_64 || v->cr4 & CR4_PCIDE));
}

/* EFER.LMA follows CR0.PG. */
static enum td_next write_cr0(struct cpu *cpu, const struct insn *insn, u64 value)
{
    struct td_vmcs *v = td_vmcs(cpu);

    value = (v->cr0 & v->cr0_mask) | (value & ~v->cr0_mask);
    if (!cr0_is_legal(cpu, value))
        return td_raise_error(cpu, VECTOR_GP, 0);
    v->cr0 = (value & CR0_KNOWN) | CR0_ET;
    v->efer &= ~EFER_LMA;
    if ((v->cr0 & CR0_PG) && (v->efer & EFER_LME))
        v->efer |= EFER_LMA;
    td_vmcb_load_control_registers(cpu);
    return td_skip(cpu, insn);
}

static enum td_next mov_to_cr0(struct cpu *cpu, const struct insn *insn)
{
    const struct td_vmcs *v = td_vmcs(cpu);
    u64 value = operand(cpu, insn_rm(insn));

    if ((value ^ v->cr0_shadow) & v->cr0_mask)
        return leave(cpu, insn, 0, CR_MOV_TO, insn_rm(insn) << QUAL_REGISTER_SHIFT);
    return write_cr0(cpu, insn, value);
}

static enum td_next clts(struct cpu *cpu, const struct insn *insn)
{
    const struct td_vmcs *v = td_vmcs(cpu);

    if (v->cr0_mask & v->cr0_shadow & CR0_TS)
        return leave(cpu, insn, 0, CR_CLTS, 0);
    return write_cr0(cpu, insn, v->cr0 & ~CR0_TS);
}

/* The 16 bits that LMSW takes; false when reading them faulted. */
static bool lmsw_source(struct cpu *cpu, const struct insn *insn, u16 *source, u64 *linear, enum td_next *next)
{
    struct insn_registers registers;

    td_insn_registers(cpu, &registers);
    if (insn_operand(insn, &registers, linear))
        return td_read(cpu, *linear, source, sizeof(*source), next);
    *source = (u16)td_read_gpr(cpu, insn_rm(insn));
    return true;
}

/* LMSW cannot clear PE, so a 0 for it never differs from the shadow. */
static enum td_next lmsw(struct cpu *cpu, const struct insn *insn)
{
    const struct td_vmcs *v = td_vmcs(cpu);
    enum td_next next;
    u64 linear = 0, watched = v->cr0_mask & CR0_LMSW_BITS;
    u16 source;

    if (!lmsw_source(cpu, insn, &source, &linear, &next))
        return next;
    if (!(source & CR0_PE))
        watched &= ~CR0_PE;
    if ((source ^ v->cr0_shadow) & watched) {
        bool memory = insn_rm_is_memory(insn);
        leave(cpu, insn, 0, CR_LMSW, (u64)source << QUAL_LMSW_SHIFT | (memory ? QUAL_LMSW_MEMORY : 0));
        td_vmcs(cpu)->guest_linear = memory ? linear : 0;
        return TD_LEAVE;
    }
    return write_cr0(cpu, insn, (v->cr0 & (~CR0_LMSW_BITS | CR0_PE)) | (source & CR0_LMSW_BITS));
}

static enum td_next smsw(struct cpu *cpu, const struct insn *insn, u64 value)
{
    struct insn_registers registers;
    enum td_next next;
    u64 linear;
    unsigned rm = insn_rm(insn);

    td_insn_registers(cpu, &registers);
    if (insn_operand(insn, &registers, &linear)) {
        if (!td_write(cpu, linear, &value, 2, &next))
            return next;
    } else if (insn->opsize && !(insn->rex & 8)) {
        td_write_gpr(cpu, rm, (td_read_gpr(cpu, rm) & ~0xffffull) | (value & 0xffff));
    } else {
        td_write_gpr(cpu, rm, insn->rex & 8 ? value : (u32)value);
    }
    return td_skip(cpu, insn);
}

static enum td_next mov_to_cr4(struct cpu *cpu, const struct insn *insn)
{
    struct td_vmcs *v = td_vmcs(cpu);
    u64 value = operand(cpu, insn_rm(insn)), changed;

    if ((value ^ v->cr4_shadow) & v->cr4_mask)
        return leave(cpu, insn, 4, CR_MOV_TO, insn_rm(insn) << QUAL_REGISTER_SHIFT);
    value = (v->cr4 & v->cr4_mask) | (value & ~v->cr4_mask);
    changed = value ^ v->cr4;
    if (value & ~v->cr4_mask & ~cpu->td_state->cr4_native)
        return td_raise_error(cpu, VECTOR_GP, 0);
    if ((v->efer & EFER_LMA) && (changed & CR4_LA57 || !(value & CR4_PAE)))
        return td_raise_error(cpu, VECTOR_GP, 0);
    v->cr4 = value;
    td_vmcb_load_control_registers(cpu);
    return td_skip(cpu, insn);
}

static enum td_next mov_to_cr8(struct cpu *cpu, const struct insn *insn)
{
    struct vapic a = td_vapic(cpu);
    u64 value = operand(cpu, insn_rm(insn));

    if (value >> 4)
        return td_raise_error(cpu, VECTOR_GP, 0);
    vapic_set_tpr(&a, (u8)(value << 4));
    return td_skip(cpu, insn);
}

/* As the TD reads them. CR2, CR3 and CR8 come here only where an emulator takes every read for one of CR0. */
static u64 visible(const struct cpu *cpu, unsigned cr)
{
    const struct td_vmcs *v = td_vmcs(cpu);

    switch (cr) {
    case 0:
        return (v->cr0 & ~v->cr0_mask) | (v->cr0_shadow & v->cr0_mask);
    case 2:
        return cpu->td->cr2;
    case 3:
        return cpu->td->cr3;
    case 4:
        return (v->cr4 & ~v->cr4_mask) | (v->cr4_shadow & v->cr4_mask);
    default:
        return cpu->td->int_control & 15;
    }
}

static enum td_next mov_from(struct cpu *cpu, const struct insn *insn)
{
    u64 value = visible(cpu, insn_reg(insn));

    td_write_gpr(cpu, insn_rm(insn), td_code_mode(cpu) == INSN_64 ? value : (u32)value);
    return td_skip(cpu, insn);
}

enum td_next td_control_register(struct cpu *cpu)
{
    struct insn insn;
    unsigned reg;

    if (!td_fetch(cpu, &insn))
        return TD_RESUME;
    reg = insn_reg(&insn);
    switch (insn.opcode) {
    case 0x01:
        return reg == 6 ? lmsw(cpu, &insn) : smsw(cpu, &insn, visible(cpu, 0));
    case 0x06:
        return clts(cpu, &insn);
    case 0x20:
        return mov_from(cpu, &insn);
    case 0x22:
        return reg == 0 ? mov_to_cr0(cpu, &insn) : reg == 4 ? mov_to_cr4(cpu, &insn) : mov_to_cr8(cpu, &insn);
    default:
        return td_raise(cpu, VECTOR_UD);
    }
}

/*
 * QEMU ends the guest's run at a MOV to CR3 with bits that the CPU does not have, where it should raise #GP. A VMRUN
 * that is refused looks the same, but has put the host's state into the VMCB; td_vmcb_is_valid() sees to it that this
 * does not happen.
 */
enum td_next td_bad_cr3(struct cpu *cpu)
{
    if (cpu->td->rip - (uintptr_t)svm_run_interruptible < 4096)
        sim_stop("VMRUN refused the state of a TD");
    return td_raise_error(cpu, VECTOR_GP, 0);
}
