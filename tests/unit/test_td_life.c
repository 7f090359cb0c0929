/*
 * The life of a TD in one process with the module model: module start, creation, pages and measurement, entries and
 * exits of a scripted guest, tear-down, and what happens when a call on the way is refused or busy. MRTD is computed
 * here once more with a packaged SHA-384, and pages are counted before and after.
 */
#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>
#include <tomcrypt.h>

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
    L_CONFIG = 45,
};

/* --- pages ------------------------------------------------------------------------------------------------------- */

/* 4K pages from 6 GiB up; PAMTs and scratch memory from 1 GiB up. */
static struct {
    u64 next_page, next_block;
    hpa_t free[256];
    unsigned free_count, out;
} pool;

static hpa_t take(u64 bytes, u64 align)
{
    pool.next_block = (pool.next_block + align - 1) & ~(align - 1);
    hpa_t at = {pool.next_block};
    pool.next_block += bytes;
    return at;
}

static hpa_t page_out(void)
{
    pool.out++;
    if (pool.free_count)
        return pool.free[--pool.free_count];
    pool.next_page += K4;
    return (hpa_t){pool.next_page - K4};
}

static void page_back(hpa_t page, void *arg)
{
    (void)arg;
    for (unsigned i = 0; i < pool.free_count; i++)
        assert_int_not_equal(pool.free[i].raw, page.raw);
    pool.free[pool.free_count++] = page;
    assert_true(pool.out > 0);
    pool.out--;
}

static void pages_out(hpa_t *pages, unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        pages[i] = page_out();
}

static void pages_back(const hpa_t *pages, unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        page_back(pages[i], NULL);
}

/* --- the machine ------------------------------------------------------------------------------------------------- */

static const struct phys_range memory[] = {{{M1}, G1 - M1}, {{4 * G1}, 4 * G1}};
static unsigned cpus;

static unsigned count_cpus(void)
{
    return cpus;
}

static void share(void (*work)(void *arg), void *arg)
{
    for (unsigned i = cpus; i-- > 0;) {
        cpu_host_use(i);
        work(arg);
    }
}

static enum err on_each_cpu(void (*work)(void *arg), void *arg)
{
    share(work, arg);
    return ERR_OK;
}

static enum err on_cpu(unsigned cpu, void (*work)(void *arg), void *arg)
{
    cpu_host_use(cpu);
    work(arg);
    return ERR_OK;
}

static const struct tdx_cpus all_cpus = {count_cpus, on_each_cpu, on_cpu, share};

static void start_machine(unsigned lp_count, unsigned packages)
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

static struct tdx_init_fault init_module(void)
{
    return tdx_module_init(memory, ARRAY_COUNT(memory), 0, take);
}

static int ready_machine(void **state)
{
    start_machine(1, 1);
    return init_module().err != ERR_OK;
}

/* --- the TD ------------------------------------------------------------------------------------------------------ */

static struct td td;
static struct td_config config = {.attributes = 1ull << 28, .vcpus = 1};

/* The page that TDH.MEM.PAGE.ADD copies from. */
static hpa_t source_page(u8 fill)
{
    hpa_t at = {16 * M1};
    memset(phys_ptr(at), fill, K4);
    return at;
}

static hpa_t tables[8];
static unsigned table_count;

static void add_table(u64 gpa, unsigned level)
{
    hpa_t page = page_out();
    tables[table_count++] = page;
    assert_true(tdx_ok(tdh_mem_sept_add(td.tdr, (gpa_t){gpa}, (level_t){(u8)level}, page).status));
}

static hpa_t hkid_and_create(struct td_fault *fault)
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

static struct td_fault add_vcpu(u64 rcx)
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
static void build(void)
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
        f = td_add_page(&td, (gpa_t){i * K4}, contents[i], source_page((u8)(0x11 * (i + 1))));
        assert_int_equal(f.err, ERR_OK);
    }
    assert_int_equal(td_finalize(&td).err, ERR_OK);
    assert_int_equal(td.state, TD_RUNNABLE);
}

static void reclaim_contents(void)
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

static void tear_down(void)
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

/* --- module start ------------------------------------------------------------------------------------------------ */

