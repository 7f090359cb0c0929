/* ACPI tables. See acpi.h. Offsets from ACPI 6.5, sections 5.2.5 to 5.2.12; fields are read bytewise: tables need not
 * be aligned. */
#include "drivers/acpi.h"

#include "drivers/spcr.h"
#include "lib/hw/cpu.h"
#include "lib/log.h"
#include "lib/string.h"
#include "lib/unaligned.h"

#define HEADER_BYTES    36u
#define TABLE_BYTES_MAX (16u << 20)
#define TABLES_MAX      256u /* of the root's list: large servers have some sixty */

/* Registers in memory that a table names lie here on every machine; only here have the firmware's page tables and ours them. */
#define REGISTERS_END (4 * GIB)

#define FADT_DSDT           40
#define FADT_PM1A_CNT       64
#define FADT_PM1B_CNT       68
#define FADT_PM_TMR         76
#define FADT_FLAGS          112
#define FADT_RESET_REG      116
#define FADT_RESET_VALUE    128
#define FADT_X_DSDT         140
#define FADT_FLAG_RESET_REG (1u << 10)
#define FADT_FLAG_TMR_32    (1u << 8)

#define HPET_SPACE   40
#define HPET_ADDRESS 44
#define HPET_BYTES   56

#define MADT_LAPIC_ADDRESS 36
#define MADT_ENTRIES       44

enum { MADT_LAPIC = 0, MADT_IOAPIC = 1, MADT_OVERRIDE = 2, MADT_LAPIC_64 = 5, MADT_X2APIC = 9, MADT_KINDS };

#define LAPIC_ID_NONE  0xffu /* broadcasts, not CPUs */
#define X2APIC_ID_NONE 0xffffffffu

#define OVERRIDE_BUS_ISA       0
#define OVERRIDE_POLARITY_MASK 0x3u
#define OVERRIDE_ACTIVE_LOW    0x3u
#define OVERRIDE_TRIGGER_MASK  0xcu
#define OVERRIDE_LEVEL         0xcu

#define RSDP_V1_BYTES  20u
#define RSDP_V2_BYTES  36u
#define RSDP_BYTES_MAX 4096u
#define RSDP_BIOS_FROM 0xe0000ull /* where an RSDP may be that the memory map does not describe: ACPI 6.5, 5.2.5.1 */
#define RSDP_BIOS_TO   0x100000ull

struct acpi_info acpi;
static bool (*is_memory)(hpa_t at, u64 bytes); /* of acpi_init()'s caller */

static bool sum_is_zero(const u8 *at, u32 bytes)
{
    u8 sum = 0;

    for (u32 i = 0; i < bytes; i++)
        sum = (u8)(sum + at[i]);
    return sum == 0;
}

/* The table at `at` when it lies in memory, its length is sane and its checksum right, else NULL. */
static const u8 *table_at(u64 at, u32 *bytes)
{
    if (at == 0)
        return NULL;
    if (!is_memory((hpa_t){at}, HEADER_BYTES)) {
        log_msg(LOG_WARN, "acpi: a table at 0x%llx, where the firmware's map has no memory, not used",
                (unsigned long long)at);
        return NULL;
    }
    const u8 *t = phys_ptr((hpa_t){at});
    *bytes = read32(t + 4);
    if (*bytes < HEADER_BYTES || *bytes > TABLE_BYTES_MAX || !is_memory((hpa_t){at}, *bytes) ||
        !sum_is_zero(t, *bytes)) {
        log_msg(LOG_WARN, "acpi: table %c%c%c%c at 0x%llx has a bad length or checksum, not used", t[0], t[1], t[2],
                t[3], (unsigned long long)at);
        return NULL;
    }
    return t;
}

/* Firmware may list a CPU twice, as local APIC and as x2APIC; either entry may be the one that is enabled. */
static void add_cpu(u32 apic_id, u32 uid, u32 flags)
{
    unsigned i = 0;

    /* Neither enabled nor able to be: firmware pads the table with such entries. */
    if ((flags & 3) == 0)
        return;
    while (i < acpi.cpu_count && acpi.cpus[i].apic_id != apic_id)
        i++;
    if (i == ACPI_CPUS_MAX) {
        acpi.cpus_left_out++;
        return;
    }
    if (i == acpi.cpu_count)
        acpi.cpus[acpi.cpu_count++] = (struct acpi_cpu){.apic_id = apic_id, .uid = uid};
    acpi.cpus[i].enabled |= (flags & 1) != 0;
    acpi.cpus[i].online_capable |= (flags & 2) != 0;
}

static void add_ioapic(hpa_t base, u32 gsi_base)
{
    if (acpi.ioapic_count == ACPI_IOAPICS_MAX)
        log_msg(LOG_WARN, "acpi: more than %u I/O APICs, the one at 0x%llx is not used", ACPI_IOAPICS_MAX,
                (unsigned long long)base.raw);
    else
        acpi.ioapics[acpi.ioapic_count++] = (struct acpi_ioapic){.base = base, .gsi_base = gsi_base};
}

