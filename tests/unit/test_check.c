/*
 * `tdx check` row by row: a machine that has everything, and each condition taken away from it by the CPUID leaf, the MSR or the
 * answer that shows it. Numbers are typed from the SDM and the TDX specifications.
 */
#include "tests/unit/td_world.h"

#include "tdx/check.h"

#define ROWS 27

static struct tdx_check checks[TDX_CHECKS_MAX];
static struct tdx_check_host host;

static const struct {
    const char *name, *state, *value;
} complete[ROWS] = {
    {"secure_boot", "ok", "UEFI variable SecureBoot = 0"},
    {"vendor", "ok", "CPUID leaf 0 = GenuineIntel"},
    {"family", "ok", "CPUID leaf 1 EAX = 0x806f8: Sapphire Rapids"},
    {"microcode", "ok", "IA32_BIOS_SIGN_ID (MSR 0x8b): revision 0x2b000590"},
    {"vmx", "ok", "CPUID leaf 1 ECX = 0x200020"},
    {"feature_control", "ok", "IA32_FEATURE_CONTROL (MSR 0x3a) = 0x40005"},
    {"movdir64b", "ok", "CPUID leaf 7 ECX = 0x10000000"},
    {"x2apic", "ok", "CPUID leaf 1 ECX = 0x200020, IA32_APIC_BASE (MSR 0x1b) = 0xfee00d00 (x2APIC)"},
    {"sgx", "ok", "CPUID leaf 7 EBX = 0x800004, IA32_FEATURE_CONTROL (MSR 0x3a) = 0x40005"},
    {"tme", "ok", "IA32_TME_ACTIVATE (MSR 0x982) = 0x600000003: 6 KeyID bits"},
    {"keyids", "ok", "IA32_MKTME_KEYID_PARTITIONING (MSR 0x87) = 0x200000001f: 31 shared KeyIDs, 32 private ones"},
    {"seamrr", "ok", "IA32_MTRRCAP (MSR 0xfe) = 0xcd0a"},
    {"seamrr_enabled", "ok",
     "IA32_SEAMRR_PHYS_BASE (MSR 0x1400) = 0x7c000008, IA32_SEAMRR_PHYS_MASK (MSR 0x1401) = 0xffffe000c00"},
    {"seamrr_locked", "ok", "IA32_SEAMRR_PHYS_MASK (MSR 0x1401) = 0xffffe000c00"},
    {"smrr", "ok", "IA32_MTRRCAP (MSR 0xfe) = 0xcd0a, IA32_SMRR_PHYSMASK (MSR 0x1f3) = 0xff800c00"},
    {"misc_enable", "ok", "IA32_MISC_ENABLE (MSR 0x1a0) = 0x850089"},
    {"cpuid", "ok", "last leafs 0x20 and 0x80000008, performance monitoring version 5, leaf 0x15 EBX = 0xa0"},
    {"same_microcode", "ok", "the revision is the same on 4 CPUs"},
    {"same_msrs", "ok", "26 MSRs are the same on 4 CPUs"},
    {"same_cpuid", "ok", "51 leafs and sub-leafs are the same on 4 CPUs"},
    {"cpus", "ok", "ACPI MADT: 4 CPUs, 4 of them started"},
    {"vmxon", "ok", "VMXON works"},
    {"seamldr", "ok", "SEAMLDR.INFO: 1.5.03, build 7 of 20240115, 12 module updates left; module loaded"},
    {"module", "ok", "TDH.SYS.RD: TDX_SYS_LP_INIT_NOT_DONE (0xc000050200000000)"},
    {"module_version", "unknown", "TDH.SYS.RD: TDX_SYS_LP_INIT_NOT_DONE (0xc000050200000000)"},
    {"cmrs", "unknown", "TDH.SYS.RD tells them when the module is initialised"},
    {"tdx_memory", "ok", "UEFI memory map: 5119 MiB free, at most 5099 MiB for TDs beside the PAMTs"},
};

/* SEAMLDR.INFO, as its specification lays it out. */
static bool seamldr_answers(struct seamcall_regs *regs)
{
    if (regs->rax != 0x8000000000000000ull)
        return false;
    u8 *to = phys_ptr((hpa_t){regs->rcx});
    assert_int_equal(regs->rcx % 256, 0);
    memset(to, 0, 256);
    memcpy(to + 12, &(u32){20240115}, 4);
    memcpy(to + 16, (u16[]){7, 5, 1, 3}, 8);
    memcpy(to + 28, &(u32){12}, 4);
    to[160] = 1;
    regs->rax = 0;
    return true;
}