static u64 flushed_before_config;

static void watch_config(const struct seamcall_regs *regs)
{
    if ((regs->rax & 0xffff) == L_CONFIG)
        flushed_before_config = cpu_host_counts.flushed_all;
}

static void module_starts_on_all_cpus(void **state)
{
    start_machine(4, 2);
    seamcall_host_watch = watch_config;
    struct tdx_init_fault f = init_module();
    assert_int_equal(f.err, ERR_OK);
    assert_true(tdx_module.ready);
    assert_int_equal(flushed_before_config, 4);
    assert_int_equal(tdx_module.major, 1);
    assert_int_equal(tdx_module.minor, 5);
    assert_int_equal(tdx_module.tdcs_pages, 6);
    assert_int_equal(tdx_module.tdvps_pages, 6);
    assert_int_equal(tdx_module.hkid_first.raw, 32);
    assert_int_equal(tdx_module.hkid_count, 32);
    assert_int_equal(tdx_module.cmr_count, 2);
    assert_int_equal(tdx_module.cmrs[1].base.raw, 4 * G1);
    assert_int_equal(tdx_module.tdmr_count, 2);
    assert_int_equal(tdx_counts.leaf[L_LP_INIT], 4);
    assert_int_equal(tdx_counts.leaf[L_TDMR_INIT], 5 * 256);
    assert_int_equal(init_module().err, ERR_STATE);
    struct td_fault fault;
    (void)hkid_and_create(&fault);
    assert_int_equal(fault.err, ERR_OK);
    tear_down();
}

/* A CPU that the VMM does not run keeps the module from starting; the message says so instead of blaming the memory. */
static void idle_cpu_is_named(void **state)
{
    start_machine(2, 1);
    tdx_set_cpus(NULL);
    struct tdx_init_fault f = init_module();
    assert_int_equal(f.err, ERR_TDX);
    assert_string_equal(f.leaf, "TDH.SYS.CONFIG");
    assert_non_null(strstr(f.what, "logical processor"));
}

/* A refusal at each kind of step is reported with leaf and status, and the next try goes on from there. */
static void module_start_resumes_where_it_failed(void **state)
{
    static const struct {
        unsigned leaf, nth;
        const char *name;
    } points[] = {
        {L_SYS_INIT, 0, "TDH.SYS.INIT"},       {L_LP_INIT, 0, "TDH.SYS.LP.INIT"},
        {L_SYS_RD, 1, "TDH.SYS.RD"},           {L_SYS_RD, 20, "TDH.SYS.RD"},
        {L_CONFIG, 0, "TDH.SYS.CONFIG"},       {L_SYS_KEY_CONFIG, 0, "TDH.SYS.KEY.CONFIG"},
        {L_TDMR_INIT, 0, "TDH.SYS.TDMR.INIT"}, {L_TDMR_INIT, 700, "TDH.SYS.TDMR.INIT"},
    };
    for (unsigned i = 0; i < ARRAY_COUNT(points); i++) {
        start_machine(1, 1);
        seamcall_host_inject(points[i].leaf, points[i].nth, INVALID_RCX);
        struct tdx_init_fault f = init_module();
        assert_int_equal(f.err, ERR_TDX);
        assert_string_equal(f.leaf, points[i].name);
        assert_int_equal(f.status.raw, INVALID_RCX);
        assert_non_null(f.what);
        assert_false(tdx_module.ready);
        assert_int_equal(init_module().err, ERR_OK);
        assert_true(tdx_module.ready);
    }
}

static void busy_module_start_is_repeated_and_bounded(void **state)
{
    start_machine(1, 1);
    seamcall_host_inject(L_CONFIG, 0, BUSY_RCX);
    seamcall_host_inject(L_SYS_KEY_CONFIG, 0, 0x8000080000000000ull); /* no entropy for the key */
    seamcall_host_inject(L_SYS_INIT, 0, 0x8000020300000000ull);
    seamcall_host_inject(L_TDMR_INIT, 3, RESTARTABLE);
    assert_int_equal(init_module().err, ERR_OK);
    assert_int_equal(tdx_counts.retries, 4);
    assert_int_equal(seamcall_host_injections_left(), 0);
    start_machine(1, 1);
    platform_host_knobs.key = PLAT_KEY_NO_ENTROPY; /* for ever */
    struct tdx_init_fault f = init_module();
    assert_int_equal(f.err, ERR_BUSY);
    assert_string_equal(f.leaf, "TDH.SYS.KEY.CONFIG");
    platform_host_knobs.key = PLAT_KEY_OK;
    assert_int_equal(init_module().err, ERR_OK);
}

