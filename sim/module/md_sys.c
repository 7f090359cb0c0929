/*
 * Fields of the module and the platform: TDH.SYS.RD and TDG.SYS.RD (Intel TDX Module v1.5 ABI Specification, "Global
 * Scope (TDX Module) Metadata"). Features that the model leaves out (migration, service TDs, partitioning) are
 * enumerated as the module enumerates them.
 */
#include "sim/module/cpuid.h"
#include "sim/module/metadata.h"
#include "sim/module/td_params.h"
#include "sim/module/sys_info.h"

#define ALL      ~0ull
#define COMPUTED MD_COMPUTED, 8, 0
#define NOTHING  MD_NOTHING, 8, 0
#define VALUE(v) MD_CONST, 8, v
/* Readable by the VMM (twice: debug does not matter here), by a TD. Nothing is writable. */
#define R(host, debug, guest)                                                                                          \
    {                                                                                                                  \
        host, debug, guest                                                                                             \
    }
#define NO_WRITE                                                                                                       \
    {                                                                                                                  \
        0, 0, 0                                                                                                        \
    }

/* clang-format off */
static const struct md_field rows[] = {
    {0x0000000200000000, 1, 1, R(ALL, ALL, 0), NO_WRITE, COMPUTED}, /* NUM_PKGS */
    {0x0000000200000001, 8, 1, R(ALL, ALL, 0), NO_WRITE, COMPUTED}, /* PKG_FMS */
    {0x0800000200000000, 1, 1, R(ALL, ALL, ALL), NO_WRITE, VALUE(0x8086)}, /* VENDOR_ID */
    {0x8800000200000001, 1, 1, R(ALL, ALL, 0), NO_WRITE, VALUE(20230801)}, /* BUILD_DATE */
    {0x8800000100000002, 1, 1, R(ALL, ALL, 0), NO_WRITE, NOTHING}, /* BUILD_NUM */
    {0x0800000100000003, 1, 1, R(ALL, ALL, ALL), NO_WRITE, COMPUTED}, /* MINOR_VERSION */
    {0x0800000100000004, 1, 1, R(ALL, ALL, ALL), NO_WRITE, COMPUTED}, /* MAJOR_VERSION */
    {0x0800000100000005, 1, 1, R(ALL, ALL, 0), NO_WRITE, COMPUTED}, /* UPDATE_VERSION */
    {0x0800000100000006, 1, 1, R(ALL, ALL, 0), NO_WRITE, NOTHING}, /* INTERNAL_VERSION */
    {0x8900000100000000, 1, 1, R(ALL, ALL, 0), NO_WRITE, NOTHING}, /* MODULE_HV */
    {0x8900000100000001, 1, 1, R(ALL, ALL, 0), NO_WRITE, NOTHING}, /* MIN_UPDATE_HV */
    {0x8900000000000002, 1, 1, R(ALL, ALL, 0), NO_WRITE, NOTHING}, /* NO_DOWNGRADE */
    {0x8900000100000003, 1, 1, R(ALL, ALL, 0), NO_WRITE, VALUE(0x1f)}, /* NUM_HANDOFF_PAGES */
    {0x8900000000000004, 1, 1, R(ALL, ALL, 0), NO_WRITE, NOTHING}, /* HANDOFF_DATA_VALID */
    {0x8900000100000005, 1, 1, R(ALL, ALL, 0), NO_WRITE, NOTHING}, /* HANDOFF_DATA_HV */
    {0x8900000200000006, 1, 1, R(ALL, ALL, 0), NO_WRITE, NOTHING}, /* HANDOFF_DATA_SIZE */
    {0x0a00000200000000, 1, 1, R(ALL, ALL, ALL), NO_WRITE, NOTHING}, /* SYS_ATTRIBUTES */
    {0x0a00000000000001, 1, 1, R(ALL, ALL, ALL), NO_WRITE, VALUE(1)}, /* NUM_TDX_FEATURES */
    {0x0a00000300000008, 1, 1, R(ALL, ALL, ALL), NO_WRITE, COMPUTED}, /* TDX_FEATURES0 */
    {0x9000000100000000, 1, 1, R(ALL, ALL, 0), NO_WRITE, VALUE(PLAT_CMRS_MAX)}, /* NUM_CMRS */
    {0x9000000300000080, 32, 1, R(ALL, ALL, 0), NO_WRITE, COMPUTED}, /* CMR_BASE */
    {0x9000000300000100, 32, 1, R(ALL, ALL, 0), NO_WRITE, COMPUTED}, /* CMR_SIZE */
    {0x9100000100000008, 1, 1, R(ALL, ALL, 0), NO_WRITE, VALUE(TDMRS_MAX)}, /* MAX_TDMRS */
    {0x9100000100000009, 1, 1, R(ALL, ALL, 0), NO_WRITE, VALUE(RESERVED_MAX)}, /* MAX_RESERVED_PER_TDMR */
    {0x9100000100000010, 1, 1, R(ALL, ALL, 0), NO_WRITE, VALUE(sizeof(struct pamt_entry))}, /* PAMT_4K_ENTRY_SIZE */
    {0x9100000100000011, 1, 1, R(ALL, ALL, 0), NO_WRITE, VALUE(sizeof(struct pamt_entry))}, /* PAMT_2M_ENTRY_SIZE */
    {0x9100000100000012, 1, 1, R(ALL, ALL, 0), NO_WRITE, VALUE(sizeof(struct pamt_entry))}, /* PAMT_1G_ENTRY_SIZE */
    {0x9800000100000000, 1, 1, R(ALL, ALL, 0), NO_WRITE, VALUE(PAGE_4K)}, /* TDR_BASE_SIZE */
    {0x9800000100000100, 1, 1, R(ALL, ALL, 0), NO_WRITE, COMPUTED}, /* TDCS_BASE_SIZE */
    {0x9800000100000101, 1, 1, R(ALL, ALL, 0), NO_WRITE, VALUE(TDCS_PAGES_PER_L2 * PAGE_4K)}, /* TDCS_SIZE_PER_L2_VM */
    {0x9800000100000200, 1, 1, R(ALL, ALL, 0), NO_WRITE, VALUE(TDVPS_PAGES_MIN * PAGE_4K)}, /* TDVPS_BASE_SIZE */
    {0x9800000100000201, 1, 1, R(ALL, ALL, 0), NO_WRITE, VALUE(TDVPS_PAGES_PER_L2 * PAGE_4K)}, /* TDVPS_SIZE_PER_L2_VM */
    {0x1900000300000000, 1, 1, R(ALL, ALL, 0), NO_WRITE, COMPUTED}, /* ATTRIBUTES_FIXED0 */
    {0x1900000300000001, 1, 1, R(ALL, ALL, 0), NO_WRITE, NOTHING}, /* ATTRIBUTES_FIXED1 */
    {0x1900000300000002, 1, 1, R(ALL, ALL, 0), NO_WRITE, COMPUTED}, /* XFAM_FIXED0 */
    {0x1900000300000003, 1, 1, R(ALL, ALL, 0), NO_WRITE, VALUE(3)}, /* XFAM_FIXED1 */
    {0x9900000100000004, 1, 1, R(ALL, ALL, 0), NO_WRITE, VALUE(MDL_CPUID_CONFIGS)}, /* NUM_CPUID_CONFIG */
    {0x9900000300000006, 1, 1, R(ALL, ALL, 0), NO_WRITE, VALUE(7)}, /* CONFIG_FLAGS_FIXED0 */
    {0x9900000300000007, 1, 1, R(ALL, ALL, 0), NO_WRITE, NOTHING}, /* CONFIG_FLAGS_FIXED1 */
    {0x9900000300000400, 32, 1, R(ALL, ALL, 0), NO_WRITE, COMPUTED}, /* CPUID_CONFIG_LEAVES */
    {0x9900000300000500, 32, 2, R(ALL, ALL, 0), NO_WRITE, COMPUTED}, /* CPUID_CONFIG_VALUES */
    {0x9900000300000600, 1, 1, R(ALL, ALL, 0), NO_WRITE, VALUE(0x1180010)}, /* IA32_ARCH_CAPABILITIES_CONFIG_MASK */
    {0x9900000100000800, 1, 1, R(ALL, ALL, 0), NO_WRITE, COMPUTED}, /* NUM_ALLOWED_FMS */
    {0x9900000100000801, 1, 1, R(ALL, ALL, 0), NO_WRITE, NOTHING}, /* NUM_DISALLOWED_FMS */
    {0x9900000300000810, 64, 1, R(ALL, ALL, 0), NO_WRITE, COMPUTED}, /* ALLOWED_FMS */
    {0x9900000300000850, 64, 1, R(ALL, ALL, 0), NO_WRITE, NOTHING}, /* DISALLOWED_FMS */
    {0xa000000300000000, 1, 1, R(ALL, ALL, ALL), NO_WRITE, NOTHING}, /* MIG_ATTRIBUTES */
    {0x2000000100000001, 1, 1, R(ALL, ALL, ALL), NO_WRITE, NOTHING}, /* MIN_EXPORT_VERSION */
    {0x2000000100000002, 1, 1, R(ALL, ALL, ALL), NO_WRITE, NOTHING}, /* MAX_EXPORT_VERSION */
    {0x2000000100000003, 1, 1, R(ALL, ALL, ALL), NO_WRITE, NOTHING}, /* MIN_IMPORT_VERSION */
    {0x2000000100000004, 1, 1, R(ALL, ALL, ALL), NO_WRITE, NOTHING}, /* MAX_IMPORT_VERSION */
    {0xa000000100000010, 1, 1, R(ALL, ALL, 0), NO_WRITE, VALUE(0x200)}, /* MAX_MIGS */
    {0xa000000000000020, 1, 1, R(ALL, ALL, 0), NO_WRITE, VALUE(3)}, /* NUM_IMMUTABLE_STATE_PAGES */
    {0xa000000000000021, 1, 1, R(ALL, ALL, 0), NO_WRITE, VALUE(2)}, /* NUM_TD_STATE_PAGES */
    {0xa000000000000022, 1, 1, R(ALL, ALL, 0), NO_WRITE, VALUE(5)}, /* NUM_VP_STATE_PAGES */
    {0xa100000100000000, 1, 1, R(ALL, ALL, 0), NO_WRITE, VALUE(1)}, /* MAX_SERV_TDS */
    {0xa100000300000001, 1, 1, R(ALL, ALL, 0), NO_WRITE, COMPUTED}, /* SERVTD_ATTR_FIXED0 */
    {0xa100000300000002, 1, 1, R(ALL, ALL, 0), NO_WRITE, NOTHING}, /* SERVTD_ATTR_FIXED1 */
    {0xa200000100000000, 1, 1, R(ALL, ALL, ALL), NO_WRITE, VALUE(0x807f)}, /* GUEST_L2_GPA_ATTR_MASK */
    {0xa200000300000001, 1, 1, R(ALL, ALL, 0), NO_WRITE, VALUE(1)}, /* VM_CTLS_FIXED0 */
    {0xa200000300000002, 1, 1, R(ALL, ALL, 0), NO_WRITE, NOTHING}, /* VM_CTLS_FIXED1 */
    {0xa200000300000003, 1, 1, R(ALL, ALL, 0), NO_WRITE, VALUE(3)}, /* VCPU_L2_CTLS_FIXED0 */
    {0xa200000300000004, 1, 1, R(ALL, ALL, 0), NO_WRITE, NOTHING}, /* VCPU_L2_CTLS_FIXED1 */
    {0xa200000300000005, 1, 1, R(ALL, ALL, 0), NO_WRITE, VALUE(7)}, /* VCPU_L2_DEBUG_CTLS_FIXED0 */
    {0xa200000300000006, 1, 1, R(ALL, ALL, 0), NO_WRITE, NOTHING}, /* VCPU_L2_DEBUG_CTLS_FIXED1 */
};
/* clang-format on */