static void complete_machine(void)
{
    start_machine(4, 1);
    seamcall_host_answer = seamldr_answers;
    host = (struct tdx_check_host){.secure_boot = TDX_SECURE_BOOT_OFF,
                                   .memory = memory,
                                   .memory_count = ARRAY_COUNT(memory),
                                   .cpus = 4,
                                   .failed_cpus = "",
                                   .page = {32 * M1}};
}

static void look(void)
{
    assert_int_equal(tdx_check(&host, checks), ROWS);
    assert_int_equal(tdx_counts_seamcalls(), 0); /* asking is not counted as work */
}

static void a_complete_machine_lacks_nothing(void **state)
{
    complete_machine();
    look();
    for (unsigned i = 0; i < ROWS; i++) {
        assert_string_equal(checks[i].name, complete[i].name);
        assert_string_equal(checks[i].value, complete[i].value);
        assert_string_equal(tdx_check_state_name(checks[i].state), complete[i].state);
        assert_string_equal(checks[i].fix, "");
    }
}

/* --- one thing away ---------------------------------------------------------------------------------------------- */

enum how { MSR, NO_MSR, CPUID, SEAMCALL };

static const struct {
    const char *name;
    enum how how;
    u32 key; /* MSR, or CPUID leaf */
    u64 value;
    struct cpuid_regs regs;
    const char *seen;    /* the row's value */
    const char *fix;     /* words of it */
    const char *unknown; /* what is not asked for want of it */
    bool stops;          /* no TD can run */
} away[] = {
    {"vendor",
     CPUID,
     0,
     0,
     {0x20, 0x68747541, 0x444d4163, 0x69746e65},
     "CPUID leaf 0 = AuthenticAMD",
     "GenuineIntel",
     "family microcode vmx feature_control movdir64b x2apic sgx tme keyids seamrr seamrr_enabled seamrr_locked smrr "
     "misc_enable "
     "cpuid same_microcode same_msrs same_cpuid vmxon seamldr module module_version cmrs",
     true},
    {"microcode",
     MSR,
     0x8b,
     0,
     {0},
     "IA32_BIOS_SIGN_ID (MSR 0x8b): revision 0x0",
     "no microcode update is loaded",
     "",
     false},
    {"vmx",
     CPUID,
     1,
     0,
     {.eax = 0x806f8, .ecx = 1u << 21},
     "CPUID leaf 1 ECX = 0x200000",
     "VT-x",
     "feature_control vmxon seamldr module module_version cmrs",
     true},
    {"feature_control",
     MSR,
     0x3a,
     0x40001,
     {0},
     "IA32_FEATURE_CONTROL (MSR 0x3a) = 0x40001",
     "locked VMX off",
     "vmxon seamldr module module_version cmrs",
     true},
    {"movdir64b", CPUID, 7, 0, {.ebx = 4}, "CPUID leaf 7 ECX = 0x0", "MOVDIR64B", "", true},
    {"x2apic",
     CPUID,
     1,
     0,
     {.eax = 0x806f8, .ecx = 1u << 5},
     "CPUID leaf 1 ECX = 0x20, IA32_APIC_BASE (MSR 0x1b) = 0xfee00d00 (x2APIC)",
     "enable X2APIC",
     "",
     false},
    {"sgx", CPUID, 7, 0, {.ecx = 1u << 28}, "CPUID leaf 7 EBX = 0x0", "enable SW Guard Extensions (SGX)", "", false},
    {"sgx",
     MSR,
     0x3a,
     5,
     {0},
     "CPUID leaf 7 EBX = 0x800004, IA32_FEATURE_CONTROL (MSR 0x3a) = 0x5",
     "(SGX)",
     "",
     false},
    {"tme",
     NO_MSR,
     0x982,
     0,
     {0},
     "IA32_TME_ACTIVATE (MSR 0x982) raises #GP",
     "enable Total Memory Encryption (TME)",
     "keyids module module_version cmrs",
     true},
    {"tme",
     MSR,
     0x982,
     1,
     {0},
     "IA32_TME_ACTIVATE (MSR 0x982) = 0x1",
     "memory encryption is off",
     "keyids module module_version cmrs",
     true},
    {"tme",
     MSR,
     0x982,
     0x600000002,
     {0},
     "IA32_TME_ACTIVATE (MSR 0x982) = 0x600000002",
     "never locked",
     "keyids module module_version cmrs",
     true},
    {"keyids",
     NO_MSR,
     0x87,
     0,
     {0},
     "IA32_MKTME_KEYID_PARTITIONING (MSR 0x87) raises #GP: 0 shared KeyIDs, 0 private ones",
     "no private KeyIDs",
     "module module_version cmrs",
     true},
    {"keyids",
     MSR,
     0x87,
     63,
     {0},
     "IA32_MKTME_KEYID_PARTITIONING (MSR 0x87) = 0x3f: 63 shared KeyIDs, 0 private ones",
     "no private KeyIDs",
     "module module_version cmrs",
     true},
    {"keyids",
     MSR,
     0x87,
     0x10000003e,
     {0},
     "IA32_MKTME_KEYID_PARTITIONING (MSR 0x87) = 0x10000003e: 62 shared KeyIDs, 1 private ones",
     "one private KeyID is too few",
     "module module_version cmrs",
     true},
    {"keyids",
     MSR,
     0x87,
     0x7f00000000,
     {0},
     "IA32_MKTME_KEYID_PARTITIONING (MSR 0x87) = 0x7f00000000: 0 shared KeyIDs, 127 private ones",
     "more KeyIDs are parted",
     "module module_version cmrs",
     true},
    {"seamrr",
     MSR,
     0xfe,
     0x4d0a,
     {0},
     "IA32_MTRRCAP (MSR 0xfe) = 0x4d0a",
     "bit 15",
     "seamrr_enabled seamrr_locked seamldr module module_version cmrs",
     true},
    {"seamrr_enabled",
     MSR,
     0x1401,
     0xffffe000400,
     {0},
     "IA32_SEAMRR_PHYS_BASE (MSR 0x1400) = 0x7c000008, IA32_SEAMRR_PHYS_MASK (MSR 0x1401) = 0xffffe000400",
     "set up no SEAM range",
     "seamrr_locked seamldr module module_version cmrs",
     true},
    /* A public report: the BIOS came without P-SEAMLDR. */
    {"seamrr_locked",
     MSR,
     0x1401,
     0xffffe000800,
     {0},
     "IA32_SEAMRR_PHYS_MASK (MSR 0x1401) = 0xffffe000800",
     "enabled but never locked",
     "seamldr module module_version cmrs",
     true},
    {"smrr", MSR, 0xfe, 0x8d0a, {0}, "IA32_MTRRCAP (MSR 0xfe) = 0x8d0a", "TDX_SMRR_NOT_SUPPORTED", "", false},
    {"smrr",
     MSR,
     0x1f3,
     0xff800800,
     {0},
     "IA32_MTRRCAP (MSR 0xfe) = 0xcd0a, IA32_SMRR_PHYSMASK (MSR 0x1f3) = 0xff800800",
     "TDX_SMRR_NOT_LOCKED",
     "",
     false},
    {"misc_enable",
     MSR,
     0x1a0,
     0xc50089,
     {0},
     "IA32_MISC_ENABLE (MSR 0x1a0) = 0xc50089",
     "TDX_LIMIT_CPUID_MAXVAL_SET",
     "",
     false},
    {"misc_enable",
     MSR,
     0x1a0,
     0x850009,
     {0},
     "IA32_MISC_ENABLE (MSR 0x1a0) = 0x850009",
     "TDX_INCORRECT_MSR_VALUE",
     "",
     false},
    {"cpuid",
     CPUID,
     0,
     0,
     {0x16, 0x756e6547, 0x6c65746e, 0x49656e69},
     "last leafs 0x16 and 0x80000008, performance monitoring version 5, leaf 0x15 EBX = 0xa0",
     "TDX_CPUID_LEAF_NOT_SUPPORTED",
     "",
     false},
    {"cpuid",
     CPUID,
     0xa,
     0,
     {0x7300804, 0, 0, 0},
     "last leafs 0x20 and 0x80000008, performance monitoring version 4, leaf 0x15 EBX = 0xa0",
     "old firmware or microcode",
     "",
     false},
    {"seamldr",
     SEAMCALL,
     SEAMCALL_VMFAILED,
     0,
     {0},
     "SEAMLDR.INFO: VMfailInvalid",
     "no P-SEAMLDR is loaded",
     NULL,
     false},
    {"module", SEAMCALL, SEAMCALL_VMFAILED, 0, {0}, "TDH.SYS.RD: VMfailInvalid", "no TDX module is loaded", NULL, true},
    {"module", SEAMCALL, SEAMCALL_GP, 0, {0}, "TDH.SYS.RD: #GP", "SEAMCALL raises #GP", "module_version cmrs", true},
    {"module", SEAMCALL, SEAMCALL_UD, 0, {0}, "TDH.SYS.RD: #UD", "SEAMCALL raises #UD", "module_version cmrs", true},
};