/* --- detection --------------------------------------------------------------------------------------------------- */

static const char *missing_now(void)
{
    const char *missing;
    enum err e = tdx_detect(&missing);
    assert_true((e == ERR_PLATFORM) == (missing != NULL));
    return missing;
}

static void take_away(unsigned what)
{
    switch (what) {
    case 0:
        cpu_host_set_cpuid(0, 0, (struct cpuid_regs){0x10, 0x68747541, 0x444d4163, 0x69746e65}); /* AuthenticAMD */
        break;
    case 1:
        cpu_host_set_cpuid(1, 0, (struct cpuid_regs){0});
        break;
    case 2:
        cpu_host_set_cpuid(7, 0, (struct cpuid_regs){.ebx = 1u << 23});
        break;
    case 3:
        cpu_host_set_msr(0x3a, 1);
        break;
    case 4:
        cpu_host_set_msr(0xfe, 0x508);
        break;
    case 5:
        cpu_host_set_msr(0x87, 63);
        break;
    case 6:
        seamcall_host_fault = SEAMCALL_VMFAILED;
        break;
    case 7:
        seamcall_host_fault = SEAMCALL_GP;
        break;
    default:
        cpu_host_remove_msr(0x87);
        break;
    }
}

static void each_missing_thing_has_its_sentence(void **state)
{
    static const char *const words[] = {"GenuineIntel", "VMX",    "MOVDIR64B", "IA32_FEATURE_CONTROL",
                                        "bit 15",       "KeyIDs", "loaded",    "SEAMCALL raises #GP",
                                        "KeyIDs"};
    const char *seen[ARRAY_COUNT(words)];
    for (unsigned i = 0; i < ARRAY_COUNT(words); i++) {
        start_machine(1, 1);
        assert_null(missing_now());
        take_away(i);
        seen[i] = missing_now();
        assert_non_null(seen[i]);
        assert_non_null(strstr(seen[i], words[i]));
        assert_int_equal(tdx_counts_seamcalls(), 0); /* asking is not counted as work */
        for (unsigned j = 0; j < i && i < 8; j++)
            assert_string_not_equal(seen[i], seen[j]);
        assert_int_equal(init_module().err, ERR_PLATFORM);
    }
}

/* --- life -------------------------------------------------------------------------------------------------------- */

/* TDX module specification, "MRTD": 128-byte blocks, each followed by the chunk for MR.EXTEND. */
static void expected_mrtd(u8 digest[48])
{
    hash_state h;
    sha384_init(&h);
    for (u64 page = 0; page < 2; page++) {
        u8 block[128] = "MEM.PAGE.ADD", chunk[256];
        u64 gpa = page * K4;
        memcpy(block + 16, &gpa, sizeof(gpa));
        sha384_process(&h, block, sizeof(block));
        memset(chunk, (int)(0x11 * (page + 1)), sizeof(chunk));
        for (u64 offset = 0; offset < K4; offset += sizeof(chunk)) {
            memset(block, 0, sizeof(block));
            memcpy(block, "MR.EXTEND", 9);
            gpa = page * K4 + offset;
            memcpy(block + 16, &gpa, sizeof(gpa));
            sha384_process(&h, block, sizeof(block));
            sha384_process(&h, chunk, sizeof(chunk));
        }
    }
    sha384_done(&h, digest);
}

static void measurement_is_that_of_an_independent_hash(void **state)
{
    u8 digest[48];
    build();
    expected_mrtd(digest);
    assert_memory_equal(td.mrtd, digest, sizeof(digest));
    assert_int_equal(td.eptp & 0x3f, 0x1e); /* write-back, four levels */
    tear_down();
}

