/*
 * Virtual CPUID: what TDH.MNG.INIT computes for a TD, and the TD's CPUID instruction (Intel TDX Module v1.5 Base
 * Architecture Specification, "CPUID Virtualization"). The sizes of the XSAVE area come from the platform's own CPUID.
 */
#include "sim/module/cpuid.h"

#include "sim/module/bytes.h"

#define EXIT_CPUID     10
#define RESERVED_FIRST 0x40000000u
#define RESERVED_LAST  0x4fffffffu
#define EXTENDED_FIRST 0x80000000u
#define LAST_BASE_LEAF 0x23u
#define XFAM_LAST      18u
#define XSAVE_EXTENDED 576u /* legacy region and header */
#define XFAM(n)        (1ull << (n))
#define XFAM_AVX       XFAM(2)
#define XFAM_PT        XFAM(8)
#define XFAM_LBR       XFAM(15)
#define XFAM_AMX       (XFAM(17) | XFAM(18))
#define CR4_OSXSAVE    (1ull << 18)
#define CR4_PKE        (1ull << 22)

enum { EAX, EBX, ECX, EDX };

/* Bits that a TD loses with an XFAM bit: leaf 7 and leaf D. */
static const struct {
    u32 leaf, subleaf;
    u8 bit;
    u32 mask[4];
} xfam_masks[] = {
    {0x1, CPUID_NO_SUBLEAF, 2, {0, 0, 0x30001000, 0}},
    {0x7, 0, 2, {0, 0x20, 0x600, 0}},
    {0x7, 0, 5, {0, 0xdc230000, 0x5842, 0x80010c}},
    {0x7, 0, 6, {0, 0xdc230000, 0x5842, 0x80010c}},
    {0x7, 0, 7, {0, 0xdc230000, 0x5842, 0x80010c}},
    {0x7, 0, 8, {0, 0x2000000, 0, 0}},
    {0x7, 0, 9, {0, 0, 0x8, 0}},
    {0x7, 0, 11, {0, 0, 0x80, 0x100000}},
    {0x7, 0, 12, {0, 0, 0x80, 0x100000}},
    {0x7, 0, 14, {0, 0, 0, 0x20}},
    {0x7, 0, 15, {0, 0, 0, 0x80000}},
    {0x7, 0, 17, {0, 0, 0, 0x3400000}},
    {0x7, 0, 18, {0, 0, 0, 0x3400000}},
    {0x7, 1, 5, {0x30, 0, 0, 0}},
    {0x7, 1, 6, {0x30, 0, 0, 0}},
    {0x7, 1, 7, {0x30, 0, 0, 0}},
    {0xd, 0, 2, {0x4, 0, 0, 0}},
    {0xd, 0, 5, {0xe0, 0, 0, 0}},
    {0xd, 0, 6, {0xe0, 0, 0, 0}},
    {0xd, 0, 7, {0xe0, 0, 0, 0}},
    {0xd, 0, 9, {0x200, 0, 0, 0}},
    {0xd, 0, 17, {0x60000, 0, 0, 0}},
    {0xd, 0, 18, {0x60000, 0, 0, 0}},
    {0xd, 1, 8, {0, 0, 0x100, 0}},
    {0xd, 1, 11, {0, 0, 0x1800, 0}},
    {0xd, 1, 12, {0, 0, 0x1800, 0}},
    {0xd, 1, 14, {0, 0, 0x4000, 0}},
    {0xd, 1, 15, {0, 0, 0x8000, 0}},
};

unsigned mdl_cpuid_find(u32 leaf, u32 subleaf)
{
    unsigned i;
    for (i = 0; i < CPUID_ROWS; i++)
        if (mdl_cpuid_rows[i].leaf == leaf &&
            (mdl_cpuid_rows[i].subleaf == CPUID_NO_SUBLEAF || mdl_cpuid_rows[i].subleaf == subleaf))
            break;
    return i;
}