static void take_away(unsigned i)
{
    switch (away[i].how) {
    case MSR:
        cpu_host_set_msr(away[i].key, away[i].value);
        break;
    case NO_MSR:
        cpu_host_remove_msr(away[i].key);
        break;
    case CPUID:
        cpu_host_set_cpuid(away[i].key, 0, away[i].regs);
        break;
    case SEAMCALL:
        seamcall_host_fault = away[i].key;
        break;
    }
}

static const struct tdx_check *row(const char *name)
{
    for (unsigned i = 0; i < ROWS; i++)
        if (strcmp(checks[i].name, name) == 0)
            return &checks[i];
    fail_msg("no condition %s", name);
    return NULL;
}

/* `names` are words; `name` is one of them. */
static bool is_among(const char *names, const char *name)
{
    size_t n = strlen(name);
    for (const char *at = strstr(names, name); at != NULL; at = strstr(at + 1, name))
        if ((at == names || at[-1] == ' ') && (at[n] == ' ' || at[n] == '\0'))
            return true;
    return false;
}

/* The missing row says what was read and what to do; what depends on it is unknown, and nothing else is. */
static void each_missing_thing_is_told_with_register_and_remedy(void **state)
{
    for (unsigned i = 0; i < ARRAY_COUNT(away); i++) {
        complete_machine();
        take_away(i);
        look();
        const struct tdx_check *c = row(away[i].name);
        assert_string_equal(c->value, away[i].seen);
        assert_string_equal(tdx_check_state_name(c->state), "missing");
        if (strstr(c->fix, away[i].fix) == NULL)
            fail_msg("%s: '%s' has no '%s'", c->name, c->fix, away[i].fix);
        for (unsigned j = 0; away[i].unknown != NULL && j < ROWS; j++) {
            bool is_not_asked = is_among(away[i].unknown, checks[j].name);
            if ((strstr(checks[j].value, "not asked without") != NULL) != is_not_asked)
                fail_msg("%s away: %s: %s", away[i].name, checks[j].name, checks[j].value);
            if (is_not_asked)
                assert_int_equal(checks[j].state, TDX_CHECK_UNKNOWN);
        }
    }
}