static struct vcpu_exit enter(void)
{
    return vcpu_enter(&td.vcpus[0]);
}

static void guest_call(struct guest_action *a, u64 leaf, u64 rcx, u64 rdx)
{
    memset(a, 0, sizeof(*a));
    a->kind = GUEST_TDCALL;
    a->gpr[RAX] = leaf;
    a->gpr[RCX] = rcx;
    a->gpr[RDX] = rdx;
    guest_push(td.vcpus[0].tdvpr.raw, a);
}

static void guest_sees_what_it_was_given(void **state)
{
    struct guest_action info;
    build();
    guest_call(&info, 1, 0, 0);
    struct vcpu_exit e = enter(); /* the script's end is an interrupt */
    assert_int_equal(e.kind, VCPU_EXIT_INTERRUPT);
    assert_true(info.done);
    assert_int_equal(info.gpr[RAX], 0);
    assert_int_equal(info.gpr[RCX], 48);
    assert_int_equal(info.gpr[RDX], config.attributes);
    assert_int_equal(tdx_counts.exits[1], 1);
    tear_down();
}

/* ACCEPT of a page that is not there leaves with the level that it asked for, and ends after AUG with no other exit. */
static void accept_tells_its_level(void **state)
{
    struct guest_action small, large;
    build();
    guest_call(&small, 6, 5 * K4, 0);
    struct vcpu_exit e = enter();
    assert_int_equal(e.kind, VCPU_EXIT_EPT_VIOLATION);
    assert_true(e.accept);
    assert_int_equal(e.level.raw, 0);
    assert_int_equal(e.gpa.raw, 5 * K4);
    assert_false(e.shared);
    contents[contents_count++] = page_out();
    assert_true(tdx_ok(tdh_mem_page_aug(td.tdr, (gpa_t){5 * K4}, LEVEL_4K, contents[2]).status));
    e = enter();
    assert_int_equal(e.kind, VCPU_EXIT_INTERRUPT);
    assert_true(small.done);
    assert_int_equal(small.gpr[RAX], 0);
    guest_call(&large, 6, 2 * M1 | 1, 0);
    e = enter();
    assert_true(e.accept);
    assert_int_equal(e.level.raw, 1);
    assert_int_equal(e.gpa.raw, 2 * M1);
    tear_down();
}

static void guest_touch(struct guest_action *a, u64 gpa, u64 qualification)
{
    *a = (struct guest_action){.kind = GUEST_EPT_VIOLATION, .gpa = gpa, .qualification = qualification};
    guest_push(td.vcpus[0].tdvpr.raw, a);
}

static void violations_tell_shared_from_private(void **state)
{
    struct guest_action a;
    build();
    guest_touch(&a, 9 * K4 + 0x123, 2);
    struct vcpu_exit e = enter();
    assert_int_equal(e.kind, VCPU_EXIT_EPT_VIOLATION);
    assert_false(e.accept || e.shared || e.pending);
    assert_int_equal(e.gpa.raw, 9 * K4);
    assert_int_equal(e.qualification & 7, 2);
    contents[contents_count++] = page_out();
    assert_true(tdx_ok(tdh_mem_page_aug(td.tdr, (gpa_t){9 * K4}, LEVEL_4K, contents[2]).status));
    guest_touch(&a, 9 * K4, 1);
    e = enter(); /* PENDING, and the TD wants no #VE */
    assert_true(e.pending);
    guest_touch(&a, 1ull << 47 | 9 * K4, 1);
    e = enter();
    assert_true(e.shared);
    assert_int_equal(e.gpa.raw, 9 * K4);
    tear_down();
}

