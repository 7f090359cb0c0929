/*
 * TDH.MNG.INIT: TD_PARAMS checked in the architectural order and turned into a TD. TDX Module v1.5 ABI Specification,
 * "TD_PARAMS" and "TDH.MNG.INIT Leaf". Virtual CPUID and the MSR bitmap are the TD side's work (guest.h).
 */
#include "sim/module/bytes.h"
#include "sim/module/guest.h"
#include "sim/module/leaves.h"
#include "sim/module/measure.h"
#include "sim/module/td_params.h"
#include "sim/module/sys_info.h"

/* TD_PARAMS: 1024 bytes, 1024-aligned, in shared memory. */
struct td_params {
    u64 attributes, xfam;
    u16 max_vcpus;
    u8 num_l2_vms, msr_config_ctls, reserved0[4];
    u64 eptp_controls, config_flags;
    u16 tsc_frequency;
    u8 reserved1[38];
    u8 mrconfigid[MEASUREMENT_BYTES], mrowner[MEASUREMENT_BYTES], mrownerconfig[MEASUREMENT_BYTES];
    u64 arch_capabilities;
    u8 reserved2[24];
    u32 cpuid_config[MDL_CPUID_CONFIGS][4];
    u8 reserved3[768 - MDL_CPUID_CONFIGS * 16];
};
#define TD_PARAMS_BYTES 1024
_Static_assert(sizeof(struct td_params) == TD_PARAMS_BYTES, "TD_PARAMS take 1024 bytes");
_Static_assert(offsetof(struct td_params, mrconfigid) == 80, "TD_PARAMS.MRCONFIGID");
_Static_assert(offsetof(struct td_params, arch_capabilities) == 224, "TD_PARAMS.IA32_ARCH_CAPABILITIES_CONFIG");
_Static_assert(offsetof(struct td_params, cpuid_config) == 256, "TD_PARAMS.CPUID_CONFIG");

#define TSC_FREQUENCY_MIN 4 /* in 25 MHz */
#define TSC_FREQUENCY_MAX 400
#define TSC_UNIT_HZ       25000000ull
#define USEC_PER_SEC      1000000ull
#define HP_LOCK_USEC      1000000ull /* until the VMM sets another HP_LOCK_TIMEOUT */

#define XFAM_LEGACY   0x3ull
#define XFAM_AVX      (1ull << 2)
#define XFAM_AVX512   (7ull << 5)
#define XFAM_CET      (3ull << 11)
#define XFAM_AMX      (3ull << 17)
#define XFAM_POSSIBLE 0x6dbe7ull /* what this module can virtualise */

#define EPTP_MEMORY_TYPE 7ull
#define EPTP_LEVELS      (7ull << 3)
#define MT_WB            6ull
#define LEVELS_5         4 /* walk length minus 1 */
#define MAXPA_FOR_5      49

/*
 * IA32_ARCH_CAPABILITIES of every platform that can run TDs, as far as a TD may see it; and what the VMM may
 * configure.
 */
#define ARCH_CAP_COMMON 0xf16bull
#define ARCH_CAP_RRSBA  (1ull << 19)
#define ARCH_CAP_DIRECT (1ull << 4 | 1ull << 20 | 1ull << 24) /* SSB_NO, BHI_NO, PBRSB_NO: this platform has none */
#define ARCH_CAP_CONFIG 1

u64 mdl_xfam_possible(void)
{
    u32 xcr0[4], xss[4];
    plat_cpuid(0xd, 0, xcr0);
    plat_cpuid(0xd, 1, xss);
    return XFAM_POSSIBLE & ((u64)xcr0[3] << 32 | xcr0[0] | (u64)xss[3] << 32 | xss[2]);
}

static bool attributes_valid(u64 attributes)
{
    if (attributes & ~MDL_ATTRIBUTES_POSSIBLE)
        return false;
    return !(attributes & ATTR_MIGRATABLE) || !(attributes & (ATTR_DEBUG | ATTR_PERFMON));
}

