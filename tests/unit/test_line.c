/* Which serial line the console is on, and how its UART is talked to: option, SPCR as firmware writes it and as broken firmware
 * does, COM ports, PCI. Layouts typed from Microsoft's SPCR, revision 2, and PCI 3.0. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "drivers/acpi.h"
#include "drivers/spcr.h"
#include "kernel/boot_info.h"
#include "kernel/line.h"
#include "kernel/options.h"
#include "tests/host/cpu.h"
#include "tests/host/io.h"
#include "tests/host/log.h"
#include "tests/host/platform.h"

#define MMIO 0x3000000ull /* memory of the test's machine: all ones, as where nothing is, until a UART answers there */

static int machine(void **state)
{
    platform_host_start(NULL);
    cpu_host_reset();
    io_host_reset();
    acpi = (struct acpi_info){0};
    memset(platform_host_memory() + MMIO, 0xff, 32);
    return 0;
}

/* --- the option --- */

static void test_option(void **state)
{
    static const struct {
        const char *text;
        bool is_mmio;
        u64 base;
        unsigned stride, width, baud;
    } good[] = {
        {"com1", false, 0x3f8, 1, 1, 115200},
        {"com2", false, 0x2f8, 1, 1, 115200},
        {"com3,9600", false, 0x3e8, 1, 1, 9600},
        {"com3,2", false, 0x3e8, 1, 1, 2},
        {"com4,57600", false, 0x2e8, 1, 1, 57600},
        {"io,0x3020", false, 0x3020, 1, 1, 0},
        {"io,3020,38400", false, 0x3020, 1, 1, 38400},
        {"mmio,fe034000", true, 0xfe034000, 1, 1, 0},
        {"mmio32,0xfe034000,115200", true, 0xfe034000, 4, 4, 115200},
        {"mmio32,6001120000", true, 0x6001120000, 4, 4, 0},
        {"none", false, 0, 0, 0, 0},
    };
    static const char *const bad[] = {
        "",
        "com",
        "com0",
        "com5",
        "com12",
        "com1,",
        "com1,115201",
        "com1,0",
        "com1,1",
        "io",
        "io,",
        "io,0",
        "io,fff9",
        "io,xyz",
        "mmio,0",
        "mmio,3f8,1,2",
        "com1,9600,1",
        "none,",
        "ttyS0",
        "mmio,ffffffffffffffff",
        ",com1",
        "io,1111111111111111111111111",
        "com1 ",
    };
    struct serial_port p;

    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        memset(&p, 0xee, sizeof(p));
        if (!line_parse(good[i].text, &p) || p.is_mmio != good[i].is_mmio || p.base != good[i].base ||
            p.stride != good[i].stride || p.width != good[i].width || p.baud != good[i].baud)
            fail_msg("%s: base 0x%llx stride %u width %u baud %u", good[i].text, (unsigned long long)p.base, p.stride,
                     p.width, p.baud);
    }
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        if (line_parse(bad[i], &p))
            fail_msg("'%s' is taken", bad[i]);
}

static void test_option_is_refused_in_words(void **state)
{
    struct options o;
    char error[200];

    options_default(&o);
    assert_false(options_parse("serial=com9", 11, &o, error, sizeof(error)));
    assert_string_equal(
        error, "option serial=com9: the value must be com1 to com4, io,PORT, mmio,ADDRESS or mmio32,ADDRESS, each "
               "with ,BAUD behind, or none");
    assert_true(options_parse("serial=com2 force", 17, &o, error, sizeof(error)));
    assert_true(o.has_serial && o.force);
}

/* --- SPCR --- */

struct spcr {
    u8 kind, space, width, access;
    u64 address;
    u8 interrupt, irq;
    u32 gsi;
    u8 baud;
    u16 device, vendor;
    u8 slot, function, segment;
};

static void put(u8 *at, u64 value, unsigned bytes)
{
    for (unsigned i = 0; i < bytes; i++)
        at[i] = (u8)(value >> 8 * i);
}

static void build(u8 table[80], const struct spcr *s)
{
    memset(table, 0, 80);
    memcpy(table, "SPCR", 4);
    put(table + 4, 80, 4);
    table[36] = s->kind;
    table[40] = s->space;
    table[41] = s->width;
    table[43] = s->access;
    put(table + 44, s->address, 8);
    table[52] = s->interrupt;
    table[53] = s->irq;
    put(table + 54, s->gsi, 4);
    table[58] = s->baud;
    put(table + 64, s->device, 2);
    put(table + 66, s->vendor, 2);
    table[69] = s->slot;
    table[70] = s->function;
    table[75] = s->segment;
}

