/*
 * MRTD: SHA-384 over a 128-byte block for each page added (the leaf's name, the GPA at byte 16) and one for each chunk
 * extended, followed by the chunk. TDX Module v1.5 Base Architecture Specification, "MRTD: Build-Time Measurement
 * Register".
 */
#include "sim/module/measure.h"
#include "sim/module/bytes.h"
#include "sim/module/leaves.h"
#include "sim/module/sept.h"

#define BLOCK_BYTES 128
#define CHUNK_BYTES 256
#define GPA_AT      16

void mdl_measure_begin(struct tdcs *tdcs)
{
    plat_sha384_begin(tdcs->sha_context);
}

static void add_block(struct tdcs *tdcs, const char *name, u64 gpa)
{
    u8 block[BLOCK_BYTES] = {0};
    for (unsigned i = 0; name[i]; i++)
        block[i] = (u8)name[i];
    mdl_copy(block + GPA_AT, &gpa, sizeof(gpa));
    plat_sha384_add(tdcs->sha_context, block, sizeof(block));
}

void mdl_measure_page_add(struct tdcs *tdcs, u64 gpa)
{
    add_block(tdcs, "MEM.PAGE.ADD", gpa);
}

/* `chunk`: the 256 bytes at `gpa`. */
static void measure_extend(struct tdcs *tdcs, u64 gpa, const void *chunk)
{
    add_block(tdcs, "MR.EXTEND", gpa);
    plat_sha384_add(tdcs->sha_context, chunk, CHUNK_BYTES);
}

static void measure_end(struct tdcs *tdcs)
{
    plat_sha384_end(tdcs->sha_context, tdcs->mrtd);
}

/* A mapped page of any size holds `gpa`: the TDR is held exclusively, so no lock in the tree. */
static u64 extend_entry(struct call *c, struct sept_op *op)
{
    u64 status = tdr_open(c, c->in[RDX], LOCK_EXCLUSIVE, RDX, &op->td);
    if (status == TDX_SUCCESS)
        status = tdcs_open_exclusive(c, &op->td);
    if (status)
        return status;
    op->gpa = c->in[RCX];
    if (op->gpa & (CHUNK_BYTES - 1) || !sept_gpa_is_private(op->td.tdcs, op->gpa))
        return status_operand(TDX_OPERAND_INVALID, RCX);
    sept_walk(op->td.tdcs, op->gpa, LEVEL_4K, &op->walk);
    if (!sept_is_leaf(op->walk.value) || !(op->walk.value & SEPT_RWX))
        return sept_refuse(c, op, TDX_EPT_ENTRY_NOT_PRESENT);
    return TDX_SUCCESS;
}

u64 leaf_mr_extend(struct call *c)
{
    struct sept_op op;
    c->out[RCX] = 0;
    c->out[RDX] = 0;
    u64 status = extend_entry(c, &op);
    if (status)
        return status;
    u64 hpa = sept_leaf_hpa(&op.walk) + (op.gpa & (sept_level_bytes(op.walk.level) - 1));
    const u8 *page = plat_page(hpa & ~(PAGE_4K - 1));
    measure_extend(op.td.tdcs, op.gpa, page + (hpa & (PAGE_4K - 1)));
    return TDX_SUCCESS;
}

u64 leaf_mr_finalize(struct call *c)
{
    struct td td;
    u64 status = tdr_open(c, c->in[RCX], LOCK_EXCLUSIVE, RCX, &td);
    if (status == TDX_SUCCESS)
        status = tdcs_open_exclusive(c, &td);
    if (status)
        return status;
    if (td.tdcs->num_vcpus == 0)
        return TDX_NO_VCPUS;
    measure_end(td.tdcs);
    td.tdcs->op_state = OP_RUNNABLE;
    return TDX_SUCCESS;
}
