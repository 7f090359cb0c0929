/*
 * A small TDX world for tests of the module model: one GiB of TD memory at 4 GiB, one TD with one vCPU, driven through
 * SEAMCALL and TDCALL alone. Constants are typed from the ABI specification, not taken from the model.
 */
#ifndef TESTS_UNIT_MODULE_WORLD_H
#define TESTS_UNIT_MODULE_WORLD_H

#include "tests/host/platform.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* Leaf numbers */
enum {
    W_VP_ENTER = 0,
    W_MNG_ADDCX = 1,
    W_PAGE_ADD = 2,
    W_SEPT_ADD = 3,
    W_VP_ADDCX = 4,
    W_RELOCATE = 5,
    W_AUG = 6,
    W_BLOCK = 7,
    W_MNG_KEY_CONFIG = 8,
    W_MNG_CREATE = 9,
    W_VP_CREATE = 10,
    W_DEMOTE = 15,
    W_MR_EXTEND = 16,
    W_MR_FINALIZE = 17,
    W_VP_FLUSH = 18,
    W_VPFLUSHDONE = 19,
    W_KEY_FREEID = 20,
    W_MNG_INIT = 21,
    W_VP_INIT = 22,
    W_PROMOTE = 23,
    W_RDMD = 24,
    W_SEPT_RD = 25,
    W_RECLAIM = 28,
    W_REMOVE = 29,
    W_SEPT_REMOVE = 30,
    W_SYS_KEY_CONFIG = 31,
    W_SYS_INIT = 33,
    W_SYS_LP_INIT = 35,
    W_TDMR_INIT = 36,
    W_TRACK = 38,
    W_UNBLOCK = 39,
    W_CACHE_WB = 40,
    W_SYS_CONFIG = 45,
};

/* The map: VMM memory below 2 GiB, TD memory from 4 GiB. */
#define W_TDMR      0x100000000ull
#define W_TDMR_SIZE 0xc0000000ull /* the last GiB stays uninitialised */
#define W_READY     0x80000000ull
#define W_RESERVED  (W_TDMR + 0x30000000) /* 1 MiB */
#define W_TABLES    0x1000000ull          /* SYS.CONFIG's and MNG.INIT's tables */
#define W_PAMT_1G   0x20000000ull
#define W_PAMT_2M   0x20010000ull
#define W_PAMT_4K   0x21000000ull
#define W_TDR       (W_TDMR + 0x100000)
#define W_TDCX      (W_TDMR + 0x101000)
#define W_TDVPR     (W_TDMR + 0x110000)
#define W_POOL      (W_TDMR + 0x200000)   /* control and S-EPT pages */
#define W_PAGES     (W_TDMR + 0x800000)   /* 4K pages of the TD */
#define W_LARGE     (W_TDMR + 0x2000000)  /* 2M pages of the TD */
#define W_GIGA      (W_TDMR + 0x40000000) /* one page of 1G */
#define W_HKID      33

static u64 w_next_pool, w_next_page, w_next_large;

struct w_result {
    u64 status, rcx, rdx, r8, r9;
};

static struct w_result w_call(unsigned leaf, u64 rcx, u64 rdx, u64 r8, u64 r9)
{
    struct seam_lp *lp = &platform_host_lps[0];
    lp->vmm[RAX] = leaf;
    lp->vmm[RCX] = rcx;
    lp->vmm[RDX] = rdx;
    lp->vmm[R8] = r8;
    lp->vmm[R9] = r9;
    assert_int_equal(module_seamcall(lp), SEAM_TO_VMM);
    return (struct w_result){lp->vmm[RAX], lp->vmm[RCX], lp->vmm[RDX], lp->vmm[R8], lp->vmm[R9]};
}

static void w_ok(unsigned leaf, u64 rcx, u64 rdx, u64 r8, u64 r9)
{
    struct w_result r = w_call(leaf, rcx, rdx, r8, r9);
    if (r.status)
        fail_msg("leaf %u rcx %llx rdx %llx r8 %llx: status %llx", leaf, (unsigned long long)rcx,
                 (unsigned long long)rdx, (unsigned long long)r8, (unsigned long long)r.status);
}

static u64 *w_memory(u64 hpa)
{
    return (u64 *)(platform_host_memory() + hpa);
}

static u64 w_pool(void)
{
    return w_next_pool += 0x1000;
}

static inline void w_system(void)
{
    struct plat_info info = *platform_host_default_info();
    info.lp_count = 1;
    platform_host_start(&info);
    platform_host_knobs.cpuid_rows = 1;
    platform_host_knobs.cpuid[0] = (struct platform_host_cpuid){0xd, 0, {3, 0x240, 0x240, 0}};
    w_next_pool = W_POOL;
    w_next_page = W_PAGES;
    w_next_large = W_LARGE;
    u64 tdmr[40] = {W_TDMR, W_TDMR_SIZE, W_PAMT_1G, 0x1000,     W_PAMT_2M,
                    0x6000, W_PAMT_4K,   0xc00000,  0x30000000, 0x100000};
    *w_memory(W_TABLES) = W_TABLES + 0x200;
    memcpy(w_memory(W_TABLES + 0x200), tdmr, sizeof(tdmr));
    w_ok(W_SYS_INIT, 0, 0, 0, 0);
    w_ok(W_SYS_LP_INIT, 0, 0, 0, 0);
    w_ok(W_SYS_CONFIG, W_TABLES, 1, 32, 0);
    w_ok(W_SYS_KEY_CONFIG, 0, 0, 0, 0);
    for (unsigned i = 0; i < W_READY >> 22; i++)
        w_ok(W_TDMR_INIT, W_TDMR, 0, 0, 0);
}

/* Up to TDH.VP.INIT; memory may be added. */
static inline void w_td(void)
{
    w_ok(W_MNG_CREATE, W_TDR, W_HKID, 0, 0);
    w_ok(W_MNG_KEY_CONFIG, W_TDR, 0, 0, 0);
    for (unsigned i = 0; i < 6; i++)
        w_ok(W_MNG_ADDCX, W_TDCX + i * 0x1000, W_TDR, 0, 0);
    u64 *params = w_memory(W_TABLES + 0x1000);
    memset(params, 0, 1024);
    params[1] = 3;    /* XFAM */
    params[2] = 1;    /* MAX_VCPUS */
    params[3] = 0x1e; /* EPTP_CONTROLS: write-back, 4 levels */
    params[5] = 40;   /* 1 GHz */
    w_ok(W_MNG_INIT, W_TDR, W_TABLES + 0x1000, 0, 0);
    w_ok(W_VP_CREATE, W_TDVPR, W_TDR, 0, 0);
    for (unsigned i = 0; i < 5; i++)
        w_ok(W_VP_ADDCX, W_TDVPR + 0x1000 + i * 0x1000, W_TDVPR, 0, 0);
    w_ok(W_VP_INIT, W_TDVPR, 0, 0, 0);
    w_ok(W_SEPT_ADD, 3, W_TDR, w_pool(), 0); /* GPA 0 to 512G, by PDPT */
}

static inline void w_track(void)
{
    w_ok(W_TRACK, W_TDR, 0, 0, 0);
}

#endif
