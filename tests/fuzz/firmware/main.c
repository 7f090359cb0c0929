/*
 * What firmware and the boot volume hand over, under libFuzzer: the memory map (kernel/memory_map.c), ACPI's tables (drivers/acpi.c,
 * srat.c, spcr.c), the head of a kernel (guest/shim/bzimage.c). The first byte of an input chooses: bit 0 the tables; bit 1 a map of
 * descriptors of eight bytes each that are near to sense; bit 2 a kernel whose head is changed in some bytes; else a map of raw bytes. Tables are made of the rest of the input and sealed, so that what lies behind the checksums is reached;
 * some are not. Every buffer is exactly as large as it is said to be: the address sanitizer sees whoever reads behind it.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "drivers/acpi.h"
#include "drivers/pci.h"
#include "drivers/spcr.h"
#include "guest/shim/bzimage.h"
#include "kernel/memory_map.h"
#include "lib/bits.h"
#include "lib/hw/cpu.h"
#include "lib/log.h"
#include "tests/unit/linux_file.h"

#define NEED(condition) ((condition) ? (void)0 : need_failed(#condition))

int LLVMFuzzerTestOneInput(const u8 *data, size_t size);

static _Noreturn void need_failed(const char *condition)
{
    fprintf(stderr, "not so: %s\n", condition);
    abort();
}

/* --- what the parsers need of the machine ------------------------------------------------------------------------- */

#define TABLES_AT 0x100000ull

static u8 *tables;
static u64 tables_bytes;

static bool is_memory(hpa_t at, u64 bytes)
{
    return at.raw >= TABLES_AT && bytes <= tables_bytes && at.raw - TABLES_AT <= tables_bytes - bytes;
}

void *phys_ptr(hpa_t at)
{
    NEED(is_memory(at, 0));
    return tables + (at.raw - TABLES_AT);
}

void log_msg(enum log_level level, const char *fmt, ...)
{
    NEED(level <= LOG_DEBUG && fmt != NULL);
}

u32 pci_read(struct pci_at at, u8 reg)
{
    (void)at;
    return reg * 0x01010101u;
}

void pci_enable(struct pci_at at, bool is_mmio)
{
    (void)at;
    (void)is_mmio;
}

bool pci_use_serial(struct pci_at at, struct serial_port *port)
{
    (void)at;
    return port->base & 1;
}

/* --- the memory map ----------------------------------------------------------------------------------------------- */

struct descriptor {
    u32 type, unused;
    u64 base, virtual, pages, attributes;
};

static bool is_free_type(const struct descriptor *d)
{
    bool free = d->type == 7 || d->type == 3 || d->type == 4; /* UEFI 2.10, table 7.10 */
    return free && !(d->attributes & 0x8000000000048000ull);
}

static void check_list(const struct phys_ranges *l)
{
    for (unsigned i = 0; i < l->count; i++) {
        NEED(l->r[i].bytes != 0 && (l->r[i].base.raw | l->r[i].bytes) % PAGE_BYTES == 0);
        NEED(range_end(&l->r[i]) <= MEMORY_MAP_END);
        NEED(i == 0 || l->r[i].base.raw > range_end(&l->r[i - 1]));
    }
    NEED(l->given_up == 0 && l->given_up_bytes == 0); /* the room that was promised is enough */
}

static bool meets(const struct phys_ranges *l, u64 from, u64 to)
{
    for (unsigned i = 0; i < l->count; i++)
        if (from < to && from < range_end(&l->r[i]) && l->r[i].base.raw < to)
            return true;
    return false;
}