#define NO_PCI .device = 0xffff, .vendor = 0xffff

static void test_spcr_shapes(void **state)
{
    static const struct {
        struct spcr spcr;
        struct serial_port port;
    } rows[] = {
        /* a PC's COM1 and COM2, with the interrupt by PIC alone, by both, by neither */
        {{0, 1, 8, 1, 0x3f8, 1, 4, 0, 7, NO_PCI}, {false, 0x3f8, 1, 1, 115200, SERIAL_ISA, 4}},
        {{1, 1, 8, 0, 0x2f8, 3, 3, 3, 3, NO_PCI}, {false, 0x2f8, 1, 1, 9600, SERIAL_GSI, 3}},
        {{0, 1, 8, 1, 0x3f8, 0, 0, 0, 6, NO_PCI}, {false, 0x3f8, 1, 1, 57600, SERIAL_POLLED, 0}},
        {{0, 1, 8, 1, 0x3f8, 0, 0, 0, 0, NO_PCI}, {false, 0x3f8, 1, 1, 0, SERIAL_POLLED, 0}},
        /* registers of 32 bits, of a chipset's own UART: its clock is nobody's business */
        {{0x12, 0, 32, 3, 0xfe030000, 2, 0, 16, 7, NO_PCI}, {true, 0xfe030000, 4, 4, 0, SERIAL_GSI, 16}},
        {{0, 0, 32, 1, 0xfedc9000, 2, 0, 10, 7, NO_PCI}, {true, 0xfedc9000, 4, 1, 0, SERIAL_GSI, 10}},
        {{0, 0, 8, 1, 0x100000000, 0, 0, 0, 7, NO_PCI}, {true, 0x100000000, 1, 1, 0, SERIAL_POLLED, 0}},
    };
    u8 table[80];

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct serial_port p = {0};
        const struct serial_port *want = &rows[i].port;
        build(table, &rows[i].spcr);
        if (!spcr_read(table, 80, &p) || p.is_mmio != want->is_mmio || p.base != want->base ||
            p.stride != want->stride || p.width != want->width || p.baud != want->baud ||
            p.irq_kind != want->irq_kind || p.irq != want->irq)
            fail_msg("row %zu: mmio %u base 0x%llx stride %u width %u baud %u irq %u %u", i, p.is_mmio,
                     (unsigned long long)p.base, p.stride, p.width, p.baud, p.irq_kind, p.irq);
    }
}

static void test_spcr_that_cannot_be_used(void **state)
{
    static const struct {
        struct spcr spcr;
        u32 bytes;
        const char *message;
    } rows[] = {
        {{0, 1, 8, 1, 0x3f8, NO_PCI}, 79, "acpi: SPCR has 79 bytes, at least 80 are needed: not used"},
        {{3, 0, 32, 3, 0x9000000, NO_PCI},
         80,
         "acpi: SPCR names a serial port of type 0x03; only a 16550 (types 0, 1 and 0x12) can be used"},
        {{0, 1, 8, 1, 0, NO_PCI}, 80, "acpi: SPCR has its port at address space 1, 0x0, where none can be: not used"},
        {{0, 1, 8, 1, 0x103f8, NO_PCI},
         80,
         "acpi: SPCR has its port at address space 1, 0x103f8, where none can be: not used"},
        {{0, 0, 8, 1, 1ull << 52, NO_PCI},
         80,
         "acpi: SPCR has its port at address space 0, 0x10000000000000, where none can be: not used"},
        {{0, 127, 8, 1, 0x3f8, NO_PCI},
         80,
         "acpi: SPCR has its port at address space 127, 0x3f8, where none can be: not used"},
        {{0, 1, 8, 1, 0x3020, .device = 0x1b3d, .vendor = 0x8086, .slot = 22, .function = 3},
         80,
         "acpi: SPCR names PCI device 8086:1b3d at 0:00:16.3, which is not there: not used"},
    };
    u8 table[80];

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct serial_port p = {0};
        build(table, &rows[i].spcr);
        log_host_forget();
        assert_false(spcr_read(table, rows[i].bytes, &p));
        assert_int_equal(p.base, 0);
        assert_string_equal(log_host_last(), rows[i].message);
    }
}

