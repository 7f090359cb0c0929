/*
 * Statuses in words, those of public trouble reports among them: what `help status` says, and what a refused start of the
 * module adds to its status. Numbers and words are typed.
 */
#include "tests/unit/td_world.h"

#include <stdio.h>

#include "tdx/explain.h"
#include "tests/host/log.h"

static const struct {
    u64 status;
    const char *name, *class, *verdict, *details, *hint; /* hint: words of it */
} known[] = {
    {0, "TDX_SUCCESS", "general", "DONE", "", ""},
    {0x8000020000000092, "TDX_OPERAND_BUSY", "resource busy", "REPEAT", "what the call works on: SEPT_TREE",
     "another CPU"},
    {0xc000010000000001, "TDX_OPERAND_INVALID", "operand", "REFUSED", "the operand in RCX", ""},
    {0xc000010000000041, "TDX_OPERAND_INVALID", "operand", "REFUSED", "TD_PARAMS.XFAM", ""},
    {0xc000010000000062, "TDX_OPERAND_INVALID", "operand", "REFUSED", "the list's MIG_BUFF_LIST_ENTRY", ""},
    {0xc000010000007777, "TDX_OPERAND_INVALID", "operand", "REFUSED", "operand id 0x7777, which Septum does not know",
     ""},
    {0x4000000100000002, "TDX_NON_RECOVERABLE_VCPU", "general", "VCPU_DEAD", "VMX exit reason 2, TRIPLE_FAULT", ""},
    {0xe000060400000000, "TDX_TD_FATAL", "state of the TD", "TD_DEAD", "", ""},
    {0xc0000b0b00000001, "TDX_PAGE_SIZE_MISMATCH", "Secure EPT and guest memory", "REFUSED",
     "the entry that was found is of level 1", ""},
    {0xc0000a1200010002, "TDX_PAMT_OVERLAP", "physical memory: CMRs, TDMRs, PAMTs", "REFUSED",
     "TDMR 2, PAMT level or reserved area 0, other TDMR 1", ""},
    {0xc000090800000023, "TDX_CPUID_LEAF_NOT_SUPPORTED", "platform: CPUID, MSRs, SMRRs", "REFUSED", "CPUID leaf 0x23",
     "old BIOS"},
    {0xc000092000000490, "TDX_INCONSISTENT_MSR", "platform: CPUID, MSRs, SMRRs", "REFUSED",
     "MSR 0x490, a VMX capability MSR", "update the BIOS"},
    {0xc000073000002016, "TDX_TD_VMCS_FIELD_NOT_INITIALIZED", "state of the vCPU", "AFTER_OTHER_STEP",
     "0x2016 (a VMCS field, or an L2 VM and its level)", ""},
    {0xc000ff0d00000000, "TDX_SEAMCALL_GP", "SEAMCALL itself; no module answered", "REFUSED", "", "SEAM off"},
    {0x1234567800000009, "TDX_STATUS_UNKNOWN", "unknown", "UNKNOWN", "0x9", ""},
    /* Public reports. */
    {0xc000090000000000, "TDX_INCORRECT_CPUID_VALUE", "platform: CPUID, MSRs, SMRRs", "REFUSED", "",
     "an old BIOS or microcode"},
    {0xc000092100000122, "TDX_INCORRECT_MSR_VALUE", "platform: CPUID, MSRs, SMRRs", "REFUSED",
     "MSR 0x122, IA32_TSX_CTRL", "on one CPU or on all"},
    {0xc000050500000000, "TDX_SYS_NOT_READY", "state of the module", "AFTER_OTHER_STEP", "",
     "a module of generation 1.0"},
    {0xc000010000000045, "TDX_OPERAND_INVALID", "operand", "REFUSED", "TD_PARAMS.CPUID_CONFIG", ""},
    {0xc0000b0800000001, "TDX_TLB_TRACKING_NOT_DONE", "Secure EPT and guest memory", "AFTER_OTHER_STEP",
     "the operand in RCX", "a BLOCK that was BUSY did not"},
};

static void statuses_are_put_into_words(void **state)
{
    char details[96];
    for (unsigned i = 0; i < ARRAY_COUNT(known); i++) {
        tdx_status_t s = {known[i].status};
        assert_string_equal(tdx_status_name(s), known[i].name);
        assert_string_equal(tdx_class_text(s), known[i].class);
        assert_string_equal(tdx_verdict_name(tdx_verdict(s)), known[i].verdict);
        tdx_details_text(s, details, sizeof(details));
        assert_string_equal(details, known[i].details);
        if (strstr(tdx_hint(s), known[i].hint) == NULL || (*known[i].hint == '\0' && *tdx_hint(s) != '\0'))
            fail_msg("%s: '%s' has no '%s'", known[i].name, tdx_hint(s), known[i].hint);
    }
}

/* 165 of the module and three of SEAMCALL's: each has a class and a verdict with words, and is found by its name and number. */
static void every_status_of_the_list_is_explained(void **state)
{
    tdx_status_t s, found;
    char number[24];
    const char *name;
    unsigned count = 0;
    for (; (name = tdx_status_at(count, &s)) != NULL; count++) {
        assert_string_not_equal(tdx_class_text(s), "unknown");
        assert_int_not_equal(tdx_verdict(s), TDX_UNKNOWN);
        assert_true(strlen(tdx_verdict_text(tdx_verdict(s))) > 10);
        assert_true(tdx_status_find(name, &found));
        assert_true(found.raw == s.raw);
        snprintf(number, sizeof(number), "0x%llx", (unsigned long long)s.raw);
        assert_true(tdx_status_find(number, &found));
        assert_string_equal(tdx_status_name(found), name);
    }
    assert_int_equal(count, 168);
}

