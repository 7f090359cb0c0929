/*
 * Completion statuses: the table knows every one that a genuine module 1.5.01 was seen to give, with its name, and its
 * verdicts follow the rules of tdx/status.h. Numbers here are typed from recorded answers, not taken from the table.
 */
#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>

#include "tdx/count.h"
#include "tdx/retry.h"
#include "tdx/status.h"

static const struct {
    u32 code;
    const char *name;
} recorded[] = {
    {0x00000000, "TDX_SUCCESS"},
    {0x00000821, "TDX_NO_HKID_READY_TO_WBCACHE"},
    {0x00000a03, "TDX_TDMR_ALREADY_INITIALIZED"},
    {0x00000b07, "TDX_GPA_RANGE_ALREADY_BLOCKED"},
    {0x00000b0a, "TDX_PAGE_ALREADY_ACCEPTED"},
    {0x00000c0b, "TDX_METADATA_FIRST_FIELD_ID_IN_CONTEXT"},
    {0x80000003, "TDX_INTERRUPTED_RESUMABLE"},
    {0x80000004, "TDX_INTERRUPTED_RESTARTABLE"},
    {0x80000200, "TDX_OPERAND_BUSY"},
    {0x80000201, "TDX_PREVIOUS_TLB_EPOCH_BUSY"},
    {0x80000203, "TDX_RND_NO_ENTROPY"},
    {0x80000701, "TDX_VCPU_ASSOCIATED"},
    {0x80000702, "TDX_VCPU_NOT_ASSOCIATED"},
    {0x80000800, "TDX_KEY_GENERATION_FAILED"},
    {0x80000810, "TDX_TD_KEYS_NOT_CONFIGURED"},
    {0x80000817, "TDX_WBCACHE_NOT_COMPLETE"},
    {0x80000824, "TDX_FLUSHVP_NOT_DONE"},
    {0xc0000100, "TDX_OPERAND_INVALID"},
    {0xc0000101, "TDX_OPERAND_ADDR_RANGE_ERROR"},
    {0xc0000300, "TDX_PAGE_METADATA_INCORRECT"},
    {0xc0000400, "TDX_TD_ASSOCIATED_PAGES_EXIST"},
    {0xc0000500, "TDX_SYS_INIT_NOT_PENDING"},
    {0xc0000503, "TDX_SYS_LP_INIT_DONE"},
    {0xc0000505, "TDX_SYS_NOT_READY"},
    {0xc0000506, "TDX_SYS_SHUTDOWN"},
    {0xc0000507, "TDX_SYS_KEY_CONFIG_NOT_PENDING"},
    {0xc000050b, "TDX_SYS_LP_INIT_NOT_PENDING"},
    {0xc000050c, "TDX_SYS_CONFIG_NOT_PENDING"},
    {0xc0000606, "TDX_TDCS_NOT_ALLOCATED"},
    {0xc0000607, "TDX_LIFECYCLE_STATE_INCORRECT"},
    {0xc0000608, "TDX_OP_STATE_INCORRECT"},
    {0xc0000609, "TDX_NO_VCPUS"},
    {0xc0000610, "TDX_TDCX_NUM_INCORRECT"},
    {0xc0000700, "TDX_VCPU_STATE_INCORRECT"},
    {0xc0000704, "TDX_NO_VALID_VE_INFO"},
    {0xc0000730, "TDX_TD_VMCS_FIELD_NOT_INITIALIZED"},
    {0xc0000820, "TDX_HKID_NOT_FREE"},
    {0xc0000823, "TDX_WBCACHE_RESUME_ERROR"},
    {0xc0000a00, "TDX_INVALID_TDMR"},
    {0xc0000a01, "TDX_NON_ORDERED_TDMR"},
    {0xc0000a02, "TDX_TDMR_OUTSIDE_CMRS"},
    {0xc0000a10, "TDX_INVALID_PAMT"},
    {0xc0000a11, "TDX_PAMT_OUTSIDE_CMRS"},
    {0xc0000a12, "TDX_PAMT_OVERLAP"},
    {0xc0000b00, "TDX_EPT_WALK_FAILED"},
    {0xc0000b03, "TDX_EPT_ENTRY_NOT_PRESENT"},
    {0xc0000b06, "TDX_GPA_RANGE_NOT_BLOCKED"},
    {0xc0000b08, "TDX_TLB_TRACKING_NOT_DONE"},
    {0xc0000b09, "TDX_EPT_INVALID_PROMOTE_CONDITIONS"},
    {0xc0000b0b, "TDX_PAGE_SIZE_MISMATCH"},
    {0xc0000b0d, "TDX_EPT_ENTRY_STATE_INCORRECT"},
    {0xc0000b0e, "TDX_EPT_PAGE_NOT_FREE"},
    {0xc0000c00, "TDX_METADATA_FIELD_ID_INCORRECT"},
    {0xc0000c01, "TDX_METADATA_FIELD_NOT_WRITABLE"},
    {0xc0000c02, "TDX_METADATA_FIELD_NOT_READABLE"},
    {0xc0000c03, "TDX_METADATA_FIELD_VALUE_NOT_VALID"},
    {0xc0000c0a, "TDX_METADATA_WR_MASK_NOT_VALID"},
    {0xe0000604, "TDX_TD_FATAL"},
    {0x40000001, "TDX_NON_RECOVERABLE_VCPU"},
    {0x60000002, "TDX_NON_RECOVERABLE_TD"},
    {0x60000005, "TDX_NON_RECOVERABLE_TD_NON_ACCESSIBLE"},
    {0xe0000007, "TDX_NON_RECOVERABLE_TD_WRONG_APIC_MODE"},
    {0x90000205, "TDX_HOST_PRIORITY_BUSY_TIMEOUT"},
};

