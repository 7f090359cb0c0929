/* The module's start on all CPUs, refused and busy at each step. What a machine lacks for it: test_check.c. */
#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>

#include "tests/unit/td_world.h"

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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(module_starts_on_all_cpus),
        cmocka_unit_test(idle_cpu_is_named),
        cmocka_unit_test(module_start_resumes_where_it_failed),
        cmocka_unit_test(busy_module_start_is_repeated_and_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
