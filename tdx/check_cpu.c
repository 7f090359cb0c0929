/*
 * Conditions that CPUID and MSRs show: see check.h. SDM vol. 3, "Discovering support for VMX"; SDM vol. 4 for the MSRs;
 * what TDH.SYS.INIT and LP.INIT refuse of them by the TDX Module Base Architecture Specification, "Platform checks".
 *
 * A server's setup names its settings in its own words; those here are the usual ones.
 */
#include "lib/bits.h"
#include "lib/hw/cpu.h"
#include "tdx/check_internal.h"

#define MSR_APIC_BASE       0x1bu
#define MSR_FEATURE_CONTROL 0x3au
#define MSR_MISC_ENABLE     0x1a0u
#define MSR_SEAMRR_BASE     0x1400u
#define MSR_SEAMRR_MASK     0x1401u

#define APIC_BASE_X2APIC       BIT(10)
#define FEATURE_CONTROL_LOCKED BIT(0)
#define FEATURE_CONTROL_VMX    BIT(2)
#define FEATURE_CONTROL_SGX    BIT(18)
#define MTRRCAP_SMRR           BIT(11)
#define MTRRCAP_SMRR_LOCK      BIT(14)
#define MTRRCAP_SEAMRR         BIT(15)
#define MISC_ENABLE_PERFMON    BIT(7)
#define MISC_ENABLE_NO_BTS     BIT(11)
#define MISC_ENABLE_LIMIT      BIT(22)
#define SMRR_MASK_LOCKED       BIT(10)
#define TME_LOCKED             BIT(0)
#define TME_ENABLED            BIT(1)
#define TME_KEYID_BITS_SHIFT   32
#define TME_KEYID_BITS_WIDTH   4
#define SEAMRR_CONFIGURED      BIT(3)
#define SEAMRR_LOCKED          BIT(10)
#define SEAMRR_ENABLED         BIT(11)

#define CPUID_1_ECX_VMX       BIT(5)
#define CPUID_1_ECX_X2APIC    BIT(21)
#define CPUID_7_EBX_SGX       BIT(2)
#define CPUID_7_ECX_MOVDIR64B BIT(28)
#define CPUID_BASIC_MIN       0x1fu       /* the least last leaf that a module wants */
#define CPUID_EXTENDED_MIN    0x80000008u /* likewise */
#define PERFMON_VERSION_MIN   5u

void tdx_look_vendor(const struct tdx_check_host *host, struct tdx_check *c)
{
    struct cpuid_regs r = cpu_cpuid(0, 0);
    u32 name[] = {r.ebx, r.edx, r.ecx};

    tdx_check_add(c, "CPUID leaf 0 = %.12s", (const char *)name);
    if (r.ebx != 0x756e6547 || r.edx != 0x49656e69 || r.ecx != 0x6c65746e)
        tdx_check_lacks(
            c, "this CPU is not made by Intel (CPUID vendor is not GenuineIntel); TDX needs an Intel Xeon server "
               "CPU");
}

/* Models of family 6 that were sold with TDX. */
static const struct {
    u32 model;
    bool wants_sgx; /* their firmware offers TDX only where SGX is on */
    const char *name;
} models[] = {
    {0x8f, true, "Sapphire Rapids"},  {0xcf, true, "Emerald Rapids"}, {0xad, true, "Granite Rapids"},
    {0xae, true, "Granite Rapids D"}, {0xaf, true, "Sierra Forest"},  {0xdd, false, "Clearwater Forest"},
};

/* The index of this CPU's model, or their count. */
static unsigned find_model(u32 signature)
{
    u32 family = (signature >> 8 & 0xf) + (signature >> 20 & 0xff);
    u32 model = (signature >> 4 & 0xf) | (signature >> 12 & 0xf0);
    unsigned i = 0;

    while (i < ARRAY_COUNT(models) && (family != 6 || models[i].model != model))
        i++;
    return i;
}

void tdx_look_family(const struct tdx_check_host *host, struct tdx_check *c)
{
    u32 signature = cpu_cpuid(1, 0).eax;
    unsigned i = find_model(signature);

    tdx_check_add(c, "CPUID leaf 1 EAX = 0x%x: %s", signature,
                  i < ARRAY_COUNT(models) ? models[i].name : "a model that Septum has not heard of");
    if (i == ARRAY_COUNT(models)) {
        tdx_check_unknown(c);
        c->fix = "TDX came with the fifth generation of Xeon Scalable (in part the fourth); an older CPU has none";
    }
}

