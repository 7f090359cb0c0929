/*
 * Migration and service TDs, as far as a TD gets that neither migrates nor has a service TD: operands, locks and states
 * are checked as by a leaf that works, and there the model ends. TDH.MIG.STREAM.CREATE works: its page belongs to the
 * TD until RECLAIM. No record shows these leafs; their order of checks is that of the functions of the same names in
 * src/vmm_dispatcher/migration_api_calls of the module's public source (1.5.01).
 *
 * What it does not do: export and import of anything, and binding; the statuses that stand for that are at the leafs.
 */
#include "sim/module/bytes.h"
#include "sim/module/leaves.h"
#include "sim/module/sept.h"

#define STREAMS_MIN   2 /* one for each direction */
#define STREAMS_MAX   512
#define SERVICE_SLOTS 1
#define IN_VCPU       true
#define CLEAR_RDX     1
#define CLEAR_RCX_RDX 2

/* How a leaf names the TD and holds it. Who holds the TDR exclusively needs no lock of the op state. */
struct opening {
    u8 operand, tdr, op_state; /* enum lock_mode */
    bool vcpu;                 /* the operand is a TDVPR, held exclusively */
    u8 clears;
};

/* clang-format off */
#define FIRST TDH_EXPORT_ABORT
static const struct opening openings[] = {
    [TDH_EXPORT_ABORT - FIRST]           = {RCX, LOCK_SHARED, LOCK_EXCLUSIVE, false, 0},
    [TDH_EXPORT_BLOCKW - FIRST]          = {RDX, LOCK_SHARED, LOCK_SHARED, false, 0},
    [TDH_EXPORT_RESTORE - FIRST]         = {RDX, LOCK_SHARED, LOCK_SHARED, false, 0},
    [TDH_EXPORT_MEM - FIRST]             = {RDX, LOCK_SHARED, LOCK_SHARED, false, 0},
    [TDH_EXPORT_PAUSE - FIRST]           = {RCX, LOCK_EXCLUSIVE, 0, false, 0},
    [TDH_EXPORT_TRACK - FIRST]           = {RCX, LOCK_SHARED, LOCK_EXCLUSIVE, false, 0},
    [TDH_EXPORT_STATE_IMMUTABLE - FIRST] = {RCX, LOCK_SHARED, LOCK_EXCLUSIVE, false, CLEAR_RDX},
    [TDH_EXPORT_STATE_TD - FIRST]        = {RCX, LOCK_SHARED, LOCK_EXCLUSIVE, false, CLEAR_RDX},
    [TDH_EXPORT_STATE_VP - FIRST]        = {RCX, LOCK_SHARED, LOCK_SHARED, IN_VCPU, CLEAR_RDX},
    [TDH_IMPORT_ABORT - FIRST]           = {RCX, LOCK_EXCLUSIVE, 0, false, 0},
    [TDH_IMPORT_END - FIRST]             = {RCX, LOCK_EXCLUSIVE, 0, false, 0},
    [TDH_IMPORT_COMMIT - FIRST]          = {RCX, LOCK_EXCLUSIVE, 0, false, 0},
    [TDH_IMPORT_MEM - FIRST]             = {RDX, LOCK_SHARED, LOCK_SHARED, false, 0},
    [TDH_IMPORT_TRACK - FIRST]           = {RCX, LOCK_EXCLUSIVE, 0, false, 0},
    [TDH_IMPORT_STATE_IMMUTABLE - FIRST] = {RCX, LOCK_EXCLUSIVE, 0, false, CLEAR_RCX_RDX},
    [TDH_IMPORT_STATE_TD - FIRST]        = {RCX, LOCK_EXCLUSIVE, 0, false, CLEAR_RCX_RDX},
    [TDH_IMPORT_STATE_VP - FIRST]        = {RCX, LOCK_SHARED, LOCK_SHARED, IN_VCPU, CLEAR_RCX_RDX},
    [TDH_MIG_STREAM_CREATE - FIRST]      = {RDX, LOCK_SHARED, LOCK_EXCLUSIVE, false, 0},
};
/* clang-format on */

static u64 open(struct call *c, struct td *td)
{
    const struct opening *o = &openings[c->leaf - FIRST];
    u64 operand = c->in[o->operand];
    struct vcpu vcpu;
    if (o->clears == CLEAR_RCX_RDX)
        c->out[RCX] = 0;
    if (o->clears)
        c->out[RDX] = 0;
    u64 status = o->vcpu ? tdvps_open(c, operand, LOCK_EXCLUSIVE, o->operand, &vcpu, td)
                         : tdr_open(c, operand, o->tdr, o->operand, td);
    if (status)
        return status;
    return o->op_state ? tdcs_open(c, td, o->op_state) : tdcs_open_exclusive(c, td);
}

