/* What boot/ leaves behind. See boot_info.h. */
#include "kernel/boot_info.h"

#include "lib/bits.h"

static const struct boot_info *current;

#define LOW_MEMORY_END MIB

static u64 end_of(const struct phys_range *r)
{
    return r->base.raw + r->bytes;
}

static void remove_at(struct boot_info *info, unsigned at)
{
    info->memory_count--;
    for (; at < info->memory_count; at++)
        info->memory[at] = info->memory[at + 1];
}

static void insert_at(struct boot_info *info, unsigned at, struct phys_range range)
{
    if (info->memory_count == BOOT_RANGES_MAX)
        return;
    for (unsigned i = info->memory_count++; i > at; i--)
        info->memory[i] = info->memory[i - 1];
    info->memory[at] = range;
}

void boot_info_add_memory(struct boot_info *info, hpa_t base, u64 bytes)
{
    struct phys_range *m = info->memory;
    u64 from = max_u64(base.raw, LOW_MEMORY_END), to = base.raw + bytes;
    unsigned at = info->memory_count;

    if (from >= to)
        return;
    while (at > 0 && m[at - 1].base.raw > from)
        at--;
    bool joins_left = at > 0 && end_of(&m[at - 1]) == from;
    bool joins_right = at < info->memory_count && m[at].base.raw == to;
    if (joins_left) {
        m[at - 1].bytes += to - from + (joins_right ? m[at].bytes : 0);
        if (joins_right)
            remove_at(info, at);
    } else if (joins_right) {
        m[at] = (struct phys_range){{from}, m[at].bytes + to - from};
    } else {
        insert_at(info, at, (struct phys_range){{from}, to - from});
    }
}

void boot_info_set(const struct boot_info *info)
{
    current = info;
}

const struct boot_info *boot_info(void)
{
    return current;
}
