/*
 * TDX modules of other generations: what each published version offers, and what Septum makes of it. TDX_FEATURES0 of the versions
 * are those that were published with them; the ids of metadata fields are the ABI specification's.
 */
#include "tests/unit/td_world.h"

#include <stdio.h>

static struct plat_info as;

/* A machine whose module is of another version; the caller may change more of `as` and set it again. */
static void start_version(unsigned major, unsigned minor, unsigned update, u64 features0)
{
    start_machine(1, 1);
    as = *plat_info();
    as.module_major = (u16)major;
    as.module_minor = (u16)minor;
    as.module_update = (u16)update;
    as.features0 = features0;
    platform_host_set_info(&as);
}

/* From the first page of a TD to the last. */
static void expect_whole_life(void)
{
    build();
    assert_int_equal(enter().kind, VCPU_EXIT_INTERRUPT);
    tear_down();
}

static const struct {
    unsigned major, minor, update;
    u64 features0;
} versions[] = {
    {1, 5, 1, 0xf0fbf},          {1, 5, 5, 0x61f0fbf}, {1, 5, 16, 0x226f3f0fbf},
    {1, 5, 28, 0x800226f3f0fbf}, /* none is published: 1.5.16 with the announced bit 51, interruptibility of DEMOTE */
    {2, 0, 8, 0x32a71f0fbf},
};

static void each_published_version_runs_a_td(void **state)
{
    for (unsigned i = 0; i < ARRAY_COUNT(versions); i++) {
        start_version(versions[i].major, versions[i].minor, versions[i].update, versions[i].features0);
        struct tdx_init_fault f = init_module();
        assert_int_equal(f.err, ERR_OK);
        assert_int_equal(tdx_module.major, versions[i].major);
        assert_int_equal(tdx_module.minor, versions[i].minor);
        assert_int_equal(tdx_module.update, versions[i].update);
        assert_true(tdx_module.features0 == versions[i].features0);
        expect_whole_life();
    }
}

/* TDH.SYS.RD is younger: a public report has SYS_NOT_READY from it; a module that is ready would call it an unknown leaf. */
static void generation_1_0_is_refused_in_words(void **state)
{
    start_version(1, 0, 3, 0);
    struct tdx_init_fault f = init_module();
    assert_int_equal(f.err, ERR_TDX);
    assert_string_equal(f.leaf, "TDH.SYS.RD");
    assert_true(f.status.raw == 0xc000050500000000ull);
    assert_string_equal(
        f.what,
        "the TDX module is of generation 1.0: it has no TDH.SYS.RD, so it does not say what it offers; update it "
        "to 1.5 or later");
    start_machine(1, 1);
    seamcall_host_inject(L_SYS_RD, 1, 0xc000010000000000ull);
    f = init_module();
    assert_non_null(strstr(f.what, "generation 1.0"));
}

static void control_pages_are_those_that_the_module_wants(void **state)
{
    for (unsigned pages = 6; pages <= 8; pages++) {
        start_version(1, 5, 16, 0x226f3f0fbf);
        as.tdcs_pages = pages;
        platform_host_set_info(&as);
        assert_int_equal(init_module().err, ERR_OK);
        assert_int_equal(tdx_module.tdcs_pages, pages);
        assert_int_equal(td_control_pages(), 1 + pages);
        expect_whole_life();
    }
    start_version(2, 0, 8, 0x32a71f0fbf);
    as.tdcs_pages = 9;
    platform_host_set_info(&as);
    struct tdx_init_fault f = init_module();
    assert_int_equal(f.err, ERR_UNSUPPORTED);
    assert_string_equal(
        f.what, "this module wants 9 control pages for a TD and 6 for a vCPU; at most 8 and 9 are provided for");
    assert_false(tdx_module.ready);
}

/* --- fields ------------------------------------------------------------------------------------------------------ */

static const struct {
    u64 id;
    const char *needed; /* NULL: it may be missing */
} fields[] = {
    {0x0800000100000004, "MAJOR_VERSION"},
    {0x0800000100000003, "MINOR_VERSION"},
    {0x0800000100000005, NULL},
    {0x8800000100000002, NULL},
    {0x8800000200000001, NULL},
    {0x0a00000300000008, NULL},
    {0x1900000300000000, "ATTRIBUTES_FIXED0"},
    {0x1900000300000001, "ATTRIBUTES_FIXED1"},
    {0x1900000300000002, "XFAM_FIXED0"},
    {0x1900000300000003, "XFAM_FIXED1"},
    {0x9800000100000100, "TDCS_BASE_SIZE"},
    {0x9800000100000200, "TDVPS_BASE_SIZE"},
    {0x9100000100000010, "PAMT_4K_ENTRY_SIZE"},
    {0x9100000100000011, "PAMT_2M_ENTRY_SIZE"},
    {0x9100000100000012, "PAMT_1G_ENTRY_SIZE"},
    {0x9100000100000009, "MAX_RESERVED_PER_TDMR"},
    {0x9100000100000008, "MAX_TDMRS"},
};

static void lose_field(u64 id)
{
    start_version(1, 5, 1, 0xf0fbf);
    as.absent_fields[0] = id;
    as.absent_count = 1;
    platform_host_set_info(&as);
}

static void a_field_that_is_missing_is_named_or_done_without(void **state)
{
    char name[96];
    for (unsigned i = 0; i < ARRAY_COUNT(fields); i++) {
        lose_field(fields[i].id);
        struct tdx_init_fault f = init_module();
        if (fields[i].needed == NULL) {
            assert_int_equal(f.err, ERR_OK);
            expect_whole_life();
            continue;
        }
        assert_int_equal(f.err, ERR_TDX);
        assert_true(f.status.raw == 0xc0000c0000000000ull);
        snprintf(name, sizeof(name), "the module lacks the metadata field %s, which Septum cannot do without",
                 fields[i].needed);
        assert_string_equal(f.what, name);
    }
    lose_field(0x0a00000300000008);
    assert_int_equal(init_module().err, ERR_OK);
    assert_true(tdx_module.features0 == 0);
    lose_field(0x9000000100000000); /* NUM_CMRS */
    struct tdx_init_fault f = init_module();
    assert_int_equal(f.err, ERR_TDX);
    assert_string_equal(f.what, "the module lacks the metadata field NUM_CMRS, which Septum cannot do without");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_published_version_runs_a_td),
        cmocka_unit_test(generation_1_0_is_refused_in_words),
        cmocka_unit_test(control_pages_are_those_that_the_module_wants),
        cmocka_unit_test(a_field_that_is_missing_is_named_or_done_without),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
