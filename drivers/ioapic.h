/* I/O APICs: where interrupts of devices go. Intel 82093AA, section 3.2. */
#ifndef DRIVERS_IOAPIC_H
#define DRIVERS_IOAPIC_H

#include "lib/err.h"
#include "lib/types.h"

/* The interrupt of an ISA device, as ACPI maps it, becomes `vector` of the CPU with this APIC ID. ERR_NOT_FOUND: no I/O APIC has
 * it, or the ID has more than the 8 bits that a pin can name. */
MUST_CHECK enum err ioapic_route_isa(unsigned irq, u8 vector, u32 apic_id);
/* The same for a global system interrupt: an ISA device's where ACPI says so, else level and active low, as PCI has it. */
MUST_CHECK enum err ioapic_route_gsi(u32 gsi, u8 vector, u32 apic_id);

#endif
