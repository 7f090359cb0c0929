/*
 * Every kind of page, good and bad, as the page operand of every leaf that takes one: the status with its operand
 * against a table typed by hand from the ABI specification, and PAMT as TDH.PHYMEM.PAGE.RDMD shows it.
 */
#include "tests/unit/module_world.h"
#include "sim/module/pamt.h"

enum { W_WBINVD = 41 };

#define INVALID  0xc000010000000000ull /* OPERAND_INVALID */
#define RANGE    0xc000010100000000ull /* OPERAND_ADDR_RANGE_ERROR */
#define BUSY     0x8000020000000000ull /* OPERAND_BUSY */
#define METADATA 0xc000030000000000ull /* PAGE_METADATA_INCORRECT */
#define OP_RCX   1
#define OP_R8    8

#define FREE_PAGE (W_TDMR + 0x700000)
#define GPA_4K    0x1000ull   /* PENDING */
#define GPA_2M    0x200000ull /* PENDING, 2M */
#define GPA_FREE  0x2000ull

/* Kinds of page, and what a leaf that wants a free one says to them (operand to be added). */
static const struct kind {
    const char *name;
    u64 hpa, as_free;
    unsigned type, level; /* as RDMD shows them; type 99: RDMD refuses */
} kinds[] = {
    {"free page", FREE_PAGE, 0, 0, 0},
    {"TDR", W_TDR, METADATA, 4, 0},
    {"TDCX of the TDCS", W_TDCX, METADATA, 5, 0},
    {"TDVPR", W_TDVPR, METADATA, 6, 0},
    {"TDCX of the TDVPS", W_TDVPR + 0x1000, METADATA, 5, 0},
    {"S-EPT page", W_POOL + 0x1000, METADATA, 8, 0},
    {"4K page of the TD", W_PAGES, METADATA, 3, 0},
    {"inside a 2M page of the TD", W_LARGE + 0x5000, METADATA, 3, 1},
    {"reserved area", W_RESERVED, METADATA, 1, 0},
    {"uninitialised GiB", W_TDMR + W_READY, RANGE, 99, 0},
    {"outside TDMRs", 0x2000000, RANGE, 99, 0},
    {"not aligned", FREE_PAGE + 0x800, INVALID, 99, 0},
    {"with a KeyID", FREE_PAGE | 33ull << 46, INVALID, 99, 0},
    {"beyond MAXPA", FREE_PAGE | 1ull << 52, INVALID, 99, 0},
};
#define KINDS (sizeof(kinds) / sizeof(kinds[0]))

/* A leaf with its other operands right. X stands for the page. */
#define X 0xdeadull
struct use {
    const char *name;
    unsigned leaf, operand;
    u64 rcx, rdx, r8, r9;
    bool locks_tdr; /* so that the TDR as the page is busy, not wrong */
};
static const struct use uses[] = {
    {"MNG.CREATE", W_MNG_CREATE, OP_RCX, X, 34, 0, 0, false},
    {"MNG.ADDCX", W_MNG_ADDCX, OP_RCX, X, W_TDR, 0, 0, true},
    {"VP.CREATE", W_VP_CREATE, OP_RCX, X, W_TDR, 0, 0, true},
    {"PAGE.ADD", W_PAGE_ADD, OP_R8, GPA_FREE, W_TDR, X, W_TABLES, true},
    {"SEPT.ADD", W_SEPT_ADD, OP_R8, 0x400001, W_TDR, X, 0, true},
    {"PAGE.AUG", W_AUG, OP_R8, GPA_FREE, W_TDR, X, 0, true},
    {"PAGE.RELOCATE", W_RELOCATE, OP_R8, GPA_4K, W_TDR, X, 0, true},
    {"PAGE.DEMOTE", W_DEMOTE, OP_R8, GPA_2M | 1, W_TDR, X, 0, true},
    {"PAGE.WBINVD", W_WBINVD, OP_RCX, X, 0, 0, 0, false},
};
#define USES (sizeof(uses) / sizeof(uses[0]))

static void world(void)
{
    w_system();
    w_td();
    for (unsigned level = 2; level > 0; level--)
        w_ok(W_SEPT_ADD, level, W_TDR, w_pool(), 0);
    w_ok(W_AUG, GPA_4K, W_TDR, W_PAGES, 0);
    w_ok(W_AUG, GPA_2M | 1, W_TDR, W_LARGE, 0);
}

static u64 with_page(u64 operand, u64 hpa)
{
    return operand == X ? hpa : operand;
}

