/* ACPI 6.5, sections 5.2.5, 5.2.8 and 5.2.12. Left out: the RSDT, which names the firmware's own MADT still. */
#include "sim/machine/acpi.h"

#define SIGNATURE_MADT 0x43495041u /* "APIC" */
#define SIGNATURE_FADT 0x50434146u /* "FACP" */
#define SIGNATURE_HPET 0x54455048u
#define HEADER_BYTES   36u
#define LENGTH_AT      4
#define SUM_AT         9
#define RSDP_XSDT_AT   24
#define MADT_ENTRIES   44u
#define LAPIC_BYTES    8u
#define X2APIC_BYTES   16u

enum { LOCAL_APIC = 0, LOCAL_X2APIC = 9 };

/* Tables are not aligned. */
static u32 get32(const u8 *at)
{
    return at[0] | (u32)at[1] << 8 | (u32)at[2] << 16 | (u32)at[3] << 24;
}

static u64 get64(const u8 *at)
{
    return get32(at) | (u64)get32(at + 4) << 32;
}

static void put32(u8 *at, u32 value)
{
    for (unsigned i = 0; i < 4; i++)
        at[i] = (u8)(value >> 8 * i);
}

static void seal(u8 *table)
{
    u8 sum = 0;
    table[SUM_AT] = 0;
    for (u32 i = 0; i < get32(table + LENGTH_AT); i++)
        sum = (u8)(sum + table[i]);
    table[SUM_AT] = (u8)-sum;
}

static void copy(u8 *to, const u8 *from, u32 bytes)
{
    for (u32 i = 0; i < bytes; i++)
        to[i] = from[i];
}

/* Gives the bytes written. */
static u32 write_entry(u8 *to, const u8 *e, u32 own, u32 base)
{
    bool is_x2 = e[0] == LOCAL_X2APIC && e[1] == X2APIC_BYTES;
    u32 id = is_x2 ? get32(e + 4) : e[3];
    if (!is_x2 && (e[0] != LOCAL_APIC || e[1] != LAPIC_BYTES || id == own)) {
        copy(to, e, e[1]);
        return e[1];
    }
    to[0] = LOCAL_X2APIC;
    to[1] = X2APIC_BYTES;
    to[2] = to[3] = 0;
    put32(to + 4, id == own ? id : id + base);
    put32(to + 8, get32(e + (is_x2 ? 8 : 4)));
    put32(to + 12, is_x2 ? get32(e + 12) : e[2]);
    return X2APIC_BYTES;
}

static bool write_madt(u8 *to, const u8 *madt, u32 own, u32 base)
{
    u32 bytes = get32(madt + LENGTH_AT), used = MADT_ENTRIES;
    copy(to, madt, MADT_ENTRIES);
    for (u32 at = MADT_ENTRIES; at + 2 <= bytes; at += madt[at + 1]) {
        u32 length = madt[at + 1];
        if (length < 4 || at + length > bytes || used + length + X2APIC_BYTES > ACPI_MADT_BYTES_MAX)
            return false;
        used += write_entry(to + used, madt + at, own, base);
    }
    put32(to + LENGTH_AT, used);
    seal(to);
    return true;
}

static u8 *xsdt_of(const void *rsdp)
{
    return (u8 *)get64((const u8 *)rsdp + RSDP_XSDT_AT);
}

/* The XSDT's entry for a table, NULL where it has none. */
static u8 *find_entry(u8 *xsdt, u32 signature)
{
    for (u32 at = HEADER_BYTES; xsdt && at + 8 <= get32(xsdt + LENGTH_AT); at += 8)
        if (get32((const u8 *)get64(xsdt + at)) == signature)
            return xsdt + at;
    return 0;
}

static void aim(u8 *xsdt, u8 *entry, const void *table)
{
    put32(entry, (u32)(u64)table);
    put32(entry + 4, (u32)((u64)table >> 32));
    seal(xsdt);
}

bool acpi_show_ids(void *rsdp, void *room, u32 own, u32 base)
{
    u8 *xsdt = xsdt_of(rsdp), *entry = find_entry(xsdt, SIGNATURE_MADT);
    if (!entry || !write_madt(room, (const u8 *)get64(entry), own, base))
        return false;
    aim(xsdt, entry, room);
    return true;
}

static bool lists(const u8 *e, u32 apic_id)
{
    return (e[0] == LOCAL_APIC && e[1] == LAPIC_BYTES && e[3] == apic_id) ||
           (e[0] == LOCAL_X2APIC && e[1] == X2APIC_BYTES && get32(e + 4) == apic_id);
}

bool acpi_hide_cpu(void *rsdp, u32 apic_id)
{
    u8 *entry = find_entry(xsdt_of(rsdp), SIGNATURE_MADT), *madt = entry ? (u8 *)get64(entry) : 0;
    u32 bytes = madt ? get32(madt + LENGTH_AT) : 0, at = MADT_ENTRIES;
    while (at + 2 <= bytes && madt[at + 1] && !lists(madt + at, apic_id))
        at += madt[at + 1];
    if (at + 2 > bytes || !madt[at + 1] || at + madt[at + 1] > bytes)
        return false;
    u32 length = madt[at + 1];
    copy(madt + at, madt + at + length, bytes - at - length);
    put32(madt + LENGTH_AT, bytes - length);
    seal(madt);
    return true;
}

/* --- damage ------------------------------------------------------------------------------------------------------------- */

static void end_before_last_cpu(u8 *madt)
{
    u32 bytes = get32(madt + LENGTH_AT), last = 0;
    for (u32 at = MADT_ENTRIES; at + 2 <= bytes && madt[at + 1]; at += madt[at + 1])
        if (madt[at] == LOCAL_APIC || madt[at] == LOCAL_X2APIC)
            last = at;
    if (last)
        madt[last + 1] = 0;
    seal(madt);
}

bool acpi_damage(void *rsdp)
{
    u8 *xsdt = xsdt_of(rsdp), *hpet = find_entry(xsdt, SIGNATURE_HPET), *fadt = find_entry(xsdt, SIGNATURE_FADT),
       *madt = find_entry(xsdt, SIGNATURE_MADT);
    if (!hpet || !fadt || !madt)
        return false;
    u8 *last = xsdt + get32(xsdt + LENGTH_AT) - 8;
    ((u8 *)get64(hpet))[SUM_AT]++;
    put32((u8 *)get64(fadt) + LENGTH_AT, 0xffffffff);
    end_before_last_cpu((u8 *)get64(madt));
    if (last != hpet && last != fadt && last != madt)
        aim(xsdt, last, xsdt);
    return true;
}
