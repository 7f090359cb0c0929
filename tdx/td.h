/*
 * A trust domain and its vCPUs, from TDH.MNG.CREATE to the last RECLAIM. TDX Module Base Architecture Specification,
 * "TD life cycle management". Pages come from the caller (kernel/vm/vm.c takes them from mm/page.h) and go back to it.
 */
#ifndef TDX_TD_H
#define TDX_TD_H

#include "lib/addr.h"
#include "lib/err.h"
#include "lib/hw/cpu.h"
#include "tdx/hw/seamcall.h"
#include "tdx/leaf.h"
#include "tdx/posted.h"

#define TD_TDCX_PAGES_MAX   8 /* TDCS pages beside the TDR: TDCS_BASE_SIZE / 4K, 6 in module 1.5 */
#define VCPU_TDCX_PAGES_MAX 8
#define TD_VCPUS_MAX        64

/*
 * How far the module has come with a TD. td_create() leads to TD_INITIALIZED, td_finalize() to TD_RUNNABLE,
 * td_release_key() to TD_FLUSHED and TD_KEY_FREED, td_destroy() to TD_RECLAIMED (only the flush of the TDR is left) and
 * TD_NONE. Only those change it, under the console's command, and it goes on where it stopped after a failure.
 *
 * `dead` is no such state: a TD may die in each of them, and is torn down from there like any other. Set by tdx/td.c
 * when an answer of the module says so, a measurement or an undo fails; by tdx/vcpu.c on the CPU that runs a vCPU; cleared
 * by td_create(). A dead TD can only be destroyed.
 */
enum td_state {
    TD_NONE,
    TD_CREATED,
    TD_KEYED,
    TD_INITIALIZED,
    TD_RUNNABLE,
    TD_FLUSHED,
    TD_KEY_FREED,
    TD_RECLAIMED,
};

struct vcpu {
    struct td *td;
    unsigned index;
    hpa_t tdvpr;
    hpa_t tdcx[VCPU_TDCX_PAGES_MAX];
    unsigned tdcx_count; /* of them are the module's */
    bool dead;
    _Atomic int cpu;    /* where it is associated, or about to be; -1: nowhere */
    _Atomic u32 inside; /* set around VP.ENTER with interrupts off: 'out' is this flag, never an IPI's answer */
    _Atomic u64 exits;  /* VP.ENTERs that have returned; changes before `inside` is cleared */
    _Atomic u64 calls;  /* of these, soon after, those by TDVMCALL: the TD has got on to that instruction */
    _Atomic u64 epoch;  /* td->epoch at the last entry */
    struct posted_interrupts *posted; /* the caller's; NULL: no interrupt is ever posted */
    u8 posted_vector;                 /* that the CPU is notified by */
    struct seamcall_regs regs;        /* what goes into the next VP.ENTER, what came out of the last */
};

struct td {
    enum td_state state;
    _Atomic bool dead;
    hpa_t tdr;
    hpa_t tdcx[TD_TDCX_PAGES_MAX];
    unsigned tdcx_count; /* of them are the module's */
    hkid_t hkid;
    u64 attributes;
    u64 eptp;                   /* of the Secure EPT, as TDH.MNG.RD gives it: what INVEPT takes */
    unsigned shared_bit;        /* GPA bit that says 'shared': 47 or 51 */
    u64 tsc_khz;                /* of the TD's virtual TSC */
    _Atomic u32 held;           /* holds that are on (mm/hold.h): while it is not 0 vcpu_enter() does not enter */
    _Atomic u64 epoch;          /* TRACKs and `drops` so far: what entered with less has to leave once (mm/hold.h) */
    _Atomic u64 drops;          /* how often mm/tlb.c had all translations of the shared half dropped */
    u64 dropped[CPU_COUNT_MAX]; /* by CPU, which alone changes it: `drops` at its last INVEPT of eptp */
    _Atomic u32 late;           /* 1 + the vCPU that mm/hold.h last waited for in vain; 0: none */
    unsigned vcpu_count;
    struct vcpu vcpus[TD_VCPUS_MAX];
    u8 mrtd[48];
};

struct td_config {
    u64 attributes; /* TD_ATTR_* of tdx/abi_td.h */
    unsigned vcpus;
    u64 xfam; /* 0: the least, x87 and SSE, and what shows_cpu adds */
    bool
        shows_cpu; /* CPUID has what this CPU has, as far as a guest of any kind has use of it; else only what is fixed */
};

/* What went wrong where: `leaf` and `status` when `err` is ERR_TDX. */
struct td_fault {
    enum err err;
    const char *leaf;
    tdx_status_t status;
    hpa_t page; /* that it was about; 0: none in particular */
};

/* How many 4K pages td_create() and td_add_vcpu() take: module dependent, known after tdx_module_init(). */
unsigned td_control_pages(void);
unsigned vcpu_control_pages(void);

/*
 * CREATE, KEY.CONFIG, ADDCX, INIT. `pages`: td_control_pages() free 4K pages, the TD's until td_destroy() gives them
 * back. A failure is undone: then td->state is TD_NONE and the pages and the HKID are the caller's again. Where
 * undoing fails too, td->dead is set, and td_release_key() (unless the state says that it is done) and td_destroy() may
 * be tried again; td_destroy() then gives back all of the pages.
 */
