/*
 * The PAMT: finding, checking and locking a page's entry, splitting and merging. TDX Module v1.5 Base Architecture
 * Specification, "Physical Memory Management". The memory of the PAMT is the VMM's gift at TDH.SYS.CONFIG; tdmr.c
 * fills it.
 */
#include "sim/module/pamt.h"
#include "sim/module/bytes.h"

u64 mdl_keyid_mask(void)
{
    const struct plat_info *info = plat_info();
    return ((1ull << info->keyid_bits) - 1) << info->keyid_shift;
}

static u16 keyid_of(u64 pa)
{
    return (u16)((pa & mdl_keyid_mask()) >> plat_info()->keyid_shift);
}

u64 mdl_with_keyid(u64 hpa, u16 hkid)
{
    return (hpa & ~mdl_keyid_mask()) | (u64)hkid << plat_info()->keyid_shift;
}

static bool below_maxpa(u64 pa)
{
    return pa >> plat_info()->maxpa == 0;
}

u64 mdl_check_shared_hpa(u64 hpa, u64 alignment, unsigned operand)
{
    if (hpa & (alignment - 1) || !below_maxpa(hpa) || keyid_of(hpa) >= plat_info()->first_private_hkid)
        return status_operand(TDX_OPERAND_INVALID, operand);
    return TDX_SUCCESS;
}

/* Zeros to read, nothing that stays to write. */
static void *blank_page(const struct seam_lp *lp)
{
    static _Alignas(PAGE_4K) u64 blank[LPS_MAX][PAGE_4K / 8]; /* per LP: another one's writes must not show */
    mdl_fill(blank[lp->index], 0, PAGE_4K / 8);
    return blank[lp->index];
}

void *mdl_shared_pointer(const struct seam_lp *lp, u64 hpa)
{
    u64 pa = hpa & ~mdl_keyid_mask(), page_pa = pa & ~(PAGE_4K - 1);
    u8 *page = plat_page(page_pa);
    if (page && pamt_uses_page(page_pa))
        page = blank_page(lp);
    return page ? page + (pa & (PAGE_4K - 1)) : NULL;
}

/* OPERAND_INVALID with the operand, or TDX_SUCCESS. */
static u64 check_format(u64 hpa, u64 alignment, unsigned operand)
{
    if (hpa & (alignment - 1) || hpa & mdl_keyid_mask() || !below_maxpa(hpa))
        return status_operand(TDX_OPERAND_INVALID, operand);
    return TDX_SUCCESS;
}

struct pamt_entry *pamt_entry_of(const struct tdmr *tdmr, enum page_level level, u64 offset)
{
    u64 hpa = tdmr->pamt_base[level] + (offset >> (12 + 9 * level)) * sizeof(struct pamt_entry);
    u8 *page = plat_page(hpa & ~(PAGE_4K - 1));
    MDL_CHECK(page, "the PAMT lies outside memory");
    return (struct pamt_entry *)(page + (hpa & (PAGE_4K - 1)));
}

bool pamt_find(u64 hpa, struct pamt_path *path)
{
    for (unsigned i = 0; i < mdl_sys.tdmr_count; i++) {
        const struct tdmr *tdmr = &mdl_sys.tdmrs[i];
        if (hpa < tdmr->base || hpa - tdmr->base >= tdmr->bytes)
            continue;
        if (hpa >= (tdmr->next_init & ~(PAGE_1G - 1)))
            return false;
        for (unsigned level = LEVEL_4K; level <= LEVEL_1G; level++)
            path->at[level] = pamt_entry_of(tdmr, level, hpa - tdmr->base);
        return true;
    }
    return false;
}

void pamt_set(struct pamt_entry *entry, enum pamt_type type, u64 owner)
{
    entry->owner_high = (u8)(owner >> 44);
    entry->owner_low = (u32)(owner >> 12);
    entry->type = (u8)type;
}

static bool lock_entry(struct call *c, struct pamt_entry *entry, enum lock_mode mode)
{
    return mdl_lock(c->lp, &c->locks, &entry->lock, LOCK_HOST_PRIORITY, mode, c->guest) == LOCK_TAKEN;
}

/*
 * From the 1G entry down to the entry that describes the page (or to `target`, if it comes first). The entries above
 * are locked shared; a large one that turns out to be the page's is locked shared first and then promoted.
 */
static bool walk(struct call *c, const struct pamt_path *path, enum page_level target, enum lock_mode mode,
                 enum page_level *level)
{
    for (*level = LEVEL_1G;; --*level) {
        struct pamt_entry *entry = path->at[*level];
        if (*level == LEVEL_4K)
            return lock_entry(c, entry, mode);
        if (!lock_entry(c, entry, LOCK_SHARED))
            return false;
        if (entry->type != PT_REG && *level != target)
            continue;
        return mode == LOCK_SHARED || mdl_lock_promote(c->lp, &c->locks, &entry->lock) == LOCK_TAKEN;
    }
}

