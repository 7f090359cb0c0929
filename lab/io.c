/*
 * The lab's twin of drivers/hw/io.c: a 16550 at COM1 whose line is standard output, and which hears ^C alone; the port that
 * switches the machine off; an I/O APIC that takes what it is told. PC16550D data sheet, "Registers".
 */
#include "drivers/hw/io.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#include "lab/firmware.h"
#include "lab/io.h"
#include "lab/machine.h"
#include "lab/memory.h"
#include "lib/bits.h"

#define COM1           0x3f8u
#define UART_DATA      0u
#define UART_IIR       2u
#define UART_LCR       3u
#define UART_LSR       5u
#define UART_SCRATCH   7u
#define LCR_DLAB       0x80u
#define IIR_FIFO_ON    0xc1u
#define LSR_EMPTY      0x60u
#define LSR_DATA_READY 0x01u
#define BYTE_ETX       0x03u
#define SLP_EN         BIT(13)
#define IOAPIC_WINDOW  0x10u
#define IOAPIC_VERSION 0x01u
#define IOAPIC_24_PINS 0x170020u
#define RESET_CONTROL  0xcf9u

static u8 scratch, line_control;
static u32 ioapic_index;
static volatile sig_atomic_t interrupted;

static void note_interrupt(int signal_number)
{
    (void)signal_number;
    interrupted = 1;
}

void io_start(void)
{
    signal(SIGINT, note_interrupt);
    setvbuf(stdout, NULL, _IOFBF, 1 << 16);
}

static u8 read_byte(void)
{
    if (!interrupted)
        return 0;
    interrupted = 0;
    return BYTE_ETX;
}

u8 io_in8(u16 port)
{
    switch (port) {
    case COM1 + UART_DATA:
        return read_byte();
    case COM1 + UART_IIR:
        return IIR_FIFO_ON;
    case COM1 + UART_LSR:
        return (u8)(LSR_EMPTY | (interrupted ? LSR_DATA_READY : 0));
    case COM1 + UART_SCRATCH:
        return scratch;
    default:
        return 0xff;
    }
}

/* Lines end in LF alone here. Whoever reads along sees each whole line. */
static void print_byte(u8 value)
{
    if ((line_control & LCR_DLAB) || value == '\r')
        return;
    putchar(value);
    if (value == '\n' && fflush(stdout) != 0)
        exit(1); /* nobody reads any more */
}

void io_out8(u16 port, u8 value)
{
    switch (port) {
    case COM1 + UART_DATA:
        print_byte(value);
        break;
    case COM1 + UART_LCR:
        line_control = value;
        break;
    case COM1 + UART_SCRATCH:
        scratch = value;
        break;
    case RESET_CONTROL:
        machine_stop("the lab's machine does not start again after `reboot`");
    default:
        break;
    }
}

u16 io_in16(u16 port)
{
    return port == FIRMWARE_PM1A_CONTROL ? 0 : 0xffff;
}

u32 io_in32(u16 port)
{
    (void)port;
    return 0xffffffff;
}

/* tools/lab knows the status from the last line. */
void io_out16(u16 port, u16 value)
{
    if (port == FIRMWARE_PM1A_CONTROL && (value & SLP_EN))
        exit(0);
}

void io_out32(u16 port, u32 value)
{
    (void)port;
    (void)value;
}

u8 mmio_read8(hpa_t at)
{
    (void)at;
    return 0xff;
}

u32 mmio_read32(hpa_t at)
{
    return at.raw == FIRMWARE_IOAPIC + IOAPIC_WINDOW && ioapic_index == IOAPIC_VERSION ? IOAPIC_24_PINS : 0;
}

void mmio_write32(hpa_t at, u32 value)
{
    if (at.raw == FIRMWARE_IOAPIC)
        ioapic_index = value;
}

void mmio_write8(hpa_t at, u8 value)
{
    (void)at;
    (void)value;
}
