/*
 * Fields of a TD: TDR and TDCS (Intel TDX Module v1.5 ABI Specification, "TDR and TDCS Metadata Fields"). Migration,
 * service TDs and L2 VMs have no state in the model: their fields read as zero.
 */
#include "sim/module/metadata.h"

#include "sim/module/cpuid.h"

#define ALL            ~0ull
#define TDR(m, bytes)  MD_IN_TDR, bytes, offsetof(struct tdr, m)
#define TDCS(m, bytes) MD_IN_TDCS, bytes, offsetof(struct tdcs, m)
#define PAGE(n)        MD_IN_TDCS_PAGE, 8, (n) << 12
#define COMPUTED       MD_COMPUTED, 8, 0
#define NOTHING        MD_NOTHING, 8, 0
#define VALUE(v)       MD_CONST, 8, v
/* Readable by the VMM, by the VMM of a debug TD, by the TD; writable likewise. */
#define R(host, debug, guest)                                                                                          \
    {                                                                                                                  \
        host, debug, guest                                                                                             \
    }

#define ID_HP_LOCK_TIMEOUT 0x9110000300000011ull
#define ID_TD_CTLS         0x1110000300000017ull
#define ID_TDCX_PA         0x8010000300000010ull
#define ID_CPUID_VALID     0x9110000000000080ull
#define ID_CPUID_VALUES    0x9410000300000000ull
#define ID_SEPT_ROOT       0x2110000300000000ull
#define RAW_FREE           0x80e0000000000000ull /* a free S-EPT entry as the genuine module stores it */
#define CLASS_VIRTUAL_MSRS 0x16u

