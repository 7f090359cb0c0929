/*
 * Bringing the module up and down: TDH.SYS.INIT, LP.INIT, KEY.CONFIG, INFO, LP.SHUTDOWN, SHUTDOWN, UPDATE. TDX Module
 * v1.5 Base Architecture Specification, "Intel TDX Module Lifecycle". TDH.SYS.CONFIG is in sys_config.c. What a genuine
 * module checks on the CPU (MSRs, SMRRs, single CPUID values) holds on the simulated machine by construction, but for what
 * plat_info() says; that CPUID is the same on all CPUs is checked.
 */
#include "sim/module/bytes.h"
#include "sim/module/cpuid.h"
#include "sim/module/guest.h"
#include "sim/module/hkid.h"
#include "sim/module/leaves.h"
#include "sim/module/sys_info.h"
#include "sim/module/td_params.h"

#define IA32_TSX_CTRL 0x122

/* What of it is locked by what, atomic or per LP: state.h. */
struct sys mdl_sys;

void module_reset(void)
{
    mdl_fill(&mdl_sys, 0, sizeof(mdl_sys) / 8);
}
_Static_assert(sizeof(struct sys) % 8 == 0, "the module's memory is cleared in words");

static u64 lock_sys(struct call *c, enum lock_mode mode)
{
    return mdl_call_lock(c, &mdl_sys.lock, LOCK_PLAIN, mode, 0) ? TDX_SYS_BUSY : TDX_SUCCESS;
}

/* A genuine module has a table of what it wants of each leaf; here one leaf may be wanted otherwise than it is. */
static u64 check_cpuid(struct call *c)
{
    u32 leaf = plat_info()->refused_cpuid, values[4];
    if (!leaf)
        return TDX_SUCCESS;
    plat_cpuid(leaf, 0, values);
    c->out[RCX] = leaf;         /* the sub-leaf, in the upper half, is 0 */
    c->out[RDX] = 0xffffffff;   /* EAX was looked at */
    c->out[R9] = values[0] ^ 1; /* and should be this */
    return TDX_INCORRECT_CPUID_VALUE;
}

u64 leaf_sys_init(struct call *c)
{
    u64 unused; /* a genuine module draws its stack canary here */
    c->out[RCX] = c->out[RDX] = 0;
    for (unsigned reg = R8; reg <= R10; reg++)
        c->out[reg] = 0;
    u64 status = lock_sys(c, LOCK_EXCLUSIVE);
    if (status)
        return status;
    if (c->in[RCX])
        return status_operand(TDX_OPERAND_INVALID, RCX);
    if (mdl_state() != SYS_INIT_PENDING)
        return TDX_SYS_INIT_NOT_PENDING;
    status = check_cpuid(c);
    if (status)
        return status;
    if (!plat_random(&unused))
        return TDX_RND_NO_ENTROPY;
    mdl_cpuid_sample();
    mdl_set_state(SYS_INIT_DONE);
    return TDX_SUCCESS;
}

u64 leaf_sys_lp_init(struct call *c)
{
    c->out[RCX] = c->out[RDX] = c->out[R8] = 0;
    u64 status = lock_sys(c, LOCK_SHARED);
    if (status)
        return status;
    if (mdl_state() != SYS_INIT_DONE)
        return TDX_SYS_LP_INIT_NOT_PENDING;
    if (mdl_lp(c->lp)->initialized)
        return TDX_SYS_LP_INIT_DONE;
    if (c->lp->index && c->lp->index == plat_info()->odd_lp)
        return TDX_INCONSISTENT_MSR | IA32_TSX_CTRL;
    status = mdl_cpuid_compare(c);
    if (status)
        return status;
    u64 seed;
    if (!plat_random(&seed))
        return TDX_RND_NO_ENTROPY;
    mdl_lp(c->lp)->random_steps = (u32)seed;
    mdl_lp(c->lp)->last_tdvpr_hpa = NULL_ID;
    mdl_lp(c->lp)->initialized = true;
    __atomic_fetch_add(&mdl_sys.lp_init_count, 1, __ATOMIC_SEQ_CST);
    return TDX_SUCCESS;
}

static unsigned count_bits(u64 bits)
{
    unsigned count = 0;
    for (; bits; bits &= bits - 1)
        count++;
    return count;
}

u64 leaf_sys_key_config(struct call *c)
{
    u64 package = 1ull << c->lp->package;
    u64 status = lock_sys(c, LOCK_EXCLUSIVE);
    if (status)
        return status;
    if (mdl_state() != SYS_CONFIG_DONE)
        return TDX_SYS_KEY_CONFIG_NOT_PENDING;
    if (mdl_sys.packages_keyed & package)
        return TDX_KEY_CONFIGURED;
    status = hkid_program_key(c, mdl_sys.global_hkid);
    if (status)
        return status;
    mdl_sys.packages_keyed |= package;
    if (count_bits(mdl_sys.packages_keyed) == plat_info()->package_count)
        mdl_set_state(SYS_READY);
    return TDX_SUCCESS;
}