static void cpuid_native(unsigned row, u32 out[4])
{
    const struct cpuid_row *r = &mdl_cpuid_rows[row];
    plat_cpuid(r->leaf, r->subleaf == CPUID_NO_SUBLEAF ? 0 : r->subleaf, out);
    for (int i = 0; i < 4; i++)
        out[i] = (out[i] & ~r->clear[i]) | r->set[i];
}

void mdl_cpuid_config(unsigned i, struct cpuid_config_row *row)
{
    for (unsigned r = 0; r < CPUID_ROWS; r++) {
        if (mdl_cpuid_rows[r].configurable != i)
            continue;
        u32 native[4];
        cpuid_native(r, native);
        row->leaf = mdl_cpuid_rows[r].leaf;
        row->subleaf = mdl_cpuid_rows[r].subleaf;
        for (int k = 0; k < 4; k++)
            row->mask[k] = mdl_cpuid_configurable[i].direct[k] | (mdl_cpuid_configurable[i].allowed[k] & native[k]);
        return;
    }
}

/* --- TDH.MNG.INIT --- */

/* Sizes and offsets of the XSAVE components that the TD has, in the compacted layout (SDM vol. 1, 13.4.3). */
static void lay_out_xsave(struct tdcs *tdcs)
{
    u32 offset = XSAVE_EXTENDED;
    for (unsigned i = 2; i <= XFAM_LAST; i++) {
        u32 native[4];
        if (!(tdcs->xfam & XFAM(i)))
            continue;
        plat_cpuid(0xd, i, native);
        if (native[ECX] & 2)
            offset = (offset + 63) & ~63u;
        tdcs->xbuff_offsets[i] = offset;
        offset += native[EAX];
    }
    tdcs->xbuff_size = offset;
}

/* Does any component that the TD has support extended feature disable? */
static bool has_xfd(u64 xfam)
{
    u32 native[4];
    plat_cpuid(0xd, 1, native);
    if (!(native[EAX] & 1u << 4))
        return false;
    for (unsigned i = 2; i <= XFAM_LAST; i++) {
        plat_cpuid(0xd, i, native);
        if ((xfam & XFAM(i)) && (native[ECX] & 4))
            return true;
    }
    return false;
}

static void apply_xfam(const struct cpuid_row *row, u64 xfam, u32 v[4])
{
    for (unsigned i = 0; i < sizeof(xfam_masks) / sizeof(xfam_masks[0]); i++)
        if (xfam_masks[i].leaf == row->leaf && xfam_masks[i].subleaf == row->subleaf &&
            !(xfam & XFAM(xfam_masks[i].bit)))
            for (int k = 0; k < 4; k++)
                v[k] &= ~xfam_masks[i].mask[k];
}

static bool apply_config(const struct cpuid_row *row, const u32 config[MDL_CPUID_CONFIGS][4], u32 v[4])
{
    if (row->configurable == CPUID_NOT_CONFIGURABLE)
        return true;
    const struct cpuid_configurable *can = &mdl_cpuid_configurable[row->configurable];
    const u32 *want = config[row->configurable];
    for (int k = 0; k < 4; k++) {
        if (want[k] & ~(can->direct[k] | can->allowed[k]))
            return false;
        v[k] = (v[k] & ~can->direct[k]) | (want[k] & can->direct[k]);
        v[k] &= want[k] | ~can->allowed[k];
    }
    return true;
}

/* Families and models of the CPUs with TDX, youngest first, and their latest steppings. */
static const u32 known_fms[] = {0xd06d0, 0xa06e0, 0xa06d0, 0xa06f0, 0xc06f2, 0x806f8};
#define STEPPING 0xfu

/* May a migratable TD show this CPU? This one or an older one, and no stepping younger than the real one's. */
static bool is_known_fms(u32 fms, u32 native)
{
    bool from = false;
    if ((fms & ~STEPPING) == (native & ~STEPPING) && (fms & STEPPING) > (native & STEPPING))
        return false;
    for (unsigned i = 0; i < sizeof(known_fms) / sizeof(known_fms[0]); i++) {
        from |= (known_fms[i] & ~STEPPING) == (native & ~STEPPING);
        if (from && (known_fms[i] & ~STEPPING) == (fms & ~STEPPING))
            return (fms & STEPPING) <= (known_fms[i] & STEPPING);
    }
    return false;
}

