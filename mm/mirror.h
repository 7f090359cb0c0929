/*
 * The mirror of a TD's Secure EPT, which the VMM cannot read cheaply: one table per S-EPT page, one 64-bit entry per
 * slot.
 *
 * An entry changes by compare-and-swap only: whoever wants to call the module about it first makes it FROZEN
 * (mirror_freeze), and gives it its next value when the answer is there (mirror_thaw). Lock order: a claim
 * (mm/claim.h), then tdp.tree, then a frozen entry; while an entry is frozen no other is, and only leaf locks are taken.
 * Who may change an entry: with an exclusive claim of its whole region, any change; with any claim of a part of it, from
 * NONE on by AUG or SEPT.ADD. Counts are changed by atomic addition in mirror_thaw() alone.
 *
 * Invariant: under no claim is an entry FROZEN, each entry says what TDH.MEM.SEPT.RD says of it (accepted or not left
 * out), and each table's counts are what a scan of its entries would find.
 *
 * Left out: policy, SEAMCALLs, locks, the shared EPT.
 */
#ifndef MM_MIRROR_H
#define MM_MIRROR_H

#include <stdatomic.h>

#include "lib/addr.h"
#include "lib/bits.h"
#include "lib/err.h"

enum mirror_state {
    MIRROR_NONE,          /* nothing is mapped; to: LEAF (AUG, PAGE.ADD), TABLE (SEPT.ADD) */
    MIRROR_LEAF,          /* a page, accepted or pending; to: BLOCKED_LEAF, NONE and TABLE (before finalisation) */
    MIRROR_TABLE,         /* a table; to: BLOCKED_TABLE, NONE and LEAF (before finalisation) */
    MIRROR_BLOCKED_LEAF,  /* to: LEAF (UNBLOCK), NONE (REMOVE), TABLE (DEMOTE) */
    MIRROR_BLOCKED_TABLE, /* what is below is kept and out of reach; to: TABLE, LEAF (PROMOTE), NONE (SEPT.REMOVE) */
    MIRROR_FROZEN,        /* one CPU is at work on it; nobody else may change it */
};

/* An entry: state, marks, and the page of a leaf or the struct mirror_table of a table. */
#define MIRROR_STATE_SHIFT 0
#define MIRROR_STATE_WIDTH 3
#define MIRROR_BY_HAND     BIT(3) /* blocked from the console: no fault unblocks it */
#define MIRROR_AT_HOME     BIT(4) /* leaf: its page is the one that the slot calls home */
#define MIRROR_PAGE_SHIFT  12
#define MIRROR_PAGE_WIDTH  40

#define MIRROR_TOP (LEVEL_512G) /* the root's entries: four levels */

struct mirror_table {
    _Atomic u64 entry[TABLE_ENTRIES];
    hpa_t sept;         /* the S-EPT page that this table mirrors; HPA_NONE for the root, which is part of the TDCS */
    _Atomic u64 counts; /* mirror_used() and, in MIRROR_HOME_LEAFs, mirror_home_leaves() */
    _Atomic u64 cuts;   /* of the root: how often an entry anywhere below was a TABLE and became something else */
    struct mirror_table *next; /* in a list of spare ones; not used while in the tree */
};
#define MIRROR_HOME_LEAF (1ull << 32) /* one of them in mirror_table.counts */

/* How many entries are not NONE; and how many are LEAF and at home: all 512 make the region a candidate for merging. */
static inline u32 mirror_used(const struct mirror_table *t)
{
    return (u32)atomic_load_explicit(&t->counts, memory_order_relaxed);
}
static inline u32 mirror_home_leaves(const struct mirror_table *t)
{
    return (u32)(atomic_load_explicit(&t->counts, memory_order_relaxed) / MIRROR_HOME_LEAF);
}

struct mirror {
    struct mirror_table *root;
};

MUST_CHECK enum err mirror_create(struct mirror *m);
/* All tables but the root must be gone. */
void mirror_destroy(struct mirror *m);

/* A table to hang in, with its S-EPT page taken by page_alloc_near(); the S-EPT page is the caller's to free unless handed
 * on. */
MUST_CHECK struct mirror_table *mirror_table_new(unsigned node);
void mirror_table_free(struct mirror_table *t); /* without its S-EPT page */