static bool all_or_nothing(u64 xfam, u64 group)
{
    return !(xfam & group) || (xfam & group) == group;
}

static bool xfam_valid(u64 xfam)
{
    if (xfam & ~mdl_xfam_possible() || (xfam & XFAM_LEGACY) != XFAM_LEGACY)
        return false;
    if (xfam & XFAM_AVX512 && !(xfam & XFAM_AVX))
        return false;
    return all_or_nothing(xfam, XFAM_AVX512) && all_or_nothing(xfam, XFAM_CET) && all_or_nothing(xfam, XFAM_AMX);
}

static bool eptp_valid(u64 eptp, bool gpaw)
{
    u64 levels = (eptp & EPTP_LEVELS) >> 3;
    if (eptp & ~(EPTP_MEMORY_TYPE | EPTP_LEVELS) || (eptp & EPTP_MEMORY_TYPE) != MT_WB)
        return false;
    if (levels != LEVELS_5)
        return levels == LEVELS_5 - 1 && !gpaw;
    return plat_info()->ept_levels_max >= 5 && plat_info()->maxpa >= MAXPA_FOR_5;
}

static u64 invalid(unsigned operand)
{
    return status_operand(TDX_OPERAND_INVALID, operand);
}

static u64 set_controls(const struct td *td, const struct td_params *params)
{
    struct tdcs *tdcs = td->tdcs;
    if (!attributes_valid(params->attributes))
        return invalid(OPERAND_ATTRIBUTES);
    tdcs->attributes = params->attributes;
    tdcs->td_ctls = (params->attributes & ATTR_SEPT_VE_DISABLE) != 0;
    if (!xfam_valid(params->xfam))
        return invalid(OPERAND_XFAM);
    tdcs->xfam = params->xfam;
    if (!params->max_vcpus)
        return invalid(OPERAND_MAX_VCPUS);
    tdcs->max_vcpus = params->max_vcpus;
    if (params->num_l2_vms > L2_VMS_MAX)
        return invalid(OPERAND_NUM_L2_VMS);
    if (td->tdr->num_tdcx < mdl_tdcs_pages() + TDCS_PAGES_PER_L2 * (u32)params->num_l2_vms)
        return TDX_TDCS_NOT_ALLOCATED;
    tdcs->num_l2_vms = params->num_l2_vms;
    if (!mdl_is_zero(params->reserved0, sizeof(params->reserved0)))
        return invalid(RDX);
    if (params->config_flags & ~MDL_CONFIG_FLAGS_POSSIBLE)
        return invalid(OPERAND_EXEC_CONTROLS);
    tdcs->config_flags = params->config_flags;
    tdcs->gpaw = params->config_flags & CONFIG_FLAG_GPAW;
    if (!eptp_valid(params->eptp_controls, tdcs->gpaw))
        return invalid(OPERAND_EPTP_CONTROLS);
    tdcs->eptp = params->eptp_controls | td->tdr->tdcx_pa[TDCS_PAGE_SEPT_ROOT];
    return TDX_SUCCESS;
}

/* TSC of the TD: multiplier with 48 fraction bits, starting from zero now. */
static void set_tsc(struct tdcs *tdcs, u16 frequency)
{
    unsigned __int128 rate = (unsigned __int128)(frequency * TSC_UNIT_HZ) << 48;
    tdcs->tsc_frequency = frequency;
    tdcs->tsc_multiplier = mdl_divide(rate, plat_info()->tsc_hz);
    tdcs->tsc_offset = -(u64)((unsigned __int128)plat_tsc() * tdcs->tsc_multiplier >> 48);
}

