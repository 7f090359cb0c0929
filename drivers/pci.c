/* PCI configuration space. See pci.h. */
#include "drivers/pci.h"

#include "drivers/hw/io.h"
#include "lib/bits.h"

#define PORT_ADDRESS 0xcf8
#define PORT_DATA    0xcfc
#define ENABLE       0x80000000u

#define PCI_COMMAND     0x04
#define PCI_CLASS       0x08
#define PCI_HEADER      0x0c
#define PCI_BAR0        0x10
#define COMMAND_IO      0x1u
#define COMMAND_MEMORY  0x2u
#define HEADER_MULTI    BIT(23)
#define BAR_IO          0x1u
#define BAR_64          0x4u
#define BAR_KIND_MASK   0x6u
#define BAR_IO_MASK     0xfffcu
#define BAR_MEMORY_MASK 0xfffffff0u
#define CLASS_SERIAL    0x0700u /* communication controller, serial; the byte below says which: 2 is a 16550 */
#define PROGRAM_16550   0x02u
#define NOBODY          0xffffffffu
#define BUSES           256u
#define DEVICES         32u
#define FUNCTIONS       8u

static void select(struct pci_at at, u8 reg)
{
    io_out32(PORT_ADDRESS, ENABLE | (u32)at.bus << 16 | (u32)at.device << 11 | (u32)at.function << 8 | reg);
}

u32 pci_read(struct pci_at at, u8 reg)
{
    select(at, reg);
    return io_in32(PORT_DATA);
}

static void write(struct pci_at at, u8 reg, u32 value)
{
    select(at, reg);
    io_out32(PORT_DATA, value);
}

/* The upper half of the register is status, whose ones are cleared by ones: it is written as zero. */
void pci_enable(struct pci_at at, bool is_mmio)
{
    write(at, PCI_COMMAND, (pci_read(at, PCI_COMMAND) & 0xffff) | (is_mmio ? COMMAND_MEMORY : COMMAND_IO));
}

bool pci_use_serial(struct pci_at at, struct serial_port *p)
{
    u32 bar = pci_read(at, PCI_BAR0);
    bool is_io = bar & BAR_IO;
    u64 base = bar & (is_io ? BAR_IO_MASK : BAR_MEMORY_MASK);

    if (!is_io && (bar & BAR_KIND_MASK) == BAR_64)
        base |= (u64)pci_read(at, PCI_BAR0 + 4) << 32;
    if (base == 0 || bar == NOBODY)
        return false;
    pci_enable(at, !is_io);
    p->is_mmio = !is_io;
    p->base = base;
    p->stride = p->stride ? p->stride : 1;
    p->width = p->width ? p->width : 1;
    if (is_io)
        p->stride = p->width = 1;
    return true;
}

static bool is_16550(struct pci_at at)
{
    u32 class = pci_read(at, PCI_CLASS);
    return class >> 16 == CLASS_SERIAL && (class >> 8 & 0xff) == PROGRAM_16550;
}

/* In memory above 4 GiB its class has to do: only our own page tables are sure to have its registers. */
static bool answers(const struct serial_port *p)
{
    return (p->is_mmio && p->base >= 4 * GIB) || serial_is_there(p);
}

/* Function 0 says whether there are others. */
static bool find_on_device(struct pci_at at, struct serial_port *p)
{
    if (pci_read(at, PCI_ID) == NOBODY)
        return false;
    unsigned last = pci_read(at, PCI_HEADER) & HEADER_MULTI ? FUNCTIONS : 1;
    for (at.function = 0; at.function < last; at.function++)
        if (is_16550(at) && pci_use_serial(at, p) && answers(p))
            return true;
    return false;
}

bool pci_find_serial(struct serial_port *port)
{
    for (unsigned n = 0; n < BUSES * DEVICES; n++) {
        struct serial_port p = {0};
        if (!find_on_device((struct pci_at){(u8)(n / DEVICES), (u8)(n % DEVICES), 0}, &p))
            continue;
        *port = p;
        return true;
    }
    return false;
}