/* Serial over LAN: 00:16.3, whose decoding the firmware may have turned off, and whose address the table may leave out. */
static void test_spcr_names_a_pci_device(void **state)
{
    static const struct spcr spcr = {0, 1, 8, 1, 0, 0, 0, 0, 7, 0x1b3d, 0x8086, 22, 3, 0};
    u8 table[80];
    struct serial_port p = {0};

    build(table, &spcr);
    io_host_pci = (struct io_host_pci){.at = 22 << 3 | 3};
    io_host_pci.registers[0] = 0x1b3d8086;
    io_host_pci.registers[1] = 0x02b00004;
    io_host_pci.registers[4] = 0x3061;
    assert_true(spcr_read(table, 80, &p));
    assert_int_equal(p.base, 0x3060);
    assert_false(p.is_mmio);
    assert_int_equal(p.baud, 0);
    assert_int_equal(p.irq_kind, SERIAL_POLLED);
    assert_int_equal(io_host_pci.registers[1], 0x5);
    io_host_pci.registers[4] = 0xfe034004; /* 64 bits, in memory */
    io_host_pci.registers[5] = 0x60;
    assert_true(spcr_read(table, 80, &p));
    assert_true(p.is_mmio && p.base == 0x60fe034000);
    assert_int_equal(io_host_pci.registers[1], 0x7);
    /* The second port of the adapter is where the table says. */
    io_host_pci.registers[1] = 0;
    io_host_pci.registers[4] = 0x3061;
    put(table + 44, 0x3068, 8);
    assert_true(spcr_read(table, 80, &p));
    assert_true(!p.is_mmio && p.base == 0x3068);
    assert_int_equal(io_host_pci.registers[1], 0x1);
    put(table + 44, 0x13068, 8);
    assert_false(spcr_read(table, 80, &p));
}

/* --- the choice --- */

static const struct serial_port at_mmio = {.is_mmio = true, .base = MMIO, .stride = 4, .width = 4};

static void test_order(void **state)
{
    struct serial_port p;

    /* the option, though there is a COM1 and SPCR says so too */
    acpi.spcr = *SERIAL_COM1;
    assert_null(line_find(&at_mmio, &p));
    assert_int_equal(p.base, 0);
    assert_string_equal(log_host_last(),
                        "the option serial= names memory 0x3000000, the firmware's baud rate, where no 16550 answers");
    io_host_uart = (struct io_host_uart){.is_mmio = true, .base = MMIO, .stride = 4};
    assert_string_equal(line_find(&at_mmio, &p), "the option serial=");
    /* SPCR, else what answers */
    acpi.spcr = at_mmio;
    assert_string_equal(line_find(NULL, &p), "the firmware's table SPCR");
    assert_true(p.is_mmio && p.base == MMIO);
    io_host_uart = (struct io_host_uart){.base = 0x2f8, .stride = 1};
    assert_string_equal(line_find(NULL, &p), "COM2");
    assert_string_equal(
        log_host_last(),
        "the firmware's table SPCR names memory 0x3000000, the firmware's baud rate, where no 16550 answers");
    acpi.spcr.base = 0;
    io_host_uart.base = 0x2e8;
    assert_string_equal(line_find(NULL, &p), "COM4");
    io_host_uart.base = 0;
    assert_null(line_find(NULL, &p));
    assert_int_equal(p.base, 0);
}

/* Memory takes and gives back whatever is written: a mistyped address would be a console that nobody sees. */
static void test_ordinary_memory_is_no_port(void **state)
{
    static struct phys_range memory = {{MMIO}, 0x1000};
    static const struct boot_info boot = {.map.free = {.r = &memory, .count = 1, .max = 1}};
    struct serial_port p, behind = at_mmio;

    boot_info_set(&boot);
    memset(platform_host_memory() + MMIO, 0, 32);
    assert_null(line_find(&at_mmio, &p));
    assert_string_equal(
        log_host_last(),
        "the option serial= names memory 0x3000000, the firmware's baud rate, which is ordinary memory");
    behind.base += 0x1000;
    io_host_uart = (struct io_host_uart){.is_mmio = true, .base = MMIO + 0x1000, .stride = 4};
    assert_string_equal(line_find(&behind, &p), "the option serial=");
    boot_info_set(NULL);
}