/* Flags that say 'as the bus has it' mean active high and edge on ISA. */
static void override_irq(u8 bus, u8 irq, u32 gsi, u32 flags)
{
    if (bus != OVERRIDE_BUS_ISA || irq >= ACPI_ISA_IRQS)
        return;
    acpi.isa_irqs[irq] = (struct acpi_irq){.gsi = gsi,
                                           .active_low = (flags & OVERRIDE_POLARITY_MASK) == OVERRIDE_ACTIVE_LOW,
                                           .level = (flags & OVERRIDE_TRIGGER_MASK) == OVERRIDE_LEVEL};
}

static void read_madt_entry(const u8 *e, u32 bytes)
{
    static const u8 least[MADT_KINDS] = {
        [MADT_LAPIC] = 8, [MADT_IOAPIC] = 12, [MADT_OVERRIDE] = 10, [MADT_LAPIC_64] = 12, [MADT_X2APIC] = 16};

    if (e[0] >= MADT_KINDS || bytes < least[e[0]])
        return;
    switch (e[0]) {
    case MADT_LAPIC:
        if (e[3] != LAPIC_ID_NONE)
            add_cpu(e[3], e[2], read32(e + 4));
        break;
    case MADT_X2APIC:
        if (read32(e + 4) != X2APIC_ID_NONE)
            add_cpu(read32(e + 4), read32(e + 12), read32(e + 8));
        break;
    case MADT_IOAPIC:
        add_ioapic((hpa_t){read32(e + 4)}, read32(e + 8));
        break;
    case MADT_OVERRIDE:
        override_irq(e[2], e[3], read32(e + 4), e[8]);
        break;
    case MADT_LAPIC_64:
        if (read64(e + 4) < 1ull << 47) /* as far as our page tables go */
            acpi.lapic = (hpa_t){read64(e + 4)};
        break;
    default:
        break;
    }
}

static void read_madt(const u8 *t, u32 bytes)
{
    if (bytes < MADT_ENTRIES)
        return;
    if (acpi.lapic.raw != 0) {
        log_msg(LOG_WARN, "acpi: a second MADT, not used");
        return;
    }
    acpi.lapic = (hpa_t){read32(t + MADT_LAPIC_ADDRESS)};
    for (u32 at = MADT_ENTRIES; at + 2 <= bytes;) {
        u32 len = t[at + 1];
        if (len < 2 || at + len > bytes) {
            log_msg(LOG_WARN, "acpi: the MADT's entry at byte %u has a length of %u, it and what follows is not read",
                    at, len);
            return;
        }
        read_madt_entry(t + at, len);
        at += len;
    }
}

/* An AML integer of the forms that packages of \_S5_ use; advances `*at`. */
static bool aml_integer(const u8 *t, u32 bytes, u32 *at, u8 *value)
{
    if (*at + 2 > bytes)
        return false;
    u8 op = t[(*at)++];
    if (op == 0x00 || op == 0x01) { /* ZeroOp, OneOp */
        *value = op;
        return true;
    }
    if (op != 0x0a) /* BytePrefix */
        return false;
    *value = t[(*at)++];
    return true;
}

/* Name(\_S5_, Package(){a, b, ..}): NameOp 08, ['\'], "_S5_", PackageOp 12, PkgLength, NumElements, values. */
static void find_s5(const u8 *t, u32 bytes)
{
    for (u32 at = HEADER_BYTES; at + 8 < bytes; at++) {
        if (memcmp(t + at, "_S5_", 4) != 0 || t[at + 4] != 0x12)
            continue;
        if (t[at - 1] != 0x08 && !(t[at - 1] == '\\' && t[at - 2] == 0x08))
            continue;
        u32 p = at + 5;
        p += 1 + (t[p] >> 6); /* PkgLength: bits 7:6 count the bytes that follow */
        p += 1;               /* NumElements */
        if (aml_integer(t, bytes, &p, &acpi.s5_a) && aml_integer(t, bytes, &p, &acpi.s5_b)) {
            acpi.has_s5 = true;
            return;
        }
    }
}

/* One that is elsewhere is not used: there are other ways to reset. */
static void read_reset_register(const u8 *t)
{
    struct acpi_gas reg = {.space = t[FADT_RESET_REG], .address = read64(t + FADT_RESET_REG + 4)};
    u64 end = reg.space == ACPI_SPACE_IO ? 0x10000 : reg.space == ACPI_SPACE_MEMORY ? REGISTERS_END : 0;

    if (reg.address >= end) {
        log_msg(LOG_WARN, "acpi: FADT has its reset register at address space %u, 0x%llx: not used", reg.space,
                (unsigned long long)reg.address);
        return;
    }
    acpi.reset = reg;
    acpi.reset_value = t[FADT_RESET_VALUE];
}

