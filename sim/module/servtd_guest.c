/*
 * TDG.SERVTD.RD and WR (Intel TDX Module v1.5 ABI Specification): a service TD asks for metadata of a TD that it is
 * bound to. The model has no bindings (TDH.SERVTD.BIND is left out), so that the question ends at the target TD's
 * state, at its UUID, or at the binding that is not there: the latter and most errors of the target are the VMM's
 * doing, and a TD exit tells it (tdx-module tdg_servtd_rd_wr.c).
 */
#include "sim/module/td.h"
#include "sim/module/tdcall.h"

/* A binding handle: what the VMM gave, with the service TD's own UUID added. */
#define HANDLE_SLOT(h) ((unsigned)(h)&0xfff)
#define HANDLE_TDR(h)  ((h)&0x000ffffffffff000ull)
#define SLOTS          1u
#define UUID_WORDS     4

/* The TD exits with the status for the VMM, and finds it in RAX when it goes on behind the TDCALL. */
static u64 trap(struct tdcall *t, u64 status, u64 target)
{
    t->local->vmcs->run.gpr[RAX] = status;
    mdl_unlock_to(t->call.lp, &t->call.locks, 0);
    mdl_exit(t->call.lp, TDX_CROSS_TD_TRAP, 0, 0, status, target, 0);
    t->end = TDCALL_EXITED;
    return TDX_SUCCESS;
}

static bool is_uuid(const u64 *in, const u64 uuid[UUID_WORDS])
{
    bool same = true;
    for (unsigned i = 0; i < UUID_WORDS; i++)
        same &= in[R10 + i] == uuid[i];
    return same;
}

/* A TD that was never imported has a UUID of zeros from before its import. */
static u64 check_uuid(struct tdcall *t, const struct tdr *target)
{
    static const u64 before_import[UUID_WORDS];
    if (is_uuid(t->call.in, target->td_uuid))
        return TDX_SUCCESS;
    if (!is_uuid(t->call.in, before_import))
        return TDX_TARGET_UUID_MISMATCH;
    for (unsigned i = 0; i < UUID_WORDS; i++)
        t->call.out[R10 + i] = target->td_uuid[i];
    return TDX_TARGET_UUID_UPDATED;
}

static bool is_busy(u64 status)
{
    return status >> 32 == TDX_OPERAND_BUSY >> 32;
}

static u64 servtd_access(struct tdcall *t)
{
    u64 handle = t->call.in[RCX] - t->local->tdr->td_uuid[0], tdr_hpa = HANDLE_TDR(handle);
    struct td target = {0};
    t->call.out[R8] = 0;
    if (HANDLE_SLOT(handle) >= SLOTS)
        return status_operand(TDX_OPERAND_INVALID, RCX);
    u64 status = tdr_open(&t->call, tdr_hpa, LOCK_SHARED, OPERAND_TDR, &target);
    if (status == TDX_SUCCESS)
        status = tdcs_open_service(&t->call, &target);
    if (status != TDX_SUCCESS && status != TDX_OP_STATE_INCORRECT) /* any op state will do here */
        return is_busy(status) ? status : trap(t, status, tdr_hpa);
    status = check_uuid(t, target.tdr);
    if (status != TDX_SUCCESS)
        return status;
    return trap(t, status_operand(TDX_SERVTD_NOT_BOUND, HANDLE_SLOT(handle)), tdr_hpa);
}

u64 mdl_tdg_servtd_rd(struct tdcall *t)
{
    t->call.out[RDX] = NULL_ID;
    return servtd_access(t);
}

u64 mdl_tdg_servtd_wr(struct tdcall *t)
{
    return servtd_access(t);
}
