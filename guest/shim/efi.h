/*
 * As much of EFI as a kernel takes to find the table of unaccepted memory: a system table without services, its one configuration
 * table, a memory map. UEFI 2.10, sections 4.3, 4.6 and 7.2.3. The kernel has to be told that there are no services: efi=noruntime.
 * Pure: written where it is to lie.
 */
#ifndef GUEST_SHIM_EFI_H
#define GUEST_SHIM_EFI_H

#include "guest/shim/boot_params.h"
#include "guest/shim/unaccepted.h"

#define EFI_MAP_MAX 32u

struct efi_system_table {
    uint64_t signature;
    uint32_t revision, bytes, crc32, reserved_20;
    uint64_t vendor;
    uint32_t vendor_revision, reserved_36;
    uint64_t console[6], runtime_services, boot_services;
    uint64_t table_count, tables;
};
_Static_assert(sizeof(struct efi_system_table) == 120, "UEFI 2.10, section 4.3.1");

struct efi_configuration_table {
    uint8_t guid[16];
    uint64_t table;
};

struct efi_descriptor {
    uint32_t type, pad;
    uint64_t base, virtual_base, pages, attributes;
    uint64_t
        reserved_40; /* firmware has descriptors of 48 bytes, so that nobody takes the structure's size for theirs */
};
_Static_assert(sizeof(struct efi_descriptor) == 48, "UEFI 2.10, section 7.2.3");

struct efi_tables {
    struct efi_system_table system;
    struct efi_configuration_table configuration;
    uint16_t vendor[104]; /* as many as the kernel looks at */
    struct efi_descriptor map[EFI_MAP_MAX];
    uint32_t map_count;
};

/* Into `t`, zeroed, which lies at `address`, of the memory map in `p` and of `u`; and `p` says where it is. False: the map is too
 * long. */
bool efi_build(struct efi_tables *t, uint64_t address, struct boot_params *p, const struct unaccepted *u,
               uint64_t u_address);

#endif
