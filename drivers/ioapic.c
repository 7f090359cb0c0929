/* I/O APICs. See ioapic.h. */
#include "drivers/ioapic.h"

#include "drivers/acpi.h"
#include "drivers/hw/io.h"
#include "lib/bits.h"

#define REG_SELECT      0x00
#define REG_WINDOW      0x10
#define INDEX_VERSION   0x01
#define INDEX_PIN(n)    (0x10 + 2 * (n))
#define VERSION_LAST(v) ((v) >> 16 & 0xff)
#define PIN_ACTIVE_LOW  BIT(13)
#define PIN_LEVEL       BIT(15)
#define PIN_MASKED      BIT(16)
#define PIN_DEST_SHIFT  24 /* in the high half */
#define PIN_DEST_ID_MAX 0xffu

static u32 read(const struct acpi_ioapic *io, u32 index)
{
    mmio_write32(hpa_add(io->base, REG_SELECT), index);
    return mmio_read32(hpa_add(io->base, REG_WINDOW));
}

static void write(const struct acpi_ioapic *io, u32 index, u32 value)
{
    mmio_write32(hpa_add(io->base, REG_SELECT), index);
    mmio_write32(hpa_add(io->base, REG_WINDOW), value);
}

static enum err route(const struct acpi_irq *line, u8 vector, u32 apic_id)
{
    const struct acpi_ioapic *io = acpi_ioapic_of(line->gsi);

    if (apic_id > PIN_DEST_ID_MAX || !io || line->gsi - io->gsi_base > VERSION_LAST(read(io, INDEX_VERSION)))
        return ERR_NOT_FOUND;
    u32 pin = INDEX_PIN(line->gsi - io->gsi_base);
    u32 low = vector | (line->active_low ? PIN_ACTIVE_LOW : 0) | (line->level ? PIN_LEVEL : 0);
    write(io, pin, PIN_MASKED);
    write(io, pin + 1, apic_id << PIN_DEST_SHIFT);
    write(io, pin, low);
    return ERR_OK;
}

enum err ioapic_route_isa(unsigned irq, u8 vector, u32 apic_id)
{
    return irq < ACPI_ISA_IRQS ? route(&acpi.isa_irqs[irq], vector, apic_id) : ERR_NOT_FOUND;
}

enum err ioapic_route_gsi(u32 gsi, u8 vector, u32 apic_id)
{
    struct acpi_irq line = {.gsi = gsi, .active_low = true, .level = true};

    for (unsigned i = 0; i < ACPI_ISA_IRQS; i++)
        if (acpi.isa_irqs[i].gsi == gsi)
            line = acpi.isa_irqs[i];
    return route(&line, vector, apic_id);
}