/* Free is what some descriptor calls free and none anything else. */
static void check_against(const struct memory_map *m, const u8 *map, u64 bytes, u64 step)
{
    u64 free_bytes = 0;
    for (u64 at = 0; at + step <= bytes; at += step) {
        struct descriptor d;
        memcpy(&d, map + at, sizeof(d));
        if (d.pages == 0 || d.base % PAGE_BYTES || d.pages > (~0ull - d.base) / PAGE_BYTES)
            continue;
        u64 end = min_u64(d.base + d.pages * PAGE_BYTES, MEMORY_MAP_END), from = max_u64(d.base, MIB);
        if (!is_free_type(&d))
            NEED(!meets(&m->free, d.base, end));
        else if (from < end)
            free_bytes += end - from;
    }
    NEED(ranges_bytes(&m->free) <= free_bytes && free_bytes <= ranges_bytes(&m->free) + m->overlap_bytes);
}

static void try_map(const u8 *map, u64 bytes, u64 step)
{
    unsigned room = step ? memory_map_room(bytes, step) : 1;
    struct phys_range *lists = malloc(2 * room * sizeof(*lists));
    struct memory_map m = {.free = {.r = lists, .max = room}, .described = {.r = lists + room, .max = room}};
    if (memory_map_read(&m, map, bytes, step)) {
        check_list(&m.free);
        check_list(&m.described);
        check_against(&m, map, bytes, step);
    } else {
        NEED(step < sizeof(struct descriptor) && m.free.count == 0);
    }
    free(lists);
}

/* Type, base in pages of 4K to 1T, pages, attributes: a byte or two each. */
static void try_descriptors(const u8 *data, size_t size, u64 step)
{
    size_t count = size / 8;
    u8 *map = malloc(count * step + 1);
    for (size_t i = 0; i < count; i++, data += 8) {
        struct descriptor d = {.type = data[0] % 17,
                               .attributes = (u64)(data[1] & 0xf) << 15 | (u64)(data[1] >> 7) << 63};
        d.base = ((u64)data[2] | (u64)data[3] << 8) << (12 + data[4] % 32);
        d.pages = ((u64)data[5] | (u64)data[6] << 8) << data[7] % 24;
        memset(map + i * step, 0xee, step);
        memcpy(map + i * step, &d, sizeof(d));
    }
    try_map(map, count * step, step);
    free(map);
}

/* --- ACPI --------------------------------------------------------------------------------------------------------- */

#define TABLES_MAX   8u
#define HEADER_BYTES 36u
#define XSDT_AT      64u

static void put(u64 at, u64 value, unsigned bytes)
{
    memcpy(tables + at, &value, bytes);
}

static void seal(u64 at, u64 bytes, unsigned checksum)
{
    u8 sum = 0;
    for (u64 i = 0; i < bytes; i++)
        sum = (u8)(sum + tables[at + i]);
    tables[at + checksum] = (u8)(tables[at + checksum] - sum);
}

static void write_roots(unsigned count)
{
    memcpy(tables, "RSD PTR ", 8);
    tables[15] = 2;
    put(20, HEADER_BYTES, 4);
    put(24, TABLES_AT + XSDT_AT, 8);
    seal(0, 20, 8);
    seal(0, HEADER_BYTES, 32);
    memcpy(tables + XSDT_AT, "XSDT", 4);
    put(XSDT_AT + 4, HEADER_BYTES + 8 * count, 4);
    seal(XSDT_AT, HEADER_BYTES + 8 * count, 9);
}

/* One table of `bytes` behind its header, out of the input; bits of `odd` say what is wrong with it. */
static void write_table(u64 at, const u8 *body, u64 bytes, u8 kind, u8 odd)
{
    static const char *const signatures[] = {"APIC", "FACP", "SRAT", "SPCR", "HPET", "XSDT", "????"};
    memset(tables + at, 0, HEADER_BYTES);
    memcpy(tables + at, signatures[kind % ARRAY_COUNT(signatures)], 4);
    memcpy(tables + at + HEADER_BYTES, body, bytes);
    put(at + 4, HEADER_BYTES + bytes + (odd & 1 ? 64 : 0), 4);
    if (kind % ARRAY_COUNT(signatures) == 1 && bytes >= 148 - HEADER_BYTES)
        put(at + 140, at, 8); /* a FADT whose DSDT it is itself */
    if (!(odd & 2))
        seal(at, HEADER_BYTES + bytes, 9);
}

