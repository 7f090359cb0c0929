/* Host twin of drivers/hw/io.c. See io.h. PC16550D data sheet for the registers. */
#include "tests/host/io.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "drivers/hw/io.h"
#include "lib/hw/cpu.h"
#include "tests/host/cpu.h"

#define PCI_ADDRESS  0xcf8
#define PCI_DATA     0xcfc
#define OUTPUT_BYTES (1u << 20)
#define INPUT_BYTES  (1u << 18)

struct io_host_write io_host_last_write;
struct io_host_write io_host_writes[IO_HOST_WRITES];
unsigned io_host_write_count;
struct io_host_uart io_host_uart = {.base = 0x3f8, .stride = 1};
struct io_host_pci io_host_pci;
struct io_host_hpet io_host_hpet;
unsigned io_host_divisor;

static u32 pci_address;

static u8 input[INPUT_BYTES];
static size_t input_in, input_out;
static char output[OUTPUT_BYTES + 1];
static size_t output_bytes;
static bool overrun;
static u8 scratch, line_control;
static struct {
    u64 reads, ticks; /* see io_host_slow_down() */
    u64 left, not_ready;
    unsigned in_fifo;
} slow;

void io_host_reset(void)
{
    input_in = input_out = output_bytes = 0;
    output[0] = '\0';
    overrun = false;
    io_host_slow_down(0, 0);
    io_host_last_write = (struct io_host_write){0};
    io_host_write_count = 0;
    io_host_uart = (struct io_host_uart){.base = 0x3f8, .stride = 1};
    io_host_pci = (struct io_host_pci){0};
    io_host_hpet = (struct io_host_hpet){0};
    io_host_divisor = 1;
}

void io_host_note_write(u16 port, u32 value)
{
    io_host_last_write = (struct io_host_write){port, value};
    if (io_host_write_count < IO_HOST_WRITES)
        io_host_writes[io_host_write_count++] = io_host_last_write;
}

void io_host_type(const void *bytes, size_t count)
{
    if (input_out == input_in)
        input_in = input_out = 0;
    if (count > INPUT_BYTES - input_in) {
        fputs("host io: more is typed than the test's line holds\n", stderr);
        abort();
    }
    memcpy(input + input_in, bytes, count);
    input_in += count;
}

const char *io_host_output(void)
{
    return output;
}

void io_host_forget(void)
{
    output_bytes = 0;
    output[0] = '\0';
}

void io_host_overrun(void)
{
    overrun = true;
}

void io_host_slow_down(u64 reads, u64 ticks)
{
    slow.reads = slow.left = reads;
    slow.ticks = ticks;
    slow.not_ready = slow.in_fifo = 0;
}

u64 io_host_not_ready(void)
{
    return slow.not_ready;
}

/* The FIFO is sent as a whole. */
static bool transmitter_is_ready(void)
{
    if (slow.left == 0) {
        slow.in_fifo = 0;
        return true;
    }
    slow.left--;
    slow.not_ready++;
    cpu_host_tsc_ahead += slow.ticks;
    return false;
}

static u8 line_status(void)
{
    u8 status = transmitter_is_ready() ? 0x60 : 0;
    status |= input_out < input_in ? 0x01 : 0;
    status |= overrun ? 0x02 : 0;
    overrun = false; /* reading clears it */
    return status;
}

static void print_byte(u8 value)
{
    if (output_bytes == OUTPUT_BYTES) {
        fputs("host io: more is printed than the test can hold\n", stderr);
        abort();
    }
    if (slow.reads && slow.in_fifo++ == (io_host_uart.has_no_fifo ? 1 : 16)) {
        fputs("host io: a byte is written to a full FIFO\n", stderr);
        abort();
    }
    slow.left = slow.reads;
    output[output_bytes++] = (char)value;
    output[output_bytes] = '\0';
}

