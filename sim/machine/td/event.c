/*
 * Events of a TD: from VM-entry injection to EVENTINJ, from EXITINTINFO to IDT vectoring, and the fields that every
 * VM exit fills. SDM volume 3, sections 25.8.3 (event injection) and 25.9 (VM-exit information).
 */
#include "sim/machine/shoot.h"
#include "sim/machine/td/internal.h"

static bool has_error_code(enum vector vector)
{
    return vector == VECTOR_DF || (vector >= 10 && vector <= VECTOR_PF) || vector == 17 || vector == 21;
}

static bool is_software(enum intr_type type)
{
    return type == INTR_SOFT_INT || type == INTR_PRIV_SOFT || type == INTR_SOFT_EXC;
}

static u64 to_event(u32 info, u32 error)
{
    enum intr_type type = info >> 8 & 7;
    u64 event = VMCB_EVENT_VALID | (info & 0xff);

    if (type == INTR_EXTERNAL)
        event |= VMCB_EVENT_INTERRUPT;
    else if (type == INTR_NMI)
        event |= VMCB_EVENT_NMI;
    else if (type == INTR_SOFT_INT)
        event |= VMCB_EVENT_SOFT_INT;
    else
        event |= VMCB_EVENT_EXCEPTION;
    if (info & INTR_HAS_ERROR)
        event |= VMCB_EVENT_HAS_ERROR | VMCB_EVENT_ERROR(error);
    return event;
}

/* A single-step trap that the module left pending. */
static void load_pending_trap(struct cpu *cpu)
{
    struct td_vmcs *v = td_vmcs(cpu);

    if (!(v->pending_dbg & DR6_BS))
        return;
    v->pending_dbg = 0;
    cpu->td->dr6 |= DR6_BS;
    cpu->td->event_injection = VMCB_EVENT_VALID | VMCB_EVENT_EXCEPTION | VECTOR_DB;
}

void td_event_load(struct cpu *cpu)
{
    struct td_vmcs *v = td_vmcs(cpu);
    struct td_cpu *td = cpu->td_state;
    u32 info = v->entry_intr_info;

    td->soft_event_length = 0;
    cpu->td->event_injection = 0;
    if (!(info & INTR_VALID)) {
        load_pending_trap(cpu);
        return;
    }
    cpu->td->event_injection = to_event(info, v->entry_error_code);
    if (is_software(info >> 8 & 7)) { /* the handler returns behind the instruction */
        td->soft_event_length = v->entry_instr_len;
        td->soft_event_type = info >> 8 & 7;
        cpu->td->rip += v->entry_instr_len;
    }
    if ((info >> 8 & 7) == INTR_EXTERNAL)
        shoot_send_nmi(cpu, cpu); /* see docs/simulator.md: QEMU may deliver it twice unless an exit follows at once */
    if ((info >> 8 & 7) == INTR_NMI) {
        v->interruptibility |= BLOCKED_BY_NMI;
        cpu->td->intercept_1 |= SVM_INTERCEPT_IRET;
    }
    v->entry_intr_info = 0;
}

enum td_next td_raise(struct cpu *cpu, enum vector vector)
{
    cpu->td->event_injection = VMCB_EVENT_VALID | VMCB_EVENT_EXCEPTION | vector;
    return TD_RESUME;
}

enum td_next td_raise_error(struct cpu *cpu, enum vector vector, u32 error)
{
    cpu->td->event_injection =
        VMCB_EVENT_VALID | VMCB_EVENT_EXCEPTION | VMCB_EVENT_HAS_ERROR | VMCB_EVENT_ERROR(error) | vector;
    return TD_RESUME;
}

static bool is_guest_soft_event(const struct cpu *cpu)
{
    return (cpu->td->exit_int_info & 0x700) == VMCB_EVENT_SOFT_INT && !cpu->td_state->soft_event_length;
}

/* An INT instruction of the TD's own is not delivered again but executed again: RIP still points at it. An interrupt of the virtual
 * APIC's still waits there. */
void td_event_repeat(struct cpu *cpu)
{
    u64 event = cpu->td->exit_int_info;

    if ((event & VMCB_EVENT_VALID) && !is_guest_soft_event(cpu) && !cpu->td_state->cut_interrupt)
        cpu->td->event_injection = event & (~0ull << 32 | VMCB_EVENT_VALID | VMCB_EVENT_HAS_ERROR | 0x7ff);
}

