/* The walk of extended page tables: see ept.h. */
#include "sim/machine/ept.h"
#include "sim/module/platform.h"

#define ENTRY_ADDR     0x000ffffffffff000ull
#define ENTRY_RWX      (EPT_READ | EPT_WRITE | EPT_EXEC)
#define TABLE_RESERVED 0xf8ull /* bits 7:3 of an entry that points to a table; bit 7 is tested before */

static u64 bits(unsigned high, unsigned low)
{
    return ((2ull << high) - 1) & ~((1ull << low) - 1);
}

static u64 keyid_mask(void)
{
    const struct plat_info *info = plat_info();
    return info->keyid_bits ? bits(info->keyid_shift + info->keyid_bits - 1, info->keyid_shift) : 0;
}

u64 ept_strip_keyid(u64 hpa)
{
    return hpa & ENTRY_ADDR & ~keyid_mask();
}

bool ept_is_shared(const struct ept_space *space, u64 gpa)
{
    return gpa >> (space->gpaw - 1) & 1;
}

/* Address bits that make an entry a misconfiguration: above MAXPHYADDR, and KeyIDs that this kind of table may not
 * name. */
static bool address_is_bad(u64 entry, bool shared)
{
    const struct plat_info *info = plat_info();
    u64 keyid = (entry & keyid_mask()) >> info->keyid_shift;

    if (info->maxpa < 52 && (entry & bits(51, info->maxpa)))
        return true;
    return shared ? keyid >= info->first_private_hkid : keyid != 0;
}

static bool leaf_is_bad(u64 entry, unsigned level)
{
    unsigned type = entry >> 3 & 7;

    if (type == 2 || type == 3 || type == 7)
        return true;
    return level > 0 && (entry & bits(12 + 9 * level - 1, 12));
}

static bool is_leaf(u64 entry, unsigned level)
{
    return level == 0 || (level <= 2 && (entry & EPT_LARGE));
}

/* SDM volume 3, "EPT misconfigurations". Only present entries are asked about. */
static bool entry_is_bad(u64 entry, unsigned level, bool shared)
{
    if ((entry & (EPT_READ | EPT_WRITE)) == EPT_WRITE)
        return true;
    if (address_is_bad(entry, shared))
        return true;
    return is_leaf(entry, level) ? leaf_is_bad(entry, level) : (entry & TABLE_RESERVED) != 0;
}

static u64 read_entry(const void *table, unsigned index)
{
    return __atomic_load_n((const u64 *)table + index, __ATOMIC_ACQUIRE);
}

/* One step of the walk: the entry for `gpa` in the table at `*table`. False when the walk ends here. */
static bool step(struct ept_walk *walk, u64 gpa, u32 access, bool shared, u64 *table)
{
    unsigned level = walk->level, shift = 12 + 9 * level;
    const void *page = plat_page(*table);
    u64 entry;

    if (!page) {
        walk->outcome = EPT_NO_MEMORY;
        return false;
    }
    entry = read_entry(page, gpa >> shift & 511);
    walk->steps++;
    walk->suppress_ve = entry & EPT_SUPPRESS_VE;
    walk->permissions &= (u32)(entry & ENTRY_RWX);
    if (!(entry & ENTRY_RWX)) {
        walk->outcome = EPT_VIOLATION;
        return false;
    }
    if (entry_is_bad(entry, level, shared)) {
        walk->outcome = EPT_MISCONFIG;
        return false;
    }
    *table = ept_strip_keyid(entry);
    if (!is_leaf(entry, level))
        return true;
    walk->hpa = (*table & ~bits(shift - 1, 0)) | (gpa & bits(shift - 1, 0));
    walk->outcome = access & ~walk->permissions ? EPT_VIOLATION : EPT_OK;
    return false;
}

struct ept_walk ept_translate(const struct ept_space *space, u64 gpa, u32 access)
{
    bool shared = ept_is_shared(space, gpa);
    u64 table = ept_strip_keyid(shared ? space->shared_root : space->eptp);
    struct ept_walk walk = {.level = space->eptp >> 3 & 7, .permissions = ENTRY_RWX, .suppress_ve = true};

    if (walk.level < 3 || walk.level > 4) {
        walk.outcome = EPT_MISCONFIG;
        return walk;
    }
    while (step(&walk, gpa, access, shared, &table))
        walk.level--;
    return walk;
}
