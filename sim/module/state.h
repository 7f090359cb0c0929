/*
 * Where the module keeps its state. As on hardware, everything that belongs to a TD lies in pages that the VMM gave:
 * TDR, TDCS (TDCX pages), TDVPS (TDVPR and TDCX pages), Secure EPT pages, and PAMT entries in the memory named by
 * TDH.SYS.CONFIG. The structs here are overlaid on those pages; none crosses a page, since the pages of one control
 * structure need not be neighbours. Only struct sys, which stands for SEAMRR memory, is a global.
 *
 * The layout inside a page is the model's own (the specification leaves it open). L2 VMs, migration and service TDs
 * have no state here, but for the count of migration streams.
 */
#ifndef SIM_MODULE_STATE_H
#define SIM_MODULE_STATE_H

#include "sim/module/abi.h"
#include "sim/module/platform.h"

#define MEASUREMENT_BYTES 48
#define RTMRS             4
#define CPUID_VALUES_MAX  80
#define XBUFF_OFFSETS     19
#define NO_LP             0xffffffffu

/*
 * One PAMT entry. Each 4K, 2M and 1G of a TDMR has one; an entry of the larger sizes whose type is NDA says "look at
 * the next smaller size". The lock covers the page, and while it is held shared on the path the larger sizes do not
 * change.
 */
struct pamt_entry {
    u16 lock;      /* host-priority shared/exclusive, locks.h */
    u8 type;       /* enum pamt_type */
    u8 owner_high; /* TDR HPA bits 51:44 */
    u32 owner_low; /* TDR HPA bits 43:12 */
    u64 bepoch;    /* TD_EPOCH when the page was last blocked */
};
_Static_assert(sizeof(struct pamt_entry) == 16, "a PAMT entry takes 16 bytes");

/* --- TDR: one page a TD, under the global private KeyID
 * ---------------------------------------------------------------- */
struct tdr {
    bool fatal;
    u8 lifecycle; /* enum td_lifecycle */
    u16 hkid;
    u32 num_tdcx;
    u64 chldcnt; /* 4K pages that name this TDR as owner, large pages counted by their size; the TDR itself is not one
                  */
    u64 tdcx_pa[TDCS_PAGES_MAX]; /* without KeyID */
    u64 pkg_config_bitmap;
    u64 td_uuid[4];
};
_Static_assert(sizeof(struct tdr) <= PAGE_4K, "the TDR is one page");

/* --- TDCS
 * ---------------------------------------------------------------------------------------------------------------- */
enum tdcs_page_no {
    TDCS_PAGE_FIELDS = 0, /* struct tdcs */
    TDCS_PAGE_CPUID = 1,  /* struct tdcs_cpuid */
    TDCS_PAGE_MSR_BITMAPS = 2,
    TDCS_PAGE_SEPT_ROOT = 3,
    TDCS_PAGE_ZERO = 4, /* what the shared EPTP points to until the VMM sets it */
    TDCS_PAGE_MIGSC_LINKS = 5,
    TDCS_PAGE_L2_SEPT_ROOT = 6,
};

struct tdcs {
    /* management */
    u16 op_state_lock; /* host-priority shared/exclusive */
    u16 sept_lock;     /* plain shared/exclusive: the Secure EPT tree, host side only */
    u16 epoch_lock;    /* plain shared/exclusive */
    u16 rtmr_lock;     /* host-priority shared/exclusive */
    u32 op_state;      /* enum td_op_state */
    u32 num_vcpus, num_assoc_vcpus;
    u16 num_l2_vms;
    u16 num_migs; /* migration streams created */
    /* execution controls */
    u64 attributes, xfam;
    u32 max_vcpus;
    bool gpaw; /* 1: the shared bit is GPA bit 51, else bit 47 */
    u64 eptp;  /* root HPA without KeyID, memory type, walk length */
    u64 tsc_offset, tsc_multiplier;
    u16 tsc_frequency; /* in 25 MHz */
    u32 xbuff_size, xbuff_offsets[XBUFF_OFFSETS];
    u64 notify_enables, hp_lock_timeout; /* the latter in TSC ticks, cut to 32 bits */
    u64 vm_ctls[VMS_MAX];
    u64 config_flags, td_ctls;
    u64 arch_capabilities; /* as the TD reads IA32_ARCH_CAPABILITIES */
    u8 msr_config_ctls;
    /* what virtual CPUID shows and other code asks often */
    bool cpuid_monitor, cpuid_dca, cpuid_tsc_deadline, cpuid_tsx, cpuid_waitpkg, cpuid_tme, cpuid_mktme, cpuid_xfd,
        cpuid_ddpd, cpuid_la57;
    /* epoch tracking: refcount[e & 1] vCPUs that entered in epoch e are inside */
    u64 td_epoch;
    u16 epoch_refcount[2];
    /* measurement */
    u8 mrtd[MEASUREMENT_BYTES], mrconfigid[MEASUREMENT_BYTES], mrowner[MEASUREMENT_BYTES],
        mrownerconfig[MEASUREMENT_BYTES], rtmr[RTMRS][MEASUREMENT_BYTES], last_teeinfo_hash[MEASUREMENT_BYTES];
    bool last_teeinfo_hash_valid;
    u64 sha_context[PLAT_SHA384_BYTES / 8];
    u64 mig_enc_key[4]; /* only its field shows it: the model does not migrate */
};
_Static_assert(sizeof(struct tdcs) <= PAGE_4K, "TDCS fields fit the first TDCX page");