const struct md_table md_sys_table = {rows, sizeof(rows) / sizeof(rows[0])};

/* Class and code of the computed ones. */
#define KEY(class, code) ((u64)(class) << 32 | (code))

static u64 cpuid_config_value(u32 number)
{
    unsigned row = number / 2, k = 2 * (number & 1);
    if (row >= MDL_CPUID_CONFIGS)
        return 0;
    const u32 *direct = mdl_cpuid_configurable[row].direct;
    return direct[k] | (u64)direct[k + 1] << 32;
}

static u64 cpuid_config_leaf(u32 number)
{
    struct cpuid_config_row row;
    if (number >= MDL_CPUID_CONFIGS)
        return ~0ull;
    mdl_cpuid_config(number, &row);
    return (u64)row.subleaf << 32 | row.leaf;
}

static u32 native_signature(void)
{
    u32 v[4];
    plat_cpuid(1, 0, v);
    return v[0];
}

u64 md_sys_value(u64 id, u32 number)
{
    const struct plat_info *p = plat_info();
    switch (KEY(MD_CLASS(id), MD_CODE(id))) {
    case KEY(0x00, 0):
        return p->package_count;
    case KEY(0x00, 1):
        return number < p->package_count ? native_signature() : 0;
    case KEY(0x08, 3):
        return p->module_minor;
    case KEY(0x08, 4):
        return p->module_major;
    case KEY(0x08, 5):
        return p->module_update;
    case KEY(0x0a, 8):
        return p->features0;
    case KEY(0x10, 0x80):
        return number < p->cmr_count ? p->cmrs[number].base : 0;
    case KEY(0x10, 0x100):
        return number < p->cmr_count ? p->cmrs[number].bytes : 0;
    case KEY(0x18, 0x100):
        return mdl_tdcs_pages() * PAGE_4K;
    case KEY(0x19, 0):
        return MDL_ATTRIBUTES_POSSIBLE;
    case KEY(0x19, 2):
        return mdl_xfam_possible();
    case KEY(0x19, 0x400):
        return cpuid_config_leaf(number);
    case KEY(0x19, 0x500):
        return cpuid_config_value(number);
    case KEY(0x19, 0x800):
        return 1;
    case KEY(0x19, 0x810):
        return number == 0 ? native_signature() : 0;
    case KEY(0x21, 1):
        return 0x7ff00000001;
    default:
        return 0;
    }
}