/* CPUID leaf 1 puts the revision where a zero was written before: SDM vol. 3, "Update Signature and Verification". */
bool tdx_check_microcode(u64 *value)
{
    (void)!cpu_write_msr(TDX_MSR_BIOS_SIGN_ID, 0);
    (void)cpu_cpuid(1, 0);
    return cpu_read_msr(TDX_MSR_BIOS_SIGN_ID, value);
}

void tdx_look_microcode(const struct tdx_check_host *host, struct tdx_check *c)
{
    u64 value;

    if (!tdx_check_microcode(&value)) {
        tdx_check_add(c, "IA32_BIOS_SIGN_ID (MSR 0x%x) raises #GP", TDX_MSR_BIOS_SIGN_ID);
        tdx_check_unknown(c);
        return;
    }
    tdx_check_add(c, "IA32_BIOS_SIGN_ID (MSR 0x%x): revision 0x%x", TDX_MSR_BIOS_SIGN_ID, (u32)(value >> 32));
    if (value >> 32 == 0)
        tdx_check_lacks(c, "no microcode update is loaded: update the firmware (BIOS), which brings it");
}

void tdx_look_vmx(const struct tdx_check_host *host, struct tdx_check *c)
{
    u32 ecx = cpu_cpuid(1, 0).ecx;

    tdx_check_add(c, "CPUID leaf 1 ECX = 0x%x", ecx);
    if (!(ecx & CPUID_1_ECX_VMX))
        tdx_check_lacks(c,
                        "this CPU has no VMX, or it is turned off: enable virtualization technology (VMX, VT-x) in the "
                        "firmware setup");
}

void tdx_look_feature_control(const struct tdx_check_host *host, struct tdx_check *c)
{
    u64 control;

    if (!tdx_check_msr(c, "IA32_FEATURE_CONTROL", MSR_FEATURE_CONTROL, &control)) {
        tdx_check_lacks(c, "VMX cannot be turned on");
        return;
    }
    if (!(control & FEATURE_CONTROL_LOCKED))
        tdx_check_add(c, " (open: Septum sets and locks it)");
    else if (!(control & FEATURE_CONTROL_VMX))
        tdx_check_lacks(c,
                        "the firmware has locked VMX off: enable virtualization technology (VMX, VT-x) in its setup");
}

void tdx_look_movdir64b(const struct tdx_check_host *host, struct tdx_check *c)
{
    u32 ecx = cpu_cpuid(0, 0).eax >= 7 ? cpu_cpuid(7, 0).ecx : 0;

    tdx_check_add(c, "CPUID leaf 7 ECX = 0x%x", ecx);
    if (!(ecx & CPUID_7_ECX_MOVDIR64B))
        tdx_check_lacks(
            c, "this CPU has no MOVDIR64B instruction, which taking memory back from a TD needs; no CPU with TDX "
               "lacks it");
}

void tdx_look_x2apic(const struct tdx_check_host *host, struct tdx_check *c)
{
    u64 base;
    u32 ecx = cpu_cpuid(1, 0).ecx;

    tdx_check_add(c, "CPUID leaf 1 ECX = 0x%x", ecx);
    if (tdx_check_msr(c, "IA32_APIC_BASE", MSR_APIC_BASE, &base))
        tdx_check_add(c, " (%s)", base & APIC_BASE_X2APIC ? "x2APIC" : "xAPIC: Septum goes to x2APIC");
    if (!(ecx & CPUID_1_ECX_X2APIC))
        tdx_check_lacks(c, "the firmware hides x2APIC, in which TDs run: enable X2APIC (Extended APIC) in its setup");
}

