/*
 * TDH.SYS.RD, SYS.RDALL, MNG.RD, MNG.WR, VP.RD, VP.WR and TDG.VM.RD/WR, VP.RD/WR, SYS.RD/RDALL (Intel TDX Module v1.5
 * ABI Specification, "Metadata Access Interfaces"). Id in RDX, value in R8, mask in R9; where the next id is asked for,
 * RDX.
 */
#include "sim/module/leaves.h"
#include "sim/module/metadata.h"
#include "sim/module/tdcall.h"

#define VERSION_NEXT_ID 1

/* Read the element that RDX names into R8. With `next`, RDX moves on, and a null id asks for the first one. */
static u64 read_element(const struct md_context *x, u64 id, u64 *out, bool next)
{
    struct md_element e;
    u64 value;
    out[R8] = 0;
    if (next)
        out[RDX] = NULL_ID;
    if (next && md_is_null(id)) {
        out[RDX] = md_next(x, id, true);
        return TDX_METADATA_FIRST_FIELD_ID_IN_CONTEXT;
    }
    u64 status = md_find(x, id, &e);
    if (status == TDX_SUCCESS)
        status = md_read(x, &e, &value);
    if (status != TDX_SUCCESS)
        return status;
    out[R8] = value;
    if (next)
        out[RDX] = md_next(x, id, false);
    return TDX_SUCCESS;
}

static u64 write_element(const struct md_context *x, u64 id, const u64 *in, u64 *out)
{
    struct md_element e;
    u64 old;
    u64 status = md_find(x, id, &e);
    if (status == TDX_SUCCESS)
        status = md_write(x, &e, in[R8], in[R9], &old);
    if (status == TDX_SUCCESS)
        out[R8] = old;
    return status;
}

static enum md_access host_access(const struct tdcs *tdcs)
{
    return tdcs->attributes & ATTR_DEBUG ? MD_HOST_DEBUG : MD_HOST;
}

/* --- SEAMCALL --- */

/* A field that the platform's configuration takes away. The chain of next ids still has it. */
static bool is_absent(u64 id)
{
    const struct plat_info *p = plat_info();
    for (unsigned i = 0; i < p->absent_count; i++)
        if (MD_CLASS(p->absent_fields[i]) == MD_CLASS(id) && MD_CODE(p->absent_fields[i]) == MD_CODE(id))
            return true;
    return false;
}

u64 leaf_sys_rd(struct call *c)
{
    const struct md_context x = {.no = MD_SYS, .access = MD_HOST};
    c->out[RDX] = NULL_ID;
    c->out[R8] = 0;
    if (!mdl_lp(c->lp)->initialized)
        return TDX_SYS_LP_INIT_NOT_DONE;
    if (is_absent(c->in[RDX]))
        return TDX_METADATA_FIELD_ID_INCORRECT;
    return read_element(&x, c->in[RDX], c->out, true);
}

u64 leaf_sys_rdall(struct call *c)
{
    const struct md_context x = {.no = MD_SYS, .access = MD_HOST};
    u64 next = NULL_ID;
    c->out[R8] = NULL_ID;
    if (!mdl_lp(c->lp)->initialized)
        return TDX_SYS_LP_INIT_NOT_DONE;
    u64 status = mdl_check_shared_hpa(c->in[RDX], PAGE_4K, RDX);
    if (status != TDX_SUCCESS)
        return status;
    void *page = mdl_shared_pointer(c->lp, c->in[RDX]);
    if (!page)
        return status_operand(TDX_OPERAND_INVALID, RDX);
    status = md_dump(&x, c->in[R8], page, &next);
    c->out[R8] = next;
    return status;
}

/* Versions of the reading leafs: 0 reads, 1 gives the next id too, others are refused when the registers are set up. */
static u64 start_read(struct call *c)
{
    c->out[R8] = 0;
    if (c->version >= VERSION_NEXT_ID)
        c->out[RDX] = NULL_ID;
    return c->version > VERSION_NEXT_ID ? status_operand(TDX_OPERAND_INVALID, RAX) : TDX_SUCCESS;
}

u64 leaf_mng_rd(struct call *c)
{
    struct td td = {0};
    u64 status = start_read(c);
    if (status == TDX_SUCCESS)
        status = td_open(c, c->in[RCX], RCX, &td);
    if (status != TDX_SUCCESS)
        return status;
    const struct md_context x = {.no = MD_TD, .access = host_access(td.tdcs), .tdr = td.tdr, .tdcs = td.tdcs};
    return read_element(&x, c->in[RDX], c->out, c->version == VERSION_NEXT_ID);
}

u64 leaf_mng_wr(struct call *c)
{
    struct td td = {0};
    c->out[R8] = 0;
    u64 status = td_open(c, c->in[RCX], RCX, &td);
    if (status != TDX_SUCCESS)
        return status;
    const struct md_context x = {.no = MD_TD, .access = host_access(td.tdcs), .tdr = td.tdr, .tdcs = td.tdcs};
    return write_element(&x, c->in[RDX], c->in, c->out);
}