static tdx_status_t status(u32 code, u32 details)
{
    return (tdx_status_t){(u64)code << 32 | details};
}

static void every_recorded_status_is_known(void **state)
{
    for (unsigned i = 0; i < ARRAY_COUNT(recorded); i++) {
        assert_string_equal(tdx_status_name(status(recorded[i].code, 0)), recorded[i].name);
        assert_int_not_equal(tdx_verdict(status(recorded[i].code, 0)), TDX_UNKNOWN);
    }
    assert_int_equal(tdx_verdict(status(0x12345678, 0)), TDX_UNKNOWN);
    assert_string_equal(tdx_status_name(status(0x12345678, 0)), "TDX_STATUS_UNKNOWN");
}

/* Neither bit 63 nor bit 62 decides; details never do. */
static void verdicts(void **state)
{
    static const struct {
        u32 code;
        enum tdx_verdict verdict;
    } expected[] = {
        {0x00000000, TDX_DONE},
        {0x00000b07, TDX_DONE},
        {0x00000815, TDX_DONE},
        {0x00000821, TDX_DONE},
        {0x00000a03, TDX_DONE},
        {0x00000c0b, TDX_DONE},
        {0x80000200, TDX_REPEAT},
        {0x80000003, TDX_REPEAT},
        {0x80000004, TDX_REPEAT},
        {0x80000203, TDX_REPEAT},
        {0x80000800, TDX_REPEAT},
        {0x80000202, TDX_REPEAT},
        {0x80000201, TDX_AFTER_OTHER_STEP},
        {0xc0000b08, TDX_AFTER_OTHER_STEP},
        {0xc0000b06, TDX_AFTER_OTHER_STEP},
        {0x80000824, TDX_AFTER_OTHER_STEP},
        {0x80000817, TDX_AFTER_OTHER_STEP},
        {0x80000701, TDX_AFTER_OTHER_STEP},
        {0xc0000100, TDX_REFUSED},
        {0xc0000b09, TDX_REFUSED},
        {0xc0000b00, TDX_REFUSED},
        {0xc0000300, TDX_REFUSED},
        {0xc0000608, TDX_REFUSED},
        {0xc000ff00, TDX_REFUSED},
        {0x40000001, TDX_VCPU_DEAD},
        {0x60000002, TDX_TD_DEAD},
        {0x60000005, TDX_TD_DEAD},
        {0xe0000007, TDX_TD_DEAD},
        {0xe0000604, TDX_TD_DEAD},
        {0x6000000a, TDX_TD_DEAD},
    };
    for (unsigned i = 0; i < ARRAY_COUNT(expected); i++) {
        assert_int_equal(tdx_verdict(status(expected[i].code, 0)), expected[i].verdict);
        assert_int_equal(tdx_verdict(status(expected[i].code, 0x92)), expected[i].verdict);
    }
}

/* The counts that the module's list of 165 statuses comes to. */
static void census_of_the_table(void **state)
{
    static const u32 codes[] = {
#define X(code, name, verdict, details) code,
        TDX_STATUS_LIST(X)
#undef X
    };
    unsigned fine_but_not_zero = 0, clear_but_dead = 0;
    for (unsigned i = 0; i < ARRAY_COUNT(codes); i++) {
        enum tdx_verdict v = tdx_verdict(status(codes[i], 0));
        fine_but_not_zero += codes[i] && v == TDX_DONE;
        clear_but_dead += !(codes[i] & 0x80000000) && (v == TDX_VCPU_DEAD || v == TDX_TD_DEAD);
        for (unsigned j = 0; j < i; j++)
            assert_int_not_equal(codes[i], codes[j]);
        if (v == TDX_DONE)
            assert_false(codes[i] & 0x80000000);
    }
    assert_int_equal(ARRAY_COUNT(codes), 165);
    assert_int_equal(fine_but_not_zero, 16);
    assert_int_equal(clear_but_dead, 4);
}

