/*
 * The software TLB of one TD vCPU on one CPU: nested page tables that hold what EPT walks found, and nothing else. An
 * entry stays until it is replaced, until a violation at its address makes the CPU walk again, or until an INVEPT:
 * changes of the Secure EPT do not touch it. A TLB holds a bounded number of entries for each page size and replaces
 * the oldest.
 *
 * Unlike in a CPU, an entry is as large as the EPT leaf, whatever the size of the guest's own page; and guest-linear
 * translations are not cached (the emulator drops those at each VM entry).
 *
 * Pure logic over pool_page(); a table's pointer is its physical address. Used by its own CPU only.
 */
#ifndef SIM_MACHINE_STLB_H
#define SIM_MACHINE_STLB_H

#include "sim/types.h"

#define STLB_SIZES       3          /* 0 4K, 1 2M, 2 1G */
#define STLB_ENTRIES_MAX (1u << 14) /* per page size: an entry carries its slot's number */
#define STLB_TABLES_MAX  (1u << 14)

/*
 * The entries of one page size in the order in which they came: slot -> GPA, STLB_FREE for an empty slot. The NPT
 * leaf names its slot, so the two always agree. Slots from `used` on were not written since the last flush.
 */
struct stlb_ring {
    u64 *gpa;
    u32 capacity, hand, used;
};

/* Which entry gives way: the oldest; any; the oldest that was not used since the hand passed it last. */
enum stlb_policy { STLB_FIFO, STLB_RANDOM, STLB_CLOCK };

struct stlb_stats {
    u64 fills[STLB_SIZES], walk_steps[STLB_SIZES], evictions[STLB_SIZES], flushes;
};

struct stlb {
    u64 *root;
    unsigned top;    /* level of the root's entries: 3, or 4 where the CPU walks five levels */
    u32 *budget;     /* tables that may still be taken from the pool, by this TLB and others */
    u64 **tables;    /* all tables taken from the pool so far, STLB_TABLES_MAX pointers */
    u32 taken, next; /* of them, tables[next..taken) were not used since the last flush */
    u64 *empty;      /* emptied since the last flush, linked through entry 0 */
    struct stlb_ring ring[STLB_SIZES];
    enum stlb_policy policy;
    u64 random;  /* state of the generator: the same choices in each run */
    bool shrunk; /* see stlb_has_shrunk() */
    struct stlb_stats stats;
};

/* Bytes of memory that stlb_init() takes for these capacities (0: STLB_ENTRIES_MAX), a multiple of 4K. */
u64 stlb_bytes(const u32 capacity[STLB_SIZES]);
/*
 * `memory` is stlb_bytes() long, zeroed, 4K aligned, and stays with the TLB, as does *budget, which several may share.
 * Four levels of tables.
 */
void stlb_init(struct stlb *tlb, const u32 capacity[STLB_SIZES], enum stlb_policy policy, u32 *budget, void *memory);

/* Empties the TLB and gives its tables back. */
void stlb_release(struct stlb *tlb);

/* What NPT's nested_cr3 takes. */
u64 stlb_root(const struct stlb *tlb);

void stlb_flush(struct stlb *tlb);
/* The entry that translates `gpa` is gone, if there is one. */
void stlb_drop(struct stlb *tlb, u64 gpa);

/* Did an entry go or change since the last call? Then the CPU's own TLB has to be flushed at the next VMRUN. */
bool stlb_has_shrunk(struct stlb *tlb);

/*
 * Enters the translation of the page of `level` around `gpa`; `hpa` is of the same byte. `permissions`: EPT_*; NPT
 * knows no execute-only page, so such a page is readable too. False when there is no memory for tables even in an
 * empty TLB.
 */
bool stlb_fill(struct stlb *tlb, u64 gpa, u64 hpa, unsigned level, u32 permissions);

/* What the TLB holds for `gpa` now: HPA of that byte, level and permissions; false: nothing. */
struct stlb_entry {
    u64 hpa;
    unsigned level;
    u32 permissions;
};
bool stlb_find(const struct stlb *tlb, u64 gpa, struct stlb_entry *entry);

#endif
