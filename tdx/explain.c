/* Statuses in words: see explain.h. What a server's owner can do was learnt from public trouble reports. */
#include "tdx/explain.h"

#include "lib/format.h"
#include "lib/hw/cpu.h"
#include "lib/string.h"
#include "tdx/abi_leaf.h"
#include "tdx/count.h"
#include "tdx/td.h"

#define NAME_PREFIX "TDX_"

/* TDX Module ABI Specification, "Completion status classes". */
static const struct {
    u32 class;
    const char *text;
} classes[] = {
    {0x00, "general"},
    {0x01, "operand"},
    {0x02, "resource busy"},
    {0x03, "page metadata (PAMT)"},
    {0x04, "pages of a TD"},
    {0x05, "state of the module"},
    {0x06, "state of the TD"},
    {0x07, "state of the vCPU"},
    {0x08, "keys and KeyIDs"},
    {0x09, "platform: CPUID, MSRs, SMRRs"},
    {0x0a, "physical memory: CMRs, TDMRs, PAMTs"},
    {0x0b, "Secure EPT and guest memory"},
    {0x0c, "metadata fields"},
    {0x0d, "service TDs"},
    {0x0e, "migration"},
    {0x10, "reports"},
    {0x11, "L2 VMs"},
    {0xff, "SEAMCALL itself; no module answered"},
};

const char *tdx_class_text(tdx_status_t s)
{
    for (unsigned i = 0; i < ARRAY_COUNT(classes); i++)
        if (classes[i].class == (s.raw >> 40 & 0xff))
            return classes[i].text;
    return "unknown";
}

static const struct {
    const char *name, *text;
} verdicts[] = {
    [TDX_DONE] = {"DONE", "takes the call as done"},
    [TDX_REPEAT] = {"REPEAT", "repeats the call, a bounded number of times, and counts it in `stats`"},
    [TDX_AFTER_OTHER_STEP] = {"AFTER_OTHER_STEP",
                              "takes another step first (BLOCK, TRACK, a flush), then repeats the call"},
    [TDX_REFUSED] = {"REFUSED", "undoes what the operation had begun, where it can be, and tells the status"},
    [TDX_VCPU_DEAD] = {"VCPU_DEAD", "never enters this vCPU again; the others go on"},
    [TDX_TD_DEAD] = {"TD_DEAD", "never enters the TD again; `td destroy` gives its pages back"},
    [TDX_UNKNOWN] = {"UNKNOWN", "takes it for a refusal, since its list does not have it"},
};

const char *tdx_verdict_name(enum tdx_verdict v)
{
    return verdicts[v].name;
}

const char *tdx_verdict_text(enum tdx_verdict v)
{
    return verdicts[v].text;
}

/* --- details ------------------------------------------------------------------------------------------------------ */

static const struct {
    u32 msr;
    const char *name;
} msrs[] = {
    {0x3b, "IA32_TSC_ADJUST"},
    {0x87, "IA32_MKTME_KEYID_PARTITIONING"},
    {0x98, "IA32_WBINVDP"},
    {0x99, "IA32_WBNOINVDP"},
    {0xbc, "IA32_MISC_PACKAGE_CTLS"},
    {0xbd, "IA32_XAPIC_DISABLE_STATUS"},
    {0xcf, "IA32_CORE_CAPABILITIES"},
    {0xfe, "IA32_MTRRCAP"},
    {0x10a, "IA32_ARCH_CAPABILITIES"},
    {0x122, "IA32_TSX_CTRL"},
    {0x1a0, "IA32_MISC_ENABLE"},
    {0x1f2, "IA32_SMRR_PHYSBASE"},
    {0x1f3, "IA32_SMRR_PHYSMASK"},
    {0x345, "IA32_PERF_CAPABILITIES"},
    {0x981, "IA32_TME_CAPABILITY"},
    {0x982, "IA32_TME_ACTIVATE"},
};

static const char *msr_name(u32 msr)
{
    for (unsigned i = 0; i < ARRAY_COUNT(msrs); i++)
        if (msrs[i].msr == msr)
            return msrs[i].name;
    return msr >= 0x480 && msr <= 0x491 ? "a VMX capability MSR" : "no MSR that Septum has a name for";
}

