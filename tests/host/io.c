/* Host twin of drivers/hw/io.c. See io.h. PC16550D data sheet for the registers. */
#include "tests/host/io.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "drivers/hw/io.h"
#include "lib/hw/cpu.h"
#include "tests/host/cpu.h"

#define COM1         0x3f8
#define OUTPUT_BYTES (1u << 20)
#define INPUT_BYTES  (1u << 18)

struct io_host_write io_host_last_write;

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

u8 io_in8(u16 port)
{
    switch (port) {
    case COM1:
        return input_out < input_in ? input[input_out++] : 0;
    case COM1 + 5:
        return line_status();
    case COM1 + 7:
        return scratch;
    default:
        return 0xff;
    }
}

static void print_byte(u8 value)
{
    if (line_control & 0x80) /* the divisor latch */
        return;
    if (output_bytes == OUTPUT_BYTES) {
        fputs("host io: more is printed than the test can hold\n", stderr);
        abort();
    }
    if (slow.reads && slow.in_fifo++ == 16) {
        fputs("host io: a byte is written to a full FIFO\n", stderr);
        abort();
    }
    slow.left = slow.reads;
    output[output_bytes++] = (char)value;
    output[output_bytes] = '\0';
}

void io_out8(u16 port, u8 value)
{
    switch (port) {
    case COM1:
        print_byte(value);
        break;
    case COM1 + 3:
        line_control = value;
        break;
    case COM1 + 7:
        scratch = value;
        break;
    case COM1 + 1:
    case COM1 + 2:
    case COM1 + 4:
        break;
    default:
        io_host_last_write = (struct io_host_write){port, value};
        break;
    }
}

u16 io_in16(u16 port)
{
    return 0xffff;
}

u32 io_in32(u16 port)
{
    return 0xffffffff;
}

void io_out16(u16 port, u16 value)
{
    io_host_last_write = (struct io_host_write){port, value};
}

u32 mmio_read32(hpa_t at)
{
    u32 value;
    memcpy(&value, phys_ptr(at), sizeof(value));
    return value;
}

void mmio_write32(hpa_t at, u32 value)
{
    memcpy(phys_ptr(at), &value, sizeof(value));
}

void mmio_write8(hpa_t at, u8 value)
{
    memcpy(phys_ptr(at), &value, sizeof(value));
}
