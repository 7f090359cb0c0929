/*
 * Finding the TDX module and bringing it up: what can be missing, CMRs, TDMRs, PAMT, keys. TDX Module Base Architecture
 * Specification, "Intel TDX module lifecycle: enumeration, initialization".
 */
#ifndef TDX_MODULE_H
#define TDX_MODULE_H

#include "lib/addr.h"
#include "lib/err.h"
#include "lib/ranges.h"
#include "tdx/leaf.h"

#define TDX_CMRS_MAX  32
#define TDX_TDMRS_MAX 64

/* What the module says of itself, by TDH.SYS.RD; valid after tdx_module_init(). */
struct tdx_module {
    bool ready;
    u16 major, minor, update;
    u32 build_num, build_date;
    u64 features0;
    u64 attributes_may, attributes_must, xfam_may, xfam_must;
    unsigned tdcs_pages, tdvps_pages;
    unsigned pamt_entry_bytes[3];
    unsigned reserved_per_tdmr, tdmrs_max;
    hkid_t hkid_first; /* the global one; the next ones are for TDs */
    unsigned hkid_count;
    unsigned maxpa, keyid_bits;
    unsigned cmr_count, tdmr_count;
    struct phys_range cmrs[TDX_CMRS_MAX];
    struct phys_range tdmrs[TDX_TDMRS_MAX];
};

extern struct tdx_module tdx_module;

/* `page` as the module names it under `hkid`: the KeyID in the upper address bits. Valid after tdx_detect(). */
keyed_hpa_t tdx_keyed(hpa_t page, hkid_t hkid);

/* The platform checks of a TDX host: ERR_PLATFORM with `*missing` saying in words what is not there (CPU vendor, VMX,
 * SEAM, KeyIDs, firmware setting, ...), or ERR_OK. Changes nothing that lasts, but where the firmware left
 * IA32_FEATURE_CONTROL open, VMX is allowed there and the register locked until the next reset. The exception handler
 * must know of lib/hw/fixup.h by then. */
MUST_CHECK enum err tdx_detect(const char **missing);

/*
 * How work gets to other CPUs: the kernel's functions, set once before tdx_module_init(); without them the VMM has one
 * CPU.
 */
struct tdx_cpus {
    unsigned (*count)(void); /* indexes that a CPU may have */
    /* CPUs of one package have one number. Where one is told wrongly the module refuses what its package was needed for. */
    u32 (*package)(unsigned cpu);
    /* Runs short `work` on every CPU, one after another or at once, interrupts off; returns when it has ended
     * everywhere. ERR_TIMEOUT: a CPU did not answer. */
    enum err (*each)(void (*work)(void *arg), void *arg);
    /* The same on one of them. */
    enum err (*one)(unsigned cpu, void (*work)(void *arg), void *arg);
    /* Runs long `work` on this CPU and those that have nothing else to do, at once; returns when all are through. */
    void (*share)(void (*work)(void *arg), void *arg);
};
void tdx_set_cpus(const struct tdx_cpus *cpus);

/*
 * What the kernel does while TDMRs are initialised, seconds for terabytes, on the CPU that called tdx_module_init(). Set once; without
 * it nothing is told and nothing stops it.
 */
struct tdx_watch {
    void (*progress)(u64 done_bytes, u64 all_bytes); /* now and then: each 64 calls, or while other CPUs are at work */
    bool (*stop)(void); /* asked as often; true: ERR_INTERRUPTED, and a second call goes on from there */
};
void tdx_set_watch(const struct tdx_watch *watch);

/* Where memory lies, for a machine of several NUMA nodes: set once before tdx_module_init(). */
struct tdx_numa {
    hpa_t (*end)(hpa_t at); /* of the run of one node's memory around `at` */
    /* Contiguous pages for ever, of the node of `near`, or elsewhere where it has none; HPA_NONE. */
    hpa_t (*take)(u64 bytes, hpa_t near);
};
void tdx_set_numa(const struct tdx_numa *numa);

struct tdx_init_fault {
    enum err err;
    const char *what;
    const char *leaf;
    tdx_status_t status;
    struct tdx_cpuid_refusal cpuid; /* of TDH.SYS.INIT and LP.INIT: see tdx/leaf.h */
    unsigned cpu;                   /* where a leaf that each CPU runs failed */
};

/*
 * Everything from VMXON to the last TDMR.INIT. `memory`: the ranges that may ever be given to TDs (page aligned,
 * sorted); the rest of each TDMR becomes reserved areas. `take` gives physically contiguous memory for PAMTs, for
 * ever, or HPA_NONE. `limit_bytes` (0: none) bounds how much becomes TDX memory. After a failure a second call goes on
 * at the step that failed.
 */
MUST_CHECK struct tdx_init_fault tdx_module_init(const struct phys_range *memory, unsigned memory_count,
                                                 u64 limit_bytes, hpa_t (*take)(u64 bytes, u64 align));

/* `out` hears of memory that no TD page may come from: of what is outside the CMRs before memory for PAMTs is taken, which has to be
 * inside, and in the end of each part that did not become TDX memory, the PAMTs among them. Set before tdx_module_init(). */
void tdx_set_left_out(void (*out)(hpa_t base, u64 bytes));

/* A private HKID that no TD uses, or ERR_BUSY; and back. */
MUST_CHECK enum err tdx_hkid_take(hkid_t *hkid);
void tdx_hkid_give(hkid_t hkid);

/* Before the machine is reset: every CPU writes its caches back and leaves VMX operation; no SEAMCALL after it. No TD is left.
 * ERR_TIMEOUT: some did not answer; *cpus is how many did. It may be repeated. */
MUST_CHECK enum err tdx_module_stop(unsigned *cpus);

#endif
