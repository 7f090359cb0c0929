/*
 * The run loop of a TD vCPU: VM entry, the processor's own business, VM exit. See td.h.
 *
 * Left out: MOV DR exiting, PAUSE-loop exiting, the VMX-preemption timer, and, where QEMU cannot intercept it, VM exits at
 * XSETBV. An INTR exit while an event is being injected under the
 * monitor trap stands in for the trap.
 */
#include "sim/machine/config.h"
#include "sim/machine/exits.h"
#include "sim/machine/hw/cpu.h"
#include "sim/machine/hw/svm.h"
#include "sim/machine/log.h"
#include "sim/machine/nmi.h"
#include "sim/machine/pool.h"
#include "sim/machine/shoot.h"
#include "sim/machine/td/td.h"
#include "sim/machine/td/internal.h"

#define TABLES_SHARE 4  /* of the reserve, one part for tables of software TLBs; the guard needs the most of it */
#define FLUSH_ALL    1u /* TLB_CONTROL: APM volume 2, section 15.16.1 */

void td_init(struct cpu *cpu)
{
    cpu->td_state = pool_take((sizeof(struct td_cpu) + 4095) / 4096);
    cpu->td_state->tables_left = (u32)(pool_bytes() / 4096 / TABLES_SHARE / cpu_count());
    td_vmcb_init(cpu);
}

/* --- single steps ------------------------------------------------------------------------------------------------- */

/* One instruction, then #DB. Not under event injection: the handler's frame would show TF. */
static void step_begin(struct cpu *cpu, enum td_step step)
{
    struct td_cpu *td = cpu->td_state;

    td->step = step;
    td->step_tf = cpu->td->rflags & RFLAGS_TF;
    cpu->td->rflags |= RFLAGS_TF;
    cpu->td->intercept_exceptions |= 1u << VECTOR_DB;
}

/* IRET has loaded its own TF; after any other instruction the TD's comes back. */
static void step_end(struct cpu *cpu)
{
    struct td_cpu *td = cpu->td_state;

    if (td->step == STEP_MONITOR_TRAP && !td->step_tf)
        cpu->td->rflags &= ~RFLAGS_TF;
    td->step = STEP_NONE;
    if (!(td_vmcs(cpu)->exception_bitmap >> VECTOR_DB & 1))
        cpu->td->intercept_exceptions &= ~(1u << VECTOR_DB);
}

static enum td_next stepped(struct cpu *cpu)
{
    enum td_step step = cpu->td_state->step;
    bool own_trap = cpu->td_state->step_tf;

    step_end(cpu);
    if (step == STEP_MONITOR_TRAP) {
        if (!own_trap)
            cpu->td->dr6 &= ~DR6_BS;
        return td_leave(cpu, REASON_MONITOR_TRAP, 0);
    }
    cpu->td->dr6 &= ~DR6_BS;
    return td_vmcs(cpu)->nmi_window ? td_leave(cpu, REASON_NMI_WINDOW, 0) : TD_RESUME;
}

/* The IRET that ends an NMI handler: NMIs open up behind it. */
static enum td_next unblock_nmi(struct cpu *cpu)
{
    td_vmcs(cpu)->interruptibility &= ~BLOCKED_BY_NMI;
    cpu->td->intercept_1 &= ~SVM_INTERCEPT_IRET;
    if (td_vmcs(cpu)->nmi_window && cpu->td_state->step == STEP_NONE)
        step_begin(cpu, STEP_OVER_IRET);
    return TD_RESUME;
}

/* --- exits -------------------------------------------------------------------------------------------------------- */

static bool pushes_error_code(unsigned vector)
{
    return vector == VECTOR_DF || (vector >= 10 && vector <= 14) || vector == 17 || vector == 21;
}

static enum td_next exception(struct cpu *cpu, unsigned vector)
{
    u64 qualification = 0;

    if (vector == VECTOR_UD)
        return td_undefined(cpu);
    if (vector == VECTOR_DB && cpu->td_state->step != STEP_NONE)
        return stepped(cpu);
    if (vector == VECTOR_PF)
        qualification = cpu->td->exit_info_2;
    else if (vector == VECTOR_DB)
        qualification = cpu->td->dr6 & 0xe00f;
    return td_leave_exception(cpu, vector, qualification, pushes_error_code(vector), (u32)cpu->td->exit_info_1);
}

