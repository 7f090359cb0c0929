/*
 * The VMM's ABI headers (tdx/abi_*.h) against genuine records: leaf numbers, statuses, operands and field ids by name.
 * Names that no record has are not checked here.
 */
#define _GNU_SOURCE /* getline */
#include "tests/unit/abi_records.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "tdx/abi_field.h"
#include "tdx/abi_leaf.h"
#include "tdx/status.h"

static unsigned compared;

static void check_leaf(const struct abi_record *r)
{
    char symbol[RECORD_NAME_BYTES];
    abi_symbol(r->leaf, symbol);
#define X(number_, symbol_, name_)                                                                                     \
    if (strcmp(symbol, #symbol_) == 0) {                                                                               \
        assert_int_equal(r->number, symbol_);                                                                          \
        assert_string_equal(r->leaf, name_);                                                                           \
        compared++;                                                                                                    \
    }
    TDX_LEAF_LIST(X)
#undef X
}

static void test_leaf_numbers(void **state)
{
    compared = 0;
    if (abi_records(check_leaf) == 0)
        skip();
    assert_true(compared > 1000);
}

static bool names_a_status(const struct abi_record *r)
{
    return r->has_status && strncmp(r->name, "TDX_", 4) == 0;
}

static void check_status(const struct abi_record *r)
{
    if (!names_a_status(r))
        return;
    assert_string_equal(tdx_status_name((tdx_status_t){r->status}), r->name);
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
    if (!names_a_status(r) || !r->operand[0] || strchr(r->operand, ' '))
        return;
    assert_string_equal(tdx_operand_name((tdx_status_t){r->status}), r->operand);
    compared++;
}

static void test_operands(void **state)
{
    compared = 0;
    if (abi_records(check_operand) == 0)
        skip();
    assert_true(compared > 100);
}

/* Fields that the records name, by the names that they have there. */
static const struct {
    const char *name;
    unsigned long long id;
} fields[] = {
    {"VENDOR_ID", FIELD_SYS_VENDOR_ID},
    {"MINOR_VERSION", FIELD_SYS_MINOR_VERSION},
    {"MAJOR_VERSION", FIELD_SYS_MAJOR_VERSION},
    {"UPDATE_VERSION", FIELD_SYS_UPDATE_VERSION},
    {"TDX_FEATURES0", FIELD_SYS_TDX_FEATURES0},
    {"BUILD_DATE", FIELD_SYS_BUILD_DATE},
    {"BUILD_NUM", FIELD_SYS_BUILD_NUM},
    {"NUM_CMRS", FIELD_SYS_NUM_CMRS},
    {"CMR_BASE 32 consecutive ids", FIELD_SYS_CMR_BASE(0)},
    {"CMR_SIZE 32 consecutive ids", FIELD_SYS_CMR_BYTES(0)},
    {"MAX_TDMRS", FIELD_SYS_MAX_TDMRS},
    {"MAX_RESERVED_PER_TDMR", FIELD_SYS_MAX_RESERVED_PER_TDMR},
    {"PAMT_4K_ENTRY_SIZE", FIELD_SYS_PAMT_ENTRY_BYTES(0)},
    {"PAMT_2M_ENTRY_SIZE", FIELD_SYS_PAMT_ENTRY_BYTES(1)},
    {"PAMT_1G_ENTRY_SIZE", FIELD_SYS_PAMT_ENTRY_BYTES(2)},
    {"TDCS_BASE_SIZE", FIELD_SYS_TDCS_BASE_BYTES},
    {"TDVPS_BASE_SIZE", FIELD_SYS_TDVPS_BASE_BYTES},
    {"ATTRIBUTES_FIXED0", FIELD_SYS_ATTRIBUTES_FIXED0},
    {"ATTRIBUTES_FIXED1", FIELD_SYS_ATTRIBUTES_FIXED1},
    {"XFAM_FIXED0", FIELD_SYS_XFAM_FIXED0},
    {"XFAM_FIXED1", FIELD_SYS_XFAM_FIXED1},
    {"EPTP", FIELD_TD_EPTP},
    {"Shared EPTP", FIELD_VP_SHARED_EPTP},
};
#define FIELDS (sizeof(fields) / sizeof(fields[0]))
static bool field_seen[FIELDS];

static bool note_is(const char *note, const char *name)
{
    size_t length = strlen(name);
    return strncmp(note, name, length) == 0 && (note[length] == 0 || note[length] == ';');
}

/*
 * A name stands for several fields (the TD's EPTP and the VMCS one): one record of the leaf that reads ours is enough.
 */
static void check_field(const struct abi_record *r)
{
    for (size_t i = 0; i < FIELDS; i++)
        if (r->status == 0 && note_is(r->note, fields[i].name) && r->field == fields[i].id)
            field_seen[i] = true;
}

static void test_field_ids(void **state)
{
    if (!abi_records_file("corpus2.jsonl", check_field))
        skip();
    for (size_t i = 0; i < FIELDS; i++) {
        if (!field_seen[i])
            print_error("no record reads %s by id %016llx\n", fields[i].name, fields[i].id);
        assert_true(field_seen[i]);
    }
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
