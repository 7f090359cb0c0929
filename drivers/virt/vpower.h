/*
 * The ACPI ports of the virtual machine, by which the guest powers off or resets it: ACPI 6.5, sections 4.8.3.6 (reset register)
 * and 4.8.3.7 (sleep registers). They read as 0.
 */
#ifndef DRIVERS_VIRT_VPOWER_H
#define DRIVERS_VIRT_VPOWER_H

#include "lib/types.h"

enum vpower { VPOWER_ON, VPOWER_OFF, VPOWER_RESET };

/* What a byte written to a port asks for. */
enum vpower vpower_write(u16 port, u8 value);

#endif