static void vmcall_passes_registers_both_ways(void **state)
{
    struct guest_action a;
    build();
    memset(&a, 0, sizeof(a));
    a.kind = GUEST_TDCALL;
    a.gpr[RCX] = 0xfc00; /* R10 to R15 */
    a.gpr[R11] = 0x10001;
    a.gpr[R12] = 0x200000;
    a.gpr[R13] = 0x1000;
    guest_push(td.vcpus[0].tdvpr.raw, &a);
    struct vcpu_exit e = enter();
    assert_int_equal(e.kind, VCPU_EXIT_VMCALL);
    assert_int_equal(e.reason, 77);
    assert_string_equal(vcpu_exit_name(e.reason), "TDVMCALL");
    assert_int_equal(td.vcpus[0].regs.r11, 0x10001);
    assert_int_equal(td.vcpus[0].regs.r13, 0x1000);
    td.vcpus[0].regs.r10 = 1;
    td.vcpus[0].regs.r11 = 0x201000;
    e = enter();
    assert_true(a.done);
    assert_int_equal(a.gpr[RAX], 0);
    assert_int_equal(a.gpr[R10], 1);
    assert_int_equal(a.gpr[R11], 0x201000);
    tear_down();
}

static void triple_fault_kills_the_vcpu_only(void **state)
{
    struct guest_action a = {.kind = GUEST_EXIT, .reason = 2};
    build();
    guest_push(td.vcpus[0].tdvpr.raw, &a);
    struct vcpu_exit e = enter();
    assert_int_equal(e.kind, VCPU_EXIT_TRIPLE_FAULT);
    assert_true(td.vcpus[0].dead);
    assert_int_equal(td.state, TD_RUNNABLE);
    u64 calls = tdx_counts_seamcalls();
    e = enter();
    assert_int_equal(e.kind, VCPU_EXIT_REFUSED);
    assert_int_equal(tdx_counts_seamcalls(), calls);
    tear_down();
}

/* --- entry ------------------------------------------------------------------------------------------------------- */

static bool was_inside, had_interrupts;

/* What a TD exit does to the host's MSRs. */
static void clobber(const struct seamcall_regs *regs)
{
    static const u32 msrs[] = {0xc0000081, 0xc0000082, 0xc0000084, 0xc0000102, 0xc0000103};
    if ((regs->rax & 0xffff) != L_VP_ENTER)
        return;
    was_inside = td.vcpus[0].inside;
    had_interrupts = cpu_host_interrupts_on();
    for (unsigned i = 0; i < ARRAY_COUNT(msrs); i++)
        cpu_host_set_msr(msrs[i], 0xdead);
}

static void entry_keeps_host_state(void **state)
{
    u64 value;
    build();
    seamcall_host_watch = clobber;
    (void)enter();
    assert_true(was_inside);
    assert_false(had_interrupts);
    assert_false(td.vcpus[0].inside);
    assert_true(cpu_host_interrupts_on());
    assert_true(cpu_read_msr(0xc0000082, &value));
    assert_int_equal(value, 0x82);
    assert_true(cpu_read_msr(0xc0000102, &value));
    assert_int_equal(value, 0x102);
    assert_true(cpu_read_msr(0xc0000103, &value));
    assert_int_equal(value, 0x103);
    seamcall_host_watch = NULL;
    tear_down();
}

static void held_td_is_not_entered(void **state)
{
    build();
    u64 calls = tdx_counts_seamcalls();
    td.held = 1;
    assert_int_equal(enter().kind, VCPU_EXIT_HELD);
    assert_int_equal(tdx_counts_seamcalls(), calls);
    assert_int_equal(td.vcpus[0].inside, 0);
    td.held = 0;
    assert_int_equal(enter().kind, VCPU_EXIT_INTERRUPT);
    tear_down();
}

static void busy_entry_is_repeated_and_bounded(void **state)
{
    build();
    seamcall_host_inject(L_VP_ENTER, 0, 0x80000200000000a9ull);
    u64 retries = tdx_counts.retries;
    assert_int_equal(enter().kind, VCPU_EXIT_INTERRUPT);
    assert_int_equal(tdx_counts.retries, retries + 1);
    seamcall_host_inject(L_VP_ENTER, 0, 0xe000060400000000ull);
    assert_int_equal(enter().kind, VCPU_EXIT_TD_DEAD);
    assert_int_equal(td.state, TD_DEAD);
    tear_down(); /* a dead TD can still be taken down */
}

/* --- refusals on the way ----------------------------------------------------------------------------------------- */

