/* Shared by detect.c, module.c, tdmr.c and td.c: VMX operation, memory for the module to read, work on every CPU. */
#ifndef TDX_MODULE_INTERNAL_H
#define TDX_MODULE_INTERNAL_H

#include "lib/lock.h"
#include "tdx/abi_leaf.h"
#include "tdx/abi_td.h"
#include "tdx/module.h"

/* VMX operation on this CPU. */
bool tdx_module_vmx_is_on(void);
MUST_CHECK bool tdx_module_vmx_on(void);
void tdx_module_vmx_off(void);

/* What a module of generation 1.0, which has no TDH.SYS.RD, says to it: not ready, or an unknown leaf (RAX). */
static inline bool tdx_module_is_too_old(tdx_status_t sys_rd)
{
    return tdx_is(sys_rd, TDX_SYS_NOT_READY) || sys_rd.raw == (u64)TDX_OPERAND_INVALID << 32;
}
#define TDX_MODULE_TOO_OLD                                                                                             \
    "the TDX module is of generation 1.0: it has no TDH.SYS.RD, so it does not say what it offers; update it to 1.5 "  \
    "or later"

/* 64 KiB that the module reads and writes during one call: TDMR lists, TDSYSINFO, TD_PARAMS. NULL before
 * tdx_module_init(). */
void *tdx_module_scratch(void);
#define TDX_SCRATCH_BYTES (64 * KIB)

/* Fills in cpuid_config, in the scratch memory behind `p`: this CPU's features, those left out that a guest can't use without
 * the VMM's help. Where the module does not say what it takes, nothing. */
void tdx_cpuid_configure(struct td_params *p);
/* Extended state of the same kind, beside x87 and SSE: vectors, protection keys, tiles. */
u64 tdx_xfam_shown(void);

/* As if nothing had been done yet. For host processes that start one machine after another; never on a running
 * machine. */
void tdx_module_forget(void);
void tdx_hkids_forget(void);

/* Runs `work` on every CPU, interrupts off, and waits for all of them. ERR_TIMEOUT: one did not answer. */
MUST_CHECK enum err tdx_on_each_cpu(void (*work)(void *arg), void *arg);
/* The same on one after the other, for what CPUs would only keep each other from. */
MUST_CHECK enum err tdx_on_cpus_in_turn(void (*work)(void *arg), void *arg);
/* The same on one CPU of each package, the first that is there. */
MUST_CHECK enum err tdx_on_each_package(void (*work)(void *arg), void *arg);
u32 tdx_package_of(unsigned cpu);
/* The same on one CPU. */
MUST_CHECK enum err tdx_on_cpu(unsigned cpu, void (*work)(void *arg), void *arg);

/* Faults of the steps. */
struct tdx_init_fault tdx_init_failed(enum err err, const char *what);
struct tdx_init_fault tdx_init_refused(enum tdx_leaf leaf, tdx_status_t status, const char *what);

/* Work that may fail on any CPU: the first fault is kept. `done` counts the CPUs where the call did something. */
struct tdx_cpu_work {
    struct spin lock;
    unsigned done;
    struct tdx_init_fault fault;
};
/* True: it is the one that is kept. */
bool tdx_keep_fault(struct tdx_cpu_work *w, struct tdx_init_fault fault);

/* TDH.SYS.TDMR.INIT of all TDMRs: tdx/tdmr_init.c. `share` is that of struct tdx_cpus. */
MUST_CHECK struct tdx_init_fault tdx_tdmrs_init(void (*share)(void (*work)(void *arg), void *arg));

/* What the TDMR layout is computed from, and what it comes to. */
struct tdmr_limits {
    unsigned tdmrs_max, reserved_max;
    unsigned pamt_entry_bytes[3]; /* by level */
    const struct tdx_numa *numa;  /* NULL: the machine has one node */
};

struct tdmr_layout {
    struct tdmr_info tdmrs[TDX_TDMRS_MAX];
    unsigned count;
    u64 memory_bytes;  /* of `memory` inside TDMRs and not reserved: what may become TD memory */
    u64 dropped_bytes; /* of `memory`, left out: no CMR there, too many holes, too many TDMRs, or over the limit */
    u64 pamt_bytes;
};

/*
 * TDMRs over `memory` (page aligned): 1 GiB-granular, one for each run of GiBs of one node that hold usable memory. What is not
 * usable in it (not in `memory`, or outside the CMRs) becomes reserved areas; where they are more than a TDMR takes, the next
 * one begins. Within one GiB, and where more TDMRs would be needed than the module has, the smallest pieces of memory are
 * dropped. Of `limit_bytes` (0: no limit) whole pages count. The PAMTs are not placed yet.
 */
MUST_CHECK enum err tdmr_plan(struct tdmr_layout *layout, const struct tdmr_limits *limits,
                              const struct phys_range *memory, unsigned memory_count, const struct phys_range *cmrs,
                              unsigned cmr_count, u64 limit_bytes);

/* Cuts TDMRs of more than `bytes_max`, at least 1 GiB, into halves while there are less than `tdmrs_max`. Before PAMTs are placed. */
void tdmr_split(struct tdmr_layout *layout, unsigned tdmrs_max, u64 bytes_max);

/* The layout that SYS.CONFIG was given; empty before it was planned. */
const struct tdmr_layout *tdx_module_layout(void);

/* Each part of `memory` that lies in no CMR; that is no TDX memory in this layout. Sorted as `memory` is. */
void tdx_each_outside_cmrs(const struct phys_range *memory, unsigned memory_count, void (*out)(hpa_t base, u64 bytes));
void tdx_each_left_out(const struct phys_range *memory, unsigned memory_count, void (*out)(hpa_t base, u64 bytes));

/* Bytes of one PAMT of `tdmr_bytes`, a multiple of 4K. */
u64 tdmr_pamt_bytes(u64 tdmr_bytes, level_t level, unsigned entry_bytes);

/*
 * Takes the PAMTs' memory, by `limits->numa` where there are nodes, and enters it into the TDMRs; it becomes a reserved area of each TDMR that it lies in.
 * ERR_NO_MEMORY; ERR_RANGE when a reserved area too many would be needed.
 */
MUST_CHECK enum err tdmr_place_pamts(struct tdmr_layout *layout, const struct tdmr_limits *limits,
                                     hpa_t (*take)(u64 bytes, u64 align));

#endif