/* "Acknowledge interrupt on exit": the vector comes along, and its EOI is the VMM's to send. One that has gone away, or tells of
 * posted ones, takes nobody out. */
static enum td_next interrupt(struct cpu *cpu)
{
    u32 vector = shoot_take_interrupt(cpu);

    if (!vector || td_apic_notified(cpu, vector))
        return TD_RESUME;
    td_leave(cpu, REASON_EXTERNAL_INTERRUPT, 0);
    td_vmcs(cpu)->exit_intr_info = INTR_VALID | INTR_TYPE(INTR_EXTERNAL) | vector;
    return TD_LEAVE;
}

/* A shootdown's alone is none of the TD's business. */
static enum td_next nmi(struct cpu *cpu)
{
    if (!shoot_take_nmi(cpu)) {
        td_event_repeat(cpu);
        return TD_RESUME;
    }
    nmi_block(cpu);
    td_leave(cpu, REASON_EXCEPTION_NMI, 0);
    td_vmcs(cpu)->exit_intr_info = INTR_VALID | INTR_TYPE(INTR_NMI) | VECTOR_NMI;
    return TD_LEAVE;
}

/* EXITINFO2 of a task switch: which kind it is. APM volume 2, section 15.14.1. */
static enum td_next task_switch(struct cpu *cpu)
{
    u64 info = cpu->td->exit_info_2, kind;

    if (info >> 36 & 1)
        kind = 1; /* IRET */
    else if (info >> 38 & 1)
        kind = 2; /* JMP */
    else
        kind = cpu->td->exit_int_info & VMCB_EVENT_VALID ? 3 : 0; /* task gate in the IDT, or CALL */
    return td_leave_insn(cpu, REASON_TASK_SWITCH, (cpu->td->exit_info_1 & 0xffff) | kind << 30);
}

/* Instructions whose exit says no more than its reason. */
static u32 plain_reason(u32 code)
{
    switch (code) {
    case VMEXIT_CPUID:
        return REASON_CPUID;
    case VMEXIT_INVD:
        return REASON_INVD;
    case VMEXIT_HLT:
        return REASON_HLT;
    case VMEXIT_WBINVD:
        return REASON_WBINVD;
    case VMEXIT_MONITOR:
        return REASON_MONITOR;
    case VMEXIT_MWAIT:
        return REASON_MWAIT;
    case VMEXIT_XSETBV:
        return REASON_XSETBV;
    default:
        return ~0u;
    }
}

static enum td_next handle(struct cpu *cpu)
{
    u32 code = vmcb_exit(cpu->td);

    if (plain_reason(code) != ~0u)
        return td_leave_insn(cpu, plain_reason(code), 0);
    if (code < VMEXIT_READ_DR0)
        return td_control_register(cpu);
    if (code >= VMEXIT_EXCP_BASE && code < VMEXIT_INTR)
        return exception(cpu, code - VMEXIT_EXCP_BASE);
    switch (code) {
    case VMEXIT_NPF:
        return td_nested_fault(cpu);
    case VMEXIT_INTR:
        return interrupt(cpu);
    case VMEXIT_NMI:
        return nmi(cpu);
    case VMEXIT_INIT:
        return td_leave(cpu, REASON_INIT, 0);
    case VMEXIT_SHUTDOWN:
        cpu->td->exit_int_info = 0; /* SDM volume 3, section 25.9.3: none for a triple fault */
        return td_leave(cpu, REASON_TRIPLE_FAULT, 0);
    case VMEXIT_IOIO:
        return td_io(cpu);
    case VMEXIT_MSR:
        return td_msr(cpu);
    case VMEXIT_RDPMC:
        return td_rdpmc(cpu);
    case VMEXIT_RDTSC:
    case VMEXIT_RDTSCP:
        return td_rdtsc(cpu);
    case VMEXIT_IRET:
        return unblock_nmi(cpu);
    case VMEXIT_TASK_SWITCH:
        return task_switch(cpu);
    case VMEXIT_INVLPGA:
    case VMEXIT_VMRUN:
    case VMEXIT_VMMCALL:
    case VMEXIT_VMLOAD:
    case VMEXIT_VMSAVE:
    case VMEXIT_STGI:
    case VMEXIT_CLGI:
    case VMEXIT_SKINIT:
        return td_raise(cpu, VECTOR_UD); /* AMD's, not Intel's */
    case VMEXIT_INVALID:
        return td_bad_cr3(cpu);
    default:
        sim_stop("a TD left with exit code %x at %lx, which the platform does not know", code,
                 (unsigned long)cpu->td->rip);
    }
}