/* clang-format off */
static const struct md_field rows[] = {
    {0x8010000000000001, 1, 1, R(ALL, ALL, 0), R(0, 0, 0), TDR(fatal, 1)},
    {0x8010000200000002, 1, 1, R(ALL, ALL, 0), R(0, 0, 0), TDR(num_tdcx, 4)},
    {0x8010000300000004, 1, 1, R(ALL, ALL, 0), R(0, 0, 0), TDR(chldcnt, 8)},
    {0x8010000200000005, 1, 1, R(ALL, ALL, 0), R(0, 0, 0), TDR(lifecycle, 1)},
    {ID_TDCX_PA,         9, 1, R(ALL, ALL, 0), R(0, 0, 0), COMPUTED},
    {0x8010000300000020, 1, 4, R(ALL, ALL, ALL), R(0, 0, 0), TDR(td_uuid, 8)},
    {0x8110000100000001, 1, 1, R(ALL, ALL, 0), R(0, 0, 0), TDR(hkid, 2)},
    {0x8110000300000002, 1, 1, R(ALL, ALL, 0), R(0, 0, 0), TDR(pkg_config_bitmap, 8)},
    {0x8210000100000000, 1, 1, R(ALL, ALL, 0), R(0, 0, 0), NOTHING},  /* HANDOFF_VERSION */
    {0x8210000300000001, 1, 1, R(ALL, ALL, 0), R(0, 0, 0), VALUE(1)}, /* SEAMDB_INDEX */
    {0x8210000300000002, 1, 4, R(0, 0, 0),     R(0, 0, 0), NOTHING},  /* SEAMDB_NONCE */
    {0x9010000200000001, 1, 1, R(ALL, ALL, ALL), R(0, 0, 0), TDCS(num_vcpus, 4)},
    {0x9010000200000002, 1, 1, R(ALL, ALL, 0), R(0, 0, 0), TDCS(num_assoc_vcpus, 4)},
    {0x9010000200000004, 1, 1, R(ALL, ALL, 0), R(0, 0, 0), TDCS(op_state, 4)},
    {0x9010000100000005, 1, 1, R(ALL, ALL, ALL), R(0, 0, 0), TDCS(num_l2_vms, 2)},
    {0x1110000300000000, 1, 1, R(ALL, ALL, ALL), R(0, 0, 0), TDCS(attributes, 8)},
    {0x1110000300000001, 1, 1, R(ALL, ALL, ALL), R(0, 0, 0), TDCS(xfam, 8)},
    {0x1110000200000002, 1, 1, R(ALL, ALL, ALL), R(0, 0, 0), TDCS(max_vcpus, 4)},
    {0x1110000000000003, 1, 1, R(ALL, ALL, ALL), R(0, 0, 0), TDCS(gpaw, 1)},
    {0x1110000300000004, 1, 1, R(ALL, ALL, 0), R(0, 0, 0), TDCS(eptp, 8)},
    {0x111000030000000a, 1, 1, R(ALL, ALL, 0), R(0, 0, 0), TDCS(tsc_offset, 8)},
    {0x111000030000000b, 1, 1, R(ALL, ALL, 0), R(0, 0, 0), TDCS(tsc_multiplier, 8)},
    {0x111000010000000c, 1, 1, R(ALL, ALL, ALL), R(0, 0, 0), TDCS(tsc_frequency, 2)},
    {0x111000030000000d, 1, 1, R(0, 0, 0),     R(0, 0, 0), NOTHING},  /* VIRTUAL_TSC */
    {0x911000010000000e, 1, 1, R(ALL, ALL, 0), R(0, 0, 0), VALUE(CPUID_ROWS)},
    {0x911000020000000f, 1, 1, R(ALL, ALL, 0), R(0, 0, 0), TDCS(xbuff_size, 4)},
    {0x9110000300000010, 1, 1, R(0, ALL, 1),   R(0, 1, 1), TDCS(notify_enables, 8)},
    {ID_HP_LOCK_TIMEOUT, 1, 1, R(ALL, ALL, 0), R(ALL, ALL, 0), COMPUTED},
    {0x9110000300000012, 4, 1, R(ALL, ALL, 0), R(1, 1, 0), TDCS(vm_ctls, 8)},
    {0x1110000300000016, 1, 1, R(ALL, ALL, ALL), R(0, 0, 0), TDCS(config_flags, 8)},
    {ID_TD_CTLS,         1, 1, R(0, ALL, ALL), R(0, 0, 1), TDCS(td_ctls, 8)},
    {ID_CPUID_VALID,    80, 1, R(0, ALL, 0),   R(0, 0, 0), COMPUTED},
    {0x9110000200000800, 19, 1, R(ALL, ALL, 0), R(0, 0, 0), TDCS(xbuff_offsets, 4)},
    {0x9210000300000000, 1, 1, R(ALL, ALL, 0), R(0, 0, 0), TDCS(td_epoch, 8)},
    {0x9210000100000001, 2, 1, R(ALL, ALL, 0), R(0, 0, 0), TDCS(epoch_refcount, 2)},
    {0x1310000300000000, 1, 6, R(ALL, ALL, ALL), R(0, 0, 0), TDCS(mrtd, 8)},
    {0x1310000300000010, 1, 6, R(ALL, ALL, ALL), R(0, 0, 0), TDCS(mrconfigid, 8)},
    {0x1310000300000018, 1, 6, R(ALL, ALL, ALL), R(0, 0, 0), TDCS(mrowner, 8)},
    {0x1310000300000020, 1, 6, R(ALL, ALL, ALL), R(0, 0, 0), TDCS(mrownerconfig, 8)},
    {0x1310000300000040, 4, 6, R(0, ALL, ALL), R(0, 0, 0), TDCS(rtmr, 8)},
    {ID_CPUID_VALUES,   80, 2, R(ALL, ALL, 0), R(0, 0, 0), COMPUTED},
    {0x961000030000010a, 1, 1, R(0, ALL, 0),   R(0, 0, 0), TDCS(arch_capabilities, 8)},
    {0x9610000300000480, 1, 1, R(0, ALL, 0),   R(0, 0, 0), COMPUTED},
    {0x9610000300000485, 1, 1, R(0, ALL, 0),   R(0, 0, 0), COMPUTED},
    {0x9610000300000486, 1, 1, R(0, ALL, 0),   R(0, 0, 0), COMPUTED},
    {0x9610000300000487, 1, 1, R(0, ALL, 0),   R(0, 0, 0), COMPUTED},
    {0x9610000300000488, 1, 1, R(0, ALL, 0),   R(0, 0, 0), COMPUTED},
    {0x9610000300000489, 1, 1, R(0, ALL, 0),   R(0, 0, 0), COMPUTED},
    {0x961000030000048b, 1, 1, R(0, ALL, 0),   R(0, 0, 0), COMPUTED},
    {0x961000030000048c, 1, 1, R(0, ALL, 0),   R(0, 0, 0), COMPUTED},
    {0x961000030000048d, 1, 1, R(0, ALL, 0),   R(0, 0, 0), COMPUTED},
    {0x961000030000048e, 1, 1, R(0, ALL, 0),   R(0, 0, 0), COMPUTED},
    {0x961000030000048f, 1, 1, R(0, ALL, 0),   R(0, 0, 0), COMPUTED},
    {0x9610000300000490, 1, 1, R(0, ALL, 0),   R(0, 0, 0), COMPUTED},
    {0x9610000300000491, 1, 1, R(0, ALL, 0),   R(0, 0, 0), COMPUTED},
    {0x9610000300000492, 1, 1, R(0, ALL, 0),   R(0, 0, 0), COMPUTED},
    {0x9610000300000493, 1, 1, R(0, ALL, 0),   R(0, 0, 0), COMPUTED},
    {0x9810000000000001, 1, 1, R(ALL, ALL, 0), R(0, 0, 0), NOTHING}, /* migration, to NUM_MIGRATED_VCPUS */
    {0x9810000200000002, 1, 1, R(ALL, ALL, 0), R(0, 0, 0), NOTHING},
    {0x9810000200000003, 1, 1, R(ALL, ALL, 0), R(0, 0, 0), NOTHING},
    {0x9810000200000004, 1, 1, R(ALL, ALL, 0), R(0, 0, 0), NOTHING},
    {0x9810000300000005, 1, 1, R(ALL, ALL, 0), R(0, 0, 0), NOTHING},
    {0x9810000300000006, 1, 1, R(ALL, ALL, 0), R(0, 0, 0), NOTHING},
    {0x9810000300000010, 1, 4, R(0, ALL, 0),   R(0, 0, 0), NOTHING},
    {0x9810000300000014, 1, 4, R(0, ALL, 0),   R(0, 0, 0), NOTHING},
    {0x9810000300000018, 1, 4, R(0, ALL, 0),   R(0, 0, 0), TDCS(mig_enc_key, 8)},
    {0x981000030000001c, 1, 4, R(0, ALL, 0),   R(0, 0, 0), NOTHING},
    {0x9810000100000020, 1, 1, R(ALL, ALL, 0), R(0, 0, 0), NOTHING},
    {0x9810000100000021, 1, 1, R(ALL, ALL, 0), R(0, 0, 0), NOTHING},
    {0x9810000300000030, 1, 1, R(ALL, ALL, 0), R(0, 0, 0), NOTHING},
    {0x9810000300000031, 1, 1, R(ALL, ALL, 0), R(0, 0, 0), NOTHING},
    {0x9810000100000032, 1, 1, R(ALL, ALL, 0), R(0, 0, 0), TDCS(num_migs, 2)},
    {0x9810000200000034, 1, 1, R(ALL, ALL, 0), R(0, 0, 0), NOTHING},
    {0x9810000300000040, 1, 4, R(ALL, ALL, ALL), R(0, 0, 0), NOTHING}, /* PRE_IMPORT_UUID */
    {0x9910000300000000, 1, 6, R(ALL, ALL, ALL), R(0, 0, 0), NOTHING}, /* SERVTD_HASH */
    {0x9910000100000006, 1, 1, R(ALL, ALL, ALL), R(0, 0, 0), NOTHING}, /* SERVTD_NUM */
    {0x9910000300000080, 1, 16, R(ALL, ALL, ALL), R(0, 0, 0), NOTHING}, /* SERVTD_BINDINGS_TABLE */
    {0x9a10000300000000, 512, 1, R(ALL, ALL, 0), R(0, 0, 0), PAGE(TDCS_PAGE_MIGSC_LINKS)},
    {0x2010000300000000, 512, 1, R(0, ALL, 0), R(0, 0, 0), PAGE(TDCS_PAGE_MSR_BITMAPS)},
    {ID_SEPT_ROOT,     512, 1, R(0, ALL, 0), R(0, 0, 0), COMPUTED},
};
/* clang-format on */

