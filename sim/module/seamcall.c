/*
 * SEAMCALL: from RAX to the handler. TDX Module v1.5 ABI Specification, "SEAMCALL Instruction".
 */
#include "sim/module/leaves.h"
#include "sim/module/sys_info.h"

/* clang-format off */
const struct leaf mdl_seamcalls[SEAMCALL_LEAVES] = {
    /*                              handler                   versions  before the module is ready */
    [TDH_VP_ENTER]               = {leaf_vp_enter,                 0, false},
    [TDH_MNG_ADDCX]              = {leaf_mng_addcx,                0, false},
    [TDH_MEM_PAGE_ADD]           = {leaf_mem_page_add,             0, false},
    [TDH_MEM_SEPT_ADD]           = {leaf_mem_sept_add,           255, false},
    [TDH_VP_ADDCX]               = {leaf_vp_addcx,                 0, false},
    [TDH_MEM_PAGE_RELOCATE]      = {leaf_mem_page_relocate,        0, false},
    [TDH_MEM_PAGE_AUG]           = {leaf_mem_page_aug,             0, false},
    [TDH_MEM_RANGE_BLOCK]        = {leaf_mem_range_block,          0, false},
    [TDH_MNG_KEY_CONFIG]         = {leaf_mng_key_config,           0, false},
    [TDH_MNG_CREATE]             = {leaf_mng_create,               0, false},
    [TDH_VP_CREATE]              = {leaf_vp_create,                0, false},
    [TDH_MNG_RD]                 = {leaf_mng_rd,                 255, false},
    [TDH_MEM_RD]                 = {leaf_mem_rd,                   0, false},
    [TDH_MNG_WR]                 = {leaf_mng_wr,                   0, false},
    [TDH_MEM_WR]                 = {leaf_mem_wr,                   0, false},
    [TDH_MEM_PAGE_DEMOTE]        = {leaf_mem_page_demote,          0, false},
    [TDH_MR_EXTEND]              = {leaf_mr_extend,                0, false},
    [TDH_MR_FINALIZE]            = {leaf_mr_finalize,              0, false},
    [TDH_VP_FLUSH]               = {leaf_vp_flush,                 0, false},
    [TDH_MNG_VPFLUSHDONE]        = {leaf_mng_vpflushdone,          0, false},
    [TDH_MNG_KEY_FREEID]         = {leaf_mng_key_freeid,           0, false},
    [TDH_MNG_INIT]               = {leaf_mng_init,                 0, false},
    [TDH_VP_INIT]                = {leaf_vp_init,                  0, false},
    [TDH_MEM_PAGE_PROMOTE]       = {leaf_mem_page_promote,       255, false},
    [TDH_PHYMEM_PAGE_RDMD]       = {leaf_phymem_page_rdmd,         0, false},
    [TDH_MEM_SEPT_RD]            = {leaf_mem_sept_rd,              0, false},
    [TDH_VP_RD]                  = {leaf_vp_rd,                  255, false},
    [TDH_MNG_KEY_RECLAIMID]      = {leaf_mng_key_reclaimid,        0, false},
    [TDH_PHYMEM_PAGE_RECLAIM]    = {leaf_phymem_page_reclaim,      0, false},
    [TDH_MEM_PAGE_REMOVE]        = {leaf_mem_page_remove,          0, false},
    [TDH_MEM_SEPT_REMOVE]        = {leaf_mem_sept_remove,        255, false},
    [TDH_SYS_KEY_CONFIG]         = {leaf_sys_key_config,           0, true},
    [TDH_SYS_INFO]               = {leaf_sys_info,                 0, true},
    [TDH_SYS_INIT]               = {leaf_sys_init,                 0, true},
    [TDH_SYS_RD]                 = {leaf_sys_rd,                   0, true},
    [TDH_SYS_LP_INIT]            = {leaf_sys_lp_init,              0, true},
    [TDH_SYS_TDMR_INIT]          = {leaf_sys_tdmr_init,            0, false},
    [TDH_SYS_RDALL]              = {leaf_sys_rdall,                0, true},
    [TDH_MEM_TRACK]              = {leaf_mem_track,                0, false},
    [TDH_MEM_RANGE_UNBLOCK]      = {leaf_mem_range_unblock,        0, false},
    [TDH_PHYMEM_CACHE_WB]        = {leaf_phymem_cache_wb,          0, false},
    [TDH_PHYMEM_PAGE_WBINVD]     = {leaf_phymem_page_wbinvd,       0, false},
    [TDH_VP_WR]                  = {leaf_vp_wr,                    0, false},
    [TDH_SYS_LP_SHUTDOWN]        = {leaf_sys_lp_shutdown,          0, true},
    [TDH_SYS_CONFIG]             = {leaf_sys_config,               0, true},
    [TDH_SERVTD_BIND]            = {leaf_servtd_bind,              0, false},
    [TDH_SERVTD_PREBIND]         = {leaf_servtd_prebind,           0, false},
    [TDH_SYS_SHUTDOWN]           = {leaf_sys_shutdown,             0, false},
    [TDH_SYS_UPDATE]             = {leaf_sys_update,               0, true},
    [TDH_EXPORT_ABORT]           = {leaf_migration,                0, false},
    [TDH_EXPORT_BLOCKW]          = {leaf_migration,                0, false},
    [TDH_EXPORT_RESTORE]         = {leaf_export_restore,           0, false},
    [TDH_EXPORT_MEM]             = {leaf_migration,                0, false},
    [TDH_EXPORT_PAUSE]           = {leaf_migration,                0, false},
    [TDH_EXPORT_TRACK]           = {leaf_migration,                0, false},
    [TDH_EXPORT_STATE_IMMUTABLE] = {leaf_export_state_immutable,   0, false},
    [TDH_EXPORT_STATE_TD]        = {leaf_migration,                0, false},
    [TDH_EXPORT_STATE_VP]        = {leaf_migration,                0, false},
    [TDH_EXPORT_UNBLOCKW]        = {leaf_export_unblockw,          0, false},
    [TDH_IMPORT_ABORT]           = {leaf_migration,                0, false},
    [TDH_IMPORT_END]             = {leaf_migration,                0, false},
    [TDH_IMPORT_COMMIT]          = {leaf_migration,                0, false},
    [TDH_IMPORT_MEM]             = {leaf_migration,                0, false},
    [TDH_IMPORT_TRACK]           = {leaf_migration,                0, false},
    [TDH_IMPORT_STATE_IMMUTABLE] = {leaf_import_state_immutable,   0, false},
    [TDH_IMPORT_STATE_TD]        = {leaf_migration,                0, false},
    [TDH_IMPORT_STATE_VP]        = {leaf_migration,                0, false},
    [TDH_MIG_STREAM_CREATE]      = {leaf_mig_stream_create,        0, false},
};
/* clang-format on */

