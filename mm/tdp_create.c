/* Making a TD's MMU, and what is put into its memory before it runs: see mm/tdp.h. */
#include "mm/plan_build.h"

#include "lib/bits.h"
#include "lib/hw/cpu.h"
#include "lib/string.h"
#include "mm/page.h"
#include "tdx/abi_leaf.h"
#include "tdx/count.h"

static void give_up(struct tdp *t)
{
    for (unsigned i = 0; i < t->slot_count; i++)
        slot_destroy(&t->slots[i]);
    if (t->mirror.root)
        mirror_destroy(&t->mirror);
    shared_ept_destroy(&t->shared);
    policing_destroy(t);
    dirty_destroy(t);
    page_give(t, sizeof(*t));
}

enum err tdp_create(struct tdp **out, struct td *td, u64 bytes, level_t level, enum tdp_backing backing, unsigned node)
{
    struct tdp *t = page_take(sizeof(*t));
    if (!t)
        return ERR_NO_MEMORY;
    t->td = td;
    t->max_level = level;
    t->choice.back = LEVEL_2M;
    t->pause = TDP_PAUSE_DEFAULT;
    t->shared.root = HPA_NONE;
    enum err e = slot_create(&t->slots[0], (gpa_t){0}, bytes, level, backing, node);
    if (e == ERR_OK) {
        t->slot_count = 1;
        e = mirror_create(&t->mirror);
    }
    if (e == ERR_OK)
        e = shared_ept_create(&t->shared, td->shared_bit, node);
    if (e == ERR_OK)
        e = policing_create(t);
    if (e != ERR_OK)
        give_up(t);
    else
        *out = t;
    return e;
}

static bool meets_memory(const struct tdp *t, gpa_t base, u64 bytes)
{
    for (unsigned i = 0; i < t->slot_count; i++)
        if (base.raw < slot_end(&t->slots[i]).raw && t->slots[i].base.raw < base.raw + bytes)
            return true;
    return false;
}

enum err tdp_add_slot(struct tdp *t, gpa_t base, u64 bytes)
{
    if (t->slot_count == TDP_SLOTS_MAX)
        return ERR_NO_MEMORY;
    if (bytes == 0 || base.raw + bytes < base.raw || (base.raw + bytes) >> t->td->shared_bit)
        return ERR_RANGE;
    if (meets_memory(t, base, bytes) || tdp_has_device(t, base, bytes))
        return ERR_EXISTS;
    tdp_forget_seen(t);
    enum err e = slot_create(&t->slots[t->slot_count], base, bytes, LEVEL_4K, TDP_INPLACE, tdp_node(t));
    if (e == ERR_OK)
        t->slot_count++;
    return e;
}

enum err tdp_add_device(struct tdp *t, gpa_t base, u64 bytes)
{
    struct slot *memory = tdp_slot(t, base, bytes);

    if (!is_aligned(base.raw | bytes, PAGE_BYTES))
        return ERR_UNALIGNED;
    if (bytes == 0 || base.raw + bytes < base.raw || (base.raw + bytes) >> t->td->shared_bit)
        return ERR_RANGE;
    if (t->device_end.raw != 0 || (!memory && meets_memory(t, base, bytes)))
        return ERR_EXISTS;
    enum err e = shared_ept_set_device(&t->shared, base, bytes);
    if (e != ERR_OK)
        return e;
    t->device = base;
    t->device_end = gpa_add(base, bytes);
    if (memory)
        slot_set_attr(memory, base, bytes, TDP_SHARED);
    return ERR_OK;
}

void tdp_set_kick_again(struct tdp *t, bool again)
{
    t->kicks_again = again;
}

struct tdp_choice tdp_choice(const struct tdp *t)
{
    return t->choice;
}

void tdp_choose(struct tdp *t, struct tdp_choice choice)
{
    t->choice = choice;
}

hpa_t tdp_shared_root(const struct tdp *t)
{
    return t->shared.root;
}