struct tdcs_cpuid {
    u32 values[CPUID_VALUES_MAX][4]; /* EAX EBX ECX EDX of each leaf of the module's CPUID table */
    u8 valid[CPUID_VALUES_MAX];
};
_Static_assert(sizeof(struct tdcs_cpuid) <= PAGE_4K, "CPUID values fit one TDCX page");

/* --- TDVPS
 * --------------------------------------------------------------------------------------------------------------- */
enum tdvps_page_no {
    TDVPS_PAGE_FIELDS = 0, /* struct tdvps: the TDVPR */
    TDVPS_PAGE_VMCS = 1,   /* struct tdvps_vmcs */
    TDVPS_PAGE_VAPIC = 2,
    TDVPS_PAGE_XSAVE = 3, /* three pages */
};

/* The machine writes #VE information here as the CPU would (SDM vol. 3, virtualization-exception information area). */
struct ve_info {
    u32 exit_reason;
    u32 valid; /* all-ones: the TD has not read it yet */
    u64 qualification, gla, gpa;
    u16 eptp_index;
    u32 instruction_length, instruction_info;
};

#define EPF_GPAS       32 /* GPAs that the zero-step filter remembers */
#define CPUID_CONTROLS 128
#define GUEST_MSRS_MAX 70

struct tdvps {
    struct ve_info ve_info;
    u8 state;           /* enum vcpu_state */
    u8 last_td_exit;    /* 0 asynchronous fault-like, 1 asynchronous trap-like, 2 TDVMCALL */
    u8 num_tdvps_pages; /* with the TDVPR */
    u32 vcpu_index;
    u64 tdvps_pa[TDVPS_PAGES_MAX]; /* [0] is the TDVPR */
    u32 assoc_lpid;                /* NO_LP: none */
    u64 vcpu_epoch;
    u8 cpuid_supervisor_ve, cpuid_user_ve, pend_nmi; /* bytes as TDH.VP.WR and TDG.VP.WR left them: not 0 means yes */
    bool nmi_unblocking_due_to_iret;
    u64 xfam;
    /* zero-step filter */
    u8 epf_count, epf_listed;
    u64 epf_gpa[EPF_GPAS];
    u64 last_entry_rip; /* RIP at the last TDH.VP.ENTER */
    /* single-step filter: the TD runs `stepping_left` more instructions under monitor trap before an interrupt shows */
    u64 last_entry_tsc, last_exit_tsc;
    bool stepping, stepped_by_nmi, stepped_by_init;
    u32 stepping_left;
    /* host priority: since when the TD has been failing to take an entry that the host wants */
    bool hp_lock_busy;
    u64 hp_lock_busy_start;
    u64 l2_ctls[VMS_MAX], l2_debug_ctls[VMS_MAX], tsc_deadline[VMS_MAX];
    u64 l2_cr_base[4]; /* CR0 mask and shadow, CR4 mask and shadow of L2 VMs */
    u8 cpuid_control[CPUID_CONTROLS];
    u64 msrs[GUEST_MSRS_MAX]; /* in the order of the module's table of guest MSRs */
};
_Static_assert(sizeof(struct tdvps) <= PAGE_4K, "TDVPS fields fit the TDVPR");

#define VMCS_OTHERS 80

/* The TD VMCS: what machine and module exchange, and execution controls that only the metadata leafs show. */
struct tdvps_vmcs {
    struct td_vmcs run;
    bool shared_eptp_written;
    u64 shared_eptp;        /* as the VMM wrote it, KeyID bits included */
    u64 other[VMCS_OTHERS]; /* fields that only a debug TD's VMM sees, in the order of md_vmcs.c */
    u32 procbased, procbased2, exit_controls, entry_controls;
    u64 procbased3;
    u32 ple_gap, ple_window, instruction_timeout;
};
_Static_assert(sizeof(struct tdvps_vmcs) <= PAGE_4K, "the TD VMCS is one page");

