/*
 * TDG.MR.REPORT, TDG.MR.RTMR.EXTEND, TDG.MR.VERIFYREPORT (Intel TDX Module v1.5 ABI Specification). The first half of a
 * report, with its MAC, is the processor's work under a key that the platform does not have: it stays zero, and any
 * report structure verifies.
 */
#include "sim/module/tdcall.h"

#include "sim/module/bytes.h"

#define REPORT_BYTES      1024u
#define REPORT_DATA_ALIGN 64u
#define MAC_STRUCT_ALIGN  256u
#define EXTEND_ALIGN      64u
#define TDINFO_OFFSET     512u

/* TDINFO_STRUCT, the second half of a report. */
struct tdinfo {
    u64 attributes, xfam;
    u8 mrtd[MEASUREMENT_BYTES], mrconfigid[MEASUREMENT_BYTES], mrowner[MEASUREMENT_BYTES],
        mrownerconfig[MEASUREMENT_BYTES], rtmr[RTMRS][MEASUREMENT_BYTES], servtd_hash[MEASUREMENT_BYTES];
    u8 reserved[64];
};
_Static_assert(sizeof(struct tdinfo) == 512, "TDINFO_STRUCT takes 512 bytes");
_Static_assert(offsetof(struct tdinfo, rtmr) == 720 - TDINFO_OFFSET, "RTMRs of a report");

static void fill_tdinfo(const struct tdcs *tdcs, struct tdinfo *info)
{
    mdl_fill(info, 0, sizeof(*info) / 8);
    info->attributes = tdcs->attributes;
    info->xfam = tdcs->xfam;
    mdl_copy(info->mrtd, tdcs->mrtd, sizeof(info->mrtd));
    mdl_copy(info->mrconfigid, tdcs->mrconfigid, sizeof(info->mrconfigid));
    mdl_copy(info->mrowner, tdcs->mrowner, sizeof(info->mrowner));
    mdl_copy(info->mrownerconfig, tdcs->mrownerconfig, sizeof(info->mrownerconfig));
    mdl_copy(info->rtmr, tdcs->rtmr, sizeof(info->rtmr));
}

u64 mdl_tdg_mr_report(struct tdcall *t)
{
    const u64 *in = t->call.in;
    void *data, *report;
    if (in[RCX] & (REPORT_BYTES - 1))
        return status_operand(TDX_OPERAND_INVALID, RCX);
    if (in[RDX] & (REPORT_DATA_ALIGN - 1))
        return status_operand(TDX_OPERAND_INVALID, RDX);
    u64 status = mdl_guest_pointer(t, in[RDX], GPA_READ, true, RDX, &data);
    if (status != TDX_SUCCESS || t->end != TDCALL_DONE)
        return status;
    if (in[R8] != 0)
        return status_operand(TDX_OPERAND_INVALID, R8);
    status = mdl_call_lock(&t->call, &t->local->tdcs->rtmr_lock, LOCK_HOST_PRIORITY, LOCK_SHARED, OPERAND_RTMR);
    if (status != TDX_SUCCESS)
        return status;
    if (plat_interrupt_pending(t->call.lp)) {
        t->end = TDCALL_AGAIN;
        return TDX_SUCCESS;
    }
    status = mdl_guest_pointer(t, in[RCX], GPA_READ | GPA_WRITE, true, RCX, &report);
    if (status != TDX_SUCCESS || t->end != TDCALL_DONE)
        return status;
    mdl_fill(report, 0, TDINFO_OFFSET / 8);
    fill_tdinfo(t->local->tdcs, (struct tdinfo *)((u8 *)report + TDINFO_OFFSET));
    return TDX_SUCCESS;
}

u64 mdl_tdg_mr_rtmr_extend(struct tdcall *t)
{
    struct tdcs *tdcs = t->local->tdcs;
    u64 state[PLAT_SHA384_BYTES / 8], index = t->call.in[RDX];
    void *data;
    if (t->call.in[RCX] & (EXTEND_ALIGN - 1))
        return status_operand(TDX_OPERAND_INVALID, RCX);
    u64 status = mdl_guest_pointer(t, t->call.in[RCX], GPA_READ, false, RCX, &data);
    if (status != TDX_SUCCESS || t->end != TDCALL_DONE)
        return status;
    if (index >= RTMRS)
        return status_operand(TDX_OPERAND_INVALID, RDX);
    status = mdl_call_lock(&t->call, &tdcs->rtmr_lock, LOCK_HOST_PRIORITY, LOCK_EXCLUSIVE, OPERAND_RTMR);
    if (status != TDX_SUCCESS)
        return status;
    plat_sha384_begin(state);
    plat_sha384_add(state, tdcs->rtmr[index], MEASUREMENT_BYTES);
    plat_sha384_add(state, data, MEASUREMENT_BYTES);
    plat_sha384_end(state, tdcs->rtmr[index]);
    tdcs->last_teeinfo_hash_valid = false;
    return TDX_SUCCESS;
}

u64 mdl_tdg_mr_verifyreport(struct tdcall *t)
{
    void *mac;
    if (t->call.in[RCX] & (MAC_STRUCT_ALIGN - 1))
        return status_operand(TDX_OPERAND_INVALID, RCX);
    return mdl_guest_pointer(t, t->call.in[RCX], GPA_READ, false, RCX, &mac);
}