/* tdx_detect() goes by the same rows: it fails where no TD can run, with the row's words, and nowhere else. */
static void detection_fails_by_what_no_td_runs_without(void **state)
{
    const char *missing;
    for (unsigned i = 0; i < ARRAY_COUNT(away); i++) {
        complete_machine();
        assert_int_equal(tdx_detect(&missing), ERR_OK);
        assert_null(missing);
        take_away(i);
        enum err e = tdx_detect(&missing);
        if (strcmp(away[i].name, "seamldr") != 0) /* whose fault is the module's too */
            assert_int_equal(e == ERR_PLATFORM, away[i].stops);
        if (away[i].stops) {
            assert_non_null(strstr(missing, away[i].fix));
            assert_non_null(strstr(missing, away[i].seen));
            assert_int_equal(init_module().err, ERR_PLATFORM);
        }
        assert_int_equal(tdx_counts_seamcalls(), 0);
    }
}

static void what_only_the_caller_knows(void **state)
{
    complete_machine();
    host.secure_boot = TDX_SECURE_BOOT_ON;
    host.cpus_failed = 1;
    host.failed_cpus = " CPU 3 (APIC id 6)";
    host.page = HPA_NONE;
    host.memory_count = 0;
    look();
    assert_int_equal(row("secure_boot")->state, TDX_CHECK_MISSING);
    assert_non_null(strstr(row("secure_boot")->fix, "disable Secure Boot"));
    assert_string_equal(row("cpus")->value, "ACPI MADT: 4 CPUs, 3 of them started, not CPU 3 (APIC id 6)");
    assert_int_equal(row("cpus")->state, TDX_CHECK_MISSING);
    assert_int_equal(row("seamldr")->state, TDX_CHECK_UNKNOWN);
    assert_int_equal(row("tdx_memory")->state, TDX_CHECK_UNKNOWN);
    host.cpus = 0;
    host.secure_boot = TDX_SECURE_BOOT_UNKNOWN;
    look();
    assert_int_equal(row("secure_boot")->state, TDX_CHECK_UNKNOWN);
    assert_string_equal(row("cpus")->value, "started when boot services have ended");
    assert_string_equal(row("same_msrs")->value, "asked at the console, where all CPUs run");
    assert_int_equal(row("same_msrs")->state, TDX_CHECK_UNKNOWN);
}