/* SVM has one type for all software events; VMX tells INT n, INT1, and INT3 with INTO apart. */
static void fill_soft_vectoring(struct cpu *cpu)
{
    struct td_vmcs *v = td_vmcs(cpu);
    struct td_cpu *td = cpu->td_state;
    u8 vector = cpu->td->exit_int_info & 0xff;
    enum intr_type type = INTR_SOFT_INT;
    struct insn insn;

    if (td->soft_event_length) { /* it was injected, RIP is where VM entry moved it */
        type = td->soft_event_type;
        cpu->td->rip -= td->soft_event_length;
        v->exit_instr_len = td->soft_event_length;
    } else if (td_fetch(cpu, &insn)) {
        if (insn.opcode == 0xcc || insn.opcode == 0xce)
            type = INTR_SOFT_EXC;
        else if (insn.opcode == 0xf1)
            type = INTR_PRIV_SOFT;
        v->exit_instr_len = insn.length;
    }
    v->idt_vectoring_info = INTR_VALID | INTR_TYPE(type) | vector;
}

/* SDM volume 3, section 25.9.3: the event that was on its way when the exit happened. */
static void fill_vectoring(struct cpu *cpu)
{
    struct td_vmcs *v = td_vmcs(cpu);
    u64 event = cpu->td->exit_int_info;

    v->idt_vectoring_info = 0;
    v->idt_vectoring_error = 0;
    if (!(event & VMCB_EVENT_VALID))
        return;
    if (cpu->td_state->cut_interrupt) {
        struct vapic a = td_vapic(cpu);
        vapic_delivered(&a); /* that far; the module sees to the rest */
    }
    v->idt_vectoring_info = INTR_VALID | (event & 0x7ff);
    if (cpu->td_state->soft_event_length || (event & 0x700) == VMCB_EVENT_SOFT_INT) {
        fill_soft_vectoring(cpu);
    } else if ((event & 0x700) == VMCB_EVENT_EXCEPTION && has_error_code(event & 0xff)) {
        v->idt_vectoring_info |= INTR_HAS_ERROR;
        v->idt_vectoring_error = event >> 32;
    }
}

enum td_next td_leave(struct cpu *cpu, u32 reason, u64 qualification)
{
    struct td_vmcs *v = td_vmcs(cpu);

    v->exit_reason = reason;
    v->qualification = qualification;
    v->guest_linear = v->guest_physical = 0;
    v->exit_intr_info = v->exit_error_code = 0;
    v->exit_instr_len = v->exit_instr_info = 0;
    fill_vectoring(cpu);
    return TD_LEAVE;
}

enum td_next td_leave_insn(struct cpu *cpu, u32 reason, u64 qualification)
{
    struct insn insn;

    td_leave(cpu, reason, qualification);
    td_vmcs(cpu)->exit_instr_len = td_fetch(cpu, &insn) ? insn.length : 0;
    return TD_LEAVE;
}

enum td_next td_leave_exception(struct cpu *cpu, enum vector vector, u64 qualification, bool has_error, u32 error)
{
    struct td_vmcs *v = td_vmcs(cpu);
    bool software = vector == VECTOR_BP || vector == VECTOR_OF;
    struct insn insn;

    td_leave(cpu, REASON_EXCEPTION_NMI, qualification);
    v->exit_intr_info = INTR_VALID | INTR_TYPE(software ? INTR_SOFT_EXC : INTR_EXCEPTION) | vector;
    if (has_error) {
        v->exit_intr_info |= INTR_HAS_ERROR;
        v->exit_error_code = error;
    }
    if (software && td_fetch(cpu, &insn))
        v->exit_instr_len = insn.length;
    return TD_LEAVE;
}

/* The traps that wait for the end of an instruction come here too, since the CPU did not see this one. */
enum td_next td_skip(struct cpu *cpu, const struct insn *insn)
{
    cpu->td->rip += insn->length;
    if (td_code_mode(cpu) != INSN_64)
        cpu->td->rip = (u32)cpu->td->rip;
    cpu->td->int_state &= ~(u64)VMCB_INT_SHADOW;
    td_vmcs(cpu)->interruptibility &= ~(BLOCKED_BY_STI | BLOCKED_BY_MOV_SS);
    if (cpu->td_state->step == STEP_MONITOR_TRAP)
        return td_leave(cpu, REASON_MONITOR_TRAP, 0);
    if (!(cpu->td->rflags & RFLAGS_TF) || (cpu->td_state->step != STEP_NONE && !cpu->td_state->step_tf))
        return TD_RESUME; /* a flag of ours stays on for one instruction more */
    cpu->td->dr6 |= DR6_BS;
    return td_raise(cpu, VECTOR_DB);
}