/* Leaf 1: family, model and stepping are the native ones unless the TD can migrate. */
static bool finish_leaf_1(struct tdcs *tdcs, u32 v[4])
{
    u32 native[4];
    plat_cpuid(1, 0, native);
    if (v[EAX] == 0)
        v[EAX] = native[EAX];
    bool fms_ok = tdcs->attributes & ATTR_MIGRATABLE ? is_known_fms(v[EAX], native[EAX]) : v[EAX] == native[EAX];
    tdcs->cpuid_monitor = v[ECX] >> 3 & 1;
    tdcs->cpuid_dca = v[ECX] >> 18 & 1;
    tdcs->cpuid_tsc_deadline = v[ECX] >> 24 & 1;
    return fms_ok;
}

/* Leaf 7 sub-leaf 0. False: HLE and RTM differ. */
static bool finish_leaf_7(struct tdcs *tdcs, u32 v[4])
{
    bool hle = v[EBX] >> 4 & 1, rtm = v[EBX] >> 11 & 1;
    if (hle != rtm)
        return false;
    v[ECX] &= ~(1u << 31 | 1u << 23); /* PKS by attribute, no key locker */
    v[ECX] |= tdcs->attributes & ATTR_PKS ? 1u << 31 : 0;
    tdcs->cpuid_tsx = hle;
    tdcs->cpuid_waitpkg = v[ECX] >> 5 & 1;
    tdcs->cpuid_tme = v[ECX] >> 13 & 1;
    tdcs->cpuid_la57 = v[ECX] >> 16 & 1;
    tdcs->cpuid_mktme = v[EDX] >> 18 & 1;
    return true;
}

static void finish_leaf_d(struct tdcs *tdcs, u32 subleaf, u32 v[4])
{
    u32 native[4];
    if (subleaf == 0) {
        plat_cpuid(0xd, 0, native);
        v[ECX] = native[EBX];
    } else if (subleaf == 1) {
        tdcs->cpuid_xfd = has_xfd(tdcs->xfam);
        v[EAX] = (v[EAX] & ~(1u << 4)) | (tdcs->cpuid_xfd ? 1u << 4 : 0);
    } else if (!(tdcs->xfam & XFAM(subleaf))) {
        mdl_fill(v, 0, 2);
    }
}

/* Leafs that a TD sees only with the feature. */
static bool is_hidden(const struct tdcs *tdcs, u32 leaf)
{
    switch (leaf) {
    case 0x5:
        return !tdcs->cpuid_monitor;
    case 0xa:
        return !(tdcs->attributes & ATTR_PERFMON);
    case 0x14:
        return !(tdcs->xfam & XFAM_PT);
    case 0x19:
        return true;
    case 0x1c:
        return !(tdcs->xfam & XFAM_LBR);
    case 0x1d:
        return (tdcs->xfam & XFAM_AMX) != XFAM_AMX;
    default:
        return false;
    }
}

/* Rules of single leafs. False: the configuration is refused; *names_leaf whether RCX names the leaf. */
static bool finish(struct tdcs *tdcs, const struct cpuid_row *row, u32 v[4], bool *names_leaf)
{
    *names_leaf = row->leaf == 1;
    if (is_hidden(tdcs, row->leaf))
        mdl_fill(v, 0, 2);
    switch (row->leaf) {
    case 1:
        return finish_leaf_1(tdcs, v);
    case 7:
        if (row->subleaf == 2)
            tdcs->cpuid_ddpd = v[EDX] >> 3 & 1;
        return row->subleaf == 0 ? finish_leaf_7(tdcs, v) : true;
    case 0xd:
        finish_leaf_d(tdcs, row->subleaf, v);
        return true;
    case 0x15:
        v[EBX] = tdcs->tsc_frequency;
        return true;
    case 0x80000008:
        v[EAX] = (v[EAX] & ~0xff00u) | (tdcs->cpuid_la57 ? 57u : 48u) << 8;
        return true;
    default:
        return true;
    }
}

