/*
 * The Secure EPT: entry format, walk, states. TDX Module v1.5 Base Architecture Specification, "TD Private Memory
 * Management".
 *
 * An entry has the architectural EPT format, so that the machine may walk it like hardware: RWX 2:0, memory type 5:3,
 * ignore PAT 6, leaf 7, HPA 51:12 (no KeyID: the TD's applies), suppress #VE 63. The state stands in 59:52 as
 * TDH.MEM.SEPT.RD shows it, lock and host-priority mark in bits 11 and 10, aliases of L2 VMs in 62:60. Entries change by single 64-bit stores while
 * locked.
 */
#ifndef SIM_MODULE_SEPT_H
#define SIM_MODULE_SEPT_H

#include "sim/module/td.h"

#define SEPT_RWX           7ull
#define SEPT_MT_WB         (6ull << 3)
#define SEPT_IPAT          (1ull << 6)
#define SEPT_LEAF          (1ull << 7)
#define SEPT_HOST_PRIORITY (1ull << 10)
#define SEPT_LOCK          (1ull << 11)
#define SEPT_HPA           0x000ffffffffff000ull
#define SEPT_STATE_SHIFT   52
#define SEPT_STATE         (0xffull << SEPT_STATE_SHIFT)
#define SEPT_SUPPRESS_VE   (1ull << 63)
#define SEPT_FREE_ENTRY    SEPT_SUPPRESS_VE
#define SEPT_ALIAS(vm)     (1ull << (59 + (vm))) /* of a table: L2 VM 1 to 3 has one at the same place */
#define SEPT_ALIASES       (7ull << 60)
#define SEPT_PAGE_NOT_USED (1ull << 63) /* in operands and results that name pages for new tables */
/* How many 4K pieces of a 2M PENDING page an interrupted ACCEPT has done: HPA bits 20:12. */
#define SEPT_ACCEPT_COUNT 0x1ff000ull
#define SEPT_ENTRIES      512

/* Where a walk ended. `value` is the entry as the walk saw it, without lock and mark. */
struct sept_walk {
    u64 *entry;
    u64 value;
    unsigned level;
};

static inline enum sept_state sept_state(u64 entry)
{
    return (enum sept_state)(entry >> SEPT_STATE_SHIFT & 0xff);
}
static inline bool sept_is_leaf(u64 entry)
{
    return entry & SEPT_LEAF;
}
static inline u64 sept_level_bytes(unsigned level)
{
    return PAGE_4K << 9 * level;
}
/* Level of the root table's entries: 3 with four levels, 4 with five. */
unsigned sept_top_level(const struct tdcs *tdcs);
/* Entries in each state, RWX and memory type to match. */
u64 sept_make_leaf(enum sept_state state, u64 hpa);
u64 sept_make_table(enum sept_state state, u64 hpa);
/* The same entry in another state, permissions to match. */
u64 sept_with_state(u64 entry, enum sept_state state);

/* Down to `level`, or to the first entry that leads no further (leaf, free, blocked). */
void sept_walk(const struct tdcs *tdcs, u64 gpa, unsigned level, struct sept_walk *walk);
/* Store a locked entry's new value and so release its lock; the call forgets the lock. */
void sept_store_unlock(struct call *c, u64 *entry, u64 value);
/* Store and keep the lock. */
void sept_store(struct call *c, u64 *entry, u64 value);
/* RCX and RDX of a leaf that reports an entry. */
void sept_report(struct call *c, const struct sept_walk *walk);
/* The entry without the count of an interrupted ACCEPT, which only a 2M PENDING entry has. */
u64 sept_without_count(const struct sept_walk *walk);

/* A GPA operand with level in bits 2:0: reserved bits, level range and alignment. OPERAND_INVALID|operand. */
u64 sept_check_gpa(u64 operand_value, unsigned min_level, unsigned max_level, unsigned operand);
/* Is it a private GPA that the TD can have? Shared bit clear, within the TD's width and MAXPA. */
bool sept_gpa_is_private(const struct tdcs *tdcs, u64 gpa);
/* Tree lock (OPERAND_BUSY|SEPT_TREE) and walk to exactly `level` (EPT_WALK_FAILED, entry reported). */
u64 sept_open(struct call *c, const struct td *td, u64 gpa, unsigned level, enum lock_mode tree, unsigned operand,
              struct sept_walk *walk);