static void check_acpi(void)
{
    const struct srat *s = &acpi.srat;
    NEED(acpi.cpu_count <= ACPI_CPUS_MAX && acpi.ioapic_count <= ACPI_IOAPICS_MAX);
    NEED(s->node_count <= SRAT_NODES_MAX && s->range_count <= SRAT_RANGES_MAX);
    for (unsigned i = 0; i < s->range_count; i++) {
        hpa_t end;
        NEED(s->ranges[i].memory.bytes != 0 && s->ranges[i].node < s->node_count);
        NEED(i == 0 || s->ranges[i].memory.base.raw >= range_end(&s->ranges[i - 1].memory));
        NEED(srat_node(s, s->ranges[i].memory.base, &end) == s->ranges[i].node &&
             end.raw > s->ranges[i].memory.base.raw);
    }
}

static void try_tables(const u8 *data, size_t size)
{
    u64 at = XSDT_AT + HEADER_BYTES + 8 * TABLES_MAX;
    unsigned count = 0;
    tables_bytes = at + size + TABLES_MAX * HEADER_BYTES;
    tables = calloc(1, tables_bytes);
    while (size >= 4 && count < TABLES_MAX) {
        u64 bytes = min_u64((u64)data[2] | (u64)(data[3] & 0xf) << 8, size - 4);
        write_table(at, data + 4, bytes, data[0], data[1]);
        put(XSDT_AT + HEADER_BYTES + 8 * count++, TABLES_AT + at, 8);
        at += HEADER_BYTES + bytes;
        data += 4 + bytes;
        size -= 4 + bytes;
    }
    write_roots(count);
    (void)acpi_init((hpa_t){TABLES_AT}, is_memory);
    check_acpi();
    free(tables);
}

/* --- a kernel ----------------------------------------------------------------------------------------------------- */

static void check_kernel(const struct bzimage *b, u64 bytes)
{
    NEED(b->protocol >= 0x20c && b->setup_bytes + 0x200ull < bytes);
    NEED(b->header_bytes >= 0x264 - 0x1f1 && b->header_bytes <= 0x290 - 0x1f1);
    NEED(b->address % (2 * MIB) == 0 && b->address >= 2 * MIB && b->address < 2 * GIB && b->run_bytes < 2 * GIB);
    NEED(b->run_bytes >= bytes - b->setup_bytes);
}

/* A good one, cut to `eighths` of its bytes; three bytes of the input each change one of the head's. */
static void try_kernel(const u8 *data, size_t size, unsigned eighths)
{
    static u8 good[LINUX_FILE_BYTES];
    struct bzimage b = {.protocol = 0};
    u64 bytes = LINUX_FILE_BYTES / 8 * eighths;
    linux_make(good);
    for (; size >= 3; data += 3, size -= 3)
        good[((unsigned)data[0] << 8 | data[1]) % 0x600] = data[2];
    u8 *file = malloc(bytes + 1);
    memcpy(file, good, bytes);
    if (bzimage_read(file, bytes, &b) == BZIMAGE_OK)
        check_kernel(&b, bytes);
    NEED(memchr(b.version, 0, sizeof(b.version)) != NULL);
    free(file);
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
    static const u8 least[2];
    if (size < sizeof(least)) {
        data = least;
        size = sizeof(least);
    }
    u8 *rest = malloc(size - 2 + 1);
    memcpy(rest, data + 2, size - 2);
    if (data[0] & 1)
        try_tables(rest, size - 2);
    else if (data[0] & 2)
        try_descriptors(rest, size - 2, 40 + data[1] % 5 * 8);
    else if (data[0] & 4)
        try_kernel(rest, size - 2, data[1] % 9);
    else
        try_map(rest, size - 2, data[1] % 81);
    free(rest);
    return 0;
}