u64 mdl_cpuid_init(struct tdcs *tdcs, struct tdcs_cpuid *cpuid, const u32 config[MDL_CPUID_CONFIGS][4], u64 *rcx)
{
    lay_out_xsave(tdcs);
    for (unsigned i = 0; i < CPUID_ROWS; i++) {
        const struct cpuid_row *row = &mdl_cpuid_rows[i];
        u32 *v = cpuid->values[i];
        bool names_leaf = true;
        cpuid_native(i, v);
        bool ok = apply_config(row, config, v);
        if (ok) {
            if (row->leaf == 1 || row->leaf == 7 || row->leaf == 0xd)
                apply_xfam(row, tdcs->xfam, v);
            ok = finish(tdcs, row, v, &names_leaf);
        }
        if (!ok) {
            *rcx = names_leaf ? (u64)row->subleaf << 32 | row->leaf : 0;
            return status_operand(TDX_OPERAND_INVALID, OPERAND_CPUID_CONFIG);
        }
        cpuid->valid[i] = !row->faults;
    }
    return TDX_SUCCESS;
}

u32 mdl_cpuid_signature(const struct td *td)
{
    const struct tdcs_cpuid *cpuid = tdcs_page(td->tdr, TDCS_PAGE_CPUID);
    return cpuid->values[mdl_cpuid_find(1, 0)][EAX];
}

/* --- the TD's CPUID instruction --- */

/* A leaf beyond its range's last one is answered as the last basic one. */
static u32 clamp(u32 leaf)
{
    u32 extended[4];
    plat_cpuid(EXTENDED_FIRST, 0, extended);
    if (leaf >= RESERVED_FIRST && leaf <= RESERVED_LAST)
        return leaf;
    if (leaf > extended[EAX] || (leaf > LAST_BASE_LEAF && leaf < EXTENDED_FIRST))
        return LAST_BASE_LEAF;
    return leaf;
}

/* Bits that depend on the vCPU's present state. */
static void apply_state(const struct lp_local *local, u32 leaf, u32 subleaf, u32 v[4])
{
    const struct td_vmcs *td = &local->vmcs->run;
    u32 native[4];
    switch (leaf) {
    case 1:
        v[EBX] |= local->tdvps->vcpu_index << 24;
        v[ECX] |= td->cr4 & CR4_OSXSAVE ? 1u << 27 : 0;
        break;
    case 7:
        if (subleaf == 0)
            v[ECX] |= td->cr4 & CR4_PKE ? 1u << 4 : 0;
        break;
    case 0xd:
        plat_cpuid(leaf, subleaf, native);
        if (subleaf <= 1)
            v[EBX] = native[EBX];
        break;
    case 0x80000001:
        v[EDX] |= mdl_td_is_64bit(td) ? 1u << 11 : 0;
        break;
    }
}

static bool td_wants_ve(const struct lp_local *local, unsigned row)
{
    const struct tdvps *tdvps = local->tdvps;
    u8 control = tdvps->cpuid_control[row];
    if (mdl_td_cpl(&local->vmcs->run) == 0)
        return tdvps->cpuid_supervisor_ve || (control & 1);
    return tdvps->cpuid_user_ve || (control & 2);
}

void mdl_exit_cpuid(struct lp_local *local)
{
    u64 *gpr = local->vmcs->run.gpr;
    u32 leaf = clamp((u32)gpr[RAX]), subleaf = (u32)gpr[RCX], v[4];
    unsigned row = mdl_cpuid_find(leaf, subleaf);
    if (row == CPUID_ROWS || mdl_cpuid_rows[row].faults || td_wants_ve(local, row)) {
        mdl_inject_ve(local, EXIT_CPUID, 0, 0, 0);
        return;
    }
    const struct tdcs_cpuid *cpuid = tdcs_page(local->tdr, TDCS_PAGE_CPUID);
    mdl_copy(v, cpuid->values[row], sizeof(v));
    apply_state(local, leaf, subleaf, v);
    gpr[RAX] = v[EAX];
    gpr[RBX] = v[EBX];
    gpr[RCX] = v[ECX];
    gpr[RDX] = v[EDX];
}