u64 pamt_open(struct call *c, u64 hpa, enum page_level level, enum lock_mode mode, enum pamt_type type,
              unsigned operand, struct pamt_entry **entry)
{
    u64 status = check_format(hpa, PAGE_4K << 9 * level, operand);
    if (status)
        return status;
    struct pamt_path path;
    if (!pamt_find(hpa, &path))
        return status_operand(TDX_OPERAND_ADDR_RANGE_ERROR, operand);
    enum page_level found;
    if (!walk(c, &path, level, mode, &found))
        return status_operand(TDX_OPERAND_BUSY, operand);
    if (found != level || path.at[found]->type != type)
        return status_operand(TDX_PAGE_METADATA_INCORRECT, operand);
    *entry = path.at[found];
    return TDX_SUCCESS;
}

/* The 512 entries of the next smaller size under a large page's entry; two pages, not always neighbours. */
static struct pamt_entry *child_at(u64 hpa, enum page_level level, unsigned i)
{
    struct pamt_path path;
    MDL_CHECK(pamt_find(hpa + i * (PAGE_4K << 9 * (level - 1)), &path), "a large page without PAMT");
    return path.at[level - 1];
}

#define CHILDREN          512
#define ENTRIES_IN_A_PAGE (PAGE_4K / sizeof(struct pamt_entry))

/* False as soon as the visit of a child is. */
static bool each_child(u64 hpa, enum page_level level, bool (*visit)(struct pamt_entry *, const struct pamt_entry *),
                       const struct pamt_entry *parent)
{
    for (unsigned first = 0; first < CHILDREN; first += ENTRIES_IN_A_PAGE) {
        struct pamt_entry *child = child_at(hpa, level, first);
        for (unsigned i = 0; i < ENTRIES_IN_A_PAGE; i++)
            if (!visit(&child[i], parent))
                return false;
    }
    return true;
}

static bool is_free(struct pamt_entry *child, const struct pamt_entry *parent)
{
    (void)parent;
    return child->type == PT_NDA;
}

static bool inherit(struct pamt_entry *child, const struct pamt_entry *parent)
{
    pamt_set(child, parent->type, pamt_owner(parent));
    child->bepoch = 0;
    return true;
}

static bool dissolve(struct pamt_entry *child, const struct pamt_entry *parent)
{
    MDL_CHECK(child->type == parent->type && pamt_owner(child) == pamt_owner(parent), "pages to merge differ in PAMT");
    child->type = PT_NDA;
    return true;
}

u64 pamt_open_free(struct call *c, u64 hpa, enum page_level level, unsigned operand, struct pamt_entry **entry)
{
    u64 status = pamt_open(c, hpa, level, LOCK_EXCLUSIVE, PT_NDA, operand, entry);
    if (status == TDX_SUCCESS && level == LEVEL_2M && !each_child(hpa, level, is_free, NULL))
        status = status_operand(TDX_PAGE_METADATA_INCORRECT, operand);
    return status;
}

u64 pamt_open_any(struct call *c, u64 hpa, enum lock_mode mode, unsigned operand, struct pamt_entry **entry,
                  enum page_level *level)
{
    u64 status = check_format(hpa, PAGE_4K, operand);
    if (status)
        return status;
    struct pamt_path path;
    if (!pamt_find(hpa, &path))
        return status_operand(TDX_OPERAND_ADDR_RANGE_ERROR, operand);
    if (!walk(c, &path, LEVEL_4K, mode, level))
        return status_operand(TDX_OPERAND_BUSY, operand);
    *entry = path.at[*level];
    return TDX_SUCCESS;
}

struct pamt_entry *pamt_known(u64 hpa, enum page_level level)
{
    struct pamt_path path;
    MDL_CHECK(pamt_find(hpa, &path), "a page in use has no PAMT entry");
    MDL_CHECK(path.at[level]->type != PT_NDA && path.at[level]->type != PT_RSVD, "a page in use is free in the PAMT");
    return path.at[level];
}

void pamt_split(u64 hpa, enum page_level level)
{
    struct pamt_entry *large = pamt_known(hpa, level);
    each_child(hpa, level, inherit, large);
    large->type = PT_NDA;
}

void pamt_merge(u64 hpa, enum page_level level)
{
    struct pamt_path path;
    MDL_CHECK(pamt_find(hpa, &path) && path.at[level]->type == PT_NDA, "the large page to be is in use already");
    struct pamt_entry *first = child_at(hpa, level, 0);
    pamt_set(path.at[level], first->type, pamt_owner(first));
    each_child(hpa, level, dissolve, path.at[level]);
}
