/*
 * One physical CPU of the simulated machine: the VMCB that the VMM runs in, the VMCB that TD vCPUs run in, and what the guest
 * believes its own control registers to be. Each struct is touched by its own CPU only, but for what is marked.
 */
#ifndef SIM_MACHINE_CPU_H
#define SIM_MACHINE_CPU_H

#include "sim/machine/vmcb.h"
#include "sim/module/seam.h"

#define MACHINE_CPUS_MAX     64
#define MACHINE_PACKAGES_MAX 4

struct td_cpu; /* what the TD side keeps for a CPU: td/ */

/* What shootdowns are about: the VMM's nested page table; pages of a TD that the VMM has spoilt. See shoot.h. */
enum shoot_channel { SHOOT_VMM, SHOOT_TD, SHOOT_CHANNELS };

/* Written by its CPU, read by others. */
struct shoot_state {
    bool inside; /* a guest may be running */
    u64 seen;    /* the generation at its entry */
};

struct cpu_mca { /* see mca.h */
    u64 mcg_status, status, address;
    u64 control[4];
};

/*
 * Where a CPU is in its life. The firmware keeps the application processors until the VMM's first INIT and SIPI; from then on
 * they are the platform's. Up to CPU_STARTS, and back to CPU_FIRMWARE where it does not come, by the CPU that sends INIT and
 * SIPI; the rest by the CPU itself.
 */
enum cpu_life { CPU_FIRMWARE, CPU_WAITS, CPU_STARTS, CPU_RUNS };

struct cpu {
    /* lp.vmm holds the VMM's general registers all the time; RAX and RSP live in the VMCB and are copied at SEAMCALL. */
    struct seam_lp lp;
    u32 index, apic_id; /* as the VMM sees it: apic_id_base of simtdx.cfg */
    u32 real_apic_id;
    bool is_ours; /* the core has started this CPU, or was started on it */

    struct vmcb *vmm; /* pointers are physical addresses: the core is identity mapped */
    struct vmcb *td;
    void *host_save; /* VM_HSAVE_PA */
    void *stack_top;
    u64 gdt[3]; /* the core's own, one a CPU: where GDTR points to says which CPU this is */
    void *fpu;  /* one page: XSAVE area for the VMM's extended state while a TD runs or the core uses it */
    struct td_cpu *td_state;

    /* The VMM as an Intel CPU: bits that the real CPU would refuse or must have differently. */
    u64 vmm_cr4;         /* what the VMM wrote, with VMXE, SMXE, CET */
    u64 vmm_efer;        /* without SVME */
    u64 feature_control; /* IA32_FEATURE_CONTROL */
    u64 vmxon_region;
    bool vmx_root;                          /* VMXON was done */
    unsigned vmxon_watch;                   /* instructions still single-stepped in search of VMXON: vmx_watch() */
    bool x2apic;                            /* IA32_APIC_BASE.EXTD as the VMM set it */
    bool x2apic_native;                     /* the real APIC is in x2APIC mode */
    bool nmi_blocked, nmi_waits, nmi_steps; /* see nmi.h */
    struct cpu_mca mca;
    struct seam_pmu pmu; /* the VMM's, which counts nothing: its page walks are not seen */

    /* From other CPUs. */
    enum cpu_life life;
    u8 sipi_vector;            /* while CPU_STARTS */
    bool init_sent;            /* an INIT waits for this CPU, which runs */
    bool nmi_sent;             /* one of the NMIs below is the VMM's */
    u32 nmis_begun, nmis_sent; /* shoot_send_nmi() to this CPU: calls, and those whose NMI has come */
    struct shoot_state shoot[SHOOT_CHANNELS];
    u32 nmis_met; /* its own note: so many had come when it took one last */

    u64 interrupt_looks; /* times the module has looked for interrupts */
    u64 apic_polled_at;  /* TSC of the last look for interrupts that found none */
    u64 exits;           /* #VMEXITs of the VMM */
    u64 td_exits;
};

/* The CPU that executes this; the first one while it is still the firmware's. Works between exits only, not in a guest. */
struct cpu *cpu_this(void);
/* All that the machine has, the one that the firmware started on first. Constant after start. */
unsigned cpu_count(void);
struct cpu *cpu_at(unsigned index);
/* Packages: which bits of an APIC ID number the CPUs of one, and how many there are in the largest: CPUID says the same on all, as
 * of processors that were made alike. Constant after start. */
unsigned cpu_package_shift(void);
unsigned cpu_thread_shift(void); /* the same of one core: 0, or 1 with two threads */
unsigned cpu_package_size(void);
static inline struct cpu *cpu_of_lp(struct seam_lp *lp)
{
    return (struct cpu *)lp;
}
_Static_assert(offsetof(struct cpu, lp) == 0, "cpu_of_lp");

#endif
