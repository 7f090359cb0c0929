/* The software TLB: see stlb.h. */
#include "sim/machine/stlb.h"
#include "sim/machine/ept.h"
#include "sim/machine/pool.h"
#include "sim/machine/vmcb.h"

#define STLB_FREE (~0ull)

/* Bits that the CPU ignores in a present entry hold the number of the leaf's slot: 3 bits from bit 9, 11 bits from
 * bit 52. */
#define SLOT_LOW_SHIFT  9
#define SLOT_LOW_BITS   3
#define SLOT_HIGH_SHIFT 52
#define SLOT_HIGH_BITS  11

static u64 slot_to_bits(u32 slot)
{
    u64 low = slot & ((1u << SLOT_LOW_BITS) - 1);
    return low << SLOT_LOW_SHIFT | (u64)(slot >> SLOT_LOW_BITS) << SLOT_HIGH_SHIFT;
}

static u32 slot_of(u64 leaf)
{
    u32 low = leaf >> SLOT_LOW_SHIFT & ((1u << SLOT_LOW_BITS) - 1);
    return low | (u32)(leaf >> SLOT_HIGH_SHIFT & ((1u << SLOT_HIGH_BITS) - 1)) << SLOT_LOW_BITS;
}

static u64 page_bytes(unsigned level)
{
    return 1ull << (12 + 9 * level);
}

static unsigned index_of(u64 gpa, unsigned level)
{
    return gpa >> (12 + 9 * level) & 511;
}

static u64 *table_of(u64 entry)
{
    return (u64 *)(uintptr_t)(entry & NPT_ADDR);
}

static bool is_leaf(u64 entry, unsigned level)
{
    return level == 0 || (entry & NPT_LARGE);
}

static void clear_table(u64 *table)
{
    for (unsigned i = 0; i < 512; i++)
        table[i] = 0;
}

static u64 round_up(u64 bytes)
{
    return (bytes + 4095) & ~4095ull;
}

static u32 capacity_or_max(u32 capacity)
{
    return capacity && capacity < STLB_ENTRIES_MAX ? capacity : STLB_ENTRIES_MAX;
}

u64 stlb_bytes(const u32 capacity[STLB_SIZES])
{
    u64 bytes = 4096 + STLB_TABLES_MAX * sizeof(u64 *);

    for (unsigned size = 0; size < STLB_SIZES; size++)
        bytes += round_up(capacity_or_max(capacity[size]) * sizeof(u64));
    return bytes;
}

void stlb_init(struct stlb *tlb, const u32 capacity[STLB_SIZES], enum stlb_policy policy, u32 *budget, void *memory)
{
    u8 *at = memory;

    *tlb = (struct stlb){.root = memory, .top = 3, .budget = budget, .policy = policy, .random = 1};
    at += 4096;
    tlb->tables = (void *)at;
    at += STLB_TABLES_MAX * sizeof(u64 *);
    for (unsigned size = 0; size < STLB_SIZES; size++) {
        tlb->ring[size] = (struct stlb_ring){.gpa = (void *)at, .capacity = capacity_or_max(capacity[size])};
        at += round_up(tlb->ring[size].capacity * sizeof(u64));
    }
}

u64 stlb_root(const struct stlb *tlb)
{
    return (uintptr_t)tlb->root;
}

void stlb_flush(struct stlb *tlb)
{
    clear_table(tlb->root);
    tlb->next = 0;
    tlb->empty = NULL;
    for (unsigned size = 0; size < STLB_SIZES; size++)
        tlb->ring[size].hand = tlb->ring[size].used = 0;
    tlb->shrunk = true;
    tlb->stats.flushes++;
}

bool stlb_has_shrunk(struct stlb *tlb)
{
    bool shrunk = tlb->shrunk;

    tlb->shrunk = false;
    return shrunk;
}

/* --- tables
 * ------------------------------------------------------------------------------------------------------------ */

