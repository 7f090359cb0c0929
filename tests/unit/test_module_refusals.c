/*
 * Rules of the module model's host side that no record shows: leafs of migration and service TDs in a TD that has
 * neither, module update, and flags of TDH.VP.ENTER. Statuses are typed from the ABI specification; the order of checks
 * is that of the module's public source.
 */
#include <stddef.h>
#include <stdint.h>

#include "tests/unit/module_world.h"

#define INVALID                 0xc000010000000000ull
#define BAD_PAGE                0xc000030000000000ull
#define KEYS_NOT_CONFIGURED     0x8000081000000000ull
#define OP_STATE_INCORRECT      0xc000060800000000ull
#define EPT_STATE_INCORRECT_RCX 0xc0000b0d00000001ull
#define TD_NOT_MIGRATABLE       0xc0000e0900000000ull
#define MIN_MIGS_NOT_CREATED    0xc0000e1400000000ull
#define SYS_STATE_INCORRECT     0xc000050800000000ull
#define SYS_INVALID_HANDOFF     0xc000050900000000ull
#define SYS_NOT_READY           0xc000050500000000ull
#define MARK                    0x5a5a5a5a5a5a5000ull
#define IN_RCX                  1u
#define IN_RDX                  2u
#define IN_R8                   8u
#define IN_R9                   9u

/* Where each leaf takes the TD from, and which of RCX and RDX it clears. */
static const struct {
    unsigned leaf, td;
    bool vcpu, clears_rcx, clears_rdx;
    u64 status[3]; /* in a TD before MNG.INIT, before MR.FINALIZE, and runnable */
} leafs[] = {
    {64, IN_RCX, false, false, false, {OP_STATE_INCORRECT, OP_STATE_INCORRECT, OP_STATE_INCORRECT}},
    {65, IN_RDX, false, false, false, {OP_STATE_INCORRECT, OP_STATE_INCORRECT, OP_STATE_INCORRECT}},
    {66, IN_RDX, false, false, false, {OP_STATE_INCORRECT, OP_STATE_INCORRECT, INVALID | IN_RCX}},
    {68, IN_RDX, false, false, false, {OP_STATE_INCORRECT, OP_STATE_INCORRECT, OP_STATE_INCORRECT}},
    {70, IN_RCX, false, false, false, {OP_STATE_INCORRECT, OP_STATE_INCORRECT, OP_STATE_INCORRECT}},
    {71, IN_RCX, false, false, false, {OP_STATE_INCORRECT, OP_STATE_INCORRECT, OP_STATE_INCORRECT}},
    {72, IN_RCX, false, false, true, {OP_STATE_INCORRECT, OP_STATE_INCORRECT, TD_NOT_MIGRATABLE}},
    {73, IN_RCX, false, false, true, {OP_STATE_INCORRECT, OP_STATE_INCORRECT, OP_STATE_INCORRECT}},
    {74, IN_RCX, true, false, true, {BAD_PAGE | IN_RCX, OP_STATE_INCORRECT, OP_STATE_INCORRECT}},
    {75, IN_RDX, false, true, true, {OP_STATE_INCORRECT, OP_STATE_INCORRECT, INVALID | IN_RCX}},
    {80, IN_RCX, false, false, false, {OP_STATE_INCORRECT, OP_STATE_INCORRECT, OP_STATE_INCORRECT}},
    {81, IN_RCX, false, false, false, {OP_STATE_INCORRECT, OP_STATE_INCORRECT, OP_STATE_INCORRECT}},
    {82, IN_RCX, false, false, false, {OP_STATE_INCORRECT, OP_STATE_INCORRECT, OP_STATE_INCORRECT}},
    {83, IN_RDX, false, false, false, {OP_STATE_INCORRECT, OP_STATE_INCORRECT, OP_STATE_INCORRECT}},
    {84, IN_RCX, false, false, false, {OP_STATE_INCORRECT, OP_STATE_INCORRECT, OP_STATE_INCORRECT}},
    {85, IN_RCX, false, true, true, {MIN_MIGS_NOT_CREATED, OP_STATE_INCORRECT, OP_STATE_INCORRECT}},
    {86, IN_RCX, false, true, true, {OP_STATE_INCORRECT, OP_STATE_INCORRECT, OP_STATE_INCORRECT}},
    {87, IN_RCX, true, true, true, {BAD_PAGE | IN_RCX, OP_STATE_INCORRECT, OP_STATE_INCORRECT}},
};

static void check_all(unsigned state)
{
    for (size_t i = 0; i < sizeof(leafs) / sizeof(leafs[0]); i++) {
        u64 td = leafs[i].vcpu ? W_TDVPR : W_TDR;
        u64 rcx = leafs[i].td == IN_RCX ? td : MARK | 3, rdx = leafs[i].td == IN_RDX ? td : MARK;
        struct w_result r = w_call(leafs[i].leaf, rcx, rdx, MARK, MARK);
        if (r.status != leafs[i].status[state])
            fail_msg("leaf %u in state %u: status %llx", leafs[i].leaf, state, (unsigned long long)r.status);
        assert_int_equal(r.rcx, leafs[i].clears_rcx ? 0 : rcx);
        assert_int_equal(r.rdx, leafs[i].clears_rdx ? 0 : rdx);
        assert_int_equal(r.r8, MARK);
        assert_int_equal(r.r9, MARK);
    }
}

static void create_td(void)
{
    w_ok(W_MNG_CREATE, W_TDR, W_HKID, 0, 0);
    w_ok(W_MNG_KEY_CONFIG, W_TDR, 0, 0, 0);
    for (unsigned i = 0; i < 6; i++)
        w_ok(W_MNG_ADDCX, W_TDCX + i * 0x1000, W_TDR, 0, 0);
}