void tdx_look_sgx(const struct tdx_check_host *host, struct tdx_check *c)
{
    u64 control;
    u32 ebx = cpu_cpuid(0, 0).eax >= 7 ? cpu_cpuid(7, 0).ebx : 0;
    unsigned i = find_model(cpu_cpuid(1, 0).eax);

    tdx_check_add(c, "CPUID leaf 7 EBX = 0x%x", ebx);
    if (i == ARRAY_COUNT(models) || !models[i].wants_sgx)
        tdx_check_add(c, " (this CPU does not want it)");
    else if (!(ebx & CPUID_7_EBX_SGX) || !tdx_check_msr(c, "IA32_FEATURE_CONTROL", MSR_FEATURE_CONTROL, &control) ||
             !(control & FEATURE_CONTROL_SGX))
        tdx_check_lacks(
            c, "SGX is off, and this CPU's firmware offers TDX (and its attestation) only with it: enable SW Guard "
               "Extensions (SGX)");
}

/* --- memory encryption ------------------------------------------------------------------------------------------- */

void tdx_look_tme(const struct tdx_check_host *host, struct tdx_check *c)
{
    u64 activate;

    if (!tdx_check_msr(c, "IA32_TME_ACTIVATE", TDX_MSR_TME_ACTIVATE, &activate))
        tdx_check_lacks(c, "this CPU has no memory encryption, or it is hidden: enable Total Memory Encryption (TME)");
    else if (!(activate & TME_ENABLED))
        tdx_check_lacks(
            c, "memory encryption is off: enable Total Memory Encryption (TME) and its multi-tenant form (TME-MT) in "
               "the firmware setup");
    else if (!(activate & TME_LOCKED))
        tdx_check_lacks(
            c, "memory encryption is on and never locked (bit 0), so no KeyID can be used: update the firmware");
    else
        tdx_check_add(c, ": %u KeyID bits", (unsigned)FIELD_GET(TME_KEYID_BITS, activate));
}

unsigned tdx_keyid_bits(u64 keyids)
{
    u64 activate;
    unsigned bits = 0;

    if (cpu_read_msr(TDX_MSR_TME_ACTIVATE, &activate) && FIELD_GET(TME_KEYID_BITS, activate))
        return (unsigned)FIELD_GET(TME_KEYID_BITS, activate);
    while (bits < 16 && BIT(bits) < keyids + 1)
        bits++;
    return bits;
}

void tdx_look_keyids(const struct tdx_check_host *host, struct tdx_check *c)
{
    u64 partition;

    if (!tdx_check_msr(c, "IA32_MKTME_KEYID_PARTITIONING", TDX_MSR_KEYID_PARTITIONING, &partition))
        partition = 0;
    u64 shared = FIELD_GET(TDX_PARTITION_SHARED, partition), own = FIELD_GET(TDX_PARTITION_PRIVATE, partition);
    tdx_check_add(c, ": %u shared KeyIDs, %u private ones", (unsigned)shared, (unsigned)own);
    if (own == 0)
        tdx_check_lacks(
            c, "no private KeyIDs are set aside: enable TME-MT and TDX in the firmware setup and give TDX its part of "
               "the keys (TME-MT/TDX key split)");
    else if (own == 1)
        tdx_check_lacks(
            c,
            "one private KeyID is too few: it goes to the TDX module, and each TD needs another; raise the TME-MT/TDX "
            "key split in the firmware setup");
    else if (shared + own >= BIT(tdx_keyid_bits(shared + own)))
        tdx_check_lacks(c,
                        "more KeyIDs are parted than memory encryption has bits for: update the firmware, or lower the "
                        "TME-MT/TDX key split");
    else
        c->state = TDX_CHECK_OK;
}

/* --- SEAM -------------------------------------------------------------------------------------------------------- */

void tdx_look_seamrr(const struct tdx_check_host *host, struct tdx_check *c)
{
    u64 cap = 0;

    if (!tdx_check_msr(c, "IA32_MTRRCAP", TDX_MSR_MTRRCAP, &cap) || !(cap & MTRRCAP_SEAMRR))
        tdx_check_lacks(
            c, "this CPU shows no SEAM range register (bit 15), which holds the TDX module: it is no TDX CPU, or its "
               "microcode is too old");
}

