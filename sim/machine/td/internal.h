/* What the files of the TD side share among themselves: see td.h. */
#ifndef SIM_MACHINE_TD_INTERNAL_H
#define SIM_MACHINE_TD_INTERNAL_H

#include "sim/machine/cpu.h"
#include "sim/machine/ept.h"
#include "sim/machine/gpt.h"
#include "sim/machine/insn.h"
#include "sim/machine/stlb.h"
#include "sim/machine/td/td.h"
#include "sim/machine/vapic.h"

/* TLBs of one CPU: a vCPU that finds none takes the one that was given away longest ago. */
#define TD_TLBS 8

struct td_tlb {
    const struct td_vmcs *vcpu;
    u64 eptp;
    struct stlb tlb;
};

/* Why the TD runs one instruction at a time, with RFLAGS.TF set behind its back. */
enum td_step { STEP_NONE, STEP_MONITOR_TRAP, STEP_OVER_IRET };

struct td_cpu {
    struct td_tlb tlbs[TD_TLBS];
    struct td_tlb *current; /* of the vCPU that runs */
    unsigned next_tlb;
    u32 tables_left;              /* that TLBs of this CPU may still take from the pool */
    u64 last_root;                /* of the nested page table of the last VMRUN */
    struct td_tlb_stats reported; /* at the last td_tlb_report() */
    struct ept_space space;       /* of the vCPU that runs */
    u64 cr4_native;               /* CR4 bits that the real CPU lets a guest have */
    u64 msrpm, iopm;              /* all ones: every access exits */
    u64 absent_page;              /* what a TD sees at memory that is not for it: one page of scribble paper */
    u32 soft_event_length; /* RIP was moved by so much for a software event that this entry injects, of this type */
    u32 soft_event_type;
    enum td_step step;
    bool step_tf;       /* the TD's own RFLAGS.TF meanwhile */
    bool cut_interrupt; /* the event that the last exit cut short is the virtual APIC's, and still waits there */
};

/* After an exit was handled: the TD runs on, or the module has to see it (exit information is filled in). */
enum td_next { TD_RESUME, TD_LEAVE };

/* VMX basic exit reasons: SDM volume 3, appendix C. */
enum vmx_reason {
    REASON_EXCEPTION_NMI = 0,
    REASON_EXTERNAL_INTERRUPT = 1,
    REASON_TRIPLE_FAULT = 2,
    REASON_INIT = 3,
    REASON_NMI_WINDOW = 8,
    REASON_TASK_SWITCH = 9,
    REASON_CPUID = 10,
    REASON_GETSEC = 11,
    REASON_HLT = 12,
    REASON_INVD = 13,
    REASON_RDPMC = 15,
    REASON_RSM = 17,
    REASON_VMCALL = 18,
    REASON_VMCLEAR = 19,
    REASON_VMLAUNCH = 20,
    REASON_VMPTRLD = 21,
    REASON_VMPTRST = 22,
    REASON_VMREAD = 23,
    REASON_VMRESUME = 24,
    REASON_VMWRITE = 25,
    REASON_VMXOFF = 26,
    REASON_VMXON = 27,
    REASON_CR_ACCESS = 28,
    REASON_IO = 30,
    REASON_RDMSR = 31,
    REASON_WRMSR = 32,
    REASON_BAD_GUEST_STATE = 33,
    REASON_MWAIT = 36,
    REASON_MONITOR_TRAP = 37,
    REASON_MONITOR = 39,
    REASON_EPT_VIOLATION = 48,
    REASON_EPT_MISCONFIG = 49,
    REASON_INVEPT = 50,
    REASON_INVVPID = 53,
    REASON_WBINVD = 54,
    REASON_XSETBV = 55,
    REASON_APIC_WRITE = 56,
    REASON_VMFUNC = 59,
    REASON_ENCLS = 60,
    REASON_PCONFIG = 65,
    REASON_ENCLV = 70,
    REASON_ENQCMD = 72,
    REASON_ENQCMDS = 73,
    REASON_SEAMCALL = 76,
    REASON_TDCALL = 77,
};
#define REASON_ENTRY_FAILURE (1u << 31)

/* Interruption information, VMX format: SDM volume 3, sections 25.8.3 and 25.9.2. */
#define INTR_VALID      (1u << 31)
#define INTR_HAS_ERROR  (1u << 11)
#define INTR_TYPE(type) ((u32)(type) << 8)
enum intr_type {
    INTR_EXTERNAL = 0,
    INTR_NMI = 2,
    INTR_EXCEPTION = 3,
    INTR_SOFT_INT = 4,
    INTR_PRIV_SOFT = 5,
    INTR_SOFT_EXC = 6
};

enum vector {
    VECTOR_DB = 1,
    VECTOR_NMI = 2,
    VECTOR_BP = 3,
    VECTOR_OF = 4,
    VECTOR_UD = 6,
    VECTOR_DF = 8,
    VECTOR_GP = 13,
    VECTOR_PF = 14,
    VECTOR_MC = 18,
    VECTOR_VE = 20
};

/* Guest interruptibility: SDM volume 3, table 25-3. */
#define BLOCKED_BY_STI    (1u << 0)
#define BLOCKED_BY_MOV_SS (1u << 1)
#define BLOCKED_BY_NMI    (1u << 3)