/* --- SEAMRR: the module's own memory
 * ---------------------------------------------------------------------------------------- */
#define LPS_MAX      64
#define PACKAGES_MAX 8
#define TDMRS_MAX    64
#define RESERVED_MAX 16
#define HKIDS_MAX    256

/* Lock lists: what a call holds. The lock's address and how it is held; see locks.h for the kinds. */
enum lock_mode { LOCK_SHARED = 1, LOCK_EXCLUSIVE = 2 };
enum lock_kind { LOCK_PLAIN, LOCK_HOST_PRIORITY, LOCK_SEPT_ENTRY };
struct held_lock {
    void *lock;
    u8 kind, mode;
};
#define HELD_MAX 24
struct lock_list {
    unsigned count;
    struct held_lock held[HELD_MAX];
};

struct tdmr {
    u64 base, bytes;
    u64 pamt_base[3], pamt_bytes[3]; /* by level */
    unsigned reserved_count;
    struct plat_range reserved[RESERVED_MAX]; /* offsets */
    u16 lock;                                 /* plain */
    u64 next_init;                            /* TDH.SYS.TDMR.INIT goes on here */
};

/* KOT: what each private KeyID is used for. FREE -> ASSIGNED (MNG.CREATE) -> FLUSHED (VPFLUSHDONE) -> FREE
 * (KEY.FREEID). */
enum hkid_state { HKID_FREE, HKID_ASSIGNED, HKID_FLUSHED, HKID_RESERVED };
struct kot_entry {
    u8 state;
    u64 wbinvd_bitmap; /* packages whose cache is still to be written back */
};

enum sys_state { SYS_INIT_PENDING, SYS_INIT_DONE, SYS_CONFIG_DONE, SYS_READY, SYS_SHUTDOWN };

/* What the module knows of a logical processor. Only that LP touches it. */
struct lp_local {
    bool initialized;
    bool in_seamcall;   /* TDH.SYS.SHUTDOWN of another LP looks at this and at `inside` */
    bool bus_lock;      /* an exit reported one and did not leave the TD */
    u32 random_steps;   /* state of the single-step filter's generator, seeded by TDH.SYS.LP.INIT */
    u64 last_tdvpr_hpa; /* the vCPU that ran here last */
    /* the vCPU inside, from TDH.VP.ENTER to the TD exit */
    struct lock_list inside;
    u64 tdr_hpa, tdvpr_hpa;
    struct tdr *tdr;
    struct tdcs *tdcs;
    struct tdvps *tdvps;
    struct tdvps_vmcs *vmcs;
};

struct sys {
    u8 state;     /* enum sys_state */
    u16 lock;     /* plain shared/exclusive: SYS.INIT to SYS.CONFIG against LP.INIT */
    u16 kot_lock; /* plain */
    u16 global_hkid;
    u64 lp_init_count;
    u64 packages_keyed; /* bitmap */
    unsigned tdmr_count;
    struct tdmr tdmrs[TDMRS_MAX];
    struct kot_entry kot[HKIDS_MAX];
    u16 wbt_lock[PACKAGES_MAX]; /* plain: one cache write-back a package */
    bool wb_interrupted[PACKAGES_MAX];
    u64 wb_hkids[PACKAGES_MAX][HKIDS_MAX / 64]; /* KeyIDs that the interrupted write-back covers */
    u32 cpuid[CPUID_VALUES_MAX]
             [4]; /* of the CPU of SYS.INIT: EAX EBX ECX EDX of each leaf of the module's CPUID table */
    struct lp_local lps[LPS_MAX];
};
extern struct sys mdl_sys;

/* Changes under `lock`, held exclusively; every call and the machine's guard read it without. */
static inline enum sys_state mdl_state(void)
{
    return __atomic_load_n(&mdl_sys.state, __ATOMIC_ACQUIRE);
}
static inline void mdl_set_state(enum sys_state state)
{
    __atomic_store_n(&mdl_sys.state, (u8)state, __ATOMIC_RELEASE);
}

static inline struct lp_local *mdl_lp(const struct seam_lp *lp)
{
    return &mdl_sys.lps[lp->index];
}

static inline void *tdcs_page(const struct tdr *tdr, enum tdcs_page_no page)
{
    return plat_page(tdr->tdcx_pa[page]);
}

static inline void *tdvps_page(const struct tdvps *tdvps, enum tdvps_page_no page)
{
    return plat_page(tdvps->tdvps_pa[page]);
}

#endif
