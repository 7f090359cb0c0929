/*
 * One TD in one process with the module model, for tests of tdx/: pages that are counted, a machine whose CPUs take
 * turns, a TD with a vCPU, tables and two pages, and its tear-down.
 */
#ifndef TESTS_UNIT_TD_WORLD_H
#define TESTS_UNIT_TD_WORLD_H

#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "lib/hw/cpu.h"
#include "tdx/count.h"
#include "tdx/module_internal.h"
#include "tdx/td.h"
#include "tests/host/cpu.h"
#include "tests/host/platform.h"
#include "tests/host/seamcall.h"

#define K4 0x1000ull
#define M1 0x100000ull
#define G1 0x40000000ull

#define BUSY_RCX    0x8000020000000001ull
#define INVALID_RCX 0xc000010000000001ull
#define RESTARTABLE 0x8000000400000000ull
#define FATAL       0xe000060400000000ull

/* Leaf numbers of the specification. */
enum {
    L_VP_ENTER = 0,
    L_ADDCX = 1,
    L_PAGE_ADD = 2,
    L_VP_ADDCX = 4,
    L_AUG = 6,
    L_KEY_CONFIG = 8,
    L_CREATE = 9,
    L_VP_CREATE = 10,
    L_MNG_RD = 11,
    L_EXTEND = 16,
    L_FINALIZE = 17,
    L_VP_FLUSH = 18,
    L_VPFLUSHDONE = 19,
    L_FREEID = 20,
    L_MNG_INIT = 21,
    L_VP_INIT = 22,
    L_RECLAIM = 28,
    L_SYS_KEY_CONFIG = 31,
    L_SYS_INIT = 33,
    L_SYS_RD = 34,
    L_LP_INIT = 35,
    L_TDMR_INIT = 36,
    L_CACHE_WB = 40,
    L_PAGE_WBINVD = 41,
    L_CONFIG = 45,
};

/* --- pages ------------------------------------------------------------------------------------------------------- */

/* 4K pages from 6 GiB up; PAMTs and scratch memory from 1 GiB up. */
static struct {
    u64 next_page, next_block;
    hpa_t free[256];
    unsigned free_count, out;
} pool;

static inline hpa_t take(u64 bytes, u64 align)
{
    pool.next_block = (pool.next_block + align - 1) & ~(align - 1);
    hpa_t at = {pool.next_block};
    pool.next_block += bytes;
    return at;
}

static inline hpa_t page_out(void)
{
    pool.out++;
    if (pool.free_count)
        return pool.free[--pool.free_count];
    pool.next_page += K4;
    return (hpa_t){pool.next_page - K4};
}

static inline void page_back(hpa_t page, void *arg)
{
    (void)arg;
    for (unsigned i = 0; i < pool.free_count; i++)
        assert_int_not_equal(pool.free[i].raw, page.raw);
    pool.free[pool.free_count++] = page;
    assert_true(pool.out > 0);
    pool.out--;
}

static inline void pages_out(hpa_t *pages, unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        pages[i] = page_out();
}

static inline void pages_back(const hpa_t *pages, unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        page_back(pages[i], NULL);
}

/* --- the machine ------------------------------------------------------------------------------------------------- */

static const struct phys_range memory[] = {{{M1}, G1 - M1}, {{4 * G1}, 4 * G1}};
static unsigned cpus;

static inline unsigned count_cpus(void)
{
    return cpus;
}

static inline u32 package_of(unsigned cpu)
{
    return platform_host_lps[cpu].package;
}

static inline void share(void (*work)(void *arg), void *arg)
{
    for (unsigned i = cpus; i-- > 0;) {
        cpu_host_use(i);
        work(arg);
    }
}

static inline enum err on_each_cpu(void (*work)(void *arg), void *arg)
{
    share(work, arg);
    return ERR_OK;
}

static inline enum err on_cpu(unsigned cpu, void (*work)(void *arg), void *arg)
{
    cpu_host_use(cpu);
    work(arg);
    return ERR_OK;
}

static const struct tdx_cpus all_cpus = {count_cpus, package_of, on_each_cpu, on_cpu, share};

