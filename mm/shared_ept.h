/*
 * The shared EPT of a TD: plain EPT tables in VMM memory that translate the shared half of the guest-physical address
 * space. SDM volume 3, "The extended page table mechanism"; Intel TDX CPU architectural extensions, "Shared EPT".
 *
 * Walked with as many levels as the Secure EPT, the shared bit being part of the index. Entries that map nothing have
 * bit 63 (suppress #VE), so that an access leaves the TD instead of raising #VE in it; but for those of a device, where the
 * guest's own #VE handler asks for what it read or wrote. Leaves are 4K and 2M, write-back.
 *
 * Locks: the entries of a 2M region, that of the 2M page included, change under an exclusive claim of it (mm/claim.h).
 * Tables above are put in by compare-and-swap, for several claims may want the same one, and stay until the end.
 *
 * Left out: flushing of translations (mm/tlb.h) and of caches (mm/flush.h), attributes (mm/slot.h).
 */
#ifndef MM_SHARED_EPT_H
#define MM_SHARED_EPT_H

#include "lib/addr.h"
#include "lib/err.h"
#include "mm/slot.h"

struct shared_ept {
    hpa_t root;
    unsigned node;      /* where its tables are to be: see page_alloc_near() */
    u64 shared_bit;     /* set in every address that is looked up */
    _Atomic u64 tables; /* pages taken, the root included */
    _Atomic u64 bytes;  /* mapped now */
};

struct shared_leaf {
    hpa_t page;
    level_t level;
    u64 raw;
};

MUST_CHECK enum err shared_ept_create(struct shared_ept *s, unsigned shared_bit, unsigned node);
void shared_ept_destroy(struct shared_ept *s);

/*
 * Everything that shared_ept_map() or shared_ept_clear() of this range will need: tables, and 2M leaves that the
 * range cuts split into 4K ones, which changes no translation. ERR_NO_MEMORY.
 */
MUST_CHECK enum err shared_ept_prepare(struct shared_ept *s, const struct slot *slot, gpa_t gpa, u64 bytes);

/* A prepared range that is mapped or unmapped in part only may end inside a 2M page: then cut there first, into `*spare`, a
 * page of mm/page.h that is taken beforehand (HPA_NONE afterwards where it was needed). */
void shared_ept_cut(struct shared_ept *s, gpa_t gpa, hpa_t *spare);

/* Maps a prepared range to its home, by 2M leaves where the slot, the range and what is mapped allow. */
void shared_ept_map(struct shared_ept *s, const struct slot *slot, gpa_t gpa, u64 bytes);
/* Unmaps a prepared range; the caller drops the translations before the memory is used for anything else. */
void shared_ept_clear(struct shared_ept *s, gpa_t gpa, u64 bytes);

/* An access to these pages, which are never mapped, raises #VE. Before the TD runs. ERR_NO_MEMORY. */
MUST_CHECK enum err shared_ept_set_device(struct shared_ept *s, gpa_t gpa, u64 bytes);

/* What the hardware finds at `gpa`; page HPA_NONE where nothing is mapped. */
struct shared_leaf shared_ept_walk(const struct shared_ept *s, gpa_t gpa);

#endif