static u64 set_rest(struct tdcs *tdcs, const struct td_params *params)
{
    if (params->tsc_frequency < TSC_FREQUENCY_MIN || params->tsc_frequency > TSC_FREQUENCY_MAX)
        return invalid(OPERAND_TSC_FREQUENCY);
    set_tsc(tdcs, params->tsc_frequency);
    if (!mdl_is_zero(params->reserved1, sizeof(params->reserved1)))
        return invalid(RDX);
    mdl_copy(tdcs->mrconfigid, params->mrconfigid, MEASUREMENT_BYTES);
    mdl_copy(tdcs->mrowner, params->mrowner, MEASUREMENT_BYTES);
    mdl_copy(tdcs->mrownerconfig, params->mrownerconfig, MEASUREMENT_BYTES);
    if (params->msr_config_ctls & ~ARCH_CAP_CONFIG || !mdl_is_zero(params->reserved2, sizeof(params->reserved2)))
        return invalid(RDX);
    tdcs->msr_config_ctls = params->msr_config_ctls;
    return TDX_SUCCESS;
}

static u64 set_arch_capabilities(struct tdcs *tdcs, const struct td_params *params)
{
    u64 config = params->arch_capabilities;
    if (!(params->msr_config_ctls & ARCH_CAP_CONFIG) && config)
        return invalid(OPERAND_ARCH_CAPABILITIES);
    if (config & ~(ARCH_CAP_RRSBA | ARCH_CAP_DIRECT))
        return invalid(OPERAND_ARCH_CAPABILITIES);
    tdcs->arch_capabilities = ARCH_CAP_COMMON | (config & ARCH_CAP_RRSBA);
    return TDX_SUCCESS;
}

static u64 configure(struct call *c, const struct td *td, const struct td_params *params)
{
    struct tdcs *tdcs = td->tdcs;
    u64 status = set_controls(td, params);
    if (status == TDX_SUCCESS)
        status = set_rest(tdcs, params);
    if (status == TDX_SUCCESS)
        status = mdl_cpuid_init(tdcs, tdcs_page(td->tdr, TDCS_PAGE_CPUID), params->cpuid_config, &c->out[RCX]);
    if (status == TDX_SUCCESS && !mdl_is_zero(params->reserved3, sizeof(params->reserved3)))
        status = invalid(RDX);
    if (status == TDX_SUCCESS)
        status = set_arch_capabilities(tdcs, params);
    if (status == TDX_SUCCESS && tdcs->attributes & ATTR_MIGRATABLE && tdcs->num_l2_vms)
        status = invalid(RDX);
    return status;
}

u64 leaf_mng_init(struct call *c)
{
    struct td td;
    c->out[RCX] = 0;
    u64 status = tdr_open(c, c->in[RCX], LOCK_EXCLUSIVE, RCX, &td);
    if (status == TDX_SUCCESS)
        status = tdcs_open_exclusive(c, &td);
    if (status == TDX_SUCCESS)
        status = mdl_check_shared_hpa(c->in[RDX], TD_PARAMS_BYTES, RDX);
    if (status)
        return status;
    const struct td_params *in_memory = mdl_shared_pointer(c->lp, c->in[RDX]);
    if (!in_memory)
        return invalid(RDX);
    /* The VMM may change its copy at any time. */
    struct td_params params;
    mdl_copy(&params, in_memory, sizeof(params));
    td.tdcs->num_vcpus = td.tdcs->num_assoc_vcpus = 0;
    td.tdcs->td_epoch = 1;
    td.tdcs->hp_lock_timeout = (u32)mdl_divide((unsigned __int128)plat_info()->tsc_hz * HP_LOCK_USEC, USEC_PER_SEC);
    status = configure(c, &td, &params);
    if (status)
        return status;
    mdl_msr_bitmap_init(td.tdcs, tdcs_page(td.tdr, TDCS_PAGE_MSR_BITMAPS));
    mdl_measure_begin(td.tdcs);
    td.tdcs->op_state = OP_INITIALIZED;
    return TDX_SUCCESS;
}
