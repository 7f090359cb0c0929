/*
 * Is this a TDX host? Each thing that can be missing has a sentence that says what to do. TDX Module Base Architecture
 * Specification, "Enumeration of Intel TDX"; SDM vol. 3, "Discovering support for VMX"; SDM vol. 4 for the MSRs.
 */
#include "tdx/module.h"

#include "lib/bits.h"
#include "lib/hw/cpu.h"
#include "tdx/abi_field.h"
#include "tdx/abi_leaf.h"
#include "tdx/hw/seamcall.h"
#include "tdx/module_internal.h"
#include "tdx/seamldr.h"

#define MSR_FEATURE_CONTROL     0x3au
#define MSR_KEYID_PARTITIONING  0x87u
#define MSR_MTRRCAP             0xfeu
#define MSR_TME_ACTIVATE        0x982u
#define FEATURE_CONTROL_LOCKED  BIT(0)
#define FEATURE_CONTROL_VMX     BIT(2)
#define MTRRCAP_SEAMRR          BIT(15)
#define CPUID_1_ECX_VMX         BIT(5)
#define CPUID_7_ECX_MOVDIR64B   BIT(28)
#define CPUID_80000008_MAXPA    0xffu
#define TME_KEYID_BITS_SHIFT    32
#define TME_KEYID_BITS_WIDTH    4
#define PARTITION_SHARED_SHIFT  0
#define PARTITION_SHARED_WIDTH  32
#define PARTITION_PRIVATE_SHIFT 32
#define PARTITION_PRIVATE_WIDTH 32
#define HKID_LIMIT              0x10000ull

static const char *check_cpu(void)
{
    struct cpuid_regs vendor = cpu_cpuid(0, 0);
    if (vendor.ebx != 0x756e6547 || vendor.edx != 0x49656e69 || vendor.ecx != 0x6c65746e)
        return "this CPU is not made by Intel (CPUID vendor is not GenuineIntel); TDX needs an Intel Xeon server CPU";
    if (!(cpu_cpuid(1, 0).ecx & CPUID_1_ECX_VMX))
        return "this CPU has no VMX, or it is turned off: enable virtualization technology (VT-x) in the firmware "
               "setup";
    if (vendor.eax < 7 || !(cpu_cpuid(7, 0).ecx & CPUID_7_ECX_MOVDIR64B))
        return "this CPU has no MOVDIR64B instruction, which taking memory back from a TD needs; no CPU with TDX lacks "
               "it";
    return NULL;
}

static const char *check_firmware(void)
{
    u64 control, mtrrcap;
    if (!cpu_read_msr(MSR_FEATURE_CONTROL, &control))
        return "IA32_FEATURE_CONTROL (MSR 0x3a) cannot be read, so VMX cannot be turned on";
    if ((control & FEATURE_CONTROL_LOCKED) && !(control & FEATURE_CONTROL_VMX))
        return "the firmware has locked VMX off (IA32_FEATURE_CONTROL): enable virtualization technology (VT-x) in its "
               "setup";
    if (!cpu_read_msr(MSR_MTRRCAP, &mtrrcap) || !(mtrrcap & MTRRCAP_SEAMRR))
        return "this CPU has no SEAM range register (IA32_MTRRCAP bit 15), which holds the TDX module; it is no TDX "
               "CPU";
    return NULL;
}

/* How many bits name a KeyID: the memory encryption setting says, else the number of KeyIDs (KeyID 0 is one more)
 * does. */
static unsigned keyid_bits(u64 keyids)
{
    u64 activate;
    if (cpu_read_msr(MSR_TME_ACTIVATE, &activate) && FIELD_GET(TME_KEYID_BITS, activate))
        return (unsigned)FIELD_GET(TME_KEYID_BITS, activate);
    unsigned bits = 0;
    while ((1ull << bits) < keyids + 1)
        bits++;
    return bits;
}

static const char *check_keyids(void)
{
    u64 partition;
    if (!cpu_read_msr(MSR_KEYID_PARTITIONING, &partition) || !FIELD_GET(PARTITION_PRIVATE, partition))
        return "no private KeyIDs are set aside (MSR 0x87): enable TME, TME-MT and TDX in the firmware setup, with at "
               "least "
               "2 TDX keys";
    u64 shared = FIELD_GET(PARTITION_SHARED, partition), count = FIELD_GET(PARTITION_PRIVATE, partition);
    if (count < 2 || shared + count >= HKID_LIMIT)
        return "the number of private KeyIDs (MSR 0x87) is of no use: one goes to the TDX module, each TD needs "
               "another";
    tdx_module.hkid_first.raw = (u16)(shared + 1);
    tdx_module.hkid_count = (unsigned)count;
    tdx_module.keyid_bits = keyid_bits(shared + count);
    tdx_module.maxpa = cpu_cpuid(0x80000008, 0).eax & CPUID_80000008_MAXPA;
    return NULL;
}

/* Any answer of a module means that one is there, even that it is not initialised. The call is none of those that the
 * VMM counts and traces as its work, so it takes the bare instruction. */
static const char *ask_module(void)
{
    struct seamcall_regs r = {.rax = TDH_SYS_RD, .rdx = FIELD_SYS_MAJOR_VERSION};
    switch (seamcall(&r)) {
    case SEAMCALL_RAN:
        return NULL;
    case SEAMCALL_VMFAILED:
        if (tdx_seamldr_is_ready())
            return NULL;
        return "no TDX module is loaded: the firmware did not find one (see its setup for the TDX loader and SEAM "
               "options, or "
               "put the module on the EFI system partition; where there is a P-SEAMLDR the option `module=` loads it)";
    case SEAMCALL_GP:
        return "SEAMCALL raises #GP: the firmware left SEAM off, although the CPU has it (enable TDX in its setup)";
    case SEAMCALL_UD:
        break;
    }
    return "SEAMCALL raises #UD: this CPU does not know the instruction, or VMX operation is not on";
}

static const char *check_module(void)
{
    if (tdx_module_vmx_is_on())
        return ask_module();
    if (!tdx_module_vmx_on())
        return "VMXON fails: some other hypervisor may run below, or VMX is restricted to SMX operation (measured "
               "launch)";
    const char *missing = ask_module();
    tdx_module_vmx_off();
    return missing;
}

enum err tdx_detect(const char **missing)
{
    static const char *(*const checks[])(void) = {check_cpu, check_firmware, check_keyids, check_module};
    for (unsigned i = 0; i < ARRAY_COUNT(checks); i++) {
        *missing = checks[i]();
        if (*missing)
            return ERR_PLATFORM;
    }
    return ERR_OK;
}

keyed_hpa_t tdx_keyed(hpa_t page, hkid_t hkid)
{
    unsigned shift = tdx_module.maxpa - tdx_module.keyid_bits;
    return (keyed_hpa_t){page.raw | (u64)hkid.raw << shift};
}
