/*
 * TDG.MEM.PAGE.ACCEPT: a PENDING page becomes the TD's, filled with zeros (Intel TDX Module v1.5 ABI Specification,
 * "TDG.MEM.PAGE.ACCEPT Leaf"). A 2M page is filled piece by piece; an interrupt in between stops it with the number of
 * pieces done in the entry, and the TD executes the instruction again.
 */
#include "sim/module/tdcall.h"

#include "sim/module/bytes.h"

#define PIECES     512u
#define EEQ_ACCEPT 1ull

/* EPT-violation exit that tells the VMM what stands in the way: level asked for, level and state of the entry met. */
static u64 ask_vmm(struct tdcall *t, u64 gpa, unsigned asked, const struct sept_walk *walk)
{
    u64 info = asked | walk->level << 3 | (u64)sept_state(walk->value) << 6 | (u64)sept_is_leaf(walk->value) << 14;
    u64 qualification = GPA_WRITE | (walk->value & SEPT_RWX) << 3;
    mdl_unlock_to(t->call.lp, &t->call.locks, 0);
    mdl_exit_ept_violation(t->call.lp, gpa, qualification, EEQ_ACCEPT | info << 32);
    t->end = TDCALL_EXITED;
    return TDX_SUCCESS;
}

static void clear_piece(u64 hpa)
{
    void *page = plat_page(hpa);
    MDL_CHECK(page, "an S-EPT leaf names memory that is not there");
    mdl_fill(page, 0, PAGE_4K / 8);
}

/* Fill the 2M page from where an earlier try stopped. The entry's new value; *done when all pieces are. */
static u64 clear_2m(struct tdcall *t, u64 entry, bool *done)
{
    unsigned count = (unsigned)((entry & SEPT_ACCEPT_COUNT) >> 12);
    *done = false;
    do {
        clear_piece((entry & SEPT_HPA & ~SEPT_ACCEPT_COUNT) + (u64)count * PAGE_4K);
        if (++count == PIECES) {
            *done = true;
            count = 0;
        }
    } while (!*done && !plat_interrupt_pending(t->call.lp));
    return (entry & ~SEPT_ACCEPT_COUNT) | (u64)count << 12;
}

static u64 accept_entry(struct tdcall *t, struct sept_walk *walk)
{
    u64 entry = walk->value;
    bool done = true;
    if (walk->level == LEVEL_4K)
        clear_piece(entry & SEPT_HPA);
    else
        entry = clear_2m(t, entry, &done);
    if (done)
        entry = sept_with_state(entry, SEPT_MAPPED);
    else
        t->end = TDCALL_AGAIN;
    sept_store_unlock(&t->call, walk->entry, entry);
    return TDX_SUCCESS;
}

static bool is_mapped_leaf(u64 entry)
{
    return sept_is_leaf(entry) && sept_state(entry) == SEPT_MAPPED;
}

u64 mdl_tdg_mem_page_accept(struct tdcall *t)
{
    const struct tdcs *tdcs = t->local->tdcs;
    u64 rcx = t->call.in[RCX], gpa = rcx & ~0xfffull;
    unsigned level = rcx & 7;
    struct sept_walk walk;
    u64 status = sept_check_gpa(rcx, LEVEL_4K, LEVEL_2M, RCX);
    if (status != TDX_SUCCESS)
        return status;
    if (!sept_gpa_is_private(tdcs, gpa))
        return status_operand(TDX_OPERAND_INVALID, RCX);
    sept_walk(tdcs, gpa, level, &walk);
    if (walk.level != level) {
        if (is_mapped_leaf(walk.value))
            return status_operand(TDX_PAGE_ALREADY_ACCEPTED, walk.level);
        return ask_vmm(t, gpa, level, &walk);
    }
    status = sept_lock_entry(&t->call, &walk, RCX);
    if (status != TDX_SUCCESS)
        return status;
    if (sept_state(walk.value) != SEPT_FREE && !sept_is_leaf(walk.value))
        return status_operand(TDX_PAGE_SIZE_MISMATCH, walk.level);
    if (is_mapped_leaf(walk.value))
        return status_operand(TDX_PAGE_ALREADY_ACCEPTED, walk.level);
    if (sept_state(walk.value) != SEPT_PENDING)
        return ask_vmm(t, gpa, level, &walk);
    return accept_entry(t, &walk);
}