static void test_migration_before_init(void **state)
{
    w_system();
    assert_int_equal(w_call(70, W_TDR, 0, 0, 0).status, BAD_PAGE | IN_RCX);
    create_td();
    check_all(0);
}

static void test_migration_while_built(void **state)
{
    w_system();
    w_td();
    check_all(1);
}

static void test_migration_once_runnable(void **state)
{
    w_system();
    w_td();
    w_ok(W_MR_FINALIZE, W_TDR, 0, 0, 0);
    check_all(2);
    w_ok(W_VP_FLUSH, W_TDVPR, 0, 0, 0);
    w_ok(W_VPFLUSHDONE, W_TDR, 0, 0, 0);
    assert_int_equal(w_call(70, W_TDR, 0, 0, 0).status, KEYS_NOT_CONFIGURED);
}

/* UNBLOCKW says what state the entry is in. */
static void test_unblockw(void **state)
{
    w_system();
    w_td();
    w_ok(W_MR_FINALIZE, W_TDR, 0, 0, 0);
    w_ok(W_SEPT_ADD, 2, W_TDR, w_pool(), 0);
    w_ok(W_SEPT_ADD, 1, W_TDR, w_pool(), 0);
    w_ok(W_AUG, 0, W_TDR, W_PAGES, 0);
    struct w_result r = w_call(75, 0, W_TDR, 0, 0);
    assert_int_equal(r.status, EPT_STATE_INCORRECT_RCX);
    assert_int_equal(r.rdx, 0x200); /* PENDING, 4K */
    assert_int_equal(w_call(75, 1, W_TDR, 0, 0).status, INVALID | IN_RCX);
}

/* A stream's page belongs to the TD like a TDCX page; import needs two streams. */
static void test_migration_streams(void **state)
{
    w_system();
    create_td();
    for (unsigned i = 0; i < 2; i++) {
        assert_int_equal(w_call(85, W_TDR, 0, 0, 0).status, MIN_MIGS_NOT_CREATED);
        u64 page = w_pool();
        w_ok(96, page, W_TDR, 0, 0);
        struct w_result r = w_call(W_RDMD, page, 0, 0, 0);
        assert_int_equal(r.rcx, 5);
        assert_int_equal(r.rdx, W_TDR);
        assert_int_equal(w_call(96, page, W_TDR, 0, 0).status, BAD_PAGE | IN_RCX);
    }
    assert_int_equal(w_call(85, W_TDR, 0, 0, 0).status, INVALID | 10);
}

static void test_service_td(void **state)
{
    w_system();
    w_td();
    struct w_result r = w_call(48, W_TDR, W_TDR, MARK, MARK);
    assert_int_equal(r.status, INVALID | IN_RDX);
    assert_int_equal(r.rcx, 0);
    assert_int_equal(w_call(48, W_TDR, W_PAGES, 0, 0).status, BAD_PAGE | IN_RDX);
    assert_int_equal(w_call(49, W_TDR, W_TABLES + 32, 0, 0).status, INVALID | IN_RDX);
    assert_int_equal(w_call(49, W_TDR, W_TABLES, 1, 0).status, INVALID | IN_R8);
    assert_int_equal(w_call(49, W_TDR, W_TABLES, 0, 1).status, INVALID | IN_R9);
    w_ok(W_MR_FINALIZE, W_TDR, 0, 0, 0);
    assert_int_equal(w_call(49, W_TDR, W_TABLES, 0, 0).status, OP_STATE_INCORRECT);
    assert_int_equal(w_call(48, W_PAGES, W_TDR, 0, 0).status, BAD_PAGE | IN_RCX);
}

static void test_module_update(void **state)
{
    struct plat_info info = *platform_host_default_info();
    info.lp_count = 1;
    platform_host_start(&info);
    assert_int_equal(w_call(53, 0, 0, 0, 0).status, SYS_STATE_INCORRECT);
    assert_int_equal(w_call(70, 0, 0, 0, 0).status, SYS_NOT_READY);
    w_ok(W_SYS_INIT, 0, 0, 0, 0);
    assert_int_equal(w_call(53, 0, 0, 0, 0).status, SYS_STATE_INCORRECT);
    w_ok(W_SYS_LP_INIT, 0, 0, 0, 0);
    assert_int_equal(w_call(53, 0, 0, 0, 0).status, SYS_INVALID_HANDOFF);
    w_system();
    assert_int_equal(w_call(53, 0, 0, 0, 0).status, SYS_STATE_INCORRECT);
}

/* The hint stands in bit 52 and is refused unless a TD exit made room for it; bits 11:0 and 63:54 are reserved. */
static void test_enter_flags(void **state)
{
    w_system();
    w_td();
    w_ok(W_MR_FINALIZE, W_TDR, 0, 0, 0);
    for (unsigned bit = 0; bit < 64; bit++)
        if (bit < 12 || bit >= 52)
            assert_int_equal(w_call(W_VP_ENTER, W_TDVPR | 1ull << bit, 0, 0, 0).status, INVALID | IN_RCX);
}

/* A list of fields for an address that is in range, and behind which there is no memory. */
static void test_rdall_without_memory(void **state)
{
    w_system();
    assert_int_equal(w_call(37, 0, 1ull << 44, ~0ull, 0).status, INVALID | IN_RDX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_migration_before_init),   cmocka_unit_test(test_migration_while_built),
        cmocka_unit_test(test_migration_once_runnable), cmocka_unit_test(test_unblockw),
        cmocka_unit_test(test_migration_streams),       cmocka_unit_test(test_service_td),
        cmocka_unit_test(test_module_update),           cmocka_unit_test(test_enter_flags),
        cmocka_unit_test(test_rdall_without_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
