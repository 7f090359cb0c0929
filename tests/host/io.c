/* Host twin of drivers/hw/io.c. See io.h. PC16550D data sheet for the registers. */
#include "tests/host/io.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "drivers/hw/io.h"
#include "lib/hw/cpu.h"

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

void io_host_reset(void)
{
    input_in = input_out = output_bytes = 0;
    output[0] = '\0';
    overrun = false;
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

static u8 line_status(void)
{
    u8 status = 0x60; /* transmitter empty */
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
