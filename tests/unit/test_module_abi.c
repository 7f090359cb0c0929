/*
 * The model's ABI header (sim/module/abi.h) against genuine records: leaf numbers, statuses and operand ids by name;
 * and its metadata tables against every field id that the records read.
 */
#define _GNU_SOURCE /* getline */
#include "tests/unit/abi_records.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "sim/module/metadata.h"

/* clang-format off */
#define LEAVES(X) \
    X(TDH_VP_ENTER) X(TDH_MNG_ADDCX) X(TDH_MEM_PAGE_ADD) X(TDH_MEM_SEPT_ADD) X(TDH_VP_ADDCX) \
    X(TDH_MEM_PAGE_RELOCATE) X(TDH_MEM_PAGE_AUG) X(TDH_MEM_RANGE_BLOCK) X(TDH_MNG_KEY_CONFIG) X(TDH_MNG_CREATE) \
    X(TDH_VP_CREATE) X(TDH_MNG_RD) X(TDH_MEM_RD) X(TDH_MNG_WR) X(TDH_MEM_WR) X(TDH_MEM_PAGE_DEMOTE) \
    X(TDH_MR_EXTEND) X(TDH_MR_FINALIZE) X(TDH_VP_FLUSH) X(TDH_MNG_VPFLUSHDONE) X(TDH_MNG_KEY_FREEID) \
    X(TDH_MNG_INIT) X(TDH_VP_INIT) X(TDH_MEM_PAGE_PROMOTE) X(TDH_PHYMEM_PAGE_RDMD) X(TDH_MEM_SEPT_RD) \
    X(TDH_VP_RD) X(TDH_MNG_KEY_RECLAIMID) X(TDH_PHYMEM_PAGE_RECLAIM) X(TDH_MEM_PAGE_REMOVE) \
    X(TDH_MEM_SEPT_REMOVE) X(TDH_SYS_KEY_CONFIG) X(TDH_SYS_INFO) X(TDH_SYS_INIT) X(TDH_SYS_RD) \
    X(TDH_SYS_LP_INIT) X(TDH_SYS_TDMR_INIT) X(TDH_SYS_RDALL) X(TDH_MEM_TRACK) X(TDH_MEM_RANGE_UNBLOCK) \
    X(TDH_PHYMEM_CACHE_WB) X(TDH_PHYMEM_PAGE_WBINVD) X(TDH_VP_WR) X(TDH_SYS_LP_SHUTDOWN) X(TDH_SYS_CONFIG) \
    X(TDH_SERVTD_BIND) X(TDH_SERVTD_PREBIND) X(TDH_SYS_SHUTDOWN) X(TDH_SYS_UPDATE) X(TDG_VP_VMCALL) \
    X(TDG_VP_INFO) X(TDG_MR_RTMR_EXTEND) X(TDG_VP_VEINFO_GET) X(TDG_MR_REPORT) X(TDG_VP_CPUIDVE_SET) \
    X(TDG_MEM_PAGE_ACCEPT) X(TDG_VM_RD) X(TDG_VM_WR) X(TDG_VP_RD) X(TDG_VP_WR) X(TDG_SYS_RD) X(TDG_SYS_RDALL) \
    X(TDG_SERVTD_RD) X(TDG_SERVTD_WR) X(TDG_MR_VERIFYREPORT) X(TDG_MEM_PAGE_ATTR_RD) X(TDG_MEM_PAGE_ATTR_WR) \
    X(TDG_VP_ENTER) X(TDG_VP_INVEPT) X(TDG_VP_INVVPID)