void *tdp_shared_ptr(struct tdp *t, gpa_t gpa)
{
    const struct slot *s = tdp_slot(t, gpa_floor(gpa, LEVEL_4K), PAGE_BYTES);
    if (!s || !slot_is_shared(s, gpa))
        return NULL;
    return phys_ptr(slot_page(s, gpa_floor(gpa, LEVEL_4K)));
}

void *tdp_shared_hold(struct tdp *t, gpa_t gpa, struct claim *claim)
{
    gpa_t from = gpa_floor(gpa, LEVEL_2M);

    if (claim_begin(&t->claims, claim, from, gpa_add(from, level_bytes(LEVEL_2M)), false, NULL, NULL) != ERR_OK)
        return NULL;
    void *page = tdp_shared_ptr(t, gpa);
    if (!page)
        claim_end(&t->claims, claim);
    return page;
}

void tdp_shared_release(struct tdp *t, struct claim *claim)
{
    claim_end(&t->claims, claim);
}

struct tdp_report tdp_make_shared(struct tdp *t, gpa_t gpa, u64 bytes)
{
    return tdp_convert(t, gpa, bytes, TDP_SHARED, NULL);
}

/* --- loading ------------------------------------------------------------------------------------------------------ */

/* One page; the mirror follows. `bounce`: a page that the module reads the content from. */
static struct td_fault add_page(struct tdp *t, gpa_t gpa, const void *source, hpa_t bounce, bool measured)
{
    struct mirror_iter it;
    u64 home = tdp_home_entry(t, gpa, LEVEL_4K);

    if (!mirror_find(&it, &t->mirror, gpa, LEVEL_4K) || mirror_state(it.entry) != MIRROR_NONE || !mirror_freeze(&it))
        return (struct td_fault){.err = ERR_EXISTS};
    memcpy(phys_ptr(bounce), source, PAGE_BYTES);
    struct td_fault f = td_add_page(t->td, gpa, mirror_page(home), bounce, measured);
    /* Where MR.EXTEND failed after PAGE.ADD the page is the TD's all the same, and tear-down must find it. */
    bool is_added = f.err == ERR_OK || (f.leaf && strcmp(f.leaf, tdx_leaf_name(TDH_MR_EXTEND)) == 0);
    mirror_thaw(&it, is_added ? home : 0);
    return f;
}

static void add_pages(struct tdp_op *op, gpa_t gpa, const u8 *source, u64 bytes, bool measured)
{
    hpa_t bounce;

    op->report.err = page_alloc_zeroed(&bounce);
    if (op->report.err != ERR_OK) {
        op->report.what = "no memory to copy from";
        return;
    }
    for (u64 done = 0; done < bytes && op->report.err == ERR_OK; done += PAGE_BYTES) {
        struct td_fault f = add_page(op->t, gpa_add(gpa, done), source + done, bounce, measured);
        op->report.err = f.err;
        op->report.status = f.status;
        op->report.what = f.err == ERR_EXISTS ? "something is mapped here already" : f.leaf;
        op->report.at = gpa_add(gpa, done);
    }
    page_free(bounce, LEVEL_4K);
}

struct tdp_report tdp_load(struct tdp *t, gpa_t gpa, const void *source, u64 bytes, bool measured)
{
    struct tdp_report r = tdp_check(t, gpa, bytes);
    struct tdp_op op;

    if (r.err != ERR_OK)
        return r;
    if (t->td->state != TD_INITIALIZED)
        return tdp_error(ERR_STATE, "memory can only be loaded before the TD is finalised", gpa);
    if (slot_attr_run(tdp_slot(t, gpa, bytes), gpa, gpa_add(gpa, bytes)).raw != gpa.raw + bytes ||
        slot_is_shared(tdp_slot(t, gpa, bytes), gpa))
        return tdp_error(ERR_ATTR_MISMATCH, "the range holds shared pages", gpa);
    if (tdp_op_begin(&op, t, gpa, bytes, NULL) != ERR_OK)
        return op.report;
    struct plan_fault f = plan_tables(t, op.plan, gpa, bytes);
    op.report = tdp_error(f.err, f.what, f.at);
    tdp_op_perform(&op);
    if (op.report.err == ERR_OK)
        add_pages(&op, gpa, source, bytes, measured);
    return tdp_op_end(&op);
}
