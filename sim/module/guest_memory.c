/*
 * TD memory named by GPA in a TDCALL: private pages through the Secure EPT, shared ones through the shared EPT, with
 * the outcome that a TD's own access would have (Intel TDX Module v1.5 Base Architecture Specification, "TDCALL Memory
 * Operands"; SDM vol. 3, 29.3 "The Extended Page Table Mechanism").
 */
#include "sim/module/tdcall.h"

#define EXIT_EPT_VIOLATION 48
#define EXIT_EPT_MISCONFIG 49
#define EEQ_PENDING        6
#define EPT_LEAF           (1ull << 7)
#define EPT_RWX            7ull
#define EPT_MEMORY_TYPE(e) ((unsigned)((e) >> 3) & 7)
#define EPT_TABLE_RESERVED 0xf8ull /* bits 7:3 of an entry that refers to a table */
#define QUAL_RWX_SHIFT     3

enum walk_result { WALK_OK, WALK_VIOLATION, WALK_CONVERTIBLE, WALK_MISCONFIGURED };

struct walk {
    unsigned access;
    u64 entry, rwx; /* the last entry, permissions so far */
    u64 hpa;
};

static bool gpa_fits(const struct tdcs *tdcs, u64 gpa)
{
    unsigned width = tdcs->gpaw ? 52 : 48;
    if (plat_info()->maxpa < width)
        width = plat_info()->maxpa;
    return gpa >> width == 0;
}

static bool is_shared(const struct tdcs *tdcs, u64 gpa)
{
    return gpa >> (tdcs->gpaw ? 51 : 47) & 1;
}

static bool maps_page(u64 entry, unsigned level)
{
    return level == LEVEL_4K || (level <= LEVEL_1G && (entry & EPT_LEAF));
}

/* SDM vol. 3, "EPT Misconfigurations", for entries of the VMM's tables. */
static bool shared_entry_misconfigured(u64 entry, unsigned level)
{
    unsigned type = EPT_MEMORY_TYPE(entry);
    if ((entry & GPA_WRITE) && !(entry & GPA_READ))
        return true;
    if ((entry & EPT_RWX) == 0)
        return false;
    if (!maps_page(entry, level))
        return (entry & EPT_TABLE_RESERVED) || mdl_check_shared_hpa(entry & SEPT_HPA, PAGE_4K, 0) != TDX_SUCCESS;
    return (entry & SEPT_HPA & (sept_level_bytes(level) - 1)) || type == 2 || type == 3 || type == 7;
}

static enum walk_result check_entry(struct walk *w, unsigned level, bool shared)
{
    w->rwx &= w->entry & EPT_RWX;
    if (shared && shared_entry_misconfigured(w->entry, level))
        return WALK_MISCONFIGURED;
    if ((w->entry & EPT_RWX) && (w->entry & w->access) == w->access)
        return WALK_OK;
    bool bit_63_counts = (w->entry & EPT_RWX) == 0 || maps_page(w->entry, level);
    return bit_63_counts && !(w->entry & SEPT_SUPPRESS_VE) ? WALK_CONVERTIBLE : WALK_VIOLATION;
}

static enum walk_result walk_tables(const struct tdcall *t, u64 gpa, bool shared, struct walk *w)
{
    const struct lp_local *local = t->local;
    u64 table = (shared ? local->vmcs->run.shared_eptp : local->tdcs->eptp) & SEPT_HPA & ~mdl_keyid_mask();
    for (unsigned level = sept_top_level(local->tdcs);; level--) {
        const u64 *entries = shared ? mdl_shared_pointer(t->call.lp, table) : plat_page(table);
        if (!entries)
            return WALK_MISCONFIGURED;
        w->entry = __atomic_load_n(&entries[gpa >> (12 + 9 * level) & (SEPT_ENTRIES - 1)], __ATOMIC_RELAXED);
        enum walk_result result = check_entry(w, level, shared);
        if (result != WALK_OK)
            return result;
        u64 next = w->entry & SEPT_HPA & ~mdl_keyid_mask();
        if (maps_page(w->entry, level)) {
            u64 offset = sept_level_bytes(level) - 1;
            w->hpa = (next & ~offset) | (gpa & offset);
            u64 keyed = (w->entry & SEPT_HPA & ~offset) | (gpa & offset & ~(PAGE_4K - 1));
            return shared && mdl_check_shared_hpa(keyed, PAGE_4K, 0) != TDX_SUCCESS ? WALK_MISCONFIGURED : WALK_OK;
        }
        table = next;
    }
}

/* The TD gets #VE, or #DF, and executes the TDCALL again. */
static void give_ve(struct tdcall *t, u64 gpa, u64 qualification)
{
    mdl_inject_ve(t->local, EXIT_EPT_VIOLATION, qualification, gpa, 0);
    t->end = TDCALL_AGAIN;
}

static void ask_vmm(struct tdcall *t, u64 gpa, u64 qualification, u64 extended)
{
    mdl_unlock_to(t->call.lp, &t->call.locks, 0);
    mdl_exit_ept_violation(t->call.lp, gpa, qualification, extended);
    t->end = TDCALL_EXITED;
}

static void fault_private(struct tdcall *t, u64 gpa, const struct walk *w, u64 qualification)
{
    if (sept_state(w->entry) != SEPT_PENDING)
        ask_vmm(t, gpa, qualification, 0);
    else if (t->local->tdcs->td_ctls & TD_CTLS_PENDING_VE_DISABLE)
        ask_vmm(t, gpa, qualification, EEQ_PENDING);
    else
        give_ve(t, gpa, qualification);
}

static void misconfigured(struct tdcall *t, u64 gpa)
{
    mdl_unlock_to(t->call.lp, &t->call.locks, 0);
    mdl_exit(t->call.lp, TDX_SUCCESS, EXIT_EPT_MISCONFIG, 0, 0, gpa & ~0xfffull, 0);
    t->end = TDCALL_EXITED;
}

u64 mdl_guest_pointer(struct tdcall *t, u64 gpa, unsigned access, bool shared_ok, unsigned operand, void **pointer)
{
    const struct tdcs *tdcs = t->local->tdcs;
    bool shared = is_shared(tdcs, gpa);
    struct walk w = {.access = access, .rwx = EPT_RWX};
    if (!gpa_fits(tdcs, gpa) || (shared && !shared_ok))
        return status_operand(TDX_OPERAND_INVALID, operand);
    enum walk_result result = walk_tables(t, gpa, shared, &w);
    u64 qualification = (access & ~w.rwx) | w.rwx << QUAL_RWX_SHIFT;
    if (result == WALK_MISCONFIGURED)
        misconfigured(t, gpa);
    else if (result != WALK_OK && !shared)
        fault_private(t, gpa, &w, qualification);
    else if (result == WALK_VIOLATION)
        ask_vmm(t, gpa, qualification, 0);
    else if (result == WALK_CONVERTIBLE)
        give_ve(t, gpa, qualification);
    else if (!plat_page(w.hpa & ~(PAGE_4K - 1)))
        misconfigured(t, gpa);
    else if (shared)
        *pointer = mdl_shared_pointer(t->call.lp, w.hpa);
    else
        *pointer = (u8 *)plat_page(w.hpa & ~(PAGE_4K - 1)) + (w.hpa & (PAGE_4K - 1));
    return TDX_SUCCESS;
}