/* The vCPU in RCX, bound to this LP from now on. A reader also gets at a vCPU that can run no more. */
static u64 open_vcpu(struct call *c, bool allow_disabled, struct md_context *x)
{
    struct td td = {0};
    struct vcpu vcpu = {0};
    u64 status = tdvps_open(c, c->in[RCX], LOCK_SHARED, RCX, &vcpu, &td);
    if (status == TDX_SUCCESS)
        status = tdcs_open(c, &td, LOCK_SHARED);
    if (status == TDX_SUCCESS)
        status = tdvps_check_pages(&vcpu, td.tdcs);
    if (status != TDX_SUCCESS)
        return status;
    enum vcpu_state state = tdvps_state(vcpu.tdvps);
    if (state != VCPU_READY && !(state == VCPU_DISABLED && allow_disabled))
        return TDX_VCPU_STATE_INCORRECT;
    *x = (struct md_context){.no = MD_VP,
                             .access = host_access(td.tdcs),
                             .tdr = td.tdr,
                             .tdcs = td.tdcs,
                             .tdvps = vcpu.tdvps,
                             .vmcs = vcpu.vmcs};
    return tdvps_associate(c, &vcpu, td.tdcs);
}

u64 leaf_vp_rd(struct call *c)
{
    struct md_context x;
    u64 status = start_read(c);
    if (status == TDX_SUCCESS)
        status = open_vcpu(c, true, &x);
    if (status != TDX_SUCCESS)
        return status;
    return read_element(&x, c->in[RDX], c->out, c->version == VERSION_NEXT_ID);
}

u64 leaf_vp_wr(struct call *c)
{
    struct md_context x;
    c->out[R8] = 0;
    u64 status = open_vcpu(c, false, &x);
    return status == TDX_SUCCESS ? write_element(&x, c->in[RDX], c->in, c->out) : status;
}

/* --- TDCALL --- */

static struct md_context guest_context(const struct tdcall *t, enum md_context_no no)
{
    return (struct md_context){.no = no,
                               .access = MD_GUEST,
                               .tdr = t->local->tdr,
                               .tdcs = t->local->tdcs,
                               .tdvps = t->local->tdvps,
                               .vmcs = t->local->vmcs};
}

u64 mdl_tdg_vm_rd(struct tdcall *t)
{
    const struct md_context x = guest_context(t, MD_TD);
    u64 status = start_read(&t->call);
    if (status == TDX_SUCCESS && t->call.in[RCX] != 0)
        status = status_operand(TDX_OPERAND_INVALID, RCX);
    if (status != TDX_SUCCESS)
        return status;
    return read_element(&x, t->call.in[RDX], t->call.out, t->call.version == VERSION_NEXT_ID);
}

u64 mdl_tdg_vm_wr(struct tdcall *t)
{
    const struct md_context x = guest_context(t, MD_TD);
    t->call.out[R8] = 0;
    if (t->call.in[RCX] != 0)
        return status_operand(TDX_OPERAND_INVALID, RCX);
    return write_element(&x, t->call.in[RDX], t->call.in, t->call.out);
}

u64 mdl_tdg_vp_rd(struct tdcall *t)
{
    const struct md_context x = guest_context(t, MD_VP);
    t->call.out[R8] = 0;
    t->call.out[RDX] = NULL_ID;
    if (t->call.in[RCX] != 0)
        return status_operand(TDX_OPERAND_INVALID, RCX);
    return read_element(&x, t->call.in[RDX], t->call.out, true);
}

u64 mdl_tdg_vp_wr(struct tdcall *t)
{
    const struct md_context x = guest_context(t, MD_VP);
    t->call.out[R8] = 0;
    if (t->call.in[RCX] != 0)
        return status_operand(TDX_OPERAND_INVALID, RCX);
    return write_element(&x, t->call.in[RDX], t->call.in, t->call.out);
}

u64 mdl_tdg_sys_rd(struct tdcall *t)
{
    const struct md_context x = {.no = MD_SYS, .access = MD_GUEST};
    return read_element(&x, t->call.in[RDX], t->call.out, true);
}

u64 mdl_tdg_sys_rdall(struct tdcall *t)
{
    const struct md_context x = {.no = MD_SYS, .access = MD_GUEST};
    void *page;
    u64 next = NULL_ID;
    t->call.out[R8] = NULL_ID; /* also when the TD or the VMM must do something first (tdx-module tdg_sys_rdall.c) */
    if (t->call.in[RDX] & (PAGE_4K - 1))
        return status_operand(TDX_OPERAND_INVALID, RDX);
    u64 status = mdl_guest_pointer(t, t->call.in[RDX], GPA_READ | GPA_WRITE, false, RDX, &page);
    if (status != TDX_SUCCESS || t->end != TDCALL_DONE)
        return status;
    status = md_dump(&x, t->call.in[R8], page, &next);
    t->call.out[R8] = next;
    return status;
}
