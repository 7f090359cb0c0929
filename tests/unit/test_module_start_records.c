/*
 * Answers of the module model at start that the recorded sequences of this folder do not hold: TDMRs over CMRs with a gap and over
 * touching ones, and the next id of TDH.SYS.RD inside a field of several elements.
 */
#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>

#include "tests/unit/module_world.h"

#define G1           0x40000000ull
#define OUTSIDE_CMRS 0xc0000a0200000000ull
#define SYS_RD       34u

/* Five ranges: the second touches the first, the fourth the third; one page is missing before the fifth. */
static const struct plat_range cmrs[] = {
    {0x100000, 0x20f00000},    {0x21000000, 0x40000000},   {0x100000000, 0x80000000},
    {0x180000000, 0x80000000}, {0x200001000, 0x100000000},
};

/* SYS.CONFIG's answer to one TDMR from 4 GiB whose 4K PAMT lies over the border of the first two CMRs. */
static u64 configure(u64 gibs)
{
    struct plat_info info = *platform_host_default_info();
    info.lp_count = 1;
    info.cmr_count = sizeof(cmrs) / sizeof(cmrs[0]);
    memcpy(info.cmrs, cmrs, sizeof(cmrs));
    platform_host_start(&info);
    platform_host_knobs.cpuid_rows = 1;
    platform_host_knobs.cpuid[0] = (struct platform_host_cpuid){0xd, 0, {3, 0x240, 0x240, 0}};
    u64 tdmr[40] = {4 * G1, gibs * G1, 0x30000000, 0x1000, 0x30010000, gibs * 0x2000, 0x20800000, gibs * 0x400000};
    *w_memory(W_TABLES) = W_TABLES + 0x200;
    memcpy(w_memory(W_TABLES + 0x200), tdmr, sizeof(tdmr));
    w_ok(W_SYS_INIT, 0, 0, 0, 0);
    w_ok(W_SYS_LP_INIT, 0, 0, 0, 0);
    return w_call(W_SYS_CONFIG, W_TABLES, 1, 32, 0).status;
}

static void one_missing_page_is_outside(void **state)
{
    assert_int_equal(configure(5), OUTSIDE_CMRS);
}

static void touching_ranges_are_one(void **state)
{
    assert_int_equal(configure(4), 0);
}

/* CPUID_CONFIG_VALUES: fields of two elements. Inside one the id comes back as it was given, one on, but for its context code; from
 * its last element the next field's own id follows. */
static void next_id_keeps_what_came(void **state)
{
    const u64 id = 0x9900000300000500ull, write_mask_valid = 1ull << 51, context = 1ull << 52;
    (void)configure(4);
    assert_int_equal(w_call(SYS_RD, 0, id, 0, 0).rdx, id + 1);
    assert_int_equal(w_call(SYS_RD, 0, id | write_mask_valid, 0, 0).rdx, (id + 1) | write_mask_valid);
    assert_int_equal(w_call(SYS_RD, 0, id | context, 0, 0).rdx, id + 1);
    assert_int_equal(w_call(SYS_RD, 0, (id + 1) | write_mask_valid, 0, 0).rdx, id + 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_missing_page_is_outside),
        cmocka_unit_test(touching_ranges_are_one),
        cmocka_unit_test(next_id_keeps_what_came),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