static void names_and_numbers(void **state)
{
    static const struct {
        const char *text;
        u64 status;
    } good[] = {{"TDX_OPERAND_BUSY", 0x8000020000000000}, {"operand_busy", 0x8000020000000000},
                {"Tdx_Operand_Busy", 0x8000020000000000}, {"0x8000020000000092", 0x8000020000000092},
                {"0X80000200", 0x8000020000000000},       {"0x0", 0},
                {"0xC0000B09", 0xc0000b0900000000}};
    static const char *const bad[] = {"",   "TDX_", "OPERAND_BUS", "OPERAND_BUSY_",
                                      "0x", "0xg",  "80000200",    "0x80000200000000920"};
    tdx_status_t s;
    for (unsigned i = 0; i < ARRAY_COUNT(good); i++) {
        assert_true(tdx_status_find(good[i].text, &s));
        assert_true(s.raw == good[i].status);
    }
    for (unsigned i = 0; i < ARRAY_COUNT(bad); i++)
        assert_false(tdx_status_find(bad[i], &s));
}

/* --- a refused start --------------------------------------------------------------------------------------------- */

static void expect_refusal(const char *leaf, u64 status, const char *why)
{
    char text[400];
    struct tdx_init_fault f = init_module();
    assert_int_equal(f.err, ERR_TDX);
    assert_string_equal(f.leaf, leaf);
    assert_true(f.status.raw == status);
    tdx_explain_init(&f, text, sizeof(text));
    assert_string_equal(text, why);
}

/* On this machine CPUID leaf 7 EAX is 0, and leaf 1 EAX 806F8h. */
static void refused_cpuid_is_named_with_register(void **state)
{
    struct plat_info info;
    start_machine(1, 1);
    info = *plat_info();
    info.refused_cpuid = 1;
    platform_host_set_info(&info);
    expect_refusal(
        "TDH.SYS.INIT", 0xc000090000000000,
        "CPUID leaf 0x1 sub-leaf 0x0 on CPU 0, EAX 0x806f8 & 0xffffffff should be 0x806f9: an old BIOS or microcode: "
        "update both");
}

/* A module that looks at several registers of a leaf without sub-leafs; EBX and ECX are as it wants them. */
static bool refuse_leaf_15(struct seamcall_regs *regs)
{
    if ((regs->rax & 0xffff) != L_SYS_INIT)
        return false;
    *regs = (struct seamcall_regs){.rax = 0xc000090000000000ull,
                                   .rcx = 0xffffffff00000015ull,
                                   .rdx = 0x000000ff000000ffull,
                                   .r8 = 0x0000000100000000ull,
                                   .r9 = 0x000000a000000004ull,
                                   .r10 = 0x0000000100000000ull};
    return true;
}

static void only_wrong_registers_are_told(void **state)
{
    start_machine(1, 1);
    seamcall_host_answer = refuse_leaf_15; /* the machine has EAX 2, EBX A0h, EDX 0 */
    expect_refusal("TDH.SYS.INIT", 0xc000090000000000,
                   "CPUID leaf 0x15 on CPU 0, EAX 0x2 & 0xff should be 0x4, EDX 0x0 & 0x1 should be 0x1: an old BIOS "
                   "or microcode: "
                   "update both");
}

static void an_msr_that_differs_is_named_with_its_cpu(void **state)
{
    struct plat_info info;
    start_machine(4, 1);
    info = *plat_info();
    info.odd_lp = 2;
    platform_host_set_info(&info);
    expect_refusal("TDH.SYS.LP.INIT", 0xc000092000000122,
                   "MSR 0x122, IA32_TSX_CTRL, on CPU 2: the MSR differs on one CPU from where TDH.SYS.INIT ran: the "
                   "firmware set one "
                   "CPU up otherwise; update the BIOS");
    start_machine(1, 1);
    seamcall_host_inject(L_SYS_INIT, 0, 0xc000092100000122);
    expect_refusal("TDH.SYS.INIT", 0xc000092100000122,
                   "MSR 0x122, IA32_TSX_CTRL, on CPU 0: the firmware left a value that the module does not take, on "
                   "one CPU or on all "
                   "(`tdx check` compares them): update the BIOS");
    start_machine(1, 1);
    seamcall_host_inject(L_SYS_INIT, 0, 0xc000091000000000);
    expect_refusal("TDH.SYS.INIT", 0xc000091000000000, "the firmware left its SMM range open: update the BIOS");
}

/* CPUID_CONFIG: the leaf that TDH.MNG.INIT does not take stands in RCX. */
static bool refuse_cpuid_config(struct seamcall_regs *regs)
{
    if ((regs->rax & 0xffff) != L_MNG_INIT)
        return false;
    regs->rax = 0xc000010000000045ull;
    regs->rcx = 0x0000000200000007ull;
    return true;
}

static void a_refused_cpuid_configuration_names_the_leaf(void **state)
{
    struct td_fault f;
    start_machine(1, 1);
    assert_int_equal(init_module().err, ERR_OK);
    seamcall_host_answer = refuse_cpuid_config;
    log_host_forget();
    (void)hkid_and_create(&f);
    assert_int_equal(f.status.raw, 0xc000010000000045ull);
    assert_non_null(strstr(log_host_last(), "does not take what is asked of CPUID leaf 0x7, sub-leaf 0x2"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(statuses_are_put_into_words),
        cmocka_unit_test(every_status_of_the_list_is_explained),
        cmocka_unit_test(names_and_numbers),
        cmocka_unit_test(refused_cpuid_is_named_with_register),
        cmocka_unit_test(only_wrong_registers_are_told),
        cmocka_unit_test(an_msr_that_differs_is_named_with_its_cpu),
        cmocka_unit_test(a_refused_cpuid_configuration_names_the_leaf),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