/* Which register of the UART is there? False: none. */
static bool is_uart(bool is_mmio, u64 at, unsigned *reg)
{
    const struct io_host_uart *u = &io_host_uart;

    if (u->is_mmio != is_mmio || u->base == 0 || at < u->base || at >= u->base + 8 * u->stride)
        return false;
    *reg = (unsigned)((at - u->base) / u->stride);
    return (at - u->base) % u->stride == 0;
}

static u8 read_uart(unsigned reg)
{
    bool is_latch = line_control & 0x80;

    switch (reg) {
    case 0:
        if (is_latch)
            return (u8)io_host_divisor;
        return input_out < input_in ? input[input_out++] : 0;
    case 1:
        return is_latch ? (u8)(io_host_divisor >> 8) : 0;
    case 2:
        return io_host_uart.has_no_fifo ? 0x01 : 0xc1;
    case 5:
        return line_status();
    case 7:
        return scratch;
    default:
        return 0;
    }
}

static void write_uart(unsigned reg, u8 value)
{
    bool is_latch = line_control & 0x80;

    if (reg == 0 && is_latch)
        io_host_divisor = (io_host_divisor & 0xff00) | value;
    else if (reg == 0)
        print_byte(value);
    else if (reg == 1 && is_latch)
        io_host_divisor = (io_host_divisor & 0xff) | (unsigned)value << 8;
    else if (reg == 3)
        line_control = value;
    else if (reg == 7)
        scratch = value;
}

u8 io_in8(u16 port)
{
    unsigned reg;
    return is_uart(false, port, &reg) ? read_uart(reg) : 0xff;
}

void io_out8(u16 port, u8 value)
{
    unsigned reg;

    if (is_uart(false, port, &reg))
        write_uart(reg, value);
    else
        io_host_note_write(port, value);
}

u16 io_in16(u16 port)
{
    return 0xffff;
}

static u32 *pci_register(void)
{
    bool is_there = io_host_pci.at && (pci_address & ~0xffu) == (0x80000000u | (u32)io_host_pci.at << 8);
    return is_there && (pci_address & 0xff) < sizeof(io_host_pci.registers)
               ? &io_host_pci.registers[(pci_address & 0xff) / 4]
               : NULL;
}

u32 io_in32(u16 port)
{
    return port == PCI_DATA && pci_register() ? *pci_register() : 0xffffffff;
}

void io_out16(u16 port, u16 value)
{
    io_host_note_write(port, value);
}

void io_out32(u16 port, u32 value)
{
    if (port == PCI_ADDRESS)
        pci_address = value;
    else if (port == PCI_DATA && pci_register())
        *pci_register() = value;
}

u8 mmio_read8(hpa_t at)
{
    unsigned reg;
    return is_uart(true, at.raw, &reg) ? read_uart(reg) : *(u8 *)phys_ptr(at);
}

u32 mmio_read32(hpa_t at)
{
    unsigned reg;
    u32 value;

    if (is_uart(true, at.raw, &reg))
        return io_host_uart.stride == 4 ? 0xabcdef00 | read_uart(reg) : 0xffffffff;
    memcpy(&value, phys_ptr(at), sizeof(value));
    if (io_host_hpet.base != 0 && at.raw == io_host_hpet.base + 0xf0) {
        u32 next = value + io_host_hpet.ticks;
        memcpy(phys_ptr(at), &next, sizeof(next));
        cpu_host_tsc_ahead += io_host_hpet.tsc;
    }
    return value;
}

void mmio_write32(hpa_t at, u32 value)
{
    unsigned reg;

    if (!is_uart(true, at.raw, &reg))
        memcpy(phys_ptr(at), &value, sizeof(value));
    else if (io_host_uart.stride == 4)
        write_uart(reg, (u8)value);
}

void mmio_write8(hpa_t at, u8 value)
{
    unsigned reg;

    if (is_uart(true, at.raw, &reg))
        write_uart(reg, value);
    else
        memcpy(phys_ptr(at), &value, sizeof(value));
}
