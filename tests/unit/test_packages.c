/* Work that wants one CPU of each package: which one, how often, and what the module says where a package is forgotten. */
#include "drivers/apic.h"
#include "tests/unit/td_world.h"

#define SYS_NOT_READY          0xc0000505u
#define TD_KEYS_NOT_CONFIGURED 0x80000810u
#define WBCACHE_NOT_COMPLETE   0x80000817u

static unsigned absent; /* this CPU did not start */

static enum err on_cpu_that_is_there(unsigned cpu, void (*work)(void *arg), void *arg)
{
    return cpu == absent ? ERR_NOT_FOUND : on_cpu(cpu, work, arg);
}

static u32 all_in_one(unsigned cpu)
{
    return 0;
}

static u32 each_its_own(unsigned cpu)
{
    return cpu;
}

static void one_cpu_of_each_package_is_called(void **state)
{
    for (unsigned packages = 1; packages <= 4; packages *= 2) {
        start_machine(8, packages);
        assert_int_equal(init_module().err, ERR_OK);
        build();
        tear_down();
        assert_int_equal(tdx_counts.leaf[L_LP_INIT], 8);
        assert_int_equal(tdx_counts.leaf[L_SYS_KEY_CONFIG], packages);
        assert_int_equal(tdx_counts.leaf[L_KEY_CONFIG], packages);
        assert_int_equal(tdx_counts.leaf[L_CACHE_WB], packages);
        assert_int_equal(tdx_counts.retries, 0);
    }
}

/* A machine that does not tell its packages: the module finds done what is done. */
static void all_cpus_are_called_where_packages_are_not_told(void **state)
{
    static const struct tdx_cpus untold = {count_cpus, each_its_own, on_each_cpu, on_cpu, share};
    start_machine(8, 4);
    tdx_set_cpus(&untold);
    assert_int_equal(init_module().err, ERR_OK);
    build();
    tear_down();
    assert_int_equal(tdx_counts.leaf[L_SYS_KEY_CONFIG], 8);
    assert_int_equal(tdx_counts.leaf[L_KEY_CONFIG], 8);
    assert_int_equal(tdx_counts.leaf[L_CACHE_WB], 8);
}

static unsigned called;

static void note_call(void *arg)
{
    (void)arg;
    called |= 1u << cpu_index();
}

static void next_cpu_stands_in_for_one_that_is_not_there(void **state)
{
    static const struct tdx_cpus some = {count_cpus, package_of, on_each_cpu, on_cpu_that_is_there, share};
    start_machine(8, 2);
    tdx_set_cpus(&some);
    absent = 4;
    called = 0;
    assert_int_equal(tdx_on_each_package(note_call, NULL), ERR_OK);
    assert_int_equal(called, 1u << 0 | 1u << 5);
}

static const struct tdx_cpus forgetful = {count_cpus, all_in_one, on_each_cpu, on_cpu, share};

static void module_refuses_where_its_own_key_misses_a_package(void **state)
{
    start_machine(4, 2);
    tdx_set_cpus(&forgetful);
    struct tdx_init_fault f = init_module();
    assert_string_equal(f.leaf, "TDH.SYS.TDMR.INIT");
    assert_true(tdx_is(f.status, SYS_NOT_READY));
    assert_int_equal(tdx_counts.leaf[L_SYS_KEY_CONFIG], 1);
}

static void module_refuses_where_a_td_s_key_misses_a_package(void **state)
{
    hpa_t pages[16];
    hkid_t hkid;
    start_machine(4, 2);
    assert_int_equal(init_module().err, ERR_OK);
    tdx_set_cpus(&forgetful);
    assert_int_equal(tdx_hkid_take(&hkid), ERR_OK);
    pages_out(pages, td_control_pages());
    struct td_fault f = td_create(&td, &config, hkid, pages);
    assert_string_equal(f.leaf, "TDH.MNG.ADDCX");
    assert_true(tdx_is(f.status, TD_KEYS_NOT_CONFIGURED));
    tdx_set_cpus(&all_cpus); /* it could not be undone either: now it can */
    assert_int_equal(td_release_key(&td).err, ERR_OK);
    assert_int_equal(td_destroy(&td, page_back, NULL).err, ERR_OK);
    tdx_hkid_give(hkid);
    assert_int_equal(pool.out, 0);
}

/* The key stays bound until the caches of the other package are written back too. */
static void module_refuses_where_a_cache_is_not_written_back(void **state)
{
    start_machine(4, 2);
    assert_int_equal(init_module().err, ERR_OK);
    build();
    tdx_set_cpus(&forgetful);
    struct td_fault f = td_release_key(&td);
    assert_string_equal(f.leaf, "TDH.MNG.KEY.FREEID");
    assert_true(tdx_is(f.status, WBCACHE_NOT_COMPLETE));
    tdx_set_cpus(&all_cpus);
    tear_down();
}

/* --- packages by CPUID ---------------------------------------------------------------------------------------------- */

/* Sub-leafs of a topology leaf: shift, and type of level (1 thread, 2 core, 3 module, 4 tile, 5 die). */
struct level {
    u32 shift, type;
};

static void tell(u32 leaf, const struct level *levels, unsigned count)
{
    for (u32 i = 0; i < count; i++)
        cpu_host_set_cpuid(leaf, i, (struct cpuid_regs){levels[i].shift, 1, levels[i].type << 8 | i, 0});
    cpu_host_set_cpuid(leaf, count, (struct cpuid_regs){0, 0, count, 0});
}

static void package_is_above_the_last_level(void **state)
{
    static const struct level threads_cores[] = {{1, 1}, {7, 2}}, dies[] = {{1, 1}, {6, 2}, {8, 5}},
                              one_thread[] = {{0, 1}, {3, 2}};
    start_machine(1, 1);
    tell(0x0b, threads_cores, 2);
    tell(0x1f, dies, 3);
    assert_int_equal(apic_package_shift(), 8);
    tell(0x1f, one_thread, 2);
    assert_int_equal(apic_package_shift(), 3);
    cpu_host_set_cpuid(0x1f, 0, (struct cpuid_regs){0}); /* not there: the older leaf has it */
    assert_int_equal(apic_package_shift(), 7);
    cpu_host_set_cpuid(0, 0, (struct cpuid_regs){0x16, 0x756e6547, 0x6c65746e, 0x49656e69});
    assert_int_equal(apic_package_shift(), 7);
    cpu_host_set_cpuid(0, 0, (struct cpuid_regs){7, 0x756e6547, 0x6c65746e, 0x49656e69});
    assert_int_equal(apic_package_shift(), 0);
}

/* Levels without an end, as no machine has them, are not followed for ever. */
static void endless_topology_is_left(void **state)
{
    start_machine(1, 1);
    for (u32 i = 0; i < 20; i++)
        cpu_host_set_cpuid(0x1f, i, (struct cpuid_regs){i, 1, 2u << 8 | i, 0});
    assert_int_equal(apic_package_shift(), 7);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_cpu_of_each_package_is_called),
        cmocka_unit_test(all_cpus_are_called_where_packages_are_not_told),
        cmocka_unit_test(next_cpu_stands_in_for_one_that_is_not_there),
        cmocka_unit_test(module_refuses_where_its_own_key_misses_a_package),
        cmocka_unit_test(module_refuses_where_a_td_s_key_misses_a_package),
        cmocka_unit_test(module_refuses_where_a_cache_is_not_written_back),
        cmocka_unit_test(package_is_above_the_last_level),
        cmocka_unit_test(endless_topology_is_left),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