const struct md_table md_td_table = {rows, sizeof(rows) / sizeof(rows[0])};

#define MICROSECOND   1000000ull
#define TIMEOUT_FIRST 10000ull
#define TIMEOUT_LAST  100000000ull

/* An entry of the S-EPT root, in the form that the genuine module has in memory, as far as that is known. */
static u64 root_entry(const struct tdr *tdr, u32 number)
{
    u64 entry = ((const u64 *)tdcs_page(tdr, TDCS_PAGE_SEPT_ROOT))[number];
    return sept_state(entry) == SEPT_FREE ? RAW_FREE : entry & ~(SEPT_STATE | SEPT_ALIASES);
}

u64 md_td_value(const struct md_context *x, const struct md_element *e)
{
    const struct tdcs_cpuid *cpuid = tdcs_page(x->tdr, TDCS_PAGE_CPUID);
    unsigned element;
    switch (e->row->id) {
    case ID_TDCX_PA:
        return x->tdr->tdcx_pa[e->number] ? mdl_with_keyid(x->tdr->tdcx_pa[e->number], x->tdr->hkid) : 0;
    case ID_SEPT_ROOT:
        return root_entry(x->tdr, e->number);
    case ID_HP_LOCK_TIMEOUT:
        return x->tdcs->hp_lock_timeout * MICROSECOND / plat_info()->tsc_hz;
    case ID_CPUID_VALID:
        return e->number < CPUID_ROWS ? cpuid->valid[e->number] : 0;
    case ID_CPUID_VALUES:
        element = 2 * (e->number & 1);
        return cpuid->values[e->number / 2][element] | (u64)cpuid->values[e->number / 2][element + 1] << 32;
    default:
        return MD_CLASS(e->row->id) == CLASS_VIRTUAL_MSRS ? mdl_vmx_capability(x->tdcs, MD_CODE(e->id)) : 0;
    }
}

/* Microseconds, kept as 32 bits of TSC ticks. */
static u64 set_timeout(struct tdcs *tdcs, u64 mask, u64 value)
{
    if (mask != ~0ull)
        return TDX_METADATA_WR_MASK_NOT_VALID;
    if (value < TIMEOUT_FIRST || value > TIMEOUT_LAST)
        return TDX_METADATA_FIELD_VALUE_NOT_VALID;
    tdcs->hp_lock_timeout = (u32)(value * (plat_info()->tsc_hz / MICROSECOND));
    return TDX_SUCCESS;
}

u64 md_td_check_write(const struct md_context *x, const struct md_element *e, u64 mask, u64 *value, bool *stored)
{
    if (e->row->id == ID_HP_LOCK_TIMEOUT) {
        *stored = true;
        return set_timeout(x->tdcs, mask, *value);
    }
    if (e->row->id == ID_TD_CTLS && !(x->tdcs->config_flags & CONFIG_FLAG_FLEXIBLE_VE) &&
        ((*value ^ x->tdcs->td_ctls) & 1))
        return TDX_METADATA_FIELD_VALUE_NOT_VALID;
    return TDX_SUCCESS;
}