/* TDHSYSINFO_STRUCT, kept for VMMs that do not know TDH.SYS.RD. */
struct sys_info {
    u32 attributes, vendor_id, build_date;
    u16 build_num, minor, major;
    u8 sys_rd, reserved0[13];
    u16 max_tdmrs, max_reserved_per_tdmr, pamt_entry_bytes;
    u8 reserved1[10];
    u16 tdcs_bytes;
    u8 reserved2[2];
    u16 tdvps_bytes;
    u8 reserved3[10];
    u64 attributes_possible, attributes_required, xfam_possible, xfam_required;
    u8 reserved4[32];
    u32 cpuid_configs;
    struct cpuid_config_row cpuid[MDL_CPUID_CONFIGS];
    u8 reserved5[892 - MDL_CPUID_CONFIGS * 24];
};
#define SYS_INFO_BYTES 1024
_Static_assert(sizeof(struct sys_info) == SYS_INFO_BYTES, "TDHSYSINFO_STRUCT takes 1024 bytes");
_Static_assert(offsetof(struct sys_info, max_tdmrs) == 32 && offsetof(struct sys_info, tdcs_bytes) == 48 &&
                   offsetof(struct sys_info, attributes_possible) == 64 &&
                   offsetof(struct sys_info, cpuid_configs) == 128,
               "TDHSYSINFO_STRUCT");

static void fill_info(struct sys_info *info)
{
    mdl_fill(info, 0, SYS_INFO_BYTES / 8);
    info->vendor_id = MDL_VENDOR_ID;
    info->build_date = MDL_BUILD_DATE;
    info->build_num = MDL_BUILD_NUM;
    info->minor = plat_info()->module_minor;
    info->major = plat_info()->module_major;
    info->sys_rd = !mdl_is_generation_1_0();
    info->max_tdmrs = TDMRS_MAX;
    info->max_reserved_per_tdmr = RESERVED_MAX;
    info->pamt_entry_bytes = sizeof(struct pamt_entry);
    info->tdcs_bytes = (u16)(mdl_tdcs_pages() * PAGE_4K);
    info->tdvps_bytes = TDVPS_PAGES_MIN * PAGE_4K;
    info->attributes_possible = MDL_ATTRIBUTES_POSSIBLE;
    info->attributes_required = MDL_ATTRIBUTES_REQUIRED;
    info->xfam_possible = mdl_xfam_possible();
    info->xfam_required = MDL_XFAM_REQUIRED;
    info->cpuid_configs = MDL_CPUID_CONFIGS;
    for (unsigned i = 0; i < MDL_CPUID_CONFIGS; i++)
        mdl_cpuid_config(i, &info->cpuid[i]);
}

#define CMR_TABLE_BYTES (PLAT_CMRS_MAX * sizeof(struct plat_range))

u64 leaf_sys_info(struct call *c)
{
    c->out[RDX] = c->out[R9] = 0;
    if (!mdl_lp(c->lp)->initialized)
        return TDX_SYS_LP_INIT_NOT_DONE;
    u64 status = mdl_check_shared_hpa(c->in[RCX], SYS_INFO_BYTES, RCX);
    if (status)
        return status;
    struct sys_info *info = mdl_shared_pointer(c->lp, c->in[RCX]);
    if (!info)
        return status_operand(TDX_OPERAND_INVALID, RCX);
    if (c->in[RDX] < SYS_INFO_BYTES)
        return status_operand(TDX_OPERAND_INVALID, RDX);
    mdl_fill(info, 0, SYS_INFO_BYTES / 8);
    status = mdl_check_shared_hpa(c->in[R8], CMR_TABLE_BYTES, R8);
    if (status)
        return status;
    struct plat_range *cmrs = mdl_shared_pointer(c->lp, c->in[R8]);
    if (!cmrs)
        return status_operand(TDX_OPERAND_INVALID, R8);
    if (c->in[R9] < PLAT_CMRS_MAX)
        return status_operand(TDX_OPERAND_INVALID, R9);
    fill_info(info);
    for (unsigned i = 0; i < PLAT_CMRS_MAX; i++)
        cmrs[i] = i < plat_info()->cmr_count ? plat_info()->cmrs[i] : (struct plat_range){0, 0};
    c->out[RDX] = SYS_INFO_BYTES;
    c->out[R9] = PLAT_CMRS_MAX;
    return TDX_SUCCESS;
}

u64 leaf_sys_lp_shutdown(struct call *c)
{
    (void)c;
    return TDX_SUCCESS;
}

static bool others_are_in_seam(const struct seam_lp *self)
{
    for (unsigned i = 0; i < plat_info()->lp_count && i < LPS_MAX; i++)
        if (i != self->index && (mdl_sys.lps[i].in_seamcall || mdl_sys.lps[i].inside.count))
            return true;
    return false;
}

/*
 * Taking over from an older module: there never is one. Without a record of it, this is the order of checks of
 * tdh_sys_update() in the module's public source.
 */
u64 leaf_sys_update(struct call *c)
{
    u64 status = lock_sys(c, LOCK_EXCLUSIVE);
    if (status)
        return status;
    if (mdl_state() != SYS_INIT_DONE || mdl_sys.lp_init_count < plat_info()->lp_count)
        return TDX_SYS_STATE_INCORRECT;
    return TDX_SYS_INVALID_HANDOFF;
}

/* There is no other module to hand state to; what is left is that no leaf runs any more. */
u64 leaf_sys_shutdown(struct call *c)
{
    if (c->in[RCX] != MDL_HANDOFF_VERSION)
        return status_operand(TDX_OPERAND_INVALID, RCX);
    u64 status = lock_sys(c, LOCK_EXCLUSIVE);
    if (status)
        return status;
    if (others_are_in_seam(c->lp))
        return TDX_SYS_BUSY;
    mdl_set_state(SYS_SHUTDOWN);
    return TDX_SUCCESS;
}
