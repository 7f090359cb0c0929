/*
 * Filling the PAMT: TDH.SYS.TDMR.INIT, 4 MiB of a TDMR at a time. TDX Module v1.5 Base Architecture Specification,
 * "TDMR Initialization". Also answers whose a page is to the machine's guard.
 */
#include "sim/module/bytes.h"
#include "sim/module/leaves.h"
#include "sim/module/pamt.h"

#define STEP_BYTES (4ull << 20) /* of the TDMR */

/*
 * A free page's entry is all zero; memory that is zero already is not written, so that nobody pays for what is not
 * used.
 */
static void clear(u64 hpa, u64 bytes)
{
    for (u64 done = 0, part; done < bytes; done += part) {
        u64 at = hpa + done, offset = at & (PAGE_4K - 1);
        part = bytes - done < PAGE_4K - offset ? bytes - done : PAGE_4K - offset;
        u8 *page = plat_page(at - offset);
        MDL_CHECK(page, "the PAMT lies outside memory");
        if (!mdl_is_zero(page + offset, part))
            mdl_fill(page + offset, 0, part / 8);
    }
}

static void mark_reserved(const struct tdmr *tdmr, u64 from, u64 to)
{
    for (unsigned i = 0; i < tdmr->reserved_count; i++) {
        const struct plat_range *area = &tdmr->reserved[i];
        u64 start = area->base > from ? area->base : from;
        u64 end = area->base + area->bytes < to ? area->base + area->bytes : to;
        for (u64 offset = start; offset < end; offset += PAGE_4K)
            pamt_entry_of(tdmr, LEVEL_4K, offset)->type = PT_RSVD;
    }
}

static void init_step(const struct tdmr *tdmr, u64 offset)
{
    for (unsigned level = LEVEL_4K; level <= LEVEL_1G; level++) {
        u64 page_bytes = PAGE_4K << 9 * level;
        if (offset & (page_bytes - 1))
            continue;
        u64 count = page_bytes > STEP_BYTES ? 1 : STEP_BYTES / page_bytes;
        clear(tdmr->pamt_base[level] + offset / page_bytes * sizeof(struct pamt_entry),
              count * sizeof(struct pamt_entry));
    }
    mark_reserved(tdmr, offset, offset + STEP_BYTES);
}

static struct tdmr *find_tdmr(u64 base)
{
    for (unsigned i = 0; i < mdl_sys.tdmr_count; i++)
        if (mdl_sys.tdmrs[i].base == base)
            return &mdl_sys.tdmrs[i];
    return NULL;
}

u64 leaf_sys_tdmr_init(struct call *c)
{
    c->out[RDX] = 0;
    struct tdmr *tdmr = find_tdmr(c->in[RCX]);
    if (!tdmr)
        return status_operand(TDX_OPERAND_INVALID, RCX);
    u64 status = mdl_call_lock(c, &tdmr->lock, LOCK_PLAIN, LOCK_EXCLUSIVE, RCX);
    if (status)
        return status;
    if (tdmr->next_init >= tdmr->base + tdmr->bytes)
        return TDX_TDMR_ALREADY_INITIALIZED;
    init_step(tdmr, tdmr->next_init - tdmr->base);
    u64 next = tdmr->next_init + STEP_BYTES;
    __atomic_store_n(&tdmr->next_init, next, __ATOMIC_SEQ_CST);
    c->out[RDX] = next & ~(PAGE_1G - 1);
    return TDX_SUCCESS;
}

static bool in_pamt(u64 hpa)
{
    for (unsigned i = 0; i < mdl_sys.tdmr_count; i++)
        for (unsigned level = 0; level <= LEVEL_1G; level++)
            if (hpa - mdl_sys.tdmrs[i].pamt_base[level] < mdl_sys.tdmrs[i].pamt_bytes[level])
                return true;
    return false;
}

static bool is_in_use(const struct pamt_entry *entry)
{
    return entry->type != PT_NDA && entry->type != PT_RSVD;
}

static bool is_changing(const struct pamt_entry *entry)
{
    return mdl_is_exclusive(&entry->lock);
}

static bool holds_at_a_level(u64 hpa, bool (*holds)(const struct pamt_entry *entry))
{
    struct pamt_path path;
    if (!pamt_find(hpa, &path))
        return false;
    for (unsigned level = LEVEL_4K; level <= LEVEL_1G; level++)
        if (holds(path.at[level]))
            return true;
    return false;
}

bool pamt_uses_page(u64 hpa)
{
    return mdl_state() >= SYS_CONFIG_DONE && (in_pamt(hpa) || holds_at_a_level(hpa, is_in_use));
}

/* The lock first: a call that lets go of it between the two looks has made up its mind before the second one. */
bool module_uses_page(u64 hpa)
{
    return (mdl_state() >= SYS_CONFIG_DONE && holds_at_a_level(hpa, is_changing)) || pamt_uses_page(hpa);
}
