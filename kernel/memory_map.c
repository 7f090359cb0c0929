/* The firmware's memory map: see memory_map.h. */
#include "kernel/memory_map.h"

#include "lib/bits.h"
#include "lib/string.h"

#define LOW_MEMORY_END MIB /* below: real-mode structures of the firmware */

/* UEFI 2.10, table 7.10, in its order. */
enum {
    RESERVED,
    LOADER_CODE,
    LOADER_DATA,
    BOOT_CODE,
    BOOT_DATA,
    RUNTIME_CODE,
    RUNTIME_DATA,
    CONVENTIONAL,
    UNUSABLE,
    ACPI_RECLAIM,
    ACPI_NVS,
    MMIO,
    MMIO_PORTS,
    PAL_CODE,
    PERSISTENT,
    UNACCEPTED,
};

#define ATTRIBUTE_NON_VOLATILE BIT(15)
#define ATTRIBUTE_PURPOSE      BIT(18)
#define ATTRIBUTE_RUNTIME      BIT(63)
#define ATTRIBUTES_SET_ASIDE   (ATTRIBUTE_NON_VOLATILE | ATTRIBUTE_PURPOSE | ATTRIBUTE_RUNTIME)

/* EFI_MEMORY_DESCRIPTOR, version 1; a later one may be longer. */
struct descriptor {
    u32 type, unused;
    u64 base, virtual, pages, attributes;
};
_Static_assert(sizeof(struct descriptor) == 40, "UEFI 2.10, section 7.2.3");

/* [from, to) of a descriptor as far as it can be mapped; `beyond` bytes cannot. */
struct piece {
    u64 from, to, beyond;
    u32 type;
    bool set_aside;
};

/* False: the descriptor makes no sense. */
static bool read_piece(const u8 *at, struct piece *p)
{
    struct descriptor d;

    memcpy(&d, at, sizeof(d));
    if (d.pages == 0 || !is_aligned(d.base, PAGE_BYTES) || d.pages > (~0ull - d.base) >> PAGE_SHIFT)
        return false;
    u64 end = d.base + (d.pages << PAGE_SHIFT), to = min_u64(end, MEMORY_MAP_END);
    *p = (struct piece){
        .from = min_u64(d.base, MEMORY_MAP_END),
        .to = to,
        .beyond = end - max_u64(to, d.base),
        .type = d.type,
        .set_aside = d.attributes & ATTRIBUTES_SET_ASIDE,
    };
    return true;
}

static bool is_free(const struct piece *p)
{
    return !p->set_aside && (p->type == CONVENTIONAL || p->type == BOOT_CODE || p->type == BOOT_DATA);
}

/* Firmware keeps tables in reserved memory too. */
static bool is_readable(const struct piece *p)
{
    return p->type != UNUSABLE && p->type != MMIO && p->type != MMIO_PORTS && p->type != UNACCEPTED;
}

static void add_piece(struct memory_map *m, const struct piece *p)
{
    if (is_readable(p))
        (void)ranges_add(&m->described, p->from, p->to);
    if (is_free(p)) {
        m->overlap_bytes += ranges_add(&m->free, max_u64(p->from, LOW_MEMORY_END), p->to);
        m->beyond_bytes += p->beyond;
    } else if (p->type == PERSISTENT || (p->type == CONVENTIONAL && p->set_aside)) {
        m->set_aside_bytes += p->to + p->beyond - p->from;
    }
}

static void cut_piece(struct memory_map *m, const struct piece *p)
{
    if (is_free(p))
        return;
    m->overlap_bytes += ranges_cut(&m->free, p->from, p->to);
    if (!is_readable(p))
        (void)ranges_cut(&m->described, p->from, p->to);
}

static void forget(struct memory_map *m)
{
    *m = (struct memory_map){
        .free = {.r = m->free.r, .max = m->free.max},
        .described = {.r = m->described.r, .max = m->described.max},
    };
}

/* What is used, or no memory at all, is cut out last: that it is free as well would be the firmware's mistake. */
bool memory_map_read(struct memory_map *m, const void *map, u64 bytes, u64 step)
{
    const u8 *first = map;
    struct piece p;

    forget(m);
    if (step < sizeof(struct descriptor))
        return false;
    for (u64 i = 0; i < bytes / step; i++)
        if (read_piece(first + i * step, &p))
            add_piece(m, &p);
        else
            m->bad++;
    for (u64 i = 0; i < bytes / step; i++)
        if (read_piece(first + i * step, &p))
            cut_piece(m, &p);
    return true;
}
