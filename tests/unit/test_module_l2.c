/*
 * Secure EPT pages of L2 VMs in the module model: TDH.MEM.SEPT.ADD and REMOVE version 1, DEMOTE and PROMOTE in a TD
 * with one L2 VM. Statuses are typed from the ABI specification; no record shows them.
 */
#include <stddef.h>
#include <stdint.h>

#include "tests/unit/module_world.h"

#define VERSION_1      (1ull << 16)
#define NONE           (~0ull)
#define NOT_USED       (1ull << 63)
#define INVALID        0xc000010000000000ull
#define BAD_PAGE       0xc000030000000000ull
#define WALK_FAILED    0xc0000b0f00000000ull /* L2_SEPT_WALK_FAILED */
#define NOT_FREE       0xc0000b1000000000ull /* L2_SEPT_ENTRY_NOT_FREE */
#define VM_1           0x10000ull
#define ALLOW_EXISTING 1ull
#define SPARSE         1ull
#define PT_FREE_PAGE   0
#define PT_SEPT_PAGE   8
#define FREE_L2_STATE  (64ull << 8)
#define TABLE_L2_STATE (196ull << 8)
#define IN_R9          9u
#define IN_R10         10u

struct regs {
    u64 status, rcx, rdx, r8, r9, r10, r11;
};

static struct regs call(u64 leaf, u64 rcx, u64 rdx, u64 r8, u64 r9, u64 r10, u64 r11)
{
    u64 *gpr = platform_host_lps[0].vmm;
    gpr[R10] = r10;
    gpr[R11] = r11;
    struct w_result r = w_call((unsigned)leaf, rcx, rdx, r8, r9);
    return (struct regs){r.status, r.rcx, r.rdx, r.r8, r.r9, gpr[R10], gpr[R11]};
}

static u64 type_of(u64 hpa)
{
    return w_call(W_RDMD, hpa, 0, 0, 0).rcx;
}

/* A TD with one L2 VM, not finalised, without Secure EPT pages but the roots. */
static void world(void)
{
    w_system();
    w_ok(W_MNG_CREATE, W_TDR, W_HKID, 0, 0);
    w_ok(W_MNG_KEY_CONFIG, W_TDR, 0, 0, 0);
    for (unsigned i = 0; i < 7; i++)
        w_ok(W_MNG_ADDCX, W_TDCX + i * 0x1000, W_TDR, 0, 0);
    u64 *params = w_memory(W_TABLES + 0x1000);
    memset(params, 0, 1024);
    params[1] = 3;
    params[2] = 1 | 1 << 16; /* MAX_VCPUS, NUM_L2_VMS */
    params[3] = 0x1e;
    params[5] = 40;
    w_ok(W_MNG_INIT, W_TDR, W_TABLES + 0x1000, 0, 0);
}

/* Tables for both trees down to `level`. */
static void tables(unsigned level)
{
    for (unsigned at = 3; at >= level; at--) {
        struct regs r = call(W_SEPT_ADD | VERSION_1, at, W_TDR, w_pool(), w_pool(), NONE, NONE);
        assert_int_equal(r.status, 0);
        assert_true(r.r8 == NONE && r.r9 == NONE);
    }
}

static void test_add(void **state)
{
    world();
    u64 l1 = w_pool(), l2 = w_pool();
    struct regs r = call(W_SEPT_ADD | VERSION_1, 3, W_TDR, l1, NONE, l2, NONE);
    assert_int_equal(r.status, INVALID | IN_R10); /* VM 2 does not exist */
    assert_true(r.r8 == l1 && r.r9 == NONE && r.r10 == l2);
    assert_int_equal(call(W_SEPT_ADD | VERSION_1, 3, W_TDR, l1, W_TDCX, NONE, NONE).status, BAD_PAGE | IN_R9);
    r = call(W_SEPT_ADD | VERSION_1, 3, W_TDR, l1, NONE, NONE, NONE);
    assert_int_equal(r.status, 0);
    assert_int_equal(type_of(l1), PT_SEPT_PAGE);

    /* Below it the L2 tree has no table: the walk stops at the root's free entry. */
    r = call(W_SEPT_ADD | VERSION_1, 2, W_TDR, w_pool(), l2, NONE, NONE);
    assert_int_equal(r.status, WALK_FAILED | VM_1 | 3);
    assert_int_equal(r.rcx, 1ull << 63);
    assert_int_equal(r.rdx, VM_1 | FREE_L2_STATE | 3);

    /* The L1 table is there already: the flag allows that, and the page for it is not used. */
    r = call(W_SEPT_ADD | VERSION_1, 3, W_TDR | ALLOW_EXISTING, w_pool(), l2, NONE, NONE);
    assert_int_equal(r.status, 0);
    assert_true(r.r8 & NOT_USED && r.r9 == NONE);
    assert_int_equal(type_of(l2), PT_SEPT_PAGE);
    u64 other = w_pool();
    r = call(W_SEPT_ADD | VERSION_1, 3, W_TDR | ALLOW_EXISTING, NONE, other, NONE, NONE);
    assert_int_equal(r.status, 0);
    assert_int_equal(r.r9, other | NOT_USED);
    r = call(W_SEPT_ADD | VERSION_1, 3, W_TDR, NONE, other, NONE, NONE);
    assert_int_equal(r.status, NOT_FREE | VM_1 | 3);
    assert_int_equal(r.rcx, 0x407);
    assert_int_equal(r.rdx, VM_1 | TABLE_L2_STATE | 3);
}