static u64 *table_take(struct stlb *tlb)
{
    u64 *table = tlb->empty;

    if (table) {
        tlb->empty = (u64 *)(uintptr_t)table[0];
        table[0] = 0;
        return table;
    }
    if (tlb->next < tlb->taken) {
        table = tlb->tables[tlb->next++];
        clear_table(table);
        return table;
    }
    if (tlb->taken == STLB_TABLES_MAX || !*tlb->budget)
        return NULL;
    table = pool_page();
    if (!table)
        return NULL;
    (*tlb->budget)--;
    tlb->tables[tlb->taken++] = table;
    tlb->next = tlb->taken;
    return table;
}

void stlb_release(struct stlb *tlb)
{
    stlb_flush(tlb);
    while (tlb->taken) {
        pool_give(tlb->tables[--tlb->taken]);
        (*tlb->budget)++;
    }
}

/* `table` has no present entry. */
static void table_give(struct stlb *tlb, u64 *table)
{
    table[0] = (uintptr_t)tlb->empty;
    tlb->empty = table;
}

static bool table_is_empty(const u64 *table)
{
    for (unsigned i = 0; i < 512; i++)
        if (table[i])
            return false;
    return true;
}

/* --- entries
 * ----------------------------------------------------------------------------------------------------------- */

/* The entries that a walk for one GPA meets, from the root down to the last present one. */
struct stlb_path {
    u64 *entry[5]; /* by level; valid for level..top */
    unsigned level;
};

static struct stlb_path find_path(const struct stlb *tlb, u64 gpa)
{
    struct stlb_path path = {.level = tlb->top};
    u64 *table = tlb->root;

    for (;;) {
        u64 *entry = &table[index_of(gpa, path.level)];
        path.entry[path.level] = entry;
        if (!*entry || is_leaf(*entry, path.level))
            return path;
        table = table_of(*entry);
        path.level--;
    }
}

static void free_slot(struct stlb *tlb, u64 leaf, unsigned level)
{
    tlb->ring[level].gpa[slot_of(leaf)] = STLB_FREE;
    tlb->shrunk = true;
}

void stlb_drop(struct stlb *tlb, u64 gpa)
{
    struct stlb_path path = find_path(tlb, gpa);
    u64 leaf = *path.entry[path.level];

    if (!leaf)
        return;
    free_slot(tlb, leaf, path.level);
    *path.entry[path.level] = 0;
    for (unsigned level = path.level + 1; level <= tlb->top; level++) {
        u64 *table = table_of(*path.entry[level]);
        if (!table_is_empty(table))
            return;
        table_give(tlb, table);
        *path.entry[level] = 0;
    }
}

/* Everything below a table entry of `level` is gone; the table itself too. */
static void drop_subtree(struct stlb *tlb, u64 *entry, unsigned level)
{
    u64 *table = table_of(*entry);

    for (unsigned i = 0; i < 512; i++) {
        if (!table[i])
            continue;
        if (is_leaf(table[i], level - 1))
            free_slot(tlb, table[i], level - 1);
        else
            drop_subtree(tlb, &table[i], level - 1);
        table[i] = 0;
    }
    table_give(tlb, table);
    *entry = 0;
}

static bool is_live(const struct stlb_ring *ring, u32 slot)
{
    return slot < ring->used && ring->gpa[slot] != STLB_FREE;
}

static u32 advance(struct stlb_ring *ring)
{
    u32 slot = ring->hand;

    ring->hand = slot + 1 == ring->capacity ? 0 : slot + 1;
    return slot;
}

/* Was the entry in this slot used since the last time it was asked? The CPU sets the accessed flag. */
static bool take_accessed(struct stlb *tlb, unsigned level, u32 slot)
{
    struct stlb_path path = find_path(tlb, tlb->ring[level].gpa[slot]);
    u64 before = __atomic_fetch_and(path.entry[path.level], ~NPT_ACCESSED, __ATOMIC_RELAXED);

    tlb->shrunk = true; /* else the CPU would not set it again */
    return before & NPT_ACCESSED;
}

