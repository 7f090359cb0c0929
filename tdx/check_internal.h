/* Shared by check.c, check_cpu.c, check_module.c and detect.c: how a condition is looked at. */
#ifndef TDX_CHECK_INTERNAL_H
#define TDX_CHECK_INTERNAL_H

#include "tdx/check.h"

/* Adds to the value of a condition. */
void tdx_check_add(struct tdx_check *c, const char *fmt, ...) PRINTF_LIKE(2, 3);
/* The condition does not hold, or could not be seen. */
void tdx_check_lacks(struct tdx_check *c, const char *fix);
void tdx_check_unknown(struct tdx_check *c);
/* Adds the MSR to the value. False: it raises #GP, and the condition is unknown. */
MUST_CHECK bool tdx_check_msr(struct tdx_check *c, const char *name, u32 msr, u64 *value);

/* The first condition without which no TD runs and which does not hold; false: they all do. */
bool tdx_check_needed(struct tdx_check *missing);

/* How many KeyID bits the memory encryption uses for `keyids` KeyIDs beside KeyID 0. */
unsigned tdx_keyid_bits(u64 keyids);

/* IA32_BIOS_SIGN_ID, the revision in its upper half. False: it raises #GP. */
MUST_CHECK bool tdx_check_microcode(u64 *value);

#define TDX_MSR_BIOS_SIGN_ID 0x8bu
#define TDX_MSR_MTRRCAP      0xfeu
#define TDX_MSR_SMRR_MASK    0x1f3u
#define TDX_MSR_TME_ACTIVATE 0x982u

#define TDX_MSR_KEYID_PARTITIONING  0x87u
#define TDX_PARTITION_SHARED_SHIFT  0
#define TDX_PARTITION_SHARED_WIDTH  32
#define TDX_PARTITION_PRIVATE_SHIFT 32
#define TDX_PARTITION_PRIVATE_WIDTH 32

/* Each looks at one condition, which begins as ok. */
/* clang-format off */
#define TDX_CHECK_LOOKS(X) \
    X(secure_boot) X(vendor) X(family) X(microcode) X(vmx) X(feature_control) X(movdir64b) X(x2apic) X(sgx) X(tme) \
    X(keyids) X(seamrr) X(seamrr_enabled) X(seamrr_locked) X(smrr) X(misc_enable) X(cpuid) X(same_microcode) X(same_msrs) \
    X(same_cpuid) X(cpus) X(vmxon) X(seamldr) X(module) X(module_version) X(cmrs) X(tdx_memory)
/* clang-format on */
#define X(name) void tdx_look_##name(const struct tdx_check_host *host, struct tdx_check *c);
TDX_CHECK_LOOKS(X)
#undef X

#endif