/* Lock the entry (OPERAND_BUSY|operand) and read it again. */
u64 sept_lock_entry(struct call *c, struct sept_walk *walk, unsigned operand);
/*
 * What the TDH.MEM leafs share: RCX and RDX cleared, TD in RDX, GPA and level in RCX (max_level SEPT_TOP: up to the
 * root), tree lock, walk, entry lock, entry state that the leaf allows. Failures have RCX and RDX as the leaf defines
 * them.
 */
#define SEPT_TOP 0xff
struct sept_op {
    struct td td;
    u64 gpa;
    struct sept_walk walk;
};
u64 sept_begin(struct call *c, unsigned min_level, unsigned max_level, enum lock_mode tree, struct sept_op *op);
u64 sept_begin_with_tdr(struct call *c, u64 tdr_hpa, unsigned min_level, unsigned max_level, enum lock_mode tree,
                        struct sept_op *op);
/* `status` with operand RCX and the entry in RCX and RDX. */
u64 sept_refuse(struct call *c, const struct sept_op *op, u64 status);
/* Once the TD runs, the entry must be blocked (GPA_RANGE_NOT_BLOCKED) and out of all TLBs (TLB_TRACKING_NOT_DONE). */
u64 sept_check_tracked(struct call *c, const struct sept_op *op, const struct pamt_entry *page);
/*
 * sept_begin() for the leafs that give a table back, from 2M up: R9..R11 are null in version 1, higher versions are refused, and
 * the table's PAMT entry is locked and the entry blocked and tracked.
 */
u64 sept_begin_freeing(struct call *c, unsigned max_level, enum lock_mode tree, struct sept_op *op,
                       struct pamt_entry **table);
bool sept_is_blocked(u64 entry);
/* The page of a leaf entry, without the count of an interrupted ACCEPT. */
u64 sept_leaf_hpa(const struct sept_walk *walk);
u64 *sept_slot(u64 table_hpa, u64 gpa, unsigned level);

/* RDX of leafs that take a flag in bit 0 beside the TDR: false when reserved bits are set. */
bool sept_tdr_and_flag(u64 operand, u64 *tdr_hpa);

/* A table of an L2 VM's tree at the place of an open L1 entry. `page` is NULL until it is locked. */
struct sept_l2 {
    struct sept_walk walk;
    struct pamt_entry *page;
};
/* To the L1 entry's place in the tree of L2 VM `vm`: L2_SEPT_WALK_FAILED, entry reported. */
u64 sept_l2_walk(struct call *c, const struct sept_op *op, unsigned vm, struct sept_walk *at);
/*
 * A page offered for a new table in operand R8 + vm: does the VM exist, is the place free, is the page (locked then)?
 * Where a table exists already and may, `*shown` says that the page is not used.
 */
u64 sept_l2_check_new(struct call *c, const struct sept_op *op, unsigned vm, bool allow_existing, u64 *shown,
                      struct sept_l2 *l2);
/* Make a page an empty L2 table; put it in its place, PAMT entry and alias included. */
void sept_l2_fill(u64 hpa);
void sept_l2_link(struct call *c, const struct sept_op *op, unsigned vm, u64 hpa, const struct sept_l2 *l2);
/* Lock an aliased table that is to go, OPERAND_BUSY|RCX; free all that are locked, and return them in version 1. */
u64 sept_l2_open(struct call *c, const struct sept_op *op, unsigned vm, struct sept_l2 *l2);
void sept_l2_free(struct call *c, const struct sept_op *op, const struct sept_l2 l2[VMS_MAX]);

/* May this SEAMCALL leaf work on an entry in this state? */
bool sept_leaf_allows(u16 leaf, enum sept_state state);

#endif
