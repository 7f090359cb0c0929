/* EFI's tables. See efi.h. */
#include "guest/shim/efi.h"

#include "guest/lib/runtime.h"

#define SYSTEM_SIGNATURE 0x5453595320494249ull
#define SYSTEM_REVISION  0x00020064u /* 2.10 */
#define DESCRIPTOR_V1    1u
#define ATTRIBUTE_CACHED 8ull
#define PAGE_4K          4096ull

enum { EFI_RESERVED = 0, EFI_CONVENTIONAL = 7, EFI_ACPI_RECLAIM = 9, EFI_ACPI_NVS = 10, EFI_UNACCEPTED = 15 };

/* LINUX_EFI_UNACCEPTED_MEM_TABLE_GUID */
static const uint8_t unaccepted_guid[16] = {0x3c, 0xde, 0xd1, 0xd5, 0x5c, 0x10, 0xf9, 0x44,
                                            0x9e, 0xa9, 0xbc, 0xef, 0x98, 0x12, 0x00, 0x31};

static void add(struct efi_tables *t, uint64_t from, uint64_t to, uint32_t type)
{
    if (t->map_count < EFI_MAP_MAX) {
        t->map[t->map_count] = (struct efi_descriptor){
            .type = type, .base = from, .pages = (to - from) / PAGE_4K, .attributes = ATTRIBUTE_CACHED};
    }
    t->map_count++;
}

static uint32_t type_of(const struct e820_entry *e, const struct unaccepted *u, uint64_t gpa)
{
    switch (e->type) {
    case E820_RAM:
        return unaccepted_has(u, gpa) ? EFI_UNACCEPTED : EFI_CONVENTIONAL;
    case E820_ACPI:
        return EFI_ACPI_RECLAIM;
    case E820_NVS:
        return EFI_ACPI_NVS;
    default:
        return EFI_RESERVED;
    }
}

/* A descriptor for each run of units of one type. */
static void add_entry(struct efi_tables *t, const struct e820_entry *e, const struct unaccepted *u)
{
    uint64_t from = e->base, end = e->base + e->bytes;
    for (uint64_t at = from, next; at < end; at = next) {
        next = (at & -UNACCEPTED_UNIT) + UNACCEPTED_UNIT;
        if (next >= end || type_of(e, u, next) != type_of(e, u, at)) {
            add(t, from, next < end ? next : end, type_of(e, u, at));
            from = next;
        }
    }
}

static void tell(struct boot_params *p, uint64_t system, uint64_t map, uint32_t count)
{
    memcpy(p->efi.signature, "EL64", sizeof(p->efi.signature));
    p->efi.systab = (uint32_t)system;
    p->efi.systab_high = (uint32_t)(system >> 32);
    p->efi.memdesc_bytes = sizeof(struct efi_descriptor);
    p->efi.memdesc_version = DESCRIPTOR_V1;
    p->efi.memmap = (uint32_t)map;
    p->efi.memmap_high = (uint32_t)(map >> 32);
    p->efi.memmap_bytes = count * (uint32_t)sizeof(struct efi_descriptor);
}

bool efi_build(struct efi_tables *t, uint64_t address, struct boot_params *p, const struct unaccepted *u,
               uint64_t u_address)
{
    static const char vendor[] = "Septum";
    for (uint32_t i = 0; i < sizeof(vendor); i++) {
        t->vendor[i] = (uint8_t)vendor[i];
    }
    memcpy(t->configuration.guid, unaccepted_guid, sizeof(unaccepted_guid));
    t->configuration.table = u_address;
    t->system = (struct efi_system_table){
        .signature = SYSTEM_SIGNATURE,
        .revision = SYSTEM_REVISION,
        .bytes = sizeof(t->system),
        .vendor = address + __builtin_offsetof(struct efi_tables, vendor),
        .table_count = 1,
        .tables = address + __builtin_offsetof(struct efi_tables, configuration),
    };
    for (uint32_t i = 0; i < p->e820_count; i++) {
        add_entry(t, &p->e820[i], u);
    }
    tell(p, address + __builtin_offsetof(struct efi_tables, system),
         address + __builtin_offsetof(struct efi_tables, map), t->map_count);
    return t->map_count <= EFI_MAP_MAX;
}
