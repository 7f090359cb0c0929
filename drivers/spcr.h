/*
 * The serial port that the firmware redirects its console to: ACPI's SPCR. Microsoft, "Serial Port Console Redirection Table",
 * revisions 2 to 4. Where the table names a PCI device (an adapter for serial over LAN), that has to be there.
 */
#ifndef DRIVERS_SPCR_H
#define DRIVERS_SPCR_H

#include "drivers/serial.h"

/* `t`: a table whose length and checksum are right. False: it names nothing that can be used, and a warning says why. */
bool spcr_read(const u8 *t, u32 bytes, struct serial_port *port);

#endif
