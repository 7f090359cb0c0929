/*
 * Fuzzing of the module model (sim/module/): what the parts of the fuzzer share.
 *
 * An input is a small program of calls (program.c) that starts from a prepared world (worlds.c). After each call the
 * whole state is checked (invariants.c, outputs.c); a violated check stops the process, which libFuzzer reports.
 */
#ifndef TESTS_FUZZ_FUZZ_H
#define TESTS_FUZZ_FUZZ_H

#include "sim/module/state.h"
#include "tests/host/platform.h"

#define FUZZ_LPS 4 /* most worlds have two of them, in two packages */

/* --- the map: VMM memory and PAMTs below 4 GiB, two TDMRs of 1 GiB --- */
#define FUZZ_VMM      0x1000000ull
#define FUZZ_VMM_SIZE 0x40000ull /* 64 pages */
#define FUZZ_PAMT     0x20000000ull
#define FUZZ_TDMR_A   0x100000000ull
#define FUZZ_TDMR_B   0x180000000ull
#define FUZZ_CONTROL  (FUZZ_TDMR_A + 0x100000)   /* 128 pages for control structures */
#define FUZZ_SMALL    (FUZZ_TDMR_A + 0x800000)   /* 4K pages */
#define FUZZ_LARGE    (FUZZ_TDMR_A + 0x2000000)  /* 2M pages; home of GPA 0 */
#define FUZZ_RESERVED (FUZZ_TDMR_A + 0x3f000000) /* 1 MiB that TDMR A leaves out */

#define FUZZ_PAGE(base, i) ((base) + (u64)(i)*PAGE_4K)

/* VMM memory, by page: what worlds.c prepares in it. */
enum fuzz_vmm_page {
    VMM_TDMRS = 0,
    VMM_PARAMS = 1,
    VMM_OUTPUT = 2,
    VMM_SOURCE = 8,
    VMM_SHARED_EPT = 16,
    VMM_PAGES = 64
};

/* Control pages of TD n, relative to FUZZ_CONTROL: 32 for each TD, S-EPT pages behind them. */
enum fuzz_control_page { TD_PAGES = 32, TD_TDR = 0, TD_TDCX = 1, TD_VCPU0 = 8, TD_VCPU1 = 17, SEPT_PAGES = 64 };

/* The page of TDMR A or B that a GPA is mapped to when it is at home. */
u64 fuzz_home(u64 gpa);

/* --- memory.c: sparse memory that is put back after each input --- */

/* All pages that the module has asked for since the world was loaded, and those that the world is made of. */
extern u64 *fuzz_used_pages;
extern unsigned fuzz_used_page_count;
void fuzz_page_used(u64 hpa);

struct fuzz_snapshot;
/* The state of platform, module and memory as it is now. */
struct fuzz_snapshot *fuzz_snapshot_take(void);
void fuzz_snapshot_load(const struct fuzz_snapshot *snapshot);
/* Memory zero again, platform and module reset. */
void fuzz_memory_start(const struct plat_info *info);

static inline void *fuzz_memory(u64 hpa)
{
    return platform_host_memory() + hpa;
}

/* --- worlds.c --- */

enum fuzz_world {
    WORLD_FRESH,
    WORLD_SYSTEM,
    WORLD_BUILDING,
    WORLD_RUNNING,
    WORLD_DEBUG,
    WORLD_WIDE,
    WORLD_TEARDOWN,
    WORLD_NESTED,
    WORLD_RESIZE, /* DEMOTE without BLOCK, TRACK and interrupts */
    WORLD_CROWD,  /* two LPs in each package, and the same */
    WORLDS
};

void fuzz_worlds_build(void);
void fuzz_world_load(enum fuzz_world world);

/* --- checks --- */

/* Prints what is wrong and aborts. */
_Noreturn __attribute__((format(printf, 1, 2))) void fuzz_fail(const char *format, ...);

/* invariants.c: what holds between any two calls. */
void fuzz_check_state(void);
/* Of what only successful calls change, as the last fuzz_check_state() saw it. */
u64 fuzz_state_digest(void);

/* tracking.c: no page leaves a TD that a processor may still reach. The world is new; the Secure EPT is about to be
 * read; this entry of it leads to `hpa`; that was all of it; a processor has made a call, and maybe dropped its
 * translations. */
void fuzz_tracking_start(void);
void fuzz_tracking_begin(void);
void fuzz_tracking_entry(u64 td, u64 hpa, unsigned level, bool table, bool blocked);
void fuzz_tracking_end(void);
void fuzz_tracking_called(unsigned lp);

/* outputs.c: statuses are known ones, and registers that a leaf does not define as outputs keep their values. */
void fuzz_check_seamcall(const u64 before[SEAM_GPRS], const u64 after[SEAM_GPRS]);
void fuzz_check_tdcall(const u64 before[SEAM_GPRS], const u64 after[SEAM_GPRS]);
void fuzz_check_td_exit(const u64 before[SEAM_GPRS], const u64 after[SEAM_GPRS]);

#endif
