/* boot_params and the memory map in it. See boot_params.h. */
#include "guest/shim/boot_params.h"

#include "guest/lib/runtime.h"
#include "guest/shim/machine.h"

/* Behind it the kernel looks for tables of a BIOS: memory of the TD too, but none to use. */
#define LOW_MEMORY_END 0xa0000ull

/* Members of struct setup_header, by their place in boot_params. */
#define TYPE_OF_LOADER 0x210u
#define CODE32_START   0x214u
#define RAMDISK_IMAGE  0x218u
#define RAMDISK_SIZE   0x21cu
#define CMD_LINE_PTR   0x228u

#define LOADER_UNKNOWN 0xffu

static void add(struct boot_params *p, uint64_t from, uint64_t to, enum e820_type type)
{
    if (from < to) {
        p->e820[p->e820_count++] = (struct e820_entry){from, to - from, type};
    }
}

static uint64_t min(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static void add_memory(struct boot_params *p, uint64_t memory_end, uint64_t kept_end)
{
    add(p, 0, LOW_MEMORY_END, E820_RAM);
    add(p, LOW_MEMORY_END, SHIM_GPA, E820_RESERVED);
    add(p, SHIM_GPA, kept_end, E820_NVS);
    add(p, kept_end, min(memory_end, MACHINE_HOLE_GPA), E820_RAM);
    add(p, MACHINE_HOLE_END, memory_end, E820_RAM);
}

static void set_low(struct boot_params *p, uint32_t at, uint64_t value)
{
    uint32_t low = (uint32_t)value;
    memcpy((uint8_t *)p + at, &low, sizeof(low));
}

void boot_params_build(struct boot_params *p, const struct shim_handover *h, const struct bzimage *kernel,
                       const void *file, uint64_t kept_end, uint64_t rsdp)
{
    uint64_t command_line = (uintptr_t)h->command_line;

    memset(p, 0, sizeof(*p));
    memcpy(p->setup, (const uint8_t *)file + BZIMAGE_HEADER_AT, kernel->header_bytes);
    ((uint8_t *)p)[TYPE_OF_LOADER] = LOADER_UNKNOWN;
    set_low(p, CODE32_START, kernel->address);
    set_low(p, RAMDISK_IMAGE, h->initrd_bytes ? h->initrd_gpa : 0);
    set_low(p, RAMDISK_SIZE, h->initrd_bytes);
    p->ext_ramdisk_image = (uint32_t)((h->initrd_bytes ? h->initrd_gpa : 0) >> 32);
    p->ext_ramdisk_size = (uint32_t)(h->initrd_bytes >> 32);
    set_low(p, CMD_LINE_PTR, command_line);
    p->ext_cmd_line_ptr = (uint32_t)(command_line >> 32);
    p->acpi_rsdp = rsdp;
    add_memory(p, h->memory_bytes, kept_end);
}
