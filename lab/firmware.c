/* See firmware.h. ACPI 6.5, chapter 5: RSDP, XSDT, MADT, FADT and a DSDT that holds \_S5_ alone. */
#include "lab/firmware.h"

#include <string.h>

#include "kernel/boot_info.h"
#include "kernel/start.h"
#include "lab/machine.h"
#include "lab/memory.h"
#include "lab/platform.h"

#define RSDP_AT 0xf0000ull
#define XSDT_AT 0x100000ull
#define FADT_AT 0x101000ull
#define DSDT_AT 0x102000ull
#define MADT_AT 0x103000ull

#define RSDP_BYTES    36u
#define HEADER_BYTES  36u
#define MADT_ENTRIES  44u
#define FADT_BYTES    132u
#define FADT_DSDT     40u
#define FADT_PM1A     64u
#define IOAPIC_BYTES  12u
#define X2APIC_BYTES  16u
#define LAPIC_ADDRESS 0xfee00000u
#define TRAMPOLINE    0x8000ull

static struct boot_info info;
static struct phys_range memory[1], described[1];

/* --- tables ------------------------------------------------------------------------------------------------------- */

static void put32(u64 at, u32 value)
{
    memcpy(memory_at(at), &value, sizeof(value));
}

static void put64(u64 at, u64 value)
{
    memcpy(memory_at(at), &value, sizeof(value));
}

/* All bytes add up to zero. */
static void seal(u64 at, u32 bytes, u32 checksum)
{
    u8 *table = memory_at(at), sum = 0;

    table[checksum] = 0;
    for (u32 i = 0; i < bytes; i++)
        sum = (u8)(sum + table[i]);
    table[checksum] = (u8)-sum;
}

static void seal_table(u64 at, const char *signature, u32 bytes)
{
    memcpy(memory_at(at), signature, 4);
    put32(at + 4, bytes);
    seal(at, bytes, 9);
}

static void write_rsdp(void)
{
    u8 *rsdp = memory_at(RSDP_AT);

    memcpy(rsdp, "RSD PTR ", 8);
    rsdp[15] = 2;
    put32(RSDP_AT + 20, RSDP_BYTES);
    put64(RSDP_AT + 24, XSDT_AT);
    seal(RSDP_AT, 20, 8);
    seal(RSDP_AT, RSDP_BYTES, 32);
    put64(XSDT_AT + HEADER_BYTES, MADT_AT);
    put64(XSDT_AT + HEADER_BYTES + 8, FADT_AT);
    seal_table(XSDT_AT, "XSDT", HEADER_BYTES + 16);
}

static void write_madt(unsigned cpus)
{
    u64 at = MADT_AT + MADT_ENTRIES;

    put32(MADT_AT + HEADER_BYTES, LAPIC_ADDRESS);
    for (unsigned i = 0; i < cpus; i++, at += X2APIC_BYTES) {
        memcpy(memory_at(at), (u8[2]){9, X2APIC_BYTES}, 2);
        put32(at + 4, i);
        put32(at + 8, 1); /* enabled */
        put32(at + 12, i);
    }
    memcpy(memory_at(at), (u8[2]){1, IOAPIC_BYTES}, 2);
    put32(at + 4, (u32)FIRMWARE_IOAPIC);
    seal_table(MADT_AT, "APIC", (u32)(at + IOAPIC_BYTES - MADT_AT));
}

static void write_fadt(void)
{
    static const u8 s5[] = {0x08, '_', 'S', '5', '_', 0x12, 0x08, 0x04, 0x0a, 0x05, 0x0a, 0x05, 0x00, 0x00};

    put32(FADT_AT + FADT_DSDT, (u32)DSDT_AT);
    put32(FADT_AT + FADT_PM1A, FIRMWARE_PM1A_CONTROL);
    seal_table(FADT_AT, "FACP", FADT_BYTES);
    memcpy(memory_at(DSDT_AT + HEADER_BYTES), s5, sizeof(s5));
    seal_table(DSDT_AT, "DSDT", HEADER_BYTES + sizeof(s5));
}

/* --- boot --------------------------------------------------------------------------------------------------------- */

static void describe(struct firmware_config *config)
{
    options_default(&info.options);
    info.rsdp = (hpa_t){RSDP_AT};
    memory[0] = (struct phys_range){{MEMORY_BASE}, config->memory_bytes};
    described[0] = (struct phys_range){{0}, memory_top()};
    info.map.free = (struct phys_ranges){.r = memory, .count = 1, .max = 1};
    info.map.described = (struct phys_ranges){.r = described, .count = 1, .max = 1};
    info.serial = *SERIAL_COM1;
    info.serial_by = "the lab";
    info.trampoline = (hpa_t){TRAMPOLINE};
    memcpy(info.options.script, config->files[0].name, sizeof(info.options.script));
    info.files = config->files;
    info.file_count = config->file_count;
}

/* On CPU 0, as boot/main.c would: is this a TDX machine? */
static void boot(void *arg)
{
    if (tdx_detect(&info.tdx_missing) != ERR_OK)
        machine_stop("the lab's own machine lacks what TDX needs: %s", info.tdx_missing);
    info.tdx_missing = NULL;
    kernel_start(arg);
    machine_stop("Septum came back from its console");
}

_Noreturn void firmware_boot(struct firmware_config *config)
{
    memory_start(MEMORY_BASE + config->memory_bytes);
    write_rsdp();
    write_madt(config->cpus);
    write_fadt();
    platform_start(config->cpus, config->memory_bytes);
    describe(config);
    machine_start(config->cpus, boot, &info);
}