/* Leafs for op states that a TD comes to by migration only. */
u64 leaf_migration(struct call *c)
{
    struct td td;
    u64 status = open(c, &td);
    MDL_CHECK(status, "a TD is in an op state of migration");
    return status;
}

u64 leaf_mig_stream_create(struct call *c)
{
    struct td td;
    struct pamt_entry *page;
    u64 hpa = c->in[RCX], status = open(c, &td);
    if (status)
        return status;
    if (td.tdcs->num_migs >= STREAMS_MAX)
        return TDX_MAX_MIGS_NUM_EXCEEDED;
    status = pamt_open(c, hpa, LEVEL_4K, LOCK_EXCLUSIVE, PT_NDA, RCX, &page);
    if (status)
        return status;
    plat_own(hpa, PAGE_4K);
    mdl_fill(plat_page(hpa), 0, PAGE_4K / 8);
    tdr_count_pages(c, td.tdr, 1);
    pamt_set(page, PT_TDCX, td.tdr_hpa);
    ((u64 *)tdcs_page(td.tdr, TDCS_PAGE_MIGSC_LINKS))[td.tdcs->num_migs++] = hpa;
    return TDX_SUCCESS;
}

/* Left out from the MBMD in R8 on. */
u64 leaf_export_state_immutable(struct call *c)
{
    struct td td;
    u64 status = open(c, &td);
    if (status)
        return status;
    if (!(td.tdcs->attributes & ATTR_MIGRATABLE))
        return TDX_TD_NOT_MIGRATABLE;
    return td.tdcs->num_migs < STREAMS_MIN ? TDX_MIN_MIGS_NOT_CREATED : status_operand(TDX_OPERAND_INVALID, R8);
}

/* Left out from the stream and command in R10 on. */
u64 leaf_import_state_immutable(struct call *c)
{
    struct td td;
    u64 status = open(c, &td);
    if (status)
        return status;
    return td.tdcs->num_migs < STREAMS_MIN ? TDX_MIN_MIGS_NOT_CREATED : status_operand(TDX_OPERAND_INVALID, R10);
}

/* No page is exported, so that no list of pages in RCX is a good one. */
u64 leaf_export_restore(struct call *c)
{
    struct td td;
    u64 status = open(c, &td);
    if (status == TDX_SUCCESS)
        status = mdl_call_lock(c, &td.tdcs->sept_lock, LOCK_PLAIN, LOCK_SHARED, OPERAND_SEPT_TREE);
    return status ? status : status_operand(TDX_OPERAND_INVALID, RCX);
}

/* No entry is blocked for writing: all that can be said is what state it is in. A busy entry is not reported. */
u64 leaf_export_unblockw(struct call *c)
{
    struct sept_op op;
    u64 status = sept_begin(c, LEVEL_4K, LEVEL_4K, LOCK_SHARED, &op);
    if (status == status_operand(TDX_OPERAND_BUSY, RCX))
        c->out[RCX] = c->out[RDX] = 0;
    return status;
}

/* No type of service TD is known. */
static u64 check_binding(const struct call *c)
{
    return status_operand(TDX_OPERAND_INVALID, c->in[R8] >= SERVICE_SLOTS ? R8 : R9);
}

u64 leaf_servtd_bind(struct call *c)
{
    struct td td, service;
    c->out[RCX] = 0;
    for (unsigned reg = R10; reg <= R13; reg++)
        c->out[reg] = 0;
    if (c->in[RDX] == c->in[RCX])
        return status_operand(TDX_OPERAND_INVALID, RDX);
    u64 status = td_open(c, c->in[RCX], RCX, &td);
    if (status == TDX_SUCCESS)
        status = tdr_open(c, c->in[RDX], LOCK_SHARED, RDX, &service);
    if (status == TDX_SUCCESS)
        status = tdcs_open_service(c, &service);
    return status ? status : check_binding(c);
}

u64 leaf_servtd_prebind(struct call *c)
{
    struct td td;
    u64 status = td_open(c, c->in[RCX], RCX, &td);
    if (status == TDX_SUCCESS)
        status = mdl_check_shared_hpa(c->in[RDX], 64, RDX);
    return status ? status : check_binding(c);
}
