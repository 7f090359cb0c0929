/*
 * The border between the simulated machine and the TDX module: what happens at SEAMCALL and at a TD's VM exit, and
 * nothing else. A genuine module binary, running in SEAM mode, would stand behind the same border: the machine would
 * enter it with the same registers and the same VMCS fields.
 *
 * The machine calls module_seamcall() when the VMM executes SEAMCALL in VMX root, and module_td_exit() when a TD vCPU
 * leaves VMX non-root mode for whatever reason (TDCALL is exit reason 77). Both say who runs next on this logical
 * processor.
 */
#ifndef SIM_MODULE_SEAM_H
#define SIM_MODULE_SEAM_H

#include "sim/types.h"

/* General registers by their number in the x86 encoding. */
enum seam_gpr_no { RAX, RCX, RDX, RBX, RSP, RBP, RSI, RDI, R8, R9, R10, R11, R12, R13, R14, R15, SEAM_GPRS };

struct seam_seg {
    u16 selector;
    u32 access; /* VMX access-rights format */
    u32 limit;
    u64 base;
};

/* Performance counters, SDM vol. 3, "Performance monitoring": IA32_PMCx, IA32_PERFEVTSELx, IA32_PERF_GLOBAL_CTRL and STATUS. */
#define SEAM_PMCS 8
struct seam_pmu {
    u64 counter[SEAM_PMCS], select[SEAM_PMCS], global_control, global_status;
};

/*
 * The fields of a TD VMCS that machine and module exchange. It lives in the TDVPS pages that the VMM gave; the machine
 * reads guest state and controls before it runs the TD, and writes guest state and exit information when the TD has
 * left. SDM vol. 3, "Virtual machine control structures". RSP is here, the other general registers are in `gpr`.
 */
struct td_vmcs {
    /* guest state */
    u64 gpr[SEAM_GPRS]; /* gpr[RSP] is not used: see rsp */
    u64 rip, rsp, rflags;
    u64 cr0, cr2, cr3, cr4, xcr0, efer;
    u64 dr[4], dr6, dr7, debugctl;
    struct seam_seg es, cs, ss, ds, fs, gs, ldtr, tr;
    u64 gdtr_base, idtr_base;
    u32 gdtr_limit, idtr_limit;
    u64 sysenter_cs, sysenter_esp, sysenter_eip, pat;
    u64 star, lstar, cstar, fmask, kernel_gs_base, tsc_aux, xss, spec_ctrl;
    u32 interruptibility, activity;
    u16 interrupt_status; /* RVI and, above it, SVI */
    u64 pending_dbg;
    struct seam_pmu pmu; /* of a TD with ATTRIBUTES.PERFMON */
    /* controls, written by the module */
    u64 eptp;        /* Secure EPT: root HPA | KeyID-less, memory type and walk length as the architecture has them */
    u64 shared_eptp; /* root of the shared EPT: HPA, page aligned */
    u64 ve_info_hpa; /* the virtualization-exception information area (6 qwords of SDM "convertible EPT violations") */
    u64 xsave_hpa; /* one page of the vCPU's own where its extended state waits: XSAVE standard format, zeroed at first */
    u64 vapic_hpa;         /* virtual-APIC page; TPR is there, and CR8 with it */
    u64 posted_descriptor; /* HPA, KeyID bits included */
    u32 pinbased;          /* of which bit 7 counts, "process posted interrupts" */
    u16 posted_vector;     /* its notification */
    u64 msr_bitmap_hpa;    /* 4K, VMX layout; a set bit exits */
    u64 cr0_mask, cr0_shadow, cr4_mask, cr4_shadow;
    u64 tsc_offset, tsc_multiplier; /* multiplier with 48 fraction bits */
    u32 exception_bitmap;
    u32 gpaw; /* 48 or 52: where the shared bit is */
    u32 entry_intr_info, entry_error_code,
        entry_instr_len; /* event injection, VMX format; cleared by the machine on use */
    bool nmi_window, monitor_trap, rdpmc_exits;
    /* exit information, written by the machine */
    u32 exit_reason; /* VMX basic reason and its flag bits */
    u64 qualification, guest_linear, guest_physical;
    u32 exit_intr_info, exit_error_code, idt_vectoring_info, idt_vectoring_error;
    u32 exit_instr_len, exit_instr_info;
};

/* One logical processor as both sides see it. The machine owns it; the module keeps its own per-LP state by `index`. */
struct seam_lp {
    u32 index, package;
    u64 vmm[SEAM_GPRS]; /* the VMM's registers: SEAMCALL's inputs, then its outputs; [RSP] is left alone */
    u64 vmm_rflags;     /* at SEAMCALL; IF counts for interruptible leafs */
    u64 apic_base;      /* IA32_APIC_BASE; read by the single-step filter only (plat_info.single_step_filter) */
    u32 resend_vector; /* set by the module, cleared by the machine: interrupt information that is to arrive again here */
    struct td_vmcs *td; /* the vCPU that runs after SEAM_TO_TD and that left before module_td_exit(); else NULL */
};

enum seam_next {
    SEAM_TO_VMM, /* SEAMRET: the VMM goes on behind SEAMCALL with lp->vmm */
    SEAM_TO_TD,  /* VM entry: lp->td runs (again) */
};

/* At most one of these runs for one LP at a time; different LPs run them in parallel. */
enum seam_next module_seamcall(struct seam_lp *lp);
enum seam_next module_td_exit(struct seam_lp *lp);

/* Before the first SEAMCALL, and again for a fresh platform in tests. Takes what it needs from platform.h. */
void module_reset(void);

#endif