static void test_pci_is_searched_last(void **state)
{
    struct serial_port p;

    io_host_uart = (struct io_host_uart){.base = 0x6000, .stride = 1};
    io_host_pci = (struct io_host_pci){.at = 3 << 8 | 2 << 3};
    io_host_pci.registers[0] = 0x00021b36;
    io_host_pci.registers[2] = 0x07000201;
    io_host_pci.registers[4] = 0x6001;
    assert_string_equal(line_find(NULL, &p), "the PCI bus");
    assert_int_equal(p.base, 0x6000);
    io_host_pci.registers[4] = 0x4; /* in memory above 4 GiB, where the firmware need not have mapped it */
    io_host_pci.registers[5] = 0x60;
    assert_string_equal(line_find(NULL, &p), "the PCI bus");
    assert_true(p.is_mmio && p.base == 0x6000000000);
    io_host_pci.registers[4] = 0x6001;
    io_host_pci.registers[2] = 0x07000101; /* no 16550 */
    assert_null(line_find(NULL, &p));
    io_host_pci.registers[2] = 0x07800201; /* another communication controller */
    assert_null(line_find(NULL, &p));
}

/* Above 4 GiB there is nothing to look at yet. */
static void test_high_port_is_taken_on_trust(void **state)
{
    struct serial_port p, high = at_mmio;

    high.base = 0x6000000000;
    acpi.spcr = high;
    assert_string_equal(line_find(NULL, &p), "the firmware's table SPCR");
    assert_false(line_is_low(&p));
}

/* --- the UART --- */

static void test_registers_and_divisor(void **state)
{
    static const struct {
        bool is_mmio;
        u64 base;
        unsigned stride, width, baud, before, after;
    } rows[] = {
        {false, 0x3f8, 1, 1, 115200, 12, 1}, {false, 0x3f8, 1, 1, 9600, 1, 12},   {false, 0x3f8, 1, 1, 0, 3, 3},
        {true, MMIO, 1, 1, 0, 26, 26},       {true, MMIO, 4, 4, 0, 0x150, 0x150}, {true, MMIO, 4, 1, 0, 0, 1},
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct serial_port p = {
            rows[i].is_mmio, rows[i].base, (u8)rows[i].stride, (u8)rows[i].width, rows[i].baud, 0, 0};
        io_host_reset();
        io_host_uart = (struct io_host_uart){.is_mmio = p.is_mmio, .base = p.base, .stride = p.stride};
        io_host_divisor = rows[i].before;
        assert_true(serial_init(&p));
        assert_int_equal(io_host_divisor, rows[i].after);
        serial_write("abc", 3);
        assert_string_equal(io_host_output(), "abc");
        io_host_type("xy", 2);
        serial_poll();
        assert_int_equal(serial_read(), 'x');
        assert_int_equal(serial_read(), 'y');
    }
}

/* One byte at a time where there is no FIFO: the twin stops at the second. */
static void test_without_fifo(void **state)
{
    io_host_uart.has_no_fifo = true;
    assert_true(serial_init(SERIAL_COM1));
    io_host_slow_down(3, 1);
    serial_write("slowly", 6);
    assert_string_equal(io_host_output(), "slowly");
}

static void test_nothing_there(void **state)
{
    io_host_uart.base = 0;
    assert_false(serial_init(SERIAL_COM1));
    serial_write("lost", 4);
    serial_poll();
    assert_int_equal(serial_read(), -1);
    assert_string_equal(io_host_output(), "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_option, machine),
        cmocka_unit_test_setup(test_option_is_refused_in_words, machine),
        cmocka_unit_test_setup(test_spcr_shapes, machine),
        cmocka_unit_test_setup(test_spcr_that_cannot_be_used, machine),
        cmocka_unit_test_setup(test_spcr_names_a_pci_device, machine),
        cmocka_unit_test_setup(test_order, machine),
        cmocka_unit_test_setup(test_ordinary_memory_is_no_port, machine),
        cmocka_unit_test_setup(test_pci_is_searched_last, machine),
        cmocka_unit_test_setup(test_high_port_is_taken_on_trust, machine),
        cmocka_unit_test_setup(test_registers_and_divisor, machine),
        cmocka_unit_test_setup(test_without_fifo, machine),
        cmocka_unit_test_setup(test_nothing_there, machine),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