/* Registers are named by the caller, fields are those of TD_PARAMS, objects are what the call uses without being told. */
static const char *operand_kind(u32 id)
{
    return id < 0x40   ? "the operand in "
           : id < 0x60 ? "TD_PARAMS."
           : id < 0x80 ? "the list's "
                       : "what the call works on: ";
}

static void operand_text(tdx_status_t s, char *to, size_t bytes)
{
    const char *name = tdx_operand_name(s);

    if (*name != '\0')
        format_to(to, bytes, "%s%s", operand_kind((u32)s.raw), name);
    else
        format_to(to, bytes, "operand id 0x%x, which Septum does not know", (u32)s.raw);
}

void tdx_details_text(tdx_status_t s, char *to, size_t bytes)
{
    u32 details = (u32)s.raw;

    *to = '\0';
    switch (tdx_details(s)) {
    case TDX_DETAILS_NONE:
        if (details != 0)
            format_to(to, bytes, "0x%x", details);
        break;
    case TDX_DETAILS_OPERAND:
        operand_text(s, to, bytes);
        break;
    case TDX_DETAILS_LEVEL:
        format_to(to, bytes, "the entry that was found is of level %u", details);
        break;
    case TDX_DETAILS_EXIT_REASON:
        format_to(to, bytes, "VMX exit reason %u, %s", details & 0xffff, vcpu_exit_name(details & 0xffff));
        break;
    case TDX_DETAILS_TDMR:
        format_to(to, bytes, "TDMR %u, PAMT level or reserved area %u, other TDMR %u", details & 0xff,
                  details >> 8 & 0xff, details >> 16 & 0xff);
        break;
    case TDX_DETAILS_MSR:
        format_to(to, bytes, "MSR 0x%x, %s", details, msr_name(details));
        break;
    case TDX_DETAILS_CPUID_LEAF:
        format_to(to, bytes, "CPUID leaf 0x%x", details);
        break;
    case TDX_DETAILS_OTHER:
        format_to(to, bytes, "0x%x (a VMCS field, or an L2 VM and its level)", details);
        break;
    }
}

/* --- hints -------------------------------------------------------------------------------------------------------- */

#define OLD_FIRMWARE "an old BIOS or microcode: update both"

