/*
 * Port I/O and registers in memory. drivers/hw/io.c on the machine; in a host process tests/host/io.c, whose ports
 * hold one 16550 and what a test puts there.
 */
#ifndef DRIVERS_HW_IO_H
#define DRIVERS_HW_IO_H

#include "lib/addr.h"

u8 io_in8(u16 port);
u16 io_in16(u16 port);
u32 io_in32(u16 port);
void io_out8(u16 port, u8 value);
void io_out16(u16 port, u16 value);
void io_out32(u16 port, u32 value);

u8 mmio_read8(hpa_t at);
u32 mmio_read32(hpa_t at);
void mmio_write32(hpa_t at, u32 value);
void mmio_write8(hpa_t at, u8 value);

#endif