/* The table of the L2 VM goes with that of the L1; version 0 does not say which it was. */
static void test_remove(void **state)
{
    for (unsigned version = 0; version < 2; version++) {
        world();
        tables(2);
        u64 l1 = w_pool(), l2 = w_pool();
        assert_int_equal(call(W_SEPT_ADD | VERSION_1, 1, W_TDR, l1, l2, NONE, NONE).status, 0);
        w_ok(W_BLOCK, 1, W_TDR, 0, 0);
        struct regs r = call(W_SEPT_REMOVE | version * VERSION_1, 1, W_TDR, 0, 5, 5, 5);
        assert_int_equal(r.status, 0);
        assert_int_equal(r.rcx, l1);
        assert_true(r.r9 == (version ? l2 : 5) && r.r10 == (version ? NONE : 5));
        assert_int_equal(type_of(l1), PT_FREE_PAGE);
        assert_int_equal(type_of(l2), PT_FREE_PAGE);
        assert_int_equal(call(W_SEPT_ADD | VERSION_1, 1, W_TDR, l1, l2, NONE, NONE).status, 0);
    }
}

/* DEMOTE adds a table for each VM whose page is named; with the flag only for VMs that alias the page. */
static void test_demote_and_promote(void **state)
{
    world();
    tables(2);
    w_ok(W_AUG, 1, W_TDR, W_LARGE, 0);
    u64 l1 = w_pool(), l2 = w_pool();
    assert_int_equal(call(W_DEMOTE, 1, W_TDR, l1, 0x123, NONE, NONE).status, INVALID | IN_R9);
    struct regs r = call(W_DEMOTE, 1, W_TDR, l1, l2, 0x123, NONE);
    assert_int_equal(r.status, 0);
    assert_true(r.r9 == l2 && r.r10 == 0x123);
    assert_int_equal(type_of(l2), PT_SEPT_PAGE);
    r = call(W_PROMOTE | VERSION_1, 1, W_TDR, 0, 0, 0, 0);
    assert_int_equal(r.status, 0);
    assert_true(r.rcx == l1 && r.r9 == l2 && r.r10 == NONE);
    assert_int_equal(type_of(l2), PT_FREE_PAGE);
    r = call(W_DEMOTE, 1, W_TDR | SPARSE, l1, l2, NONE, NONE);
    assert_int_equal(r.status, 0);
    assert_int_equal(r.r9, l2 | NOT_USED);
    assert_int_equal(type_of(l2), PT_FREE_PAGE);
}

static void test_demote_without_tables(void **state)
{
    world();
    for (unsigned at = 3; at >= 2; at--)
        w_ok(W_SEPT_ADD, at, W_TDR, w_pool(), 0);
    w_ok(W_AUG, 1, W_TDR, W_LARGE, 0);
    struct regs r = call(W_DEMOTE, 1, W_TDR, w_pool(), w_pool(), NONE, NONE);
    assert_int_equal(r.status, WALK_FAILED | VM_1 | 3);
    assert_int_equal(r.rdx, VM_1 | FREE_L2_STATE | 3);
    assert_int_equal(call(W_DEMOTE, 1, W_TDR, w_pool(), NONE, NONE, NONE).status, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_add),
        cmocka_unit_test(test_remove),
        cmocka_unit_test(test_demote_and_promote),
        cmocka_unit_test(test_demote_without_tables),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