static const struct {
    u32 code;
    const char *text;
} hints[] = {
    {TDX_OPERAND_BUSY, "another CPU, or the TD itself, has it at the moment"},
    {TDX_RND_NO_ENTROPY, "the CPU's random number generator had none at the moment"},
    {TDX_KEY_GENERATION_FAILED, "the CPU had no entropy for a key at the moment"},
    {TDX_SYS_INIT_NOT_PENDING,
     "the module was initialised before this start; only a reset of the machine makes it new"},
    {TDX_SYS_NOT_READY,
     "the module is not initialised on all packages; from TDH.SYS.RD it means a module of generation 1.0, which has no "
     "such leaf: update the module to 1.5 or later"},
    {TDX_SYS_LP_INIT_NOT_DONE, "this CPU has not run TDH.SYS.LP.INIT"},
    {TDX_SYS_LP_INIT_NOT_PENDING, "TDH.SYS.LP.INIT comes between TDH.SYS.INIT and TDH.SYS.CONFIG"},
    {TDX_SYS_CONFIG_NOT_PENDING,
     "a CPU of the machine has not run TDH.SYS.LP.INIT, hyperthreads included: `cpus` shows which did not start"},
    {TDX_SYS_SHUTDOWN, "the module was shut down; only a reset of the machine, or loading it anew, brings it back"},
    {TDX_INCOMPATIBLE_SEAM_CAPABILITIES, "the module does not fit this CPU's SEAM: take the module of its generation"},
    {TDX_NUM_ACTIVATED_HKIDS_NOT_SUPPORTED,
     "more KeyIDs are parted than the module takes: lower the TME-MT/TDX key split"},
    {TDX_INCORRECT_CPUID_VALUE, OLD_FIRMWARE},
    {TDX_LIMIT_CPUID_MAXVAL_SET, "disable Limit CPUID Maximum in the firmware setup"},
    {TDX_INCONSISTENT_CPUID_FIELD,
     "CPUs of one machine differ: the firmware set one up otherwise, or they have different microcode; "
     "update the BIOS"},
    {TDX_CPUID_MAX_SUBLEAVES_UNRECOGNIZED, "the module does not know this CPU: take a module of its generation"},
    {TDX_CPUID_LEAF_1F_FORMAT_UNRECOGNIZED,
     "the module does not know this CPU's topology: take a module of its generation, and disable "
     "sub-NUMA settings of the cores"},
    {TDX_INVALID_WBINVD_SCOPE,
     "the last level cache is not shared by the whole package: disable settings that part it"},
    {TDX_INVALID_PKG_ID, "more packages than the module takes"},
    {TDX_ENABLE_MONITOR_FSM_NOT_SET, "enable MONITOR/MWAIT in the firmware setup"},
    {TDX_CPUID_LEAF_NOT_SUPPORTED, OLD_FIRMWARE},
    {TDX_SMRR_NOT_LOCKED, "the firmware left its SMM range open: update the BIOS"},
    {TDX_INVALID_SMRR_CONFIGURATION, "the firmware's SMM range is malformed: update the BIOS"},
    {TDX_SMRR_OVERLAPS_CMR, "the firmware calls its own SMM memory convertible: update the BIOS"},
    {TDX_SMRR_LOCK_NOT_SUPPORTED, "this CPU cannot lock its SMM range: it is no TDX CPU"},
    {TDX_SMRR_NOT_SUPPORTED, "this CPU has no SMM range register: it is no TDX CPU"},
    {TDX_INCONSISTENT_MSR,
     "the MSR differs on one CPU from where TDH.SYS.INIT ran: the firmware set one CPU up otherwise; update the BIOS"},
    {TDX_INCORRECT_MSR_VALUE,
     "the firmware left a value that the module does not take, on one CPU or on all (`tdx check` compares them): "
     "update the BIOS"},
    {TDX_INVALID_TDMR,
     "TDMRs are whole GiBs in order; a bug of Septum's layout, or memory of an odd shape: keep the log"},
    {TDX_TDMR_OUTSIDE_CMRS,
     "memory that the firmware calls free is not convertible; Septum leaves out what it knows to be so: keep the log"},
    {TDX_PAMT_OUTSIDE_CMRS, "a PAMT lies in memory that is not convertible: keep the log"},
    {TDX_CMR_LIST_INVALID, "the firmware's list of convertible memory is malformed: update the BIOS"},
    {TDX_TLB_TRACKING_NOT_DONE,
     "TRACK, and an exit of each vCPU, must follow a BLOCK that succeeded; a BLOCK that was BUSY did not"},
    {TDX_EPT_INVALID_PROMOTE_CONDITIONS,
     "the 512 pages are not all there, contiguous and in one state: all accepted, or all pending"},
    {TDX_OPERAND_ADDR_RANGE_ERROR, "the page is in no TDMR, or in a GiB that TDH.SYS.TDMR.INIT has not reached"},
    {TDX_SEAMCALL_VMFAILED, "no TDX module is loaded, or the CPU is not in VMX root operation"},
    {TDX_SEAMCALL_UD, "the CPU does not know SEAMCALL, or VMX operation is off"},
    {TDX_SEAMCALL_GP, "the firmware left SEAM off"},
};

const char *tdx_hint(tdx_status_t s)
{
    for (unsigned i = 0; i < ARRAY_COUNT(hints); i++)
        if (tdx_is(s, hints[i].code))
            return hints[i].text;
    return "";
}

/* --- the module's start ------------------------------------------------------------------------------------------- */