static void operands(void **state)
{
    assert_string_equal(tdx_operand_name(status(0x80000200, 0x92)), "SEPT_TREE");
    assert_string_equal(tdx_operand_name(status(0x80000200, 0xa9)), "TD_EPOCH");
    assert_string_equal(tdx_operand_name(status(0xc0000100, 0)), "RAX");
    assert_string_equal(tdx_operand_name(status(0xc0000100, 0x43)), "EPTP_CONTROLS");
    assert_string_equal(tdx_operand_name(status(0xc0000b08, 1)), "RCX");
    assert_string_equal(tdx_operand_name(status(0xc0000b0b, 1)), "");       /* a level */
    assert_string_equal(tdx_operand_name(status(0x40000001, 2)), "");       /* an exit reason */
    assert_string_equal(tdx_operand_name(status(0xc0000608, 0)), "");       /* nothing */
    assert_string_equal(tdx_operand_name(status(0xc0000a12, 0x10000)), ""); /* packed TDMR numbers */
    assert_string_equal(tdx_operand_name(status(0xc0000100, 0x7777)), "");  /* no such operand */
}

static void counters(void **state)
{
    tdx_counts_reset();
    tdx_count_call(6, status(0, 0));
    tdx_count_call(6, status(0x80000200, 1));
    tdx_count_call(6, status(0x80000200, 0x92));
    tdx_count_call(38, status(0x80000201, 0));
    tdx_count_exit(48);
    assert_int_equal(tdx_counts.leaf[6], 3);
    assert_int_equal(tdx_counts_seamcalls(), 4);
    assert_int_equal(tdx_counts.status[0].code, 0x80000200);
    assert_int_equal(tdx_counts.status[0].count, 2);
    assert_int_equal(tdx_counts.status[1].code, 0x80000201);
    assert_int_equal(tdx_counts.exits[48], 1);
    for (u32 code = 1; code <= 2 * TDX_STATUS_KINDS_MAX; code++)
        tdx_count_call(0, status(code, 0));
    u64 sum = 0;
    for (unsigned i = 0; i < TDX_STATUS_KINDS_MAX; i++)
        sum += tdx_counts.status[i].count;
    assert_int_equal(sum, 3 + 2 * TDX_STATUS_KINDS_MAX);
    tdx_count_exit(~0u);
    tdx_count_call(1000, status(0, 0));
    tdx_counts_reset();
    assert_int_equal(tdx_counts_seamcalls(), 0);
}

/* Each kind of REPEAT has its bound; what is no REPEAT is not repeated at all. */
static void repetition_is_bounded_and_counted(void **state)
{
    static const struct {
        u32 code;
        unsigned repeated;
    } kinds[] = {{0x80000200, 512},  {0x80000202, 512}, {0x80000204, 512}, {0x80000003, 4096},
                 {0x80000004, 4096}, {0x80000203, 64},  {0x80000800, 64},  {0, 0},
                 {0xc0000100, 0},    {0x80000201, 0},   {0x40000001, 0},   {0x12345678, 0}};
    for (unsigned i = 0; i < ARRAY_COUNT(kinds); i++) {
        struct tdx_retry retry = tdx_retry(TDH_MEM_PAGE_AUG, 0x1000);
        unsigned repeated = 0;
        tdx_counts_reset();
        while (tdx_again(&retry, status(kinds[i].code, 1)))
            repeated++;
        assert_int_equal(repeated, kinds[i].repeated);
        assert_int_equal(tdx_counts.retries, kinds[i].repeated);
    }
}

static void leaf_names(void **state)
{
    assert_string_equal(tdx_leaf_name(0), "TDH.VP.ENTER");
    assert_string_equal(tdx_leaf_name(23), "TDH.MEM.PAGE.PROMOTE");
    assert_string_equal(tdx_leaf_name(45), "TDH.SYS.CONFIG");
    assert_null(tdx_leaf_name(42));
    assert_null(tdx_leaf_name(63));
    assert_null(tdx_leaf_name(~0u));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_recorded_status_is_known),
        cmocka_unit_test(verdicts),
        cmocka_unit_test(census_of_the_table),
        cmocka_unit_test(operands),
        cmocka_unit_test(counters),
        cmocka_unit_test(leaf_names),
        cmocka_unit_test(repetition_is_bounded_and_counted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
