/*
 * Which serial line the console is on. The option `serial=` decides; without it the firmware's own (ACPI's SPCR), else the first
 * that answers of COM1 to COM4 and, last, of the PCI bus.
 */
#ifndef KERNEL_LINE_H
#define KERNEL_LINE_H

#include "drivers/serial.h"

#define LINE_ALLOWED "com1 to com4, io,PORT, mmio,ADDRESS or mmio32,ADDRESS, each with ,BAUD behind, or none"

/* The value of `serial=`: base 0 for "none". False: it is none of LINE_ALLOWED. */
bool line_parse(const char *text, struct serial_port *port);

/*
 * `wanted`: what the option says; NULL: it says nothing. After acpi_init(). NULL: there is no line, and *port has base 0; else who
 * named it. A port in memory above 4 GiB is taken without a look: only our own page tables are sure to have it.
 */
const char *line_find(const struct serial_port *wanted, struct serial_port *port);
/* Is the port where one can look before paging_init()? */
bool line_is_low(const struct serial_port *port);

#endif