void tdx_look_seamrr_enabled(const struct tdx_check_host *host, struct tdx_check *c)
{
    u64 base, mask;

    if (!tdx_check_msr(c, "IA32_SEAMRR_PHYS_BASE", MSR_SEAMRR_BASE, &base) ||
        !tdx_check_msr(c, "IA32_SEAMRR_PHYS_MASK", MSR_SEAMRR_MASK, &mask))
        return;
    if (!(base & SEAMRR_CONFIGURED) || !(mask & SEAMRR_ENABLED))
        tdx_check_lacks(
            c, "the firmware set up no SEAM range: enable TDX in its setup. Where it is enabled, memory population is "
               "often why (8 DIMMs a socket, all slots of a kind), or Limit CPU PA to 46 bits, which must be off");
}

void tdx_look_seamrr_locked(const struct tdx_check_host *host, struct tdx_check *c)
{
    u64 mask;

    if (tdx_check_msr(c, "IA32_SEAMRR_PHYS_MASK", MSR_SEAMRR_MASK, &mask) && !(mask & SEAMRR_LOCKED))
        tdx_check_lacks(
            c,
            "the SEAM range is enabled but never locked (bit 10): the firmware did not run its SEAM loader; enable TDX "
            "SEAM Loader in its setup, or update a BIOS that comes without P-SEAMLDR");
}

/* --- what the module will not start on ---------------------------------------------------------------------------- */

void tdx_look_smrr(const struct tdx_check_host *host, struct tdx_check *c)
{
    u64 cap, mask;

    if (!tdx_check_msr(c, "IA32_MTRRCAP", TDX_MSR_MTRRCAP, &cap))
        return;
    if (!(cap & MTRRCAP_SMRR) || !(cap & MTRRCAP_SMRR_LOCK))
        tdx_check_lacks(
            c, "no lockable SMM range register (bits 11 and 14): TDH.SYS.INIT will refuse (TDX_SMRR_NOT_SUPPORTED)");
    else if (tdx_check_msr(c, "IA32_SMRR_PHYSMASK", TDX_MSR_SMRR_MASK, &mask) && !(mask & SMRR_MASK_LOCKED))
        tdx_check_lacks(
            c, "the SMM range is not locked (bit 10): TDH.SYS.INIT will refuse (TDX_SMRR_NOT_LOCKED); update the "
               "firmware");
}

void tdx_look_misc_enable(const struct tdx_check_host *host, struct tdx_check *c)
{
    u64 misc;

    if (!tdx_check_msr(c, "IA32_MISC_ENABLE", MSR_MISC_ENABLE, &misc))
        return;
    if (misc & MISC_ENABLE_LIMIT)
        tdx_check_lacks(
            c, "CPUID is cut (bit 22): TDH.SYS.INIT will refuse (TDX_LIMIT_CPUID_MAXVAL_SET); disable Limit CPUID "
               "Maximum in the firmware setup");
    else if (!(misc & MISC_ENABLE_PERFMON) || (misc & MISC_ENABLE_NO_BTS))
        tdx_check_lacks(c, "performance monitoring or branch trace is off (bits 7 and 11): TDH.SYS.INIT will refuse "
                           "(TDX_INCORRECT_MSR_VALUE); enable them in the firmware setup");
}

void tdx_look_cpuid(const struct tdx_check_host *host, struct tdx_check *c)
{
    u32 basic = cpu_cpuid(0, 0).eax, extended = cpu_cpuid(0x80000000, 0).eax;
    u32 perfmon = basic >= 0xa ? cpu_cpuid(0xa, 0).eax & 0xff : 0;
    u32 ratio = basic >= 0x15 ? cpu_cpuid(0x15, 0).ebx : 0;

    tdx_check_add(c, "last leafs 0x%x and 0x%x, performance monitoring version %u, leaf 0x15 EBX = 0x%x", basic,
                  extended, perfmon, ratio);
    if (basic < CPUID_BASIC_MIN || extended < CPUID_EXTENDED_MIN)
        tdx_check_lacks(
            c,
            "leafs are missing: TDH.SYS.INIT will refuse (TDX_CPUID_LEAF_NOT_SUPPORTED); update the firmware and its "
            "microcode");
    else if (perfmon < PERFMON_VERSION_MIN || ratio == 0)
        tdx_check_lacks(c,
                        "TDH.SYS.INIT will refuse such values (TDX_INCORRECT_CPUID_VALUE): old firmware or microcode");
}