#define CR0_PE      (1ull << 0)
#define CR0_MP      (1ull << 1)
#define CR0_EM      (1ull << 2)
#define CR0_TS      (1ull << 3)
#define CR0_ET      (1ull << 4)
#define CR0_NW      (1ull << 29)
#define CR0_CD      (1ull << 30)
#define CR0_WP      (1ull << 16)
#define CR0_PG      (1ull << 31)
#define CR4_PAE     (1ull << 5)
#define CR4_UMIP    (1ull << 11)
#define CR4_LA57    (1ull << 12)
#define CR4_PCIDE   (1ull << 17)
#define CR4_OSXSAVE (1ull << 18)
#define CR4_SMEP    (1ull << 20)
#define CR4_SMAP    (1ull << 21)
#define EFER_SCE    (1ull << 0)
#define EFER_LME    (1ull << 8)
#define EFER_LMA    (1ull << 10)
#define EFER_NXE    (1ull << 11)
#define RFLAGS_TF   (1ull << 8)
#define RFLAGS_IF   (1ull << 9)
#define DR6_BS      (1ull << 14)
#define RFLAGS_AC   (1ull << 18)
#define RFLAGS_VM   (1ull << 17)

static inline struct td_vmcs *td_vmcs(const struct cpu *cpu)
{
    return cpu->lp.td;
}

/* --- vmcb.c: the VMCS as a VMCB and back ----------------------------------------------------------------------- */
void td_vmcb_init(struct cpu *cpu);
void td_vmcb_load(struct cpu *cpu);
void td_vmcb_store(struct cpu *cpu);
/* After v->cr0, cr4 or efer changed. */
void td_vmcb_load_control_registers(struct cpu *cpu);
/* False: VMRUN would refuse this state, as VM entry does. */
bool td_vmcb_is_valid(const struct cpu *cpu);
u64 td_read_gpr(const struct cpu *cpu, unsigned n);
void td_write_gpr(struct cpu *cpu, unsigned n, u64 value);
enum insn_mode td_code_mode(const struct cpu *cpu);
unsigned td_cpl(const struct cpu *cpu);
void td_insn_registers(struct cpu *cpu, struct insn_registers *out);

/* --- event.c: events into the TD and reports out of it --------------------------------------------------------- */
/* entry_intr_info into the VMCB. */
void td_event_load(struct cpu *cpu);
/* A fault of the running instruction; #PF's address goes to CR2 before. */
enum td_next td_raise(struct cpu *cpu, enum vector vector);
enum td_next td_raise_error(struct cpu *cpu, enum vector vector, u32 error);
/* The event whose delivery the last exit cut short is delivered again. */
void td_event_repeat(struct cpu *cpu);
/* A real exit; the vectoring fields are filled in. The second form is an instruction's, with its length. */
enum td_next td_leave(struct cpu *cpu, u32 reason, u64 qualification);
enum td_next td_leave_insn(struct cpu *cpu, u32 reason, u64 qualification);
enum td_next td_leave_exception(struct cpu *cpu, enum vector vector, u64 qualification, bool has_error, u32 error);
/* The instruction at RIP is done. */
enum td_next td_skip(struct cpu *cpu, const struct insn *insn);

/* --- apic.c: interrupts of its virtual APIC ------------------------------------------------------------------------ */
struct vapic td_vapic(const struct cpu *cpu);
/* Around each VMRUN. */
void td_apic_load(struct cpu *cpu);
void td_apic_store(struct cpu *cpu);
/* An interrupt of the CPU's that has been acknowledged: true, and its EOI is done, where it tells of posted ones. */
bool td_apic_notified(struct cpu *cpu, u32 vector);

/* --- mem.c: the TD's memory as the TD sees it ------------------------------------------------------------------ */
/* Takes the TLB of this vCPU on this CPU. */
void td_mem_enter(struct cpu *cpu);
void td_tlb_report(struct cpu *cpu);
/* A nested page fault: TLB miss, #VE, or exit. */
enum td_next td_nested_fault(struct cpu *cpu);
/*
 * The instruction at RIP; false when its bytes are out of the TLB's reach by now. Then TD_RESUME: the CPU meets that
 * itself.
 */
bool td_fetch(struct cpu *cpu, struct insn *insn);
/*
 * Data access of an emulated instruction at a linear address with all checks; false when it faulted: *next says how
 * to go on (the instruction is not done).
 */
bool td_read(struct cpu *cpu, u64 linear, void *data, unsigned bytes, enum td_next *next);
bool td_write(struct cpu *cpu, u64 linear, const void *data, unsigned bytes, enum td_next *next);
/*
 * Guest-physical to real memory as the TLB or the EPT has it now, without entering it in the TLB; NULL: no such
 * access.
 */
void *td_gpa_pointer(struct cpu *cpu, u64 gpa, u32 access);

/* --- insn.c, cr.c, msr.c: instructions ------------------------------------------------------------------- */
enum td_next td_undefined(struct cpu *cpu); /* #UD: instructions that this CPU lacks and a TDX CPU has, VMX and SEAM */
enum td_next td_io(struct cpu *cpu);
enum td_next td_rdtsc(struct cpu *cpu);
enum td_next td_control_register(struct cpu *cpu);
enum td_next td_bad_cr3(struct cpu *cpu);
enum td_next td_msr(struct cpu *cpu);
enum td_next td_rdpmc(struct cpu *cpu);
/* TSC as the TD reads it. */
u64 td_tsc(const struct cpu *cpu);

#endif