bool mdl_interrupted(struct call *c)
{
    unsigned events = plat_interrupt_pending(c->lp);
    if (!(c->lp->vmm_rflags & RFLAGS_IF))
        events &= ~(unsigned)PLAT_EVENT_INTERRUPT;
    return events != 0;
}

/* A module of generation 1.0 tells what it offers by TDH.SYS.INFO alone. */
static const struct leaf *find_leaf(u16 number)
{
    bool is_later = number == TDH_SYS_RD || number == TDH_SYS_RDALL;
    if (number >= SEAMCALL_LEAVES || (is_later && mdl_is_generation_1_0()))
        return NULL;
    return &mdl_seamcalls[number];
}

/* Why the leaf may not run at all, or TDX_SUCCESS. */
static u64 check_leaf(u64 rax)
{
    u16 number = LEAF_NUMBER(rax);
    const struct leaf *leaf = find_leaf(number);
    if (LEAF_RESERVED(rax) || (LEAF_VERSION(rax) && (!leaf || !leaf->versions)))
        return status_operand(TDX_OPERAND_INVALID, RAX);
    if (mdl_state() == SYS_SHUTDOWN && number != TDH_SYS_LP_SHUTDOWN)
        return TDX_SYS_SHUTDOWN;
    if (mdl_state() != SYS_READY && !(leaf && leaf->before_ready))
        return TDX_SYS_NOT_READY;
    return leaf && leaf->handler ? TDX_SUCCESS : status_operand(TDX_OPERAND_INVALID, RAX);
}

enum seam_next module_seamcall(struct seam_lp *lp)
{
    struct call c = {
        .lp = lp, .out = lp->vmm, .leaf = LEAF_NUMBER(lp->vmm[RAX]), .version = LEAF_VERSION(lp->vmm[RAX])};
    for (unsigned i = 0; i < SEAM_GPRS; i++)
        c.in[i] = lp->vmm[i];
    __atomic_store_n(&mdl_lp(lp)->in_seamcall, true, __ATOMIC_SEQ_CST);
    u64 status = check_leaf(lp->vmm[RAX]);
    if (status == TDX_SUCCESS)
        status = mdl_seamcalls[c.leaf].handler(&c);
    __atomic_store_n(&mdl_lp(lp)->in_seamcall, false, __ATOMIC_SEQ_CST);
    if (c.enters_td)
        return SEAM_TO_TD;
    mdl_unlock_to(lp, &c.locks, 0);
    lp->vmm[RAX] = status;
    return SEAM_TO_VMM;
}