#define STATUSES(X) \
    X(TDX_SUCCESS) X(TDX_NON_RECOVERABLE_VCPU) X(TDX_NON_RECOVERABLE_TD) X(TDX_INTERRUPTED_RESUMABLE) \
    X(TDX_INTERRUPTED_RESTARTABLE) X(TDX_NON_RECOVERABLE_TD_NON_ACCESSIBLE) X(TDX_INVALID_RESUMPTION) \
    X(TDX_NON_RECOVERABLE_TD_WRONG_APIC_MODE) X(TDX_OPERAND_INVALID) X(TDX_OPERAND_ADDR_RANGE_ERROR) \
    X(TDX_OPERAND_BUSY) X(TDX_PREVIOUS_TLB_EPOCH_BUSY) X(TDX_SYS_BUSY) X(TDX_RND_NO_ENTROPY) \
    X(TDX_OPERAND_BUSY_HOST_PRIORITY) X(TDX_HOST_PRIORITY_BUSY_TIMEOUT) X(TDX_PAGE_METADATA_INCORRECT) \
    X(TDX_TD_ASSOCIATED_PAGES_EXIST) X(TDX_SYS_INIT_NOT_PENDING) X(TDX_SYS_LP_INIT_NOT_DONE) \
    X(TDX_SYS_LP_INIT_DONE) X(TDX_SYS_NOT_READY) X(TDX_SYS_SHUTDOWN) X(TDX_SYS_KEY_CONFIG_NOT_PENDING) \
    X(TDX_SYS_STATE_INCORRECT) X(TDX_SYS_INVALID_HANDOFF) X(TDX_SYS_LP_INIT_NOT_PENDING) \
    X(TDX_SYS_CONFIG_NOT_PENDING) X(TDX_TD_FATAL) X(TDX_TD_NON_DEBUG) X(TDX_TDCS_NOT_ALLOCATED) \
    X(TDX_LIFECYCLE_STATE_INCORRECT) X(TDX_OP_STATE_INCORRECT) X(TDX_NO_VCPUS) X(TDX_TDCX_NUM_INCORRECT) \
    X(TDX_VCPU_STATE_INCORRECT) X(TDX_VCPU_ASSOCIATED) X(TDX_VCPU_NOT_ASSOCIATED) X(TDX_NO_VALID_VE_INFO) \
    X(TDX_MAX_VCPUS_EXCEEDED) X(TDX_TSC_ROLLBACK) X(TDX_TD_VMCS_FIELD_NOT_INITIALIZED) \
    X(TDX_KEY_GENERATION_FAILED) X(TDX_TD_KEYS_NOT_CONFIGURED) X(TDX_KEY_STATE_INCORRECT) X(TDX_KEY_CONFIGURED) \
    X(TDX_WBCACHE_NOT_COMPLETE) X(TDX_HKID_NOT_FREE) X(TDX_NO_HKID_READY_TO_WBCACHE) X(TDX_WBCACHE_RESUME_ERROR) \
    X(TDX_FLUSHVP_NOT_DONE) X(TDX_INVALID_TDMR) X(TDX_NON_ORDERED_TDMR) X(TDX_TDMR_OUTSIDE_CMRS) \
    X(TDX_TDMR_ALREADY_INITIALIZED) X(TDX_INVALID_PAMT) X(TDX_PAMT_OUTSIDE_CMRS) X(TDX_PAMT_OVERLAP) \
    X(TDX_INVALID_RESERVED_IN_TDMR) X(TDX_NON_ORDERED_RESERVED_IN_TDMR) X(TDX_CMR_LIST_INVALID) \
    X(TDX_EPT_WALK_FAILED) X(TDX_EPT_ENTRY_FREE) X(TDX_EPT_ENTRY_NOT_FREE) X(TDX_EPT_ENTRY_NOT_PRESENT) \
    X(TDX_GPA_RANGE_NOT_BLOCKED) X(TDX_GPA_RANGE_ALREADY_BLOCKED) X(TDX_TLB_TRACKING_NOT_DONE) \
    X(TDX_EPT_INVALID_PROMOTE_CONDITIONS) X(TDX_PAGE_ALREADY_ACCEPTED) X(TDX_PAGE_SIZE_MISMATCH) \
    X(TDX_EPT_ENTRY_STATE_INCORRECT) X(TDX_EPT_PAGE_NOT_FREE) X(TDX_L2_SEPT_WALK_FAILED) \
    X(TDX_L2_SEPT_ENTRY_NOT_FREE) X(TDX_PAGE_ATTR_INVALID) X(TDX_METADATA_FIELD_ID_INCORRECT) \
    X(TDX_METADATA_FIELD_NOT_WRITABLE) X(TDX_METADATA_FIELD_NOT_READABLE) X(TDX_METADATA_FIELD_VALUE_NOT_VALID) \
    X(TDX_METADATA_LIST_OVERFLOW) X(TDX_METADATA_WR_MASK_NOT_VALID) X(TDX_METADATA_FIRST_FIELD_ID_IN_CONTEXT) \
    X(TDX_INVALID_CPUSVN) X(TDX_INVALID_REPORTMACSTRUCT)

