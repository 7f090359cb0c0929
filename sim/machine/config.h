/* The knobs of the platform: simtdx.cfg beside the image. docs/simulator.md lists them for people. */
#ifndef SIM_MACHINE_CONFIG_H
#define SIM_MACHINE_CONFIG_H

#include "sim/types.h"

/* What the lines of a key say that may be repeated: two or three numbers each. */
#define CONFIG_LIST_MAX 16
struct config_list {
    u32 count;
    u64 lines[CONFIG_LIST_MAX][3];
};

enum seamrr_state { SEAMRR_ABSENT, SEAMRR_OFF, SEAMRR_UNLOCKED, SEAMRR_ON };
enum tme_state { TME_ABSENT, TME_OFF, TME_ON };
enum reset_state { RESET_WORKS, RESET_RETURNS, RESET_FAULTS, RESET_HANGS };

struct sim_config {
    u32 packages;        /* that the CPUs are shown in */
    u32 threads;         /* of a core */
    u32 apic_id_base;    /* APIC IDs of all CPUs but the first are shown so much higher */
    bool acpi_damaged;   /* as bad firmware leaves its tables: acpi_damage() */
    u32 hkids;           /* private KeyIDs, at the top of the KeyID space; those below are MKTME's */
    bool module_present; /* when the VMM starts */
    bool seamldr_present;
    u32 seamldr_busy_every; /* each n-th call of P-SEAMLDR meets another CPU there; 0: only where one is */
    /* What SEAMLDR.INSTALL answers on the last logical processor, one time after the other; CPUs on which others have called it. */
    struct config_list seamldr_refusals, seamldr_called;
    /* What the firmware left: enum seamrr_state and tme_state; VMX and SGX allowed by IA32_FEATURE_CONTROL; the SMM range
     * locked. */
    u32 seamrr, tme;
    bool vmx, sgx, smrr_locked;
    bool x2apic;           /* all local APICs in x2APIC mode; else as they are */
    u64 cr4_left;          /* bits that are on in CPU 0's CR4 besides what the firmware wants */
    u32 reset;             /* what ResetSystem does: enum reset_state */
    u32 microcode;         /* revision, upper half of IA32_BIOS_SIGN_ID */
    u32 msr_differs;       /* IA32_TSX_CTRL reads otherwise on this CPU, and LP.INIT refuses it; 0: on none */
    u32 microcode_differs; /* on this CPU the revision is one higher; 0: on none */
    struct config_list cpuid_differs; /* CPU, leaf: bit 0 of EDX reads otherwise there */
    bool strict;                      /* stop at the first access to memory that is not the VMM's */
    /* Entries of a TD vCPU's software TLB per page size; at least what one instruction needs. */
    u32 tlb_4k, tlb_2m, tlb_1g;
    u32 tlb_policy;  /* which entry gives way: enum stlb_policy */
    bool tlb_report; /* log the misses of each stretch between two TDVMCALLs */
    u32 ept_levels;  /* largest Secure EPT */
    u64 features0;   /* TDX_FEATURES0 */
    u32 module_major, module_minor, module_update;
    u32 tdcs_pages;                   /* control pages that a TD needs */
    u32 cpuid_refused;                /* TDH.SYS.INIT does not take this CPUID leaf; 0: it takes all */
    struct config_list absent_fields; /* TDH.SYS.RD does not know these */

    /* Conditions that a VMM meets on a server and has to be ready for. */
    u32 interrupt_every; /* each n-th time that the module looks for a waiting interrupt it finds one; 0: only real ones */
    u32 smi_every;       /* each n-th time it finds an SMI instead, which the VMM cannot mask; 0: never */
    u32 busy_every;      /* each n-th call that changes the Secure EPT meets BUSY; 0: only where another is at work */
    u32 cpu_dead;        /* this CPU does not start; 0: all do */
    u32 kick_lost;       /* interrupts do not take a TD out on this CPU; 0: everywhere they do */
    struct config_list memory_errors; /* gpa, IA32_MC1_STATUS: the page that a TD uses there first breaks */
    struct config_list cmr_holes;     /* base, bytes: no convertible memory there */
    struct config_list latencies;     /* leaf, cycles: how much longer each SEAMCALL of this leaf takes */
    struct config_list faults; /* leaf, n, status: the nth SEAMCALL of this leaf, from 1, answers so and does nothing */
};

/* Defaults until config_parse() changed them. */
const struct sim_config *sim_config(void);

/* Reads the text of a configuration file. False after a message with line and reason was logged. `name` is for that message. */
bool config_parse(const char *name, const char *text, size_t bytes);

#endif
