/*
 * The TD's side of the module: what TDH.MNG.INIT and TDH.VP.INIT set up for it, leaving and entering it, and access to
 * its memory by GPA. Intel TDX Module v1.5 Base Architecture Specification, "TD Non-Root Mode Operation" and "CPU
 * Virtualization".
 */
#ifndef SIM_MODULE_GUEST_H
#define SIM_MODULE_GUEST_H

#include "sim/module/sept.h"

/* TDVPS.LAST_TD_EXIT: how the vCPU left, which decides what TDH.VP.ENTER hands to it. */
enum last_td_exit { LAST_EXIT_FAULT = 0, LAST_EXIT_TRAP = 1, LAST_EXIT_VMCALL = 2 };

/* Event injection, VMX format of the entry interruption-information field. */
#define EVENT_VALID      0x80000000u
#define EVENT_HAS_ERROR  0x00000800u
#define EVENT_TYPE_NMI   0x00000200u
#define EVENT_TYPE_FAULT 0x00000300u
#define EVENT_TYPE       0x00000700u
#define VECTOR_NMI       2u
#define VECTOR_UD        6u
#define VECTOR_DF        8u
#define VECTOR_GP        13u
#define VECTOR_PF        14u
#define VECTOR_MC        18u
#define VECTOR_VE        20u

/* Guest interruptibility, and the bit of an EPT violation's qualification that says IRET had unblocked NMIs. */
#define INTERRUPTIBILITY_STI    1u
#define INTERRUPTIBILITY_MOV_SS 2u
#define INTERRUPTIBILITY_NMI    8u
#define EPT_NMI_UNBLOCKED       (1ull << 12)

/* --- for the leafs that build a TD --- */

/* Virtual CPUID that the VMM may configure: TDH.SYS.INFO, TDH.SYS.RD and TD_PARAMS.CPUID_CONFIG have the rows in this
 * order. */
#define MDL_CPUID_CONFIGS 12
struct cpuid_config_row {
    u32 leaf, subleaf; /* subleaf all-ones: the leaf has none */
    u32 mask[4];       /* EAX EBX ECX EDX bits that the VMM may set */
};
void mdl_cpuid_config(unsigned i, struct cpuid_config_row *row);
/* Virtual CPUID of a TD from TD_PARAMS.CPUID_CONFIG; attributes, xfam, max_vcpus, config_flags and tsc_frequency of
 * `tdcs` are set before. OPERAND_INVALID|CPUID_CONFIG, and *rcx the row at fault (sub-leaf << 32 | leaf, or 0). Also
 * fills the cpuid_* flags and the XSAVE area's layout in `tdcs`. */
u64 mdl_cpuid_init(struct tdcs *tdcs, struct tdcs_cpuid *cpuid, const u32 config[MDL_CPUID_CONFIGS][4], u64 *rcx);
/* Virtual CPUID(1).EAX: family, model, stepping. */
u32 mdl_cpuid_signature(const struct td *td);
/* The MSR bitmap of a TD (VMX layout) for its attributes, XFAM and virtual CPUID. */
void mdl_msr_bitmap_init(const struct tdcs *tdcs, u8 bitmap[PAGE_4K]);
/*
 * A fresh vCPU's registers, controls and TDVPS fields; RCX and R8 start as `rcx`. Index, pages and state are the
 * caller's.
 */
void mdl_vcpu_init(const struct td *td, struct vcpu *vcpu, u64 rcx);

/* --- leaving the TD: the VMM runs next --- */

/* Asynchronous exit: `status` is a completion status, to which the exit reason is added. */
enum seam_next mdl_exit(struct seam_lp *lp, u64 status, u32 reason, u64 qualification, u64 extended, u64 gpa, u64 info);
/* EPT violation of a TDCALL operand or of the TD itself; the qualification's linear-address bits are taken off. */
enum seam_next mdl_exit_ept_violation(struct seam_lp *lp, u64 gpa, u64 qualification, u64 extended);

/* --- staying in it: events for the next VM entry --- */

void mdl_inject_gp(struct td_vmcs *td, u32 error);
void mdl_inject_ud(struct td_vmcs *td);
/* #PF, or #DF on top of an event that waits; false: a double fault waits, so that the vCPU is lost. */
bool mdl_inject_pf(struct td_vmcs *td, u64 gla, u32 error);
/* #VE with information for TDG.VP.VEINFO.GET; #DF while older information is still unread. */
void mdl_inject_ve(struct lp_local *local, u32 reason, u64 qualification, u64 gpa, u64 gla);

/* Is the TD's code 64-bit code? Its privilege level? */
bool mdl_td_is_64bit(const struct td_vmcs *td);
unsigned mdl_td_cpl(const struct td_vmcs *td);

/* --- a TDCALL --- */

/* How a TDCALL ended, beside the status in RAX. */
enum tdcall_end {
    TDCALL_DONE,   /* status in RAX, RIP behind the instruction */
    TDCALL_AGAIN,  /* the TD executes the same TDCALL again, or an exception was injected at it */
    TDCALL_EXITED, /* the VMM runs: mdl_exit() has been called */
};
struct tdcall {
    struct call call;
    struct lp_local *local;
    enum tdcall_end end;
};

#define GPA_READ  1u
#define GPA_WRITE 2u
/*
 * Pointer to TD memory at a TDCALL operand's GPA: private pages through the Secure EPT, shared ones through the shared
 * EPT when `shared_ok`. TDX_SUCCESS, or OPERAND_INVALID|operand; when the page cannot be used now the VMM or the TD
 * must do something first: then t->end says what happened, and the caller returns at once.
 */
u64 mdl_guest_pointer(struct tdcall *t, u64 gpa, unsigned access, bool shared_ok, unsigned operand, void **pointer);

/* --- stepping filters (stepping.c) --- */

enum step_verdict { STEP_GO_ON, STEP_RESUME_TD, STEP_WRONG_APIC_MODE };
enum step_verdict mdl_step_at_exit(struct seam_lp *lp, struct lp_local *local);
void mdl_step_log_fault(struct lp_local *local, u64 gpa);

/* #VE, #GP or emulation of one exit of the TD (cpuid.c, msr.c, control.c). */
void mdl_exit_cpuid(struct lp_local *local);
void mdl_exit_rdmsr(struct lp_local *local);
void mdl_exit_wrmsr(struct lp_local *local);
void mdl_exit_xsetbv(struct lp_local *local);
/* False: an exit that a production TD cannot have. */
bool mdl_exit_cr_access(struct lp_local *local);
/* What a TD reads of the VMX capability MSRs (msr.c). */
u64 mdl_vmx_capability(const struct tdcs *tdcs, u32 msr);

#endif
