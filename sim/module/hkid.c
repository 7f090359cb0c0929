/*
 * Private KeyIDs, and writing caches back before one of them may be used again: TDH.PHYMEM.CACHE.WB. TDX Module v1.5
 * Base Architecture Specification, "Keys Management".
 */
#include "sim/module/hkid.h"
#include "sim/module/leaves.h"

bool hkid_is_private(u64 operand)
{
    const struct plat_info *info = plat_info();
    return operand >= info->first_private_hkid && operand < 1ull << info->keyid_bits;
}

u64 hkid_program_key(struct call *c, u16 hkid)
{
    switch (plat_program_key(c->lp, hkid)) {
    case PLAT_KEY_OK:
        return TDX_SUCCESS;
    case PLAT_KEY_BUSY:
        return status_operand(TDX_OPERAND_BUSY, OPERAND_KET);
    default:
        return TDX_KEY_GENERATION_FAILED;
    }
}

#define WB_START  0
#define WB_RESUME 1

/* Which KeyIDs the write-back that starts now will cover. */
static bool note_flushed_hkids(u64 covered[HKIDS_MAX / 64])
{
    bool any = false;
    for (unsigned hkid = 0; hkid < HKIDS_MAX; hkid++) {
        u64 bit = 1ull << hkid % 64;
        bool flushed = mdl_sys.kot[hkid].state == HKID_FLUSHED;
        covered[hkid / 64] = (covered[hkid / 64] & ~bit) | (flushed ? bit : 0);
        any |= flushed;
    }
    return any;
}

static void note_written_back(struct call *c, const u64 covered[HKIDS_MAX / 64])
{
    for (unsigned hkid = 0; hkid < HKIDS_MAX; hkid++)
        if (covered[hkid / 64] >> hkid % 64 & 1)
            __atomic_fetch_and(&mdl_sys.kot[hkid].wbinvd_bitmap, ~(1ull << c->lp->package), __ATOMIC_SEQ_CST);
}

u64 leaf_phymem_cache_wb(struct call *c)
{
    unsigned package = c->lp->package;
    if (c->in[RCX] > WB_RESUME)
        return status_operand(TDX_OPERAND_INVALID, RCX);
    u64 status = mdl_call_lock(c, &mdl_sys.wbt_lock[package], LOCK_PLAIN, LOCK_EXCLUSIVE, OPERAND_WBCACHE);
    if (status == TDX_SUCCESS)
        status = mdl_call_lock(c, &mdl_sys.kot_lock, LOCK_PLAIN, LOCK_SHARED, OPERAND_KOT);
    if (status)
        return status;
    if (c->in[RCX] == WB_RESUME && !mdl_sys.wb_interrupted[package])
        return TDX_WBCACHE_RESUME_ERROR;
    if (c->in[RCX] == WB_START) {
        /* A new start takes all blocks again; the platform goes on where it was interrupted. */
        while (mdl_sys.wb_interrupted[package] && plat_flush_cache_block(c->lp))
            ;
        mdl_sys.wb_interrupted[package] = false;
        u64 covered[HKIDS_MAX / 64] = {0};
        if (!note_flushed_hkids(covered))
            return TDX_NO_HKID_READY_TO_WBCACHE;
        for (unsigned i = 0; i < HKIDS_MAX / 64; i++)
            mdl_sys.wb_hkids[package][i] = covered[i];
    }
    while (plat_flush_cache_block(c->lp))
        if (mdl_interrupted(c)) {
            mdl_sys.wb_interrupted[package] = true;
            return TDX_INTERRUPTED_RESUMABLE;
        }
    mdl_sys.wb_interrupted[package] = false;
    note_written_back(c, mdl_sys.wb_hkids[package]);
    return TDX_SUCCESS;
}