static inline void start_machine(unsigned lp_count, unsigned packages)
{
    struct plat_info info = *platform_host_default_info();
    info.lp_count = lp_count;
    info.package_count = packages;
    cpus = lp_count;
    platform_host_start(&info);
    cpu_host_reset();
    seamcall_host_reset();
    tdx_module_forget();
    tdx_counts_reset();
    if (lp_count > 1)
        tdx_set_cpus(&all_cpus);
    memset(&pool, 0, sizeof(pool));
    pool.next_page = 6 * G1;
    pool.next_block = G1 / 2;
}

static inline struct tdx_init_fault init_module(void)
{
    return tdx_module_init(memory, ARRAY_COUNT(memory), 0, take);
}

static inline int ready_machine(void **state)
{
    start_machine(1, 1);
    return init_module().err != ERR_OK;
}

/* --- the TD ------------------------------------------------------------------------------------------------------ */

static struct td td;
static struct td_config config = {.attributes = 1ull << 28, .vcpus = 1};

/* The page that TDH.MEM.PAGE.ADD copies from. */
static inline hpa_t source_page(u8 fill)
{
    hpa_t at = {16 * M1};
    memset(phys_ptr(at), fill, K4);
    return at;
}

static hpa_t tables[8];
static unsigned table_count;

static inline void add_table(u64 gpa, unsigned level)
{
    hpa_t page = page_out();
    tables[table_count++] = page;
    assert_true(tdx_ok(tdh_mem_sept_add(td.tdr, (gpa_t){gpa}, (level_t){(u8)level}, page).status));
}

static inline hpa_t hkid_and_create(struct td_fault *fault)
{
    hkid_t hkid;
    hpa_t pages[16];
    assert_int_equal(tdx_hkid_take(&hkid), ERR_OK);
    pages_out(pages, td_control_pages());
    *fault = td_create(&td, &config, hkid, pages);
    if (fault->err == ERR_OK)
        return pages[0];
    assert_int_equal(td.state, TD_NONE);
    for (unsigned i = 0; i < td_control_pages(); i++) {
        struct tdx_pamt_answer a = tdh_phymem_page_rdmd(pages[i]);
        assert_int_equal(a.type, 0);
    }
    pages_back(pages, td_control_pages());
    tdx_hkid_give(hkid);
    return HPA_NONE;
}

static inline struct td_fault add_vcpu(u64 rcx)
{
    hpa_t pages[16];
    unsigned before = td.vcpu_count;
    pages_out(pages, vcpu_control_pages());
    struct td_fault f = td_add_vcpu(&td, rcx, pages);
    if (td.vcpu_count == before)
        pages_back(pages, vcpu_control_pages());
    return f;
}

static hpa_t contents[8];
static unsigned contents_count;

/* A TD with a vCPU, tables for the first 2 MiB and two pages. */
static inline void build(void)
{
    struct td_fault f;
    table_count = contents_count = 0;
    (void)hkid_and_create(&f);
    assert_int_equal(f.err, ERR_OK);
    assert_int_equal(add_vcpu(0x1234).err, ERR_OK);
    for (unsigned level = 3; level >= 1; level--)
        add_table(0, level);
    for (unsigned i = 0; i < 2; i++) {
        contents[contents_count++] = page_out();
        f = td_add_page(&td, (gpa_t){i * K4}, contents[i], source_page((u8)(0x11 * (i + 1))), true);
        assert_int_equal(f.err, ERR_OK);
    }
    assert_int_equal(td_finalize(&td).err, ERR_OK);
    assert_int_equal(td.state, TD_RUNNABLE);
}

static inline void reclaim_contents(void)
{
    while (contents_count) {
        assert_int_equal(td_reclaim(&td, contents[--contents_count]).err, ERR_OK);
        page_back(contents[contents_count], NULL);
    }
    while (table_count) {
        assert_int_equal(td_reclaim(&td, tables[--table_count]).err, ERR_OK);
        page_back(tables[table_count], NULL);
    }
}

static inline void tear_down(void)
{
    hkid_t hkid = td.hkid;
    assert_int_equal(td_release_key(&td).err, ERR_OK);
    assert_int_equal(td.state, TD_KEY_FREED);
    reclaim_contents();
    assert_int_equal(td_destroy(&td, page_back, NULL).err, ERR_OK);
    assert_int_equal(td.state, TD_NONE);
    tdx_hkid_give(hkid);
    assert_int_equal(pool.out, 0);
}

static inline struct vcpu_exit enter(void)
{
    return vcpu_enter(&td.vcpus[0]);
}

#define LIFE(test) cmocka_unit_test_setup(test, ready_machine)

#endif
