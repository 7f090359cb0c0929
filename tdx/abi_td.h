/*
 * Structures that the VMM hands to the TDX module in its own memory, and TD attributes. TDX Module ABI Specification,
 * "TD_PARAMS", "TDMR_INFO", "TDSYSINFO_STRUCT", "CMR_INFO".
 */
#ifndef TDX_ABI_TD_H
#define TDX_ABI_TD_H

#include "lib/bits.h"

/* TD_PARAMS.ATTRIBUTES */
#define TD_ATTR_DEBUG           BIT(0)
#define TD_ATTR_SEPT_VE_DISABLE BIT(28)
#define TD_ATTR_MIGRATABLE      BIT(29)
#define TD_ATTR_PKS             BIT(30)
#define TD_ATTR_KL              BIT(31)
#define TD_ATTR_PERFMON         BIT(63)

#define TD_XFAM_X87_SSE 3ull /* the least that the module takes */

/* TD_PARAMS.EPTP_CONTROLS: memory type in 2:0, walk length minus one in 5:3 */
#define TD_EPTP_WRITE_BACK 6ull
#define TD_EPTP_4_LEVELS   (3ull << 3)
#define TD_EPTP_5_LEVELS   (4ull << 3)

/* TD_PARAMS.CONFIG_FLAGS */
#define TD_CONFIG_GPAW             BIT(0) /* 52-bit guest addresses, shared bit 51; else 48 and 47 */
#define TD_CONFIG_FLEXIBLE_VE      BIT(1)
#define TD_CONFIG_NO_RBP_MOD       BIT(2)
#define TD_SHARED_BIT_48           47u
#define TD_PARAMS_BYTES            1024u
#define TD_PARAMS_TSC_25MHZ(hertz) ((u16)((hertz) / 25000000))

struct td_params {
    u64 attributes;
    u64 xfam;
    u16 max_vcpus;
    u8 num_l2_vms;
    u8 msr_config_ctls;
    u32 reserved_20;
    u64 eptp_controls;
    u64 config_flags;
    u16 tsc_frequency; /* in 25 MHz, 4 to 400 */
    u8 reserved_42[38];
    u8 mrconfigid[48];
    u8 mrowner[48];
    u8 mrownerconfig[48];
    u64 ia32_arch_capabilities_config;
    u8 reserved_232[24];
    struct {
        u32 eax, ebx, ecx, edx;
    } cpuid_config[48]; /* as many as SYS.RD's NUM_CPUID_CONFIG are used, the rest is zero */
};
_Static_assert(offsetof(struct td_params, eptp_controls) == 24, "TD_PARAMS");
_Static_assert(offsetof(struct td_params, tsc_frequency) == 40, "TD_PARAMS");
_Static_assert(offsetof(struct td_params, mrconfigid) == 80, "TD_PARAMS");
_Static_assert(offsetof(struct td_params, ia32_arch_capabilities_config) == 224, "TD_PARAMS");
_Static_assert(offsetof(struct td_params, cpuid_config) == 256, "TD_PARAMS");
_Static_assert(sizeof(struct td_params) == TD_PARAMS_BYTES, "TD_PARAMS");

#define TDMR_RESERVED_MAX 16u

/* TDMR_INFO: one trust domain memory region, its PAMTs and its reserved areas. */
struct tdmr_info {
    u64 base, bytes; /* multiples of 1 GiB */
    struct {
        u64 base, bytes;
    } pamt[3]; /* [0] 1G, [1] 2M, [2] 4K: the structure's order is from large to small */
    struct {
        u64 offset, bytes;
    } reserved[TDMR_RESERVED_MAX]; /* sorted; one of zero bytes ends the list */
};
_Static_assert(offsetof(struct tdmr_info, pamt) == 16, "TDMR_INFO");
_Static_assert(offsetof(struct tdmr_info, reserved) == 64, "TDMR_INFO");
_Static_assert(sizeof(struct tdmr_info) == 320, "TDMR_INFO");

#define TDMR_INFO_ALIGN               512u
#define TDMR_PAMT_INDEX(level_number) (2u - (level_number))

#define TDSYSINFO_BYTES      1024u
#define TDSYSINFO_NO_SUBLEAF 0xffffffffu
#define CMR_TABLE_ALIGN      512u
#define CMR_TABLE_ENTRIES    32u

/* Of TDSYSINFO_STRUCT what SYS.RD does not give: which bits of which CPUID leafs TD_PARAMS may have, in the order that it has
 * them. */
struct tdsysinfo {
    u8 as_sys_rd_gives[128];
    u32 cpuid_config_count;
    struct {
        u32 leaf, subleaf, eax, ebx, ecx, edx;
    } cpuid_config[37];
    u8 reserved_1020[4];
};
_Static_assert(sizeof(struct tdsysinfo) == TDSYSINFO_BYTES, "TDSYSINFO_STRUCT");

struct cmr_info {
    u64 base, bytes;
};

#endif