static void one_odd_cpu_is_named(void **state)
{
    complete_machine();
    cpu_host_set_msr(0x122, 0);
    cpu_host_set_odd_msr(2, 0x122, 2);
    look();
    assert_string_equal(row("same_msrs")->value, "IA32_TSX_CTRL (MSR 0x122) = 0x2 on CPU 2, 0x0 on CPU 0");
    assert_int_equal(row("same_msrs")->state, TDX_CHECK_MISSING);
    assert_non_null(strstr(row("same_msrs")->fix, "TDH.SYS.LP.INIT will refuse it (TDX_INCONSISTENT_MSR"));
    cpu_host_set_odd_msr(1, 0x8b, 0x2b00047000000000);
    look();
    assert_string_equal(row("same_microcode")->value,
                        "IA32_BIOS_SIGN_ID (MSR 0x8b): revision = 0x2b000470 on CPU 1, 0x2b000590 on CPU 0");
    assert_int_equal(row("same_microcode")->state, TDX_CHECK_MISSING);
    assert_string_equal(row("same_microcode")->fix,
                        "the CPUs have different microcode: update the firmware, or load one revision on all");
}

/* What CPU 2 has otherwise: a bit of a register of a leaf. */
static struct {
    u32 leaf, subleaf, reg, bit;
} odd;

static void on_cpu_2(u32 leaf, u32 subleaf, u32 out[4])
{
    if (cpu_index() == 2 && leaf == odd.leaf && subleaf == odd.subleaf)
        out[odd.reg] ^= odd.bit;
}

/* What `tdx check` names TDH.SYS.LP.INIT refuses, and nothing else of CPUID. */
static void one_cpu_with_other_cpuid_is_named(void **state)
{
    static const struct {
        u32 leaf, subleaf, reg, bit;
        const char *value; /* NULL: it may differ */
    } rows[] = {
        {7, 0, 3, 1u << 4, "CPUID leaf 0x7 sub-leaf 0x0 EDX = 0x10 on CPU 2, 0x0 on CPU 0"},
        {0xd, 0x12, 0, 8, "CPUID leaf 0xd sub-leaf 0x12 EAX = 0x2008 on CPU 2, 0x2000 on CPU 0"},
        {0, 0, 0, 1, "CPUID leaf 0x0 EAX = 0x21 on CPU 2, 0x20 on CPU 0"},
        {0x80000008, 0, 1, 1, "CPUID leaf 0x80000008 EBX = 0x1 on CPU 2, 0x0 on CPU 0"},
        {1, 0, 0, 1, NULL},            /* the stepping */
        {1, 0, 1, 1u << 24, NULL},     /* the APIC ID */
        {1, 0, 2, 1u << 27, NULL},     /* OSXSAVE */
        {2, 0, 0, 1, NULL},            /* a leaf that no TD gets from the CPU */
        {0xd, 0, 1, 0x240, NULL},      /* how large XCR0 makes the state */
        {0x1f, 1, 3, 1, NULL},         /* the APIC ID */
        {0x80000006, 0, 2, 256, NULL}, /* the size of the L2 cache */
    };

    for (unsigned i = 0; i < ARRAY_COUNT(rows); i++) {
        complete_machine();
        platform_host_knobs.cpuid_read = on_cpu_2;
        odd.leaf = rows[i].leaf, odd.subleaf = rows[i].subleaf, odd.reg = rows[i].reg, odd.bit = rows[i].bit;
        look();
        assert_int_equal(row("same_cpuid")->state, rows[i].value ? TDX_CHECK_MISSING : TDX_CHECK_OK);
        assert_string_equal(row("same_cpuid")->value,
                            rows[i].value ? rows[i].value : "51 leafs and sub-leafs are the same on 4 CPUs");
        seamcall_host_answer = NULL;
        assert_int_equal(init_module().status.raw, rows[i].value ? 0xc000090200000000 : 0);
    }
}

