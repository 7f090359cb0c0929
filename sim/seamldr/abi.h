/* What a VMM and P-SEAMLDR agree on: Intel TDX Loader (SEAMLDR) Interface Specification. */
#ifndef SIM_SEAMLDR_ABI_H
#define SIM_SEAMLDR_ABI_H

#include "sim/types.h"

enum { LEAF_INFO, LEAF_INSTALL, LEAF_SHUTDOWN }; /* beside bit 63 */

#define E_BADPARAM 0x8000000000000000ull
#define E_BADCALL  0x8000000000000003ull
#define E_BADSIG   0x8000000000020000ull
#define E_BADHASH  0x8000000000020001ull
#define E_UNSUPCPU 0x8000000000010004ull

#define INFO_BYTES 256u
struct info {
    u32 version, attributes, vendor_id, build_date;
    u16 build_num, minor, major, update;
    u32 acm_x2apicid, remaining_updates;
    /* SEAMEXTEND */
    u64 valid;
    u8 tee_tcb_svn[16], mrseam[48], mrsigner[48];
    u64 module_attributes;
    u8 seam_ready, under_debug, p_seamldr_ready, reserved0[5];
    u64 features0;
    u8 reserved1[80];
};
_Static_assert(sizeof(struct info) == INFO_BYTES && offsetof(struct info, seam_ready) == 160, "SEAMLDR_INFO");

#define SCENARIO_LOAD   0u
#define SCENARIO_UPDATE 1u
#define IMAGE_PAGES_MAX 496u
struct params {
    u32 version, scenario;
    u64 sigstruct;
    u8 reserved[104];
    u64 page_count, pages[IMAGE_PAGES_MAX];
};
_Static_assert(sizeof(struct params) == 4096 && offsetof(struct params, page_count) == 120, "SEAMLDR_PARAMS");

#define SIGSTRUCT_CPUIDS_MAX 255u
struct __attribute__((packed)) sigstruct {
    u32 header_type, header_length, header_version, module_type, vendor, date, size, key_size, modulus_size,
        exponent_size;
    u8 reserved0[88], modulus[384];
    u32 exponent;
    u8 signature[384], hash[48];
    u16 svn;
    u64 attributes;
    u8 layout[66]; /* of the module's memory: the model has none */
    u32 cpuid_count, cpuids[SIGSTRUCT_CPUIDS_MAX];
};
_Static_assert(sizeof(struct sigstruct) == 2048 && offsetof(struct sigstruct, hash) == 900 &&
                   offsetof(struct sigstruct, cpuid_count) == 1024,
               "SEAM_SIGSTRUCT");

#endif