/* "; EBX 0x1 & 0xff is not 0x3", for each register of the leaf that is not as the module wants it. */
static size_t wrong_registers(const struct tdx_cpuid_refusal *r, char *to, size_t bytes)
{
    static const char *const names[] = {"EAX", "EBX", "ECX", "EDX"};
    struct cpuid_regs is = cpu_cpuid((u32)r->leaf, (u32)(r->leaf >> 32));
    const u32 values[] = {is.eax, is.ebx, is.ecx, is.edx};
    const u32 masks[] = {(u32)r->mask_low, (u32)(r->mask_low >> 32), (u32)r->mask_high, (u32)(r->mask_high >> 32)};
    const u32 wanted[] = {(u32)r->want_low, (u32)(r->want_low >> 32), (u32)r->want_high, (u32)(r->want_high >> 32)};
    size_t used = 0;

    for (unsigned i = 0; i < ARRAY_COUNT(names); i++)
        if ((values[i] & masks[i]) != wanted[i])
            used += format_to(to + used, bytes - used, ", %s 0x%x & 0x%x should be 0x%x", names[i], values[i], masks[i],
                              wanted[i]);
    return used;
}

/* Bits 63:32 of the leaf are all ones where it has no sub-leafs. */
static size_t cpuid_text(const struct tdx_init_fault *f, char *to, size_t bytes)
{
    u32 subleaf = (u32)(f->cpuid.leaf >> 32);
    size_t used = format_to(to, bytes, "CPUID leaf 0x%x", (u32)f->cpuid.leaf);

    if (subleaf != ~0u)
        used += format_to(to + used, bytes - used, " sub-leaf 0x%x", subleaf);
    used += format_to(to + used, bytes - used, " on CPU %u", f->cpu);
    /* Where the module says what it wants, this is the CPU that it asked. */
    if (tdx_is(f->status, TDX_INCORRECT_CPUID_VALUE) && used < bytes)
        used += wrong_registers(&f->cpuid, to + used, bytes - used);
    return used;
}

void tdx_explain_init(const struct tdx_init_fault *f, char *to, size_t bytes)
{
    bool is_cpuid = tdx_is(f->status, TDX_INCORRECT_CPUID_VALUE) || tdx_is(f->status, TDX_INCONSISTENT_CPUID_FIELD);
    const char *hint = tdx_hint(f->status);
    size_t used;

    *to = '\0';
    if (f->leaf == NULL || f->status.raw == 0 || strcmp(f->leaf, tdx_leaf_name(TDH_SYS_RD)) == 0)
        return; /* what is said of TDH.SYS.RD already names field or generation */
    if (is_cpuid) {
        used = cpuid_text(f, to, bytes);
    } else {
        tdx_details_text(f->status, to, bytes);
        used = strlen(to);
        if (tdx_details(f->status) == TDX_DETAILS_MSR)
            used += format_to(to + used, bytes - used, ", on CPU %u", f->cpu);
    }
    if (*hint != '\0' && used < bytes)
        format_to(to + used, bytes - used, "%s%s", used != 0 ? ": " : "", hint);
}

/* --- by name ------------------------------------------------------------------------------------------------------ */

static char upper(char c)
{
    return c >= 'a' && c <= 'z' ? (char)(c - 'a' + 'A') : c;
}

static bool same_name(const char *name, const char *text)
{
    while (*name != '\0' && *name == upper(*text))
        name++, text++;
    return *name == *text;
}

/* Digits behind 0x; at most 16. */
static bool parse_hex(const char *text, u64 *value)
{
    unsigned digits = 0;

    if (text[0] != '0' || upper(text[1]) != 'X')
        return false;
    *value = 0;
    for (text += 2; *text != '\0'; text++, digits++) {
        char c = upper(*text);
        if (digits == 16 || !((c >= '0' && c <= '9') || (c >= 'A' && c <= 'F')))
            return false;
        *value = *value << 4 | (u64)(c <= '9' ? c - '0' : c - 'A' + 10);
    }
    return digits != 0;
}

bool tdx_status_find(const char *text, tdx_status_t *s)
{
    const char *name;
    u64 value;

    if (parse_hex(text, &value)) {
        *s = (tdx_status_t){value};
        if (value >> 32 == 0 && value != 0)
            *s = (tdx_status_t){value << 32};
        return true;
    }
    for (unsigned i = 0; (name = tdx_status_at(i, s)) != NULL; i++)
        if (same_name(name, text) || same_name(name + sizeof(NAME_PREFIX) - 1, text))
            return true;
    return false;
}