static void refused_creation_is_undone(void **state)
{
    static const struct {
        unsigned leaf, nth;
        const char *name;
    } points[] = {
        {L_CREATE, 0, "TDH.MNG.CREATE"}, {L_KEY_CONFIG, 0, "TDH.MNG.KEY.CONFIG"}, {L_ADDCX, 0, "TDH.MNG.ADDCX"},
        {L_ADDCX, 5, "TDH.MNG.ADDCX"},   {L_MNG_INIT, 0, "TDH.MNG.INIT"},         {L_MNG_RD, 0, "TDH.MNG.RD"},
    };
    for (unsigned i = 0; i < ARRAY_COUNT(points); i++) {
        struct td_fault f;
        seamcall_host_inject(points[i].leaf, points[i].nth, INVALID_RCX);
        (void)hkid_and_create(&f);
        assert_int_equal(f.err, ERR_TDX);
        assert_string_equal(f.leaf, points[i].name);
        assert_int_equal(f.status.raw, INVALID_RCX);
        assert_int_equal(pool.out, 0);
    }
    build();
    tear_down();
}

/* One BUSY at each leaf of a whole life: it is repeated there and nowhere else, and the life is as without it. */
static void one_busy_answer_is_repeated(void **state)
{
    static const unsigned leaves[] = {L_CREATE,      L_KEY_CONFIG, L_ADDCX,    L_MNG_INIT, L_MNG_RD,   L_VP_CREATE,
                                      L_VP_ADDCX,    L_VP_INIT,    L_PAGE_ADD, L_EXTEND,   L_FINALIZE, L_VP_FLUSH,
                                      L_VPFLUSHDONE, L_CACHE_WB,   L_FREEID,   L_RECLAIM};
    u8 digest[48];
    expected_mrtd(digest);
    for (unsigned i = 0; i < ARRAY_COUNT(leaves); i++) {
        u64 retries = tdx_counts.retries;
        seamcall_host_inject(leaves[i], 0, BUSY_RCX);
        build();
        assert_memory_equal(td.mrtd, digest, sizeof(digest));
        tear_down();
        assert_int_equal(seamcall_host_injections_left(), 0);
        assert_int_equal(tdx_counts.retries, retries + 1);
    }
}

static void refused_vcpu_gives_its_pages_back(void **state)
{
    static const unsigned leaves[] = {L_VP_CREATE, L_VP_ADDCX, L_VP_INIT};
    for (unsigned i = 0; i < ARRAY_COUNT(leaves); i++) {
        struct td_fault f;
        (void)hkid_and_create(&f);
        seamcall_host_inject(leaves[i], i == 1 ? 2 : 0, INVALID_RCX);
        f = add_vcpu(0);
        assert_int_equal(f.err, ERR_TDX);
        assert_int_equal(td.vcpu_count, i > 0);
        tear_down();
    }
}

static void refused_measurement_leaves_a_dead_td(void **state)
{
    struct td_fault f;
    (void)hkid_and_create(&f);
    assert_int_equal(add_vcpu(0).err, ERR_OK);
    for (unsigned level = 3; level >= 1; level--)
        add_table(0, level);
    contents[contents_count++] = page_out();
    seamcall_host_inject(L_EXTEND, 7, INVALID_RCX);
    assert_int_equal(td_add_page(&td, (gpa_t){0}, contents[0], source_page(1)).err, ERR_TDX);
    assert_int_equal(td.state, TD_DEAD);
    assert_int_equal(td_finalize(&td).err, ERR_STATE);
    tear_down();
}

/* Every leaf of the tear-down, refused once: the second try ends it, and no page is lost or given twice. */
static void refused_tear_down_goes_on(void **state)
{
    static const unsigned leaves[] = {L_VP_FLUSH, L_VPFLUSHDONE, L_CACHE_WB, L_FREEID};
    for (unsigned i = 0; i < ARRAY_COUNT(leaves); i++) {
        build();
        seamcall_host_inject(leaves[i], 0, INVALID_RCX);
        assert_int_equal(td_release_key(&td).err, ERR_TDX);
        tear_down();
    }
    for (unsigned nth = 0; nth < 13; nth++) {
        hkid_t hkid;
        build();
        hkid = td.hkid;
        assert_int_equal(td_release_key(&td).err, ERR_OK);
        reclaim_contents();
        seamcall_host_inject(L_RECLAIM, nth, INVALID_RCX);
        assert_int_equal(td_destroy(&td, page_back, NULL).err, ERR_TDX);
        assert_int_equal(td_destroy(&td, page_back, NULL).err, ERR_OK);
        assert_int_equal(pool.out, 0);
        tdx_hkid_give(hkid);
    }
}

