/* The VMM's nested page table. */
#include "sim/machine/npt.h"
#include "sim/machine/lock.h"
#include "sim/machine/log.h"
#include "sim/machine/pool.h"
#include "sim/machine/shoot.h"

#define ENTRIES  512
#define ROOT     3 /* levels: 0 = 4K, 1 = 2M, 2 = 1G, 3 = 512G */
#define LEAF_MAX 2
#define ALL      (NPT_PRESENT | NPT_WRITE | NPT_USER | NPT_ACCESSED | NPT_DIRTY)
#define TABLE    (NPT_PRESENT | NPT_WRITE | NPT_USER)

static u64 *root;        /* constant after npt_init() */
static struct lock lock; /* of all tables and of what follows */
static u64 *
    retired; /* under `lock`: tables that no entry leads to any more, linked through entry 0, but a CPU may still walk */

static u64 span(unsigned level)
{
    return 1ull << (12 + 9 * level);
}
static unsigned slot(u64 gpa, unsigned level)
{
    return gpa >> (12 + 9 * level) & (ENTRIES - 1);
}
static u64 leaf(u64 hpa, unsigned level)
{
    return hpa | ALL | (level ? NPT_LARGE : 0);
}

static bool is_table(u64 entry, unsigned level)
{
    return level && entry & NPT_PRESENT && (level > LEAF_MAX || !(entry & NPT_LARGE));
}

static u64 *new_table(void)
{
    u64 *table = pool_page();
    if (!table)
        sim_stop("the platform's reserve is used up by nested page tables: give the machine more memory");
    return table;
}

void npt_init(u64 limit)
{
    root = new_table();
    npt_show(0, limit);
}

u64 npt_root(void)
{
    return (u64)root;
}

/* The table below *entry; a leaf becomes 512 smaller ones, an absent entry an empty table. */
static u64 *descend(u64 *entry, unsigned level)
{
    if (is_table(*entry, level))
        return (u64 *)(*entry & NPT_ADDR);
    u64 *table = new_table();
    if (*entry & NPT_PRESENT)
        for (unsigned i = 0; i < ENTRIES; i++)
            table[i] = leaf((*entry & NPT_ADDR) + i * span(level - 1), level - 1);
    __atomic_store_n(entry, (u64)table | TABLE, __ATOMIC_RELEASE);
    return table;
}

static void drop(u64 entry, unsigned level)
{
    if (!is_table(entry, level))
        return;
    u64 *table = (u64 *)(entry & NPT_ADDR);
    for (unsigned i = 0; level > 1 && i < ENTRIES; i++)
        drop(table[i], level - 1);
    table[0] = (u64)retired; /* not present: the low bits of an address are clear */
    retired = table;
}

static void give_retired(void)
{
    while (retired) {
        u64 *table = retired;
        retired = (u64 *)table[0];
        pool_give(table);
    }
}

/* The largest piece of [gpa, end) that one entry covers: its level. */
static unsigned piece_level(u64 gpa, u64 end)
{
    unsigned level = LEAF_MAX;
    while (level && (gpa & (span(level) - 1) || end - gpa < span(level)))
        level--;
    return level;
}

static u64 *entry_at(u64 gpa, unsigned level)
{
    u64 *table = root;
    for (unsigned l = ROOT; l > level; l--)
        table = descend(&table[slot(gpa, l)], l);
    return &table[slot(gpa, level)];
}

static void set(u64 *entry, unsigned level, u64 value)
{
    u64 old = *entry;
    __atomic_store_n(entry, value, __ATOMIC_RELEASE);
    drop(old, level);
}

/* The entry of `level` for `gpa`; NULL: the way ends at an absent entry, of level *end. */
static u64 *entry_if_present(u64 gpa, unsigned level, unsigned *end)
{
    u64 *table = root;
    for (*end = ROOT; *end > level; --*end) {
        u64 *entry = &table[slot(gpa, *end)];
        if (!(*entry & NPT_PRESENT))
            return NULL;
        table = descend(entry, *end);
    }
    return &table[slot(gpa, level)];
}

/* More than there was takes no shootdown: a CPU that still has the old translation faults, and walks again. */
void npt_show(u64 gpa, u64 bytes)
{
    lock_take(&lock);
    for (u64 end = gpa + bytes; gpa < end;) {
        unsigned level = piece_level(gpa, end);
        set(entry_at(gpa, level), level, leaf(gpa, level));
        gpa += span(level);
    }
    if (retired)
        shoot_down(SHOOT_VMM);
    give_retired();
    lock_give(&lock);
}

void npt_hide(u64 gpa, u64 bytes)
{
    bool changed = false;
    lock_take(&lock);
    for (u64 end = gpa + bytes; gpa < end;) {
        unsigned level = piece_level(gpa, end), at;
        u64 *entry = entry_if_present(gpa, level, &at);
        if (entry && *entry) {
            set(entry, level, 0);
            changed = true;
        }
        gpa = (gpa | (span(at) - 1)) + 1;
    }
    if (changed)
        shoot_down(SHOOT_VMM);
    give_retired();
    lock_give(&lock);
}

void npt_map(u64 gpa, u64 hpa, bool writable)
{
    lock_take(&lock);
    set(entry_at(gpa, 0), 0, leaf(hpa, 0) & ~(writable ? 0 : NPT_WRITE));
    lock_give(&lock);
}