static void a_module_that_runs_tells_version_cmrs_and_memory(void **state)
{
    static const struct phys_range more[] = {{{M1}, G1 - M1}, {{4 * G1}, 4 * G1}, {{15 * G1}, G1}};
    complete_machine();
    assert_int_equal(init_module().err, ERR_OK);
    tdx_counts_reset();
    look();
    assert_string_equal(row("vmxon")->value, "VMX operation is on");
    assert_string_equal(row("module")->value, "TDH.SYS.RD: TDX_SUCCESS (0x0)");
    assert_string_equal(row("module_version")->value, "TDH.SYS.RD: 1.5.01, build 0 of 20230801, features 0xf0fbf");
    assert_int_equal(row("module_version")->state, TDX_CHECK_OK);
    assert_string_equal(row("cmrs")->value, "TDH.SYS.RD: 2 CMRs cover 5119 of 5119 MiB that the firmware leaves free");
    assert_int_equal(row("cmrs")->state, TDX_CHECK_OK);
    assert_int_equal(row("tdx_memory")->state, TDX_CHECK_OK);
    assert_non_null(strstr(row("tdx_memory")->value, "MiB in 2 TDMRs"));
    host.memory = more; /* the last GiB is in no CMR */
    host.memory_count = 3;
    look();
    assert_string_equal(row("cmrs")->value, "TDH.SYS.RD: 2 CMRs cover 5119 of 6143 MiB that the firmware leaves free");
    assert_int_equal(row("cmrs")->state, TDX_CHECK_MISSING);
    assert_non_null(strstr(row("cmrs")->fix, "DIMMs"));
}

static void an_unknown_or_newer_cpu_is_no_obstacle(void **state)
{
    const char *missing;
    complete_machine();
    cpu_host_set_cpuid(1, 0, (struct cpuid_regs){.eax = 0xa06d1, .ecx = 1u << 5 | 1u << 21}); /* model ADh */
    look();
    assert_string_equal(row("family")->value, "CPUID leaf 1 EAX = 0xa06d1: Granite Rapids");
    cpu_host_set_cpuid(1, 0, (struct cpuid_regs){.eax = 0xf06f1, .ecx = 1u << 5 | 1u << 21});
    cpu_host_set_cpuid(7, 0, (struct cpuid_regs){.ecx = 1u << 28});
    look();
    assert_int_equal(row("family")->state, TDX_CHECK_UNKNOWN);
    assert_string_equal(row("sgx")->value, "CPUID leaf 7 EBX = 0x0 (this CPU does not want it)");
    assert_int_equal(tdx_detect(&missing), ERR_OK);
    cpu_host_remove_msr(0x1401); /* not to be seen: whether a module answers says it as well */
    look();
    assert_int_equal(row("seamrr_locked")->state, TDX_CHECK_UNKNOWN);
    assert_int_equal(row("module")->state, TDX_CHECK_OK);
    assert_int_equal(tdx_detect(&missing), ERR_OK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_complete_machine_lacks_nothing),
        cmocka_unit_test(each_missing_thing_is_told_with_register_and_remedy),
        cmocka_unit_test(detection_fails_by_what_no_td_runs_without),
        cmocka_unit_test(what_only_the_caller_knows),
        cmocka_unit_test(one_odd_cpu_is_named),
        cmocka_unit_test(one_cpu_with_other_cpuid_is_named),
        cmocka_unit_test(a_module_that_runs_tells_version_cmrs_and_memory),
        cmocka_unit_test(an_unknown_or_newer_cpu_is_no_obstacle),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
