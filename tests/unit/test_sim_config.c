/* The platform's knobs: what is accepted, and that a refusal names file, line and reason. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "sim/machine/config.h"
#include "sim/machine/log.h"

static char said[512];

void sim_log(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(said, sizeof(said), format, args);
    va_end(args);
}

static bool parse(const char *text)
{
    said[0] = 0;
    return config_parse("f.cfg", text, strlen(text));
}

static void accepts_the_documented_forms(void **state)
{
    assert_true(parse(""));
    assert_true(parse("\n\r\n   \n# only a comment"));
    assert_true(parse("hkids=8\r\n strict =\t1 # on\nmodule = absent\nfeatures0 = 0x10"));
    assert_int_equal(sim_config()->hkids, 8);
    assert_true(sim_config()->strict);
    assert_false(sim_config()->module_present);
    assert_int_equal(sim_config()->features0, 16);
    assert_true(parse("hkids = 0x20\nstrict=0\nmodule=present\nfeatures0=0xffffffffffffffff"));
    assert_int_equal(sim_config()->hkids, 32);
    assert_false(sim_config()->strict);
    assert_true(sim_config()->module_present);
    assert_true(sim_config()->features0 == ~0ull);
    assert_true(parse("tlb_policy = clock\ntlb_4k = 1536\ntlb_report = 1"));
    assert_int_equal(sim_config()->tlb_policy, 2);
    assert_int_equal(sim_config()->tlb_4k, 1536);
    assert_true(sim_config()->tlb_report);
    assert_true(parse("interrupt_every = 3\nbusy_every = 70"));
    assert_int_equal(sim_config()->interrupt_every, 3);
    assert_int_equal(sim_config()->busy_every, 70);
    assert_true(
        parse("smi_every = 2\nlocal_apic = x2apic\ncr4_left = 0x8a00000\nreset = hangs\nmemory_error = 0x5000 0xbd"));
    assert_int_equal(sim_config()->smi_every, 2);
    assert_true(sim_config()->x2apic);
    assert_int_equal(sim_config()->cr4_left, 0x8a00000);
    assert_int_equal(sim_config()->reset, RESET_HANGS);
    assert_true(sim_config()->memory_errors.lines[0][0] == 0x5000 && sim_config()->memory_errors.lines[0][1] == 0xbd);
    assert_true(parse("tlb_policy = fifo\ntlb_4k = 16384\ntlb_report = 0"));
    assert_int_equal(sim_config()->tlb_policy, 0);
    assert_string_equal(said, "");
}

static void accepts_what_a_server_may_lack(void **state)
{
    assert_true(parse(""));
    assert_true(sim_config()->seamldr_present);
    assert_true(parse("seamldr = absent\nseamldr_busy_every = 3\nseamldr_refuses = 0x8000000000020000\nseamldr_called "
                      "= 3\npackages = "
                      "4\napic_id_base = 256\nthreads = 2"));
    assert_int_equal(sim_config()->threads, 2);
    assert_false(sim_config()->seamldr_present);
    assert_int_equal(sim_config()->seamldr_busy_every, 3);
    assert_true(sim_config()->seamldr_refusals.lines[0][0] == 0x8000000000020000ull);
    assert_true(sim_config()->seamldr_called.lines[0][0] == 3);
    assert_int_equal(sim_config()->packages, 4);
    assert_int_equal(sim_config()->apic_id_base, 256);
    assert_true(
        parse("acpi = damaged\nseamrr = unlocked\ntme = off\nvmx = off\nsgx = off\nsmrr = unlocked\nmicrocode = "
              "0x2b000470\nmsr_differs = 3\nmicrocode_differs = 2\ncpuid_differs = 1 0x1f"));
    assert_int_equal(sim_config()->microcode_differs, 2);
    assert_true(sim_config()->cpuid_differs.lines[0][0] == 1 && sim_config()->cpuid_differs.lines[0][1] == 0x1f);
    assert_true(sim_config()->acpi_damaged);
    assert_int_equal(sim_config()->seamrr, SEAMRR_UNLOCKED);
    assert_int_equal(sim_config()->tme, TME_OFF);
    assert_false(sim_config()->vmx || sim_config()->sgx || sim_config()->smrr_locked);
    assert_int_equal(sim_config()->microcode, 0x2b000470);
    assert_int_equal(sim_config()->msr_differs, 3);
    assert_true(parse(
        "module_major = 2\nmodule_minor = 0\ntdcs_pages = 8\ncpuid_refused = 7\nfield_absent = 0x8800000100000002"));
    assert_int_equal(sim_config()->module_major, 2);
    assert_int_equal(sim_config()->module_minor, 0);
    assert_int_equal(sim_config()->tdcs_pages, 8);
    assert_int_equal(sim_config()->cpuid_refused, 7);
    assert_true(sim_config()->absent_fields.lines[0][0] == 0x8800000100000002ull);
    assert_string_equal(said, "");
}

static void refuses(const char *text, const char *message)
{
    assert_false(parse(text));
    if (!strstr(said, message))
        fail_msg("'%s': said '%s', not '%s'", text, said, message);
}

static void refuses_with_file_line_and_reason(void **state)
{
    refuses("strict = 1\nhkids = 70\n", "f.cfg:2: hkids = 70: allowed is 1 to 63");
    refuses("hkids = 0", "f.cfg:1: hkids = 0: allowed is 1 to 63");
    refuses("seamrr = lost", "f.cfg:1: seamrr = lost: allowed are absent, off, unlocked and locked");
    refuses("tme = lost", "f.cfg:1: tme = lost: allowed are absent, off and on");
    refuses("field_absent = 1 2", "f.cfg:1: field_absent = 1 2: 1 number is needed: field");
    refuses("tlb_4k = 31", "f.cfg:1: tlb_4k = 31: allowed is 32 to 16384");
    refuses("tlb_policy = lru", "f.cfg:1: tlb_policy = lru: allowed are fifo, random and clock");
    refuses("strict = yes", "f.cfg:1: strict = yes: allowed are 0 and 1");
    refuses("\n\nfoo = 1\n", "f.cfg:3: foo: no such key");
    refuses("hkids\n", "f.cfg:1: hkids: a line is `key = value`");
    refuses("= 3", "f.cfg:1: this line: a line is `key = value`");
    refuses("hkids =", "f.cfg:1: hkids: a number is needed");
    refuses("hkids = 0x", "a number is needed");
    refuses("hkids = 12z", "hkids = 12z: a number is needed");
    refuses("hkids = -3", "a number is needed");
    refuses("features0 = 0x10000000000000000", "a number is needed");
    refuses("features0 = 18446744073709551616", "a number is needed");
    refuses("packages = 5", "f.cfg:1: packages = 5: allowed is 1 to 4");
    refuses("seamldr = here", "f.cfg:1: seamldr = here: allowed are absent and present");
    refuses("module = perhaps", "f.cfg:1: module = perhaps: allowed are absent and present");
    refuses("strict = yes", "allowed are 0 and 1");
    refuses("\xff\xfe = 1", "f.cfg:1: this line: a word is too long or holds a byte that is no text");
    refuses("this_key_is_longer_than_any_key_can_be_because_words_have_a_limit = 1", "too long");
}

static void takes_lines_that_may_be_repeated(void **state)
{
    assert_true(parse(
        "fault = 23 1 0x8000020000000092\nfault=0x21\t2  3 # the second\nlatency = 0 5000\ncmr_hole = 0x1000 8192"));
    assert_int_equal(sim_config()->faults.count, 2);
    assert_int_equal(sim_config()->faults.lines[0][0], 23);
    assert_true(sim_config()->faults.lines[0][2] == 0x8000020000000092ull);
    assert_int_equal(sim_config()->faults.lines[1][0], 33);
    assert_int_equal(sim_config()->faults.lines[1][1], 2);
    assert_int_equal(sim_config()->latencies.lines[0][1], 5000);
    assert_int_equal(sim_config()->cmr_holes.lines[0][1], 8192);
    refuses("fault = 23 1", "fault = 23 1: 3 numbers are needed: leaf n status");
    refuses("fault = 23 1 2 3", "3 numbers are needed");
    refuses("latency = ten 5", "2 numbers are needed: leaf cycles");
    refuses("cmr_hole = 0x1000 100", "multiples of 4096");
    assert_int_equal(sim_config()->faults.count, 2);
    for (unsigned i = 2; i < CONFIG_LIST_MAX; i++)
        assert_true(parse("fault = 1 1 1"));
    refuses("fault = 1 1 1", "which is all there may be");
    assert_int_equal(sim_config()->faults.count, CONFIG_LIST_MAX);
}

/* What came before the bad line may have been taken; the bad line itself changes nothing. */
static void a_refused_value_changes_nothing(void **state)
{
    assert_true(parse("hkids = 16"));
    assert_false(parse("hkids = 64"));
    assert_int_equal(sim_config()->hkids, 16);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(accepts_the_documented_forms),      cmocka_unit_test(accepts_what_a_server_may_lack),
        cmocka_unit_test(refuses_with_file_line_and_reason), cmocka_unit_test(takes_lines_that_may_be_repeated),
        cmocka_unit_test(a_refused_value_changes_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