static u64 expected(const struct use *use, const struct kind *kind)
{
    u64 status = kind->as_free;
    if (use->leaf == W_WBINVD && kind->hpa >> 46 && kind->hpa >> 52 == 0)
        return 0; /* takes a page with any KeyID */
    if (kind->hpa == W_TDR && use->locks_tdr)
        status = BUSY;
    if (use->leaf == W_RELOCATE && kind->hpa == W_PAGES)
        status = INVALID; /* the page itself */
    if (use->leaf == W_MNG_ADDCX && status == 0)
        return 0xc000060800000000ull; /* OP_STATE_INCORRECT: the TD is initialised */
    return status ? status | use->operand : 0;
}

static void test_page_operands(void **unused)
{
    (void)unused;
    for (unsigned i = 0; i < USES; i++) {
        for (unsigned j = 0; j < KINDS; j++) {
            const struct use *use = &uses[i];
            world();
            u64 hpa = kinds[j].hpa, want = expected(use, &kinds[j]);
            u64 got = w_call(use->leaf, with_page(use->rcx, hpa), use->rdx, with_page(use->r8, hpa), use->r9).status;
            if (got != want)
                fail_msg("%s of a page that is %s: %llx, wanted %llx", use->name, kinds[j].name,
                         (unsigned long long)got, (unsigned long long)want);
        }
    }
}

static void test_rdmd(void **unused)
{
    (void)unused;
    world();
    for (unsigned j = 0; j < KINDS; j++) {
        struct w_result r = w_call(W_RDMD, kinds[j].hpa, 0, 0, 0);
        if (kinds[j].type == 99) {
            assert_int_equal(r.status, kinds[j].as_free | OP_RCX);
            continue;
        }
        assert_int_equal(r.status, 0);
        assert_int_equal(r.rcx, kinds[j].type);
        assert_int_equal(r.r8, kinds[j].level);
        bool owned = kinds[j].type > 4 || kinds[j].type == 3;
        assert_int_equal(r.rdx, owned ? W_TDR : 0);
    }
}

/* RECLAIM tells what the page is, then refuses while the TD lives; what is not in use it refuses at once. */
static void test_reclaim_too_early(void **unused)
{
    (void)unused;
    world();
    for (unsigned j = 0; j < KINDS; j++) {
        struct w_result r = w_call(W_RECLAIM, kinds[j].hpa, 0, 0, 0);
        u64 want = 0xc000060700000000ull; /* LIFECYCLE_STATE_INCORRECT */
        if (kinds[j].type == 99)
            want = kinds[j].as_free | OP_RCX;
        else if (kinds[j].type < 3)
            want = METADATA | OP_RCX;
        else if (kinds[j].level)
            want = INVALID | OP_RCX; /* not the large page's base */
        if (r.status != want)
            fail_msg("%s: %llx, wanted %llx", kinds[j].name, (unsigned long long)r.status, (unsigned long long)want);
        assert_int_equal(r.rcx, kinds[j].type >= 3 && kinds[j].type != 99 ? kinds[j].type : 0);
    }
}

/* A 2M range must be free throughout, aligned, and without the TDR, which the call itself holds. */
static void test_large_page_operand(void **unused)
{
    (void)unused;
    static const struct {
        u64 hpa, want;
    } cases[] = {
        {W_LARGE + 0x200000, 0},
        {W_LARGE + 0x200000 + 0x1000, INVALID | OP_R8},
        {W_LARGE, METADATA | OP_R8},
        {W_PAGES, METADATA | OP_R8},
        {W_TDMR, BUSY | OP_R8},
        {W_RESERVED, METADATA | OP_R8},
        {W_TDMR + W_READY, RANGE | OP_R8},
    };
    for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        world();
        assert_int_equal(w_call(W_AUG, 0x600001, W_TDR, cases[i].hpa, 0).status, cases[i].want);
    }
}

/* While a call has a page's entry for itself, at whatever size, the guard has to keep the VMM away; a shared lock says nothing. */
static void test_page_of_a_running_call(void **unused)
{
    enum { EXCLUSIVE = 1, SHARER = 4 };
    (void)unused;
    world();
    const struct seam_lp lp = {.index = 1};
    struct pamt_path path;
    assert_true(pamt_find(FREE_PAGE, &path));
    for (unsigned level = 0; level < 3; level++) {
        assert_false(module_uses_page(FREE_PAGE));
        path.at[level]->lock = SHARER;
        assert_false(module_uses_page(FREE_PAGE));
        path.at[level]->lock = EXCLUSIVE;
        assert_true(module_uses_page(FREE_PAGE));
        assert_ptr_equal(mdl_shared_pointer(&lp, FREE_PAGE),
                         plat_page(FREE_PAGE)); /* the call itself may read it: in-place ADD */
        path.at[level]->lock = 0;
    }
    assert_true(module_uses_page(W_PAGES));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_page_operands),          cmocka_unit_test(test_rdmd),
        cmocka_unit_test(test_reclaim_too_early),      cmocka_unit_test(test_large_page_operand),
        cmocka_unit_test(test_page_of_a_running_call),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
