/* What boot/ leaves behind. See boot_info.h. */
#include "kernel/boot_info.h"

#include "lib/bits.h"

static const struct boot_info *current;

#define LOW_MEMORY_END MIB

static u64 end_of(const struct phys_range *r)
{
    return r->base.raw + r->bytes;
}

struct range_list {
    struct phys_range *m;
    unsigned *count; /* at most BOOT_RANGES_MAX */
};

static void remove_at(struct range_list l, unsigned at)
{
    --*l.count;
    for (; at < *l.count; at++)
        l.m[at] = l.m[at + 1];
}

static void insert_at(struct range_list l, unsigned at, struct phys_range range)
{
    if (*l.count == BOOT_RANGES_MAX)
        return;
    for (unsigned i = (*l.count)++; i > at; i--)
        l.m[i] = l.m[i - 1];
    l.m[at] = range;
}

static void add(struct range_list l, u64 from, u64 to)
{
    struct phys_range *m = l.m;
    unsigned at = *l.count;

    if (from >= to)
        return;
    while (at > 0 && m[at - 1].base.raw > from)
        at--;
    bool joins_left = at > 0 && end_of(&m[at - 1]) == from;
    bool joins_right = at < *l.count && m[at].base.raw == to;
    if (joins_left) {
        m[at - 1].bytes += to - from + (joins_right ? m[at].bytes : 0);
        if (joins_right)
            remove_at(l, at);
    } else if (joins_right) {
        m[at] = (struct phys_range){{from}, m[at].bytes + to - from};
    } else {
        insert_at(l, at, (struct phys_range){{from}, to - from});
    }
}

void boot_info_add_memory(struct boot_info *info, hpa_t base, u64 bytes)
{
    add((struct range_list){info->memory, &info->memory_count}, max_u64(base.raw, LOW_MEMORY_END), base.raw + bytes);
}

void boot_info_add_described(struct boot_info *info, hpa_t base, u64 bytes)
{
    add((struct range_list){info->described, &info->described_count}, base.raw, base.raw + bytes);
}

bool boot_info_is_described(hpa_t at, u64 bytes)
{
    for (unsigned i = 0; i < current->described_count; i++) {
        const struct phys_range *r = &current->described[i];
        if (at.raw >= r->base.raw && at.raw - r->base.raw < r->bytes)
            return bytes <= end_of(r) - at.raw;
    }
    return false;
}

void boot_info_set(const struct boot_info *info)
{
    current = info;
}

const struct boot_info *boot_info(void)
{
    return current;
}