static inline enum mirror_state mirror_state(u64 entry)
{
    return (enum mirror_state)FIELD_GET(MIRROR_STATE, entry);
}
static inline hpa_t mirror_page(u64 entry)
{
    return (hpa_t){entry & FIELD_MASK(MIRROR_PAGE)};
}
static inline bool mirror_is_leaf(u64 entry)
{
    return mirror_state(entry) == MIRROR_LEAF || mirror_state(entry) == MIRROR_BLOCKED_LEAF;
}
static inline bool mirror_is_table(u64 entry)
{
    return mirror_state(entry) == MIRROR_TABLE || mirror_state(entry) == MIRROR_BLOCKED_TABLE;
}
static inline bool mirror_is_blocked(u64 entry)
{
    return mirror_state(entry) == MIRROR_BLOCKED_LEAF || mirror_state(entry) == MIRROR_BLOCKED_TABLE;
}

u64 mirror_leaf_entry(hpa_t page, bool at_home);
u64 mirror_table_entry(const struct mirror_table *t);
/* The same entry in another state; marks other than AT_HOME are cleared. */
u64 mirror_with_state(u64 entry, enum mirror_state state);
struct mirror_table *mirror_child(u64 entry); /* of a TABLE or BLOCKED_TABLE */

/*
 * A walk over [from, end) in order of address, tables before what is below them. At each entry the caller goes on with
 * mirror_next() (past it and all below it) or mirror_down() (into it).
 *
 * Where another CPU is at work on an entry the walk waits for it, within bounds; only after them an entry is read FROZEN.
 *
 *     for (mirror_begin(&it, m, from, end); mirror_valid(&it);)
 *         if (mirror_is_table(it.entry)) mirror_down(&it); else { ...; mirror_next(&it); }
 */
struct mirror_iter {
    gpa_t from, end; /* what the walk is over; constant */
    level_t level;   /* of the current entry */
    gpa_t gpa;       /* where the region of the current entry begins: aligned to level, may be below `from` */
    struct mirror_table *path[4]; /* by level: the table that holds the entry; valid from `level` up */
    u64 entry;                    /* the value last read or thawed */
};

static inline _Atomic u64 *mirror_slot(const struct mirror_iter *it) /* where the current entry is */
{
    return &it->path[it->level.raw]->entry[gpa_index(it->gpa, it->level)];
}

void mirror_begin(struct mirror_iter *it, const struct mirror *m, gpa_t from, gpa_t end);
bool mirror_valid(const struct mirror_iter *it);
void mirror_next(struct mirror_iter *it);
void mirror_down(struct mirror_iter *it);
/* Is the whole region of the current entry inside [from, end)? */
bool mirror_covered(const struct mirror_iter *it);
/* The part of it inside. */
gpa_t mirror_part_start(const struct mirror_iter *it);
gpa_t mirror_part_end(const struct mirror_iter *it);

/* To the entry of `level` for `gpa`, through unblocked tables only. False: `it` stands where the way ended, above. */
bool mirror_find(struct mirror_iter *it, const struct mirror *m, gpa_t gpa, level_t level);

/* The same for a 4K entry whose table was found before, while mirror_cuts() is what it was then: the count grows whenever a
 * TABLE becomes anything else, blocked included. Both under a claim of the page. Nothing above the entry is known to `it`,
 * which does not wait for who has it FROZEN. */
static inline void mirror_stand(struct mirror_iter *it, struct mirror_table *table, gpa_t gpa)
{
    it->path[0] = table;
    it->level = LEVEL_4K;
    it->gpa = gpa;
    it->entry = atomic_load_explicit(mirror_slot(it), memory_order_acquire);
}
static inline u64 mirror_cuts(const struct mirror *m)
{
    return atomic_load_explicit(&m->root->cuts, memory_order_relaxed);
}

/* The current entry becomes FROZEN; false where it is no longer what `it` read. Then the answer: its next value. True:
 * by that all entries of its table have come to be leaves at home, which is told to one CPU only. */
MUST_CHECK static inline bool mirror_freeze(const struct mirror_iter *it)
{
    u64 old = it->entry, frozen = FIELD_SET(MIRROR_STATE, old, MIRROR_FROZEN);
    return old != frozen && atomic_compare_exchange_strong_explicit(mirror_slot(it), &old, frozen, memory_order_acquire,
                                                                    memory_order_relaxed);
}
bool mirror_thaw(struct mirror_iter *it, u64 next);

#endif
