/*
 * PAMT: who uses which physical page. TDX Module v1.5 Base Architecture Specification, "Physical Memory Management".
 */
#ifndef SIM_MODULE_PAMT_H
#define SIM_MODULE_PAMT_H

#include "sim/module/call.h"

/* The entries of one physical address at the three sizes, by level. */
struct pamt_path {
    struct pamt_entry *at[3];
};

/* The PAMT entries for `hpa`; false: outside every TDMR, or in a GiB that TDH.SYS.TDMR.INIT has not finished. */
bool pamt_find(u64 hpa, struct pamt_path *path);

/* The entry for `offset` bytes into a TDMR, initialised or not. */
struct pamt_entry *pamt_entry_of(const struct tdmr *tdmr, enum page_level level, u64 offset);

static inline u64 pamt_owner(const struct pamt_entry *entry)
{
    return (u64)entry->owner_high << 44 | (u64)entry->owner_low << 12;
}
void pamt_set(struct pamt_entry *entry, enum pamt_type type, u64 owner);

/*
 * The page operand of a leaf: format (aligned to `level`, no KeyID bits, below MAXPA: OPERAND_INVALID), in an
 * initialised part of a TDMR (OPERAND_ADDR_RANGE_ERROR), its PAMT entry lockable (OPERAND_BUSY; entries above it are
 * locked shared), of size `level` and of type `type` (PAGE_METADATA_INCORRECT); each status carries `operand`. On
 * success the locks stay with the call.
 */
u64 pamt_open(struct call *c, u64 hpa, enum page_level level, enum lock_mode mode, enum pamt_type type,
              unsigned operand, struct pamt_entry **entry);
/* As pamt_open for a free page exclusively; a 2M range must be free in each 4K of it. */
u64 pamt_open_free(struct call *c, u64 hpa, enum page_level level, unsigned operand, struct pamt_entry **entry);
/* Walk to the entry of whatever size the page has, and lock the path. */
u64 pamt_open_any(struct call *c, u64 hpa, enum lock_mode mode, unsigned operand, struct pamt_entry **entry,
                  enum page_level *level);
/* The page is part of a PAMT, or an entry says that it is in use. */
bool pamt_uses_page(u64 hpa);
/* The entry of a page that is known to be in use at this size. */
struct pamt_entry *pamt_known(u64 hpa, enum page_level level);

/* One large page becomes 512 of the next smaller size, or the other way round; the large entry is locked by the caller.
 */
void pamt_split(u64 hpa, enum page_level level);
void pamt_merge(u64 hpa, enum page_level level);

/* An HPA that the VMM names for shared memory: below MAXPA, KeyID a shared one, aligned. OPERAND_INVALID with the
 * operand. */
u64 mdl_check_shared_hpa(u64 hpa, u64 alignment, unsigned operand);
/* KeyID arithmetic on physical addresses, positions from plat_info(). */
u64 mdl_keyid_mask(void);
u64 mdl_with_keyid(u64 hpa, u16 hkid);
/*
 * Pointer behind a shared HPA, KeyID bits taken off; the byte offset in the page is kept. With a shared KeyID the pages of
 * TDs and of the module read as zeros. What is written to them is lost; hardware would spoil them too.
 */
void *mdl_shared_pointer(const struct seam_lp *lp, u64 hpa);

#endif
