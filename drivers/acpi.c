/* ACPI tables. See acpi.h. Offsets from ACPI 6.5, sections 5.2.5 to 5.2.12; fields are read bytewise: tables need not
 * be aligned. */
#include "drivers/acpi.h"

#include "lib/hw/cpu.h"
#include "lib/log.h"
#include "lib/string.h"

#define HEADER_BYTES    36u
#define TABLE_BYTES_MAX (16u << 20)

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

#define MADT_LAPIC_ADDRESS 36
#define MADT_ENTRIES       44
#define MADT_LAPIC         0
#define MADT_X2APIC        9

struct acpi_info acpi;

static u32 read32(const u8 *at)
{
    u32 v;
    memcpy(&v, at, sizeof(v));
    return v;
}

static u64 read64(const u8 *at)
{
    u64 v;
    memcpy(&v, at, sizeof(v));
    return v;
}

static bool sum_is_zero(const u8 *at, u32 bytes)
{
    u8 sum = 0;

    for (u32 i = 0; i < bytes; i++)
        sum = (u8)(sum + at[i]);
    return sum == 0;
}

/* The table at `at` when its length is sane and its checksum right, else NULL. */
static const u8 *table_at(u64 at, u32 *bytes)
{
    if (at == 0)
        return NULL;
    const u8 *t = phys_ptr((hpa_t){at});
    *bytes = read32(t + 4);
    if (*bytes < HEADER_BYTES || *bytes > TABLE_BYTES_MAX || !sum_is_zero(t, *bytes)) {
        log_msg(LOG_WARN, "acpi: table %c%c%c%c at 0x%llx has a bad length or checksum, not used", t[0], t[1], t[2],
                t[3], (unsigned long long)at);
        return NULL;
    }
    return t;
}

static void add_cpu(u32 apic_id, u32 uid, u32 flags)
{
    /* Neither enabled nor able to be: firmware pads the table with such entries. */
    if ((flags & 3) == 0 || acpi.cpu_count == ACPI_CPUS_MAX)
        return;
    acpi.cpus[acpi.cpu_count++] =
        (struct acpi_cpu){.apic_id = apic_id, .uid = uid, .enabled = flags & 1, .online_capable = flags & 2};
}

static void read_madt(const u8 *t, u32 bytes)
{
    if (bytes < MADT_ENTRIES)
        return;
    acpi.lapic = (hpa_t){read32(t + MADT_LAPIC_ADDRESS)};
    for (u32 at = MADT_ENTRIES; at + 2 <= bytes;) {
        const u8 *e = t + at;
        u32 len = e[1];
        if (len < 2 || at + len > bytes)
            return;
        if (e[0] == MADT_LAPIC && len >= 8)
            add_cpu(e[3], e[2], read32(e + 4));
        else if (e[0] == MADT_X2APIC && len >= 16)
            add_cpu(read32(e + 4), read32(e + 12), read32(e + 8));
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
    if ((flags & FADT_FLAG_RESET_REG) && bytes > FADT_RESET_VALUE) {
        acpi.reset = (struct acpi_gas){.space = t[FADT_RESET_REG], .address = read64(t + FADT_RESET_REG + 4)};
        acpi.reset_value = t[FADT_RESET_VALUE];
    }
    u64 dsdt = bytes >= FADT_X_DSDT + 8 ? read64(t + FADT_X_DSDT) : 0;
    const u8 *d = table_at(dsdt != 0 ? dsdt : read32(t + FADT_DSDT), &dsdt_bytes);
    if (d != NULL)
        find_s5(d, dsdt_bytes);
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
}

enum err acpi_init(hpa_t rsdp)
{
    u32 bytes;

    acpi = (struct acpi_info){0};
    if (rsdp.raw == 0 || hpa_is(rsdp, HPA_NONE))
        return ERR_NOT_FOUND;
    const u8 *r = phys_ptr(rsdp);
    if (memcmp(r, "RSD PTR ", 8) != 0 || !sum_is_zero(r, 20))
        return ERR_ARGUMENT;
    bool has_xsdt = r[15] >= 2 && read64(r + 24) != 0;
    const u8 *root = table_at(has_xsdt ? read64(r + 24) : read32(r + 16), &bytes);
    if (root == NULL)
        return ERR_ARGUMENT;
    u32 step = has_xsdt ? 8 : 4;
    for (u32 at = HEADER_BYTES; at + step <= bytes; at += step)
        read_table(has_xsdt ? read64(root + at) : read32(root + at));
    acpi.found = true;
    return ERR_OK;
}
