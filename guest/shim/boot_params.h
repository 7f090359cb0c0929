/*
 * What the kernel finds in RSI: Linux, Documentation/arch/x86/zero-page.rst and boot.rst. Only what the shim fills in has a name.
 * Pure: the builders know nothing of the TD, and no page is read or written but those given.
 */
#ifndef GUEST_SHIM_BOOT_PARAMS_H
#define GUEST_SHIM_BOOT_PARAMS_H

#include "guest/shim/bzimage.h"
#include "guest/shim/handover.h"

enum e820_type { E820_RAM = 1, E820_RESERVED = 2, E820_ACPI = 3, E820_NVS = 4 };

struct e820_entry {
    uint64_t base, bytes;
    uint32_t type; /* enum e820_type */
} __attribute__((packed));
_Static_assert(sizeof(struct e820_entry) == 20, "boot_e820_entry");

#define E820_ENTRIES_MAX 128u
#define SETUP_BYTES_MAX  (0x290u - BZIMAGE_HEADER_AT)

struct boot_params {
    uint8_t screen[0x70];
    uint64_t acpi_rsdp;
    uint8_t pad_78[0xc0 - 0x78];
    uint32_t ext_ramdisk_image, ext_ramdisk_size, ext_cmd_line_ptr;
    uint8_t pad_cc[0x1c0 - 0xcc];
    struct {
        char signature[4]; /* "EL64" */
        uint32_t systab, memdesc_bytes, memdesc_version, memmap, memmap_bytes, systab_high, memmap_high;
    } efi;
    uint8_t pad_1e0[0x1e8 - 0x1e0];
    uint8_t e820_count;
    uint8_t pad_1e9[BZIMAGE_HEADER_AT - 0x1e9];
    uint8_t setup[SETUP_BYTES_MAX]; /* struct setup_header, as the file has it */
    uint8_t pad_290[0x2d0 - 0x290];
    struct e820_entry e820[E820_ENTRIES_MAX];
    uint8_t pad_cd0[0x1000 - 0xcd0];
} __attribute__((packed));
_Static_assert(sizeof(struct boot_params) == 4096, "zero-page.rst");
_Static_assert(__builtin_offsetof(struct boot_params, efi) == 0x1c0, "zero-page.rst");
_Static_assert(__builtin_offsetof(struct boot_params, e820) == 0x2d0, "zero-page.rst");

/* `file` is what `kernel` was read from; `kept_end`: [SHIM_GPA, this) stays the shim's, for the kernel to leave alone. */
void boot_params_build(struct boot_params *p, const struct shim_handover *h, const struct bzimage *kernel,
                       const void *file, uint64_t kept_end, uint64_t rsdp);

#endif
