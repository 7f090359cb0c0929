/* The machine's memory at start: see ram.h. */
#include "kernel/ram.h"

#include "drivers/acpi.h"
#include "kernel/print.h"
#include "lib/bits.h"
#include "lib/log.h"
#include "mm/page.h"
#include "tdx/module.h"

static void say_of_map(const struct memory_map *m)
{
    char bytes[PRINT_SIZE_BYTES];

    if (m->bad != 0)
        log_msg(LOG_WARN, "memory map: %u descriptors make no sense, not used", m->bad);
    if (m->overlap_bytes != 0)
        log_msg(LOG_WARN, "memory map: descriptors overlap: %s counted once, or left alone where one says used",
                print_size(bytes, m->overlap_bytes));
    if (m->set_aside_bytes != 0)
        log_msg(LOG_INFO, "memory map: %s set aside by the firmware (persistent, or for a special purpose), left alone",
                print_size(bytes, m->set_aside_bytes));
    if (m->beyond_bytes != 0)
        log_msg(LOG_WARN, "memory map: %s above 128 TiB, where Septum maps nothing, not used",
                print_size(bytes, m->beyond_bytes));
}

static void say_what_is_left_out(const struct phys_ranges *memory)
{
    struct page_left_out out = page_left_out();
    char bytes[PRINT_SIZE_BYTES];

    if (memory->given_up + out.pieces != 0)
        log_msg(LOG_WARN, "memory: the smallest %u of %u pieces are given up, %s", memory->given_up + out.pieces,
                memory->given_up + memory->count, print_size(bytes, memory->given_up_bytes + out.bytes));
}

/* A range that lies in several nodes becomes one of each. */
static void add_by_nodes(const struct phys_range *r)
{
    for (hpa_t at = r->base, past; at.raw < range_end(r); at = past) {
        unsigned node = srat_node(&acpi.srat, at, &past);
        past.raw = min_u64(past.raw, range_end(r));
        page_add_range_on(node, at, past.raw - at.raw);
    }
}

static hpa_t node_end(hpa_t at)
{
    return srat_border(&acpi.srat, at);
}

static hpa_t take_near(u64 bytes, hpa_t near)
{
    hpa_t base, end;
    enum err e = page_alloc_range_on(srat_node(&acpi.srat, near, &end), bytes, PAGE_BYTES, &base);

    if (e != ERR_OK)
        e = page_alloc_range(bytes, PAGE_BYTES, &base);
    return e == ERR_OK ? base : HPA_NONE;
}

void ram_start(const struct memory_map *map)
{
    static const struct tdx_numa numa = {.end = node_end, .take = take_near};

    _Static_assert(SRAT_NODES_MAX <= PAGE_NODES_MAX, "each node is one of the allocator's");
    for (unsigned i = 0; i < map->free.count; i++)
        add_by_nodes(&map->free.r[i]);
    if (acpi.srat.node_count > 1)
        tdx_set_numa(&numa);
    say_of_map(map);
    say_what_is_left_out(&map->free);
}