static u32 choose_slot(struct stlb *tlb, unsigned level)
{
    struct stlb_ring *ring = &tlb->ring[level];
    u32 slot = advance(ring);

    if (!is_live(ring, slot) || tlb->policy == STLB_FIFO)
        return slot;
    if (tlb->policy == STLB_RANDOM) {
        tlb->random = tlb->random * 6364136223846793005u + 1442695040888963407u;
        return (tlb->random >> 33) % ring->used;
    }
    for (u32 i = 0; i < ring->capacity && is_live(ring, slot) && take_accessed(tlb, level, slot); i++)
        slot = advance(ring);
    return slot;
}

/* A slot for a new entry; what it held is replaced. */
static u32 take_slot(struct stlb *tlb, unsigned level, u64 gpa)
{
    struct stlb_ring *ring = &tlb->ring[level];
    u32 slot = choose_slot(tlb, level);

    if (is_live(ring, slot)) {
        stlb_drop(tlb, ring->gpa[slot]);
        tlb->stats.evictions[level]++;
    }
    if (ring->used <= slot)
        ring->used = slot + 1;
    ring->gpa[slot] = gpa & ~(page_bytes(level) - 1);
    return slot;
}

/* The entry of `level` for `gpa`, empty, with the tables above it; NULL when there was no page for a table. */
static u64 *make_entry(struct stlb *tlb, u64 gpa, unsigned level)
{
    u64 *table = tlb->root;

    for (unsigned l = tlb->top; l > level; l--) {
        u64 *entry = &table[index_of(gpa, l)];
        if (!*entry) {
            u64 *below = table_take(tlb);
            if (!below)
                return NULL;
            *entry = (uintptr_t)below | NPT_PRESENT | NPT_WRITE | NPT_USER | NPT_ACCESSED;
        }
        table = table_of(*entry);
    }
    return &table[index_of(gpa, level)];
}

static u64 leaf_bits(unsigned level, u32 permissions)
{
    u64 leaf = NPT_PRESENT | NPT_USER | NPT_ACCESSED | NPT_DIRTY;

    if (level > 0)
        leaf |= NPT_LARGE;
    if (permissions & EPT_WRITE)
        leaf |= NPT_WRITE;
    if (!(permissions & EPT_EXEC))
        leaf |= NPT_NX;
    return leaf;
}

bool stlb_fill(struct stlb *tlb, u64 gpa, u64 hpa, unsigned level, u32 permissions)
{
    u64 *entry;
    u32 slot;

    stlb_drop(tlb, gpa);
    slot = take_slot(tlb, level, gpa); /* first: dropping the oldest entry may free a table on this path */
    entry = make_entry(tlb, gpa, level);
    if (!entry) {
        stlb_flush(tlb);
        slot = take_slot(tlb, level, gpa);
        entry = make_entry(tlb, gpa, level);
        if (!entry) {
            stlb_flush(tlb);
            return false;
        }
    }
    if (*entry)
        drop_subtree(tlb, entry, level); /* smaller pages, from before a merge, give way */
    *entry = (hpa & NPT_ADDR & ~(page_bytes(level) - 1)) | leaf_bits(level, permissions) | slot_to_bits(slot);
    tlb->stats.fills[level]++;
    return true;
}

bool stlb_find(const struct stlb *tlb, u64 gpa, struct stlb_entry *entry)
{
    struct stlb_path path = find_path(tlb, gpa);
    u64 leaf = *path.entry[path.level], offset = gpa & (page_bytes(path.level) - 1);

    if (!leaf)
        return false;
    entry->level = path.level;
    entry->hpa = (leaf & NPT_ADDR & ~(page_bytes(path.level) - 1)) | offset;
    entry->permissions = EPT_READ | (leaf & NPT_WRITE ? EPT_WRITE : 0) | (leaf & NPT_NX ? 0 : EPT_EXEC);
    return true;
}
