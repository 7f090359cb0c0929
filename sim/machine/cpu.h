/*
 * One physical CPU of the simulated machine: the VMCB that the VMM runs in, the VMCB that TD vCPUs run in, and what the guest
 * believes its own control registers to be. Each struct is touched by its own CPU only.
 */
#ifndef SIM_MACHINE_CPU_H
#define SIM_MACHINE_CPU_H

#include "sim/machine/vmcb.h"
#include "sim/module/seam.h"

#define MACHINE_CPUS_MAX 64

struct td_cpu; /* what the TD side keeps for a CPU: td.c */

struct cpu {
    /* lp.vmm holds the VMM's general registers all the time; RAX and RSP live in the VMCB and are copied at SEAMCALL. */
    struct seam_lp lp;
    u32 index, apic_id;

    struct vmcb *vmm; /* pointers are physical addresses: the core is identity mapped */
    struct vmcb *td;
    void *host_save; /* VM_HSAVE_PA */
    void *stack_top;
    void *fpu; /* one page: XSAVE area for the VMM's extended state while a TD runs or the core uses it */
    struct td_cpu *td_state;

    /* The VMM as an Intel CPU: bits that the real CPU would refuse or must have differently. */
    u64 vmm_cr4;         /* what the VMM wrote, with VMXE, SMXE, CET */
    u64 vmm_efer;        /* without SVME */
    u64 feature_control; /* IA32_FEATURE_CONTROL */
    u64 vmxon_region;
    bool vmx_root;        /* VMXON was done */
    unsigned vmxon_watch; /* instructions still single-stepped in search of VMXON: vmx_watch() */
    bool x2apic;          /* IA32_APIC_BASE.EXTD as the VMM set it */
    bool x2apic_native;   /* the real APIC is in x2APIC mode */

    u64 interrupt_looks; /* times the module has looked for interrupts */
    u64 apic_polled_at;  /* TSC of the last look for interrupts that found none */
    u64 exits;           /* #VMEXITs of the VMM */
    u64 td_exits;
};

/* The CPU that executes this. One CPU today; the accessor is here so that callers need not change. */
struct cpu *cpu_this(void);
static inline struct cpu *cpu_of_lp(struct seam_lp *lp)
{
    return (struct cpu *)lp;
}
_Static_assert(offsetof(struct cpu, lp) == 0, "cpu_of_lp");

#endif