/* --- the loop ----------------------------------------------------------------------------------------------------- */

static bool nmi_window_is_open(const struct td_vmcs *v)
{
    return v->nmi_window && !(v->interruptibility & (BLOCKED_BY_STI | BLOCKED_BY_MOV_SS | BLOCKED_BY_NMI));
}

/*
 * QEMU flushes at every VMRUN; a real CPU is told when translations of this VMCB's tables went, or the tables
 * changed.
 */
static void flush_if_needed(struct cpu *cpu)
{
    struct td_cpu *td = cpu->td_state;
    bool other = td->last_root != cpu->td->nested_cr3;

    td->last_root = cpu->td->nested_cr3;
    cpu->td->tlb_control = stlb_has_shrunk(&td->current->tlb) || other ? FLUSH_ALL : 0;
}

static void run_once(struct cpu *cpu)
{
    if (shoot_enter(cpu, SHOOT_TD))
        td_tlb_invept(cpu, TD_INVEPT_ALL);
    td_apic_load(cpu);
    flush_if_needed(cpu);
    cpu->td->exit_int_info = 0;
    exits_follow_control_registers(cpu->td);
    if (sim_config()->kick_lost == cpu->index && cpu->index)
        svm_run(cpu->td, td_vmcs(cpu)->gpr);
    else
        svm_run_interruptible(cpu->td, td_vmcs(cpu)->gpr);
    shoot_leave(cpu, SHOOT_TD);
    td_apic_store(cpu);
    cpu->td->event_injection = 0; /* what was not delivered is in exit_int_info now */
}

static void enter(struct cpu *cpu)
{
    td_mem_enter(cpu);
    td_vmcb_load(cpu);
    td_event_load(cpu);
    cpu->td_state->step = STEP_NONE;
}

/* An exit that comes before the step: the instruction has not run, so the flag is still ours, before an IRET too. */
static void step_abandon(struct cpu *cpu)
{
    bool own_trap = cpu->td_state->step_tf;

    step_end(cpu);
    if (!own_trap)
        cpu->td->rflags &= ~RFLAGS_TF;
}

static void leave(struct cpu *cpu)
{
    if (cpu->td_state->step != STEP_NONE)
        step_abandon(cpu);
    td_vmcb_store(cpu);
}

void td_run(struct cpu *cpu)
{
    struct td_vmcs *v = td_vmcs(cpu);
    enum td_next next = TD_RESUME;

    enter(cpu);
    if (!td_vmcb_is_valid(cpu))
        next = td_leave(cpu, REASON_ENTRY_FAILURE | REASON_BAD_GUEST_STATE, 0);
    else if (!(cpu->td->event_injection & VMCB_EVENT_VALID) && nmi_window_is_open(v))
        next = td_leave(cpu, REASON_NMI_WINDOW, 0);
    else if (!(cpu->td->event_injection & VMCB_EVENT_VALID) && v->monitor_trap)
        step_begin(cpu, STEP_MONITOR_TRAP);
    while (next == TD_RESUME) {
        run_once(cpu);
        next = handle(cpu);
        if (!(cpu->td->event_injection & VMCB_EVENT_VALID))
            cpu->td_state->soft_event_length = 0;
    }
    leave(cpu);
    if (sim_config()->tlb_report && v->exit_reason == REASON_TDCALL && !(v->gpr[RAX] & 0xffff))
        td_tlb_report(cpu); /* TDG.VP.VMCALL: work ends or begins */
}