MUST_CHECK struct td_fault td_create(struct td *td, const struct td_config *config, hkid_t hkid, const hpa_t *pages);
/*
 * VP.CREATE, ADDCX, VP.INIT on this CPU; `initial_rcx` is what the vCPU finds in RCX and R8. `pages`:
 * vcpu_control_pages() free 4K pages. If VP.CREATE fails (td->vcpu_count unchanged) they stay the caller's; from then
 * on td_destroy() gives them back.
 */
MUST_CHECK struct td_fault td_add_vcpu(struct td *td, u64 initial_rcx, const hpa_t *pages);
/* PAGE.ADD of one 4K page whose tables exist, and 16 MR.EXTEND if its content is to be `measured`, beside its place; `source` is
 * VMM memory. A failure after PAGE.ADD leaves the TD dead: its measurement is not what was asked for. */
MUST_CHECK struct td_fault td_add_page(struct td *td, gpa_t gpa, hpa_t page, hpa_t source, bool measured);
/* MR.FINALIZE; reads MRTD. */
MUST_CHECK struct td_fault td_finalize(struct td *td);

/* The four RTMRs as they are now. Only those of a debug TD can be read from outside: ERR_TDX. */
#define TD_RTMRS 4u
MUST_CHECK struct td_fault td_read_rtmrs(struct td *td, u8 rtmrs[TD_RTMRS][48]);

/* Tear-down: FLUSH of all vCPUs, VPFLUSHDONE, CACHE.WB, FREEID. After it pages can only be reclaimed. No vCPU is
 * inside. A failure may be tried again: it goes on where it stopped. The HKID is the caller's to give back
 * (tdx_hkid_give). */
MUST_CHECK struct td_fault td_release_key(struct td *td);
/* PHYMEM.PAGE.RECLAIM of one page of this TD (leaf or S-EPT page) at its own base. */
MUST_CHECK struct td_fault td_reclaim(struct td *td, hpa_t page);
/* RECLAIM of TDVPS, TDCS and, last, TDR, when all other pages are reclaimed. Calls `give` with each page that is the
 * VMM's again: a vCPU's when all of them are, the TD's when the TDR is flushed from the caches too. May be called again
 * after a failure. */
MUST_CHECK struct td_fault td_destroy(struct td *td, void (*give)(hpa_t page, void *arg), void *arg);

/* Why VP.ENTER returned. */
enum vcpu_exit_kind {
    VCPU_EXIT_EPT_VIOLATION, /* `gpa`, `accept`, `level` */
    VCPU_EXIT_VMCALL,        /* `regs` of the vCPU hold R10..R15, RBX, RDI, RSI, R8, R9, RDX */
    VCPU_EXIT_INTERRUPT,     /* whose handler has run */
    VCPU_EXIT_NMI,           /* whose handler is to be run now */
    VCPU_EXIT_TRIPLE_FAULT,
    VCPU_EXIT_OTHER, /* `reason` says which */
    VCPU_EXIT_TD_DEAD,
    VCPU_EXIT_REFUSED,     /* VP.ENTER itself failed: `status` */
    VCPU_EXIT_NOT_FLUSHED, /* nor entered: VP.FLUSH failed on the CPU that it was on before: `status` */
    VCPU_EXIT_HELD,        /* td->held: not entered */
};

struct vcpu_exit {
    enum vcpu_exit_kind kind;
    tdx_status_t status;
    u32 reason;            /* VMX basic exit reason, 77 for TDVMCALL */
    u64 qualification;     /* bits 2:0 read, write, fetch for an EPT violation */
    u64 extended;          /* RDX of the exit */
    gpa_t gpa;             /* shared bit stripped */
    bool shared;           /* the shared bit of the faulting GPA */
    bool accept;           /* caused by TDG.MEM.PAGE.ACCEPT */
    level_t level;         /* the level ACCEPT asked for */
    bool pending;          /* access to a PENDING page */
    bool is_machine_check; /* what took it out of the TD, which is dead */
};

/* TDH.VP.WR of the shared EPT's root table: what GPAs with the shared bit go through. Associates the vCPU with this
 * CPU. */
MUST_CHECK struct td_fault vcpu_set_shared_ept(struct vcpu *v, hpa_t root);

/* Lets interrupts be posted to the vCPU by `posted`, which is one page's at most and the caller's as long as the vCPU is there;
 * `vector` notifies a CPU. Associates the vCPU with this CPU, as the next two do, which are for the CPU that runs it. */
MUST_CHECK struct td_fault vcpu_set_posted(struct vcpu *v, struct posted_interrupts *posted, u8 vector);
/* An NMI, at its next entry. */
MUST_CHECK struct td_fault vcpu_pend_nmi(struct vcpu *v);
/* Has it taken over an interrupt that it has not delivered? It may be so when it leaves by TDVMCALL<HLT> right behind STI. */
bool vcpu_has_interrupt(struct vcpu *v);

/* Runs the vCPU on this CPU until it exits, flushed first where it was on another; BUSY is retried within bounds and
 * counted. Interrupts are off inside. */
struct vcpu_exit vcpu_enter(struct vcpu *v);

/* "EPT_VIOLATION", "TDVMCALL", ...; of a VMX basic exit reason. */
const char *vcpu_exit_name(u32 reason);

#endif