static void interrupted_cache_flush_is_resumed(void **state)
{
    build();
    platform_host_knobs.pending = true;
    platform_host_knobs.pending_events = PLAT_EVENT_INTERRUPT;
    platform_host_knobs.polls_before = 1;
    u64 calls = tdx_counts.leaf[L_CACHE_WB];
    tear_down();
    assert_true(tdx_counts.leaf[L_CACHE_WB] > calls + 1);
    platform_host_knobs.pending = false;
}

/* --- what the caller got wrong ----------------------------------------------------------------------------------- */

static void wrong_use_is_an_error(void **state)
{
    struct td_config bad = config;
    hpa_t none[16] = {{0}};
    struct td_fault f;
    bad.vcpus = 0;
    assert_int_equal(td_create(&td, &bad, (hkid_t){33}, none).err, ERR_ARGUMENT);
    bad.vcpus = TD_VCPUS_MAX + 1;
    assert_int_equal(td_create(&td, &bad, (hkid_t){33}, none).err, ERR_ARGUMENT);
    bad = config;
    bad.attributes = 1ull << 1; /* the module does not know it */
    assert_int_equal(td_create(&td, &bad, (hkid_t){33}, none).err, ERR_ARGUMENT);
    bad = config;
    bad.xfam = 2; /* without x87 */
    assert_int_equal(td_create(&td, &bad, (hkid_t){33}, none).err, ERR_ARGUMENT);
    assert_int_equal(td_release_key(&td).err, ERR_STATE);
    assert_int_equal(td_destroy(&td, page_back, NULL).err, ERR_STATE);
    (void)hkid_and_create(&f);
    assert_int_equal(add_vcpu(0).err, ERR_OK);
    assert_int_equal(enter().kind, VCPU_EXIT_REFUSED); /* not finalised */
    assert_int_equal(td_reclaim(&td, td.tdr).err, ERR_STATE);
    tear_down();
}

static void hkids_are_finite(void **state)
{
    hkid_t taken[64], one_more;
    unsigned count = 0;
    while (tdx_hkid_take(&taken[count]) == ERR_OK) {
        assert_true(taken[count].raw > 32 && taken[count].raw < 64);
        count++;
    }
    assert_int_equal(count, 31);
    tdx_hkid_give(taken[7]);
    assert_int_equal(tdx_hkid_take(&one_more), ERR_OK);
    assert_int_equal(one_more.raw, taken[7].raw);
    assert_int_equal(tdx_hkid_take(&one_more), ERR_BUSY);
}

#define LIFE(test) cmocka_unit_test_setup(test, ready_machine)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(module_starts_on_all_cpus),
        cmocka_unit_test(idle_cpu_is_named),
        cmocka_unit_test(module_start_resumes_where_it_failed),
        cmocka_unit_test(busy_module_start_is_repeated_and_bounded),
        cmocka_unit_test(each_missing_thing_has_its_sentence),
        LIFE(measurement_is_that_of_an_independent_hash),
        LIFE(guest_sees_what_it_was_given),
        LIFE(accept_tells_its_level),
        LIFE(violations_tell_shared_from_private),
        LIFE(vmcall_passes_registers_both_ways),
        LIFE(triple_fault_kills_the_vcpu_only),
        LIFE(entry_keeps_host_state),
        LIFE(held_td_is_not_entered),
        LIFE(busy_entry_is_repeated_and_bounded),
        LIFE(refused_creation_is_undone),
        LIFE(one_busy_answer_is_repeated),
        LIFE(refused_vcpu_gives_its_pages_back),
        LIFE(refused_measurement_leaves_a_dead_td),
        LIFE(refused_tear_down_goes_on),
        LIFE(interrupted_cache_flush_is_resumed),
        LIFE(wrong_use_is_an_error),
        LIFE(hkids_are_finite),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