#define OPERANDS(X) \
    X(ATTRIBUTES) X(XFAM) X(EXEC_CONTROLS) X(EPTP_CONTROLS) X(MAX_VCPUS) X(CPUID_CONFIG) X(TSC_FREQUENCY) \
    X(NUM_L2_VMS) X(ARCH_CAPABILITIES) X(TDMR_INFO_PA) X(TDR) X(TDCX) X(TDVPR) X(TDCS) X(TDVPS) X(SEPT_TREE) \
    X(SEPT_ENTRY) X(RTMR) X(TD_EPOCH) X(OP_STATE) X(SYS) X(TDMR) X(KOT) X(KET) X(WBCACHE)

/* clang-format on */

struct named {
    const char *name;
    unsigned long long value;
};

#define X(symbol) {#symbol, symbol},
static const struct named leaves[] = {LEAVES(X)}, statuses[] = {STATUSES(X)};
#undef X
#define X(symbol) {#symbol, OPERAND_##symbol},
static const struct named operands[] = {{"RAX", RAX}, {"RCX", RCX}, {"RDX", RDX}, {"R8", R8}, {"R9", R9}, OPERANDS(X)};
#undef X
#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static unsigned compared;

static const struct named *find(const struct named *list, size_t count, const char *name)
{
    for (size_t i = 0; i < count; i++)
        if (strcmp(list[i].name, name) == 0)
            return &list[i];
    return NULL;
}

static void check_leaf(const struct abi_record *r)
{
    char symbol[RECORD_NAME_BYTES];
    abi_symbol(r->leaf, symbol);
    const struct named *leaf = find(leaves, COUNT(leaves), symbol);
    if (!leaf)
        return; /* "leaf 13", "bad leaf": leafs without a name */
    assert_int_equal(r->number, leaf->value);
    compared++;
}

static void test_leaf_numbers(void **state)
{
    compared = 0;
    if (abi_records(check_leaf) == 0)
        skip();
    assert_true(compared > 1000);
}

static void check_status(const struct abi_record *r)
{
    if (!r->has_status || strncmp(r->name, "TDX_", 4) != 0)
        return;
    const struct named *status = find(statuses, COUNT(statuses), r->name);
    if (!status)
        print_error("the model does not know %s\n", r->name);
    assert_non_null(status);
    assert_int_equal(r->status >> 32, status->value >> 32);
    assert_int_equal((unsigned)status->value, 0);
    compared++;
}

static void test_statuses(void **state)
{
    compared = 0;
    if (abi_records(check_status) == 0)
        skip();
    assert_true(compared > 1000);
}

static void check_operand(const struct abi_record *r)
{
    if (!r->has_status || !r->operand[0] || strchr(r->operand, ' '))
        return;
    const struct named *operand = find(operands, COUNT(operands), r->operand);
    assert_non_null(operand);
    assert_int_equal((unsigned)r->status, operand->value);
    compared++;
}

static void test_operands(void **state)
{
    compared = 0;
    if (abi_records(check_operand) == 0)
        skip();
    assert_true(compared > 100);
}

/* Each id that a record reads with success is in the table of its context. */
static void check_field(const struct abi_record *r)
{
    static const struct {
        const char *leaf;
        enum md_context_no context;
    } readers[] = {{"TDH.SYS.RD", MD_SYS}, {"TDH.MNG.RD", MD_TD}, {"TDH.VP.RD", MD_VP},
                   {"TDG.SYS.RD", MD_SYS}, {"TDG.VM.RD", MD_TD},  {"TDG.VP.RD", MD_VP}};
    for (size_t i = 0; i < COUNT(readers); i++) {
        if (strcmp(r->leaf, readers[i].leaf) != 0 || !r->has_status || r->status != 0)
            continue;
        const struct md_context x = {.no = readers[i].context};
        struct md_element e;
        if (md_find(&x, r->field, &e) != TDX_SUCCESS)
            print_error("%s reads %016llx, which the model lacks\n", r->leaf, r->field);
        assert_int_equal(md_find(&x, r->field, &e), TDX_SUCCESS);
        compared++;
    }
}

static void test_field_ids(void **state)
{
    compared = 0;
    if (!abi_records_file("corpus2.jsonl", check_field))
        skip();
    assert_true(compared > 500);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_leaf_numbers),
        cmocka_unit_test(test_statuses),
        cmocka_unit_test(test_operands),
        cmocka_unit_test(test_field_ids),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
