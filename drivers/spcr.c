/* ACPI's SPCR. See spcr.h. Fields are read bytewise: tables need not be aligned. */
#include "drivers/spcr.h"

#include "drivers/pci.h"
#include "lib/log.h"
#include "lib/unaligned.h"

#define SPCR_BYTES_MIN      80u /* revision 2; later ones append */
#define SPCR_INTERFACE      36
#define SPCR_GAS            40
#define SPCR_INTERRUPT_TYPE 52
#define SPCR_IRQ            53
#define SPCR_GSI            54
#define SPCR_BAUD           58
#define SPCR_PCI_DEVICE     64
#define SPCR_PCI_VENDOR     66
#define SPCR_PCI_BUS        68
#define SPCR_PCI_SLOT       69
#define SPCR_PCI_FUNCTION   70
#define SPCR_PCI_SEGMENT    75

/* DBG2's serial subtypes that are a 16550: full, with its DCR; the subset; by the access size of its address. */
enum { INTERFACE_16550 = 0x00, INTERFACE_16450 = 0x01, INTERFACE_16550_GAS = 0x12 };

#define INTERRUPT_PIC    0x01u
#define INTERRUPT_IOAPIC 0x02u

#define GAS_SPACE   0
#define GAS_WIDTH   1 /* bits from one register to the next, where it is memory */
#define GAS_ACCESS  3 /* 1: bytes, 3: 4 bytes */
#define GAS_ADDRESS 4
#define SPACE_MMIO  0
#define SPACE_IO    1
#define ACCESS_4    3

#define PCI_NONE     0xffffu
#define IO_PORT_LAST 0xfff8ull
#define MMIO_LAST    ((1ull << 47) - 4096) /* as far as our page tables go */

/* 0: as the firmware left it. A clock of a device of its own is not known, so that its divisor stays. */
static u32 baud_of(u8 code, bool is_pc)
{
    switch (is_pc ? code : 0) {
    case 3:
        return 9600;
    case 4:
        return 19200;
    case 6:
        return 57600;
    case 7:
        return 115200;
    default:
        return 0;
    }
}

/* The line of a PCI device may be shared with others that nobody serves here: it is polled. */
static void set_interrupt(const u8 *t, bool is_pci, struct serial_port *p)
{
    u8 type = t[SPCR_INTERRUPT_TYPE];

    p->irq_kind = SERIAL_POLLED;
    if (is_pci)
        return;
    if (type & INTERRUPT_IOAPIC) {
        p->irq_kind = SERIAL_GSI;
        p->irq = read32(t + SPCR_GSI);
    } else if (type & INTERRUPT_PIC) {
        p->irq_kind = SERIAL_ISA;
        p->irq = t[SPCR_IRQ];
    }
}

/* Registers of a plain 16550 are bytes side by side; those of other devices lie as far apart as they are wide. */
static void set_registers(const u8 *t, struct serial_port *p)
{
    const u8 *gas = t + SPCR_GAS;
    bool is_wide = t[SPCR_INTERFACE] == INTERFACE_16550_GAS && (gas[GAS_ACCESS] == ACCESS_4 || gas[GAS_WIDTH] == 32);

    p->is_mmio = gas[GAS_SPACE] == SPACE_MMIO;
    p->base = read32(gas + GAS_ADDRESS) | (u64)read32(gas + GAS_ADDRESS + 4) << 32;
    p->stride = p->is_mmio && (is_wide || gas[GAS_WIDTH] == 32) ? 4 : 1;
    p->width = p->is_mmio && is_wide ? 4 : 1;
}

/* The device decodes its registers from here on. Where they are the table says, as for the second port of an adapter; where it does
 * not, its first BAR. */
static bool use_pci(const u8 *t, struct serial_port *p)
{
    struct pci_at at = {t[SPCR_PCI_BUS], t[SPCR_PCI_SLOT] & 0x1f, t[SPCR_PCI_FUNCTION] & 7};
    u32 id = read16(t + SPCR_PCI_VENDOR) | (u32)read16(t + SPCR_PCI_DEVICE) << 16;

    if (t[SPCR_PCI_SEGMENT] != 0 || pci_read(at, PCI_ID) != id) {
        log_msg(LOG_WARN, "acpi: SPCR names PCI device %04x:%04x at %u:%02x:%02x.%u, which is not there: not used",
                id & 0xffff, id >> 16, t[SPCR_PCI_SEGMENT], at.bus, at.device, at.function);
        return false;
    }
    if (p->base == 0)
        return pci_use_serial(at, p);
    pci_enable(at, p->is_mmio);
    return true;
}

static bool has_sane_address(const u8 *t, const struct serial_port *p)
{
    u8 space = t[SPCR_GAS + GAS_SPACE];

    if (p->base != 0 && space <= SPACE_IO && p->base <= (p->is_mmio ? MMIO_LAST : IO_PORT_LAST))
        return true;
    log_msg(LOG_WARN, "acpi: SPCR has its port at address space %u, 0x%llx, where none can be: not used", space,
            (unsigned long long)p->base);
    return false;
}

bool spcr_read(const u8 *t, u32 bytes, struct serial_port *port)
{
    struct serial_port p = {0};

    if (bytes < SPCR_BYTES_MIN) {
        log_msg(LOG_WARN, "acpi: SPCR has %u bytes, at least %u are needed: not used", bytes, SPCR_BYTES_MIN);
        return false;
    }
    u8 kind = t[SPCR_INTERFACE];
    if (kind != INTERFACE_16550 && kind != INTERFACE_16450 && kind != INTERFACE_16550_GAS) {
        log_msg(LOG_WARN,
                "acpi: SPCR names a serial port of type 0x%02x; only a 16550 (types 0, 1 and 0x12) can be used", kind);
        return false;
    }
    bool is_pci = read16(t + SPCR_PCI_VENDOR) != PCI_NONE && read16(t + SPCR_PCI_DEVICE) != PCI_NONE;
    set_registers(t, &p);
    if ((is_pci && !use_pci(t, &p)) || !has_sane_address(t, &p))
        return false;
    p.baud = baud_of(t[SPCR_BAUD], !is_pci && !p.is_mmio);
    set_interrupt(t, is_pci, &p);
    *port = p;
    return true;
}
