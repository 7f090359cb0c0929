/* Configuration space of PCI segment 0 by I/O ports CF8h and CFCh. PCI 3.0, section 3.2.2.3.2. One CPU at a time. */
#ifndef DRIVERS_PCI_H
#define DRIVERS_PCI_H

#include "drivers/serial.h"

#define PCI_ID 0x00

struct pci_at {
    u8 bus, device, function;
};

/* `reg`: a multiple of 4. All ones where no device is. */
u32 pci_read(struct pci_at at, u8 reg);

/* Lets the device answer at its ports, or in memory. */
void pci_enable(struct pci_at at, bool is_mmio);
/* Lets the device answer at its first BAR, and takes that, where it has one, for the port's registers. False: it has none. */
bool pci_use_serial(struct pci_at at, struct serial_port *port);

/* The first 16550 of all buses, by its class. Tens of milliseconds. */
bool pci_find_serial(struct serial_port *port);

#endif