static void read_fadt(const u8 *t, u32 bytes)
{
    u32 dsdt_bytes;

    if (bytes < FADT_RESET_REG)
        return;
    acpi.pm1a_control = (u16)read32(t + FADT_PM1A_CNT);
    acpi.pm1b_control = (u16)read32(t + FADT_PM1B_CNT);
    acpi.pm_timer = (u16)read32(t + FADT_PM_TMR);
    u32 flags = read32(t + FADT_FLAGS);
    acpi.pm_timer_32 = flags & FADT_FLAG_TMR_32;
    if ((flags & FADT_FLAG_RESET_REG) && bytes > FADT_RESET_VALUE)
        read_reset_register(t);
    u64 dsdt = bytes >= FADT_X_DSDT + 8 ? read64(t + FADT_X_DSDT) : 0;
    const u8 *d = table_at(dsdt != 0 ? dsdt : read32(t + FADT_DSDT), &dsdt_bytes);
    if (d != NULL)
        find_s5(d, dsdt_bytes);
}

/* Only one whose registers are in memory, where it can be read before there are page tables of our own. */
static void read_hpet(const u8 *t, u32 bytes)
{
    bool is_memory_space = bytes >= HPET_BYTES && t[HPET_SPACE] == ACPI_SPACE_MEMORY;

    if (is_memory_space && acpi.hpet.raw == 0 && read64(t + HPET_ADDRESS) < REGISTERS_END)
        acpi.hpet = (hpa_t){read64(t + HPET_ADDRESS)};
}

static void read_table(u64 at)
{
    u32 bytes;
    const u8 *t = table_at(at, &bytes);

    if (t == NULL)
        return;
    if (memcmp(t, "APIC", 4) == 0)
        read_madt(t, bytes);
    else if (memcmp(t, "FACP", 4) == 0)
        read_fadt(t, bytes);
    else if (memcmp(t, "SPCR", 4) == 0)
        (void)spcr_read(t, bytes, &acpi.spcr);
    else if (memcmp(t, "HPET", 4) == 0)
        read_hpet(t, bytes);
    else if (memcmp(t, "SRAT", 4) == 0)
        srat_read(t, bytes, &acpi.srat);
}

/* The RSDP when it is one, else NULL. */
static const u8 *rsdp_at(hpa_t at)
{
    bool in_bios = at.raw >= RSDP_BIOS_FROM && at.raw <= RSDP_BIOS_TO - RSDP_V2_BYTES;

    if (!in_bios && !is_memory(at, RSDP_V2_BYTES))
        return NULL;
    const u8 *r = phys_ptr(at);
    if (memcmp(r, "RSD PTR ", 8) != 0 || !sum_is_zero(r, RSDP_V1_BYTES))
        return NULL;
    if (r[15] < 2)
        return r;
    u32 bytes = read32(r + 20);
    bool is_good =
        bytes >= RSDP_V2_BYTES && bytes <= RSDP_BYTES_MAX && (in_bios || is_memory(at, bytes)) && sum_is_zero(r, bytes);
    return is_good ? r : NULL;
}

static void reset_info(void)
{
    acpi = (struct acpi_info){0};
    for (unsigned i = 0; i < ACPI_ISA_IRQS; i++)
        acpi.isa_irqs[i].gsi = i;
}

/* The tables that the root lists by addresses of `step` bytes. False: it cannot be used. */
static bool read_root(u64 at, u32 step)
{
    u32 bytes;
    const u8 *root = table_at(at, &bytes);

    if (root == NULL)
        return false;
    u32 tables = (bytes - HEADER_BYTES) / step;
    if (tables > TABLES_MAX)
        log_msg(LOG_WARN, "acpi: %u tables are listed, the first %u are read", tables, TABLES_MAX);
    for (u32 i = 0; i < tables && i < TABLES_MAX; i++) {
        const u8 *entry = root + HEADER_BYTES + i * step;
        read_table(step == 8 ? read64(entry) : read32(entry));
    }
    return true;
}

enum err acpi_init(hpa_t rsdp, bool (*memory)(hpa_t at, u64 bytes))
{
    reset_info();
    is_memory = memory;
    if (rsdp.raw == 0 || hpa_is(rsdp, HPA_NONE))
        return ERR_NOT_FOUND;
    const u8 *r = rsdp_at(rsdp);
    if (r == NULL)
        return ERR_ARGUMENT;
    bool is_read = r[15] >= 2 && read_root(read64(r + 24), 8);
    acpi.found = is_read || read_root(read32(r + 16), 4);
    return acpi.found ? ERR_OK : ERR_ARGUMENT;
}

const struct acpi_ioapic *acpi_ioapic_of(u32 gsi)
{
    const struct acpi_ioapic *found = NULL;

    for (unsigned i = 0; i < acpi.ioapic_count; i++)
        if (acpi.ioapics[i].gsi_base <= gsi && (found == NULL || acpi.ioapics[i].gsi_base > found->gsi_base))
            found = &acpi.ioapics[i];
    return found;
}
