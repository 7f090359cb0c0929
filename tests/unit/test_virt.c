/* The devices that a TD sees: drivers/virt/, by the registers of their data sheets. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "drivers/virt/vapic.h"
#include "drivers/virt/vioapic.h"
#include "drivers/virt/vpower.h"
#include "drivers/virt/vuart.h"

/* --- 16550A ------------------------------------------------------------------------------------------------------- */

static struct vuart uart;

static u8 in(unsigned offset)
{
    return vuart_read(&uart, offset);
}

static void out(unsigned offset, u8 value)
{
    vuart_write(&uart, offset, value);
}

static int uart_setup(void **state)
{
    vuart_reset(&uart);
    return 0;
}

/* What a driver does to find out what is there: the loop of the modem lines, and whether FIFOs can be enabled. */
static void uart_is_found_as_a_16550a(void **state)
{
    out(1, 0x0f);
    assert_int_equal(in(1), 0x0f);
    out(1, 0xff);
    assert_int_equal(in(1), 0x0f);
    out(1, 0);
    out(7, 0x5a);
    assert_int_equal(in(7), 0x5a);
    out(4, 0x1a); /* loop, RTS and OUT2 */
    assert_int_equal(in(6) & 0xf0, 0x90);
    out(4, 0x15); /* loop, DTR and OUT1 */
    assert_int_equal(in(6) & 0xf0, 0x60);
    out(4, 0);
    assert_int_equal(in(6) & 0xf0, 0xb0);
    assert_int_equal(in(2), 0x01);
    out(2, 0x01);
    assert_int_equal(in(2), 0xc1);
    out(2, 0x27);
    assert_int_equal(in(2) & 0x20, 0); /* no 64 bytes */
    out(3, 0x80);
    out(0, 0x0c);
    out(1, 0x01);
    assert_int_equal(in(0), 0x0c);
    assert_int_equal(in(1), 0x01);
    out(3, 0x03);
    assert_int_equal(in(1), 0);
}

static void uart_sends_in_order_and_says_when_it_is_full(void **state)
{
    u8 byte;

    out(2, 1);
    assert_int_equal(in(5), 0x60);
    for (unsigned i = 0; i < 20; i++) /* the last four find no room */
        out(0, (u8)i);
    assert_int_equal(in(5), 0);
    for (unsigned i = 0; i < 16; i++) {
        assert_true(vuart_take(&uart, &byte));
        assert_int_equal(byte, i);
    }
    assert_false(vuart_take(&uart, &byte));
    assert_int_equal(in(5), 0x60);
}

static void uart_interrupts_for_an_empty_thr(void **state)
{
    u8 byte;

    out(4, 0x0b);
    assert_false(vuart_interrupts(&uart));
    out(1, 2);
    assert_true(vuart_interrupts(&uart));
    assert_int_equal(in(2), 2); /* which takes it back */
    assert_int_equal(in(2), 1);
    assert_false(vuart_interrupts(&uart));
    out(1, 0);
    out(1, 2); /* and once more */
    assert_int_equal(in(2), 2);
    out(0, 'a');
    assert_false(vuart_interrupts(&uart));
    assert_true(vuart_take(&uart, &byte));
    assert_true(vuart_interrupts(&uart));
    out(4, 0x03); /* OUT2 off */
    assert_false(vuart_interrupts(&uart));
}

static void uart_receives(void **state)
{
    out(4, 0x0b);
    out(1, 1);
    assert_true(vuart_give(&uart, 'x'));
    assert_false(vuart_give(&uart, 'y')); /* no FIFO */
    assert_int_equal(in(5), 0x61);
    assert_int_equal(in(2), 4);
    assert_true(vuart_interrupts(&uart));
    assert_int_equal(in(0), 'x');
    assert_int_equal(in(2), 1);
    assert_int_equal(in(0), 0);
    out(2, 0x81); /* trigger at 8 bytes */
    for (unsigned i = 0; i < 7; i++)
        assert_true(vuart_give(&uart, (u8)i));
    assert_int_equal(in(2), 0xcc);
    for (unsigned i = 7; i < 16; i++)
        assert_true(vuart_give(&uart, (u8)i));
    assert_int_equal(in(2), 0xc4);
    assert_false(vuart_give(&uart, 16));
    for (unsigned i = 0; i < 16; i++)
        assert_int_equal(in(0), i);
    assert_int_equal(in(5) & 1, 0);
}

static void uart_loops(void **state)
{
    u8 byte;

    out(4, 0x10);
    out(0, 'l');
    assert_false(vuart_take(&uart, &byte));
    assert_false(vuart_give(&uart, 'z'));
    out(0, 'm'); /* nobody took the first */
    assert_int_equal(in(5) & 3, 3);
    assert_int_equal(in(5) & 2, 0);
    assert_int_equal(in(0), 'l');
}

static void uart_tells_changes_of_the_modem_once(void **state)
{
    out(1, 8);
    out(4, 0x10);
    assert_int_equal(in(6), 0x0b); /* CTS, DSR and DCD went */
    assert_int_equal(in(6), 0);
    out(4, 0x14);
    assert_int_equal(in(6), 0x40); /* RI came: no delta */
    out(4, 0x10);
    assert_int_equal(in(2), 0);
    assert_int_equal(in(6), 0x04);
    assert_int_equal(in(2), 1);
}

static void uart_survives_anything(void **state)
{
    u8 byte;

    srand(1);
    for (unsigned i = 0; i < 200000; i++) {
        unsigned offset = (unsigned)rand() % 8;
        switch (rand() % 4) {
        case 0:
            out(offset, (u8)rand());
            break;
        case 1:
            (void)in(offset);
            break;
        case 2:
            (void)vuart_give(&uart, (u8)rand());
            break;
        default:
            (void)vuart_take(&uart, &byte);
        }
        assert_true(uart.send.count <= 16 && uart.receive.count <= 16 && uart.send.first < 16 &&
                    uart.receive.first < 16);
    }
}

/* --- I/O APIC ----------------------------------------------------------------------------------------------------- */

static struct vioapic ioapic;

static u32 get(u8 index)
{
    vioapic_write(&ioapic, 0, index);
    return vioapic_read(&ioapic, 0x10);
}

static void set(u8 index, u32 value)
{
    vioapic_write(&ioapic, 0, index);
    vioapic_write(&ioapic, 0x10, value);
}

static int ioapic_setup(void **state)
{
    vioapic_reset(&ioapic);
    return 0;
}

static void ioapic_has_its_registers(void **state)
{
    assert_int_equal(get(1), 0x00170020);
    assert_int_equal(get(0x10), 0x00010000);
    assert_int_equal(get(0x3f), 0);
    assert_int_equal(get(0x40), 0); /* behind the last pin */
    set(0, 0xffffffff);
    assert_int_equal(get(0), 0x0f000000);
    assert_int_equal(get(2), 0x0f000000);
    set(0x18, 0xffffffff);
    assert_int_equal(get(0x18), 0x0001afff); /* bits 12 and 14 are not written */
    set(0x19, 0x12345678);
    assert_int_equal(get(0x19), 0x12000000);
    assert_int_equal(vioapic_read(&ioapic, 0x20), 0);
}

static void ioapic_sends_an_edge_once(void **state)
{
    struct vioapic_message m;

    vioapic_set_pin(&ioapic, 4, true); /* masked: lost */
    set(0x19, 0x03000000);
    set(0x18, 0x00000831);
    assert_false(vioapic_take(&ioapic, &m));
    vioapic_set_pin(&ioapic, 4, true);
    assert_false(vioapic_take(&ioapic, &m));
    vioapic_set_pin(&ioapic, 4, false);
    vioapic_set_pin(&ioapic, 4, true);
    assert_true(vioapic_take(&ioapic, &m));
    assert_int_equal(m.vector, 0x31);
    assert_int_equal(m.mode, 0);
    assert_true(m.is_logical);
    assert_int_equal(m.destination, 3);
    assert_false(vioapic_take(&ioapic, &m));
}

static void ioapic_sends_a_level_until_it_goes(void **state)
{
    struct vioapic_message m;

    set(0x1a, 0x00008042);
    vioapic_set_pin(&ioapic, 5, true);
    assert_true(vioapic_take(&ioapic, &m));
    assert_int_equal(get(0x1a), 0x0000c042); /* remote IRR */
    assert_false(vioapic_take(&ioapic, &m));
    vioapic_write(&ioapic, 0x40, 0x43); /* another vector's EOI */
    assert_false(vioapic_take(&ioapic, &m));
    vioapic_write(&ioapic, 0x40, 0x42);
    assert_true(vioapic_take(&ioapic, &m));
    set(0x1a, 0x00010042); /* edge for a moment: what a kernel does without the EOI register */
    set(0x1a, 0x00008042);
    assert_true(vioapic_take(&ioapic, &m));
    vioapic_set_pin(&ioapic, 5, false);
    vioapic_write(&ioapic, 0x40, 0x42);
    assert_false(vioapic_take(&ioapic, &m));
}

static void ioapic_survives_anything(void **state)
{
    static const u32 offsets[] = {0, 0x10, 0x40, 4, 0xffc};
    struct vioapic_message m;

    srand(2);
    for (unsigned i = 0; i < 200000; i++) {
        vioapic_write(&ioapic, offsets[rand() % 5], (u32)rand() << 1 ^ (u32)rand());
        (void)vioapic_read(&ioapic, offsets[rand() % 5]);
        vioapic_set_pin(&ioapic, (unsigned)rand() % 24, rand() & 1);
        unsigned sent = 0;
        while (vioapic_take(&ioapic, &m))
            assert_true(++sent <= 24);
        assert_int_equal(ioapic.waiting >> 24, 0);
    }
}

/* --- local APIC --------------------------------------------------------------------------------------------------- */

static struct vapic apic;

static u64 rd(u32 msr, u64 now)
{
    u64 value = 0;
    assert_true(vapic_read(&apic, msr, now, &value));
    return value;
}

static void wr(u32 msr, u64 value, u64 now)
{
    assert_true(vapic_write(&apic, msr, value, now));
}

static int apic_setup(void **state)
{
    vapic_reset(&apic, 0x25);
    return 0;
}

static void apic_has_its_registers(void **state)
{
    u64 value;

    assert_int_equal(rd(0x802, 0), 0x25);
    assert_int_equal(rd(0x803, 0), 0x00050014);
    assert_int_equal(rd(0x80d, 0), 0x00020020); /* cluster 2, bit 5 */
    assert_int_equal(rd(0x80f, 0), 0xff);
    assert_int_equal(rd(0x832, 0), 0x10000);
    wr(0x80f, 0x1ff, 0);
    assert_int_equal(rd(0x80f, 0), 0x1ff);
    wr(0x836, 0x400, 0);
    assert_int_equal(rd(0x836, 0), 0x400);
    wr(0x828, 0, 0);
    assert_false(vapic_write(&apic, 0x828, 1, 0));
    assert_false(vapic_write(&apic, 0x802, 0, 0));
    assert_false(vapic_write(&apic, 0x839, 0, 0));
    assert_false(vapic_write(&apic, 0x832, 0x40031, 0)); /* TSC deadline */
    assert_false(vapic_write(&apic, 0x838, 0x100000000, 0));
    assert_false(vapic_read(&apic, 0x831, 0, &value));
    assert_false(vapic_read(&apic, 0x800, 0, &value));
}

static void apic_timer_runs_once(void **state)
{
    u8 vector = 0;

    wr(0x83e, 0x3, 0); /* by 16 */
    wr(0x832, 0x31, 0);
    wr(0x838, 100, 1000);
    assert_int_equal(rd(0x839, 1000), 100);
    assert_int_equal(rd(0x839, 1001), 100);
    assert_int_equal(rd(0x839, 1016), 99);
    assert_false(vapic_timer_fires(&apic, 2599, &vector));
    assert_true(vapic_timer_fires(&apic, 2600, &vector));
    assert_int_equal(vector, 0x31);
    assert_int_equal(rd(0x839, 2600), 0);
    assert_false(vapic_timer_fires(&apic, 1u << 30, &vector));
    wr(0x838, 100, 0);
    wr(0x838, 0, 1); /* stopped */
    assert_false(vapic_timer_fires(&apic, 1u << 30, &vector));
}

static void apic_timer_divides_as_it_is_told(void **state)
{
    static const struct {
        u32 code;
        u64 by;
    } cases[] = {{0, 2}, {1, 4}, {2, 8}, {3, 16}, {8, 32}, {9, 64}, {10, 128}, {11, 1}};

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        wr(0x83e, cases[i].code, 0);
        wr(0x838, 1000, 0);
        assert_int_equal(rd(0x839, 500 * cases[i].by), 500);
    }
    assert_false(vapic_write(&apic, 0x83e, 4, 0));
}

static void apic_timer_repeats(void **state)
{
    u8 vector;

    wr(0x83e, 0xb, 0);
    wr(0x832, 0x20040, 0);
    wr(0x838, 10000, 0);
    assert_true(vapic_timer_fires(&apic, 10000, &vector));
    assert_false(vapic_timer_fires(&apic, 19999, &vector));
    assert_true(vapic_timer_fires(&apic, 45000, &vector)); /* three are one */
    assert_false(vapic_timer_fires(&apic, 49999, &vector));
    assert_int_equal(rd(0x839, 49999), 1);
    wr(0x832, 0x30040, 50000); /* masked: it goes on, and says nothing */
    assert_false(vapic_timer_fires(&apic, 50000, &vector));
    assert_int_equal(rd(0x839, 55000), 5000);
}

/* Every 200 us at most, of 25 MHz, and it counts no further than it was told. */
static void apic_timer_leaves_the_guest_time(void **state)
{
    u8 vector;

    wr(0x83e, 0xb, 0);
    wr(0x832, 0x20040, 0);
    wr(0x838, 1, 0);
    assert_int_equal(rd(0x839, 0), 1);
    assert_false(vapic_timer_fires(&apic, 4999, &vector));
    assert_true(vapic_timer_fires(&apic, 5000, &vector));
    assert_false(vapic_timer_fires(&apic, 9999, &vector));
    wr(0x832, 0x40, 10000);
    wr(0x838, 1, 10000); /* once: as soon as it is asked for */
    assert_true(vapic_timer_fires(&apic, 10001, &vector));
}

static void apic_commands_find_their_targets(void **state)
{
    static const struct {
        u64 icr;
        u32 id, sender;
        bool is_target;
    } cases[] = {
        {3ull << 32 | 0x40, 3, 0, true},
        {3ull << 32 | 0x40, 2, 0, false},
        {0xffffffffull << 32 | 0x40, 7, 7, true},
        {0x00000005ull << 32 | 0x840, 2, 0, true},  /* logical: cluster 0, 0 and 2 */
        {0x00000005ull << 32 | 0x840, 1, 0, false}, /* ... not 1 */
        {0x00010004ull << 32 | 0x840, 18, 0, true},
        {0x00010004ull << 32 | 0x840, 2, 0, false},
        {0x40040, 1, 1, true}, /* self */
        {0x40040, 2, 1, false},
        {0x80040, 1, 1, true}, /* all */
        {0x80040, 2, 1, true},
        {0xc0040, 1, 1, false}, /* all but self */
        {0xc0040, 2, 1, true},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct vapic_ipi ipi = vapic_ipi(cases[i].icr);
        assert_int_equal(ipi.vector, 0x40);
        if (vapic_is_target(&ipi, cases[i].id, cases[i].sender) != cases[i].is_target)
            fail_msg("case %zu", i);
    }
    assert_int_equal(vapic_ipi(0x400).mode, 4);
    wr(0x830, 3ull << 32 | 0x4040, 0);
    assert_int_equal(rd(0x830, 0), 3ull << 32 | 0x4040);
    assert_false(vapic_write(&apic, 0x830, 1 << 12, 0));
}

static void apic_survives_anything(void **state)
{
    u64 now = 0, value, taken = 0;
    u8 vector;

    srand(3);
    for (unsigned i = 0; i < 200000; i++) {
        u64 any = (u64)rand() << 33 ^ (u64)rand() << 16 ^ (u64)rand();
        taken += vapic_write(&apic, 0x800 + (u32)rand() % 0x40, any >> rand() % 64, now);
        taken += vapic_read(&apic, 0x800 + (u32)rand() % 0x40, now, &value);
        now += any >> (20 + rand() % 44);
        if (vapic_timer_fires(&apic, now, &vector))
            assert_true(vector >= 16);
        assert_true(apic.due > now);
    }
    assert_true(taken > 1000);
}

/* --- power -------------------------------------------------------------------------------------------------------- */

static void ports_of_acpi(void **state)
{
    assert_int_equal(vpower_write(0x600, 0x34), VPOWER_OFF); /* SLP_EN, S5 */
    assert_int_equal(vpower_write(0x600, 0x14), VPOWER_ON);  /* not enabled */
    assert_int_equal(vpower_write(0x600, 0x2c), VPOWER_ON);  /* S3 */
    assert_int_equal(vpower_write(0x601, 0x34), VPOWER_ON);
    assert_int_equal(vpower_write(0x602, 1), VPOWER_RESET);
    assert_int_equal(vpower_write(0x602, 2), VPOWER_ON);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(uart_is_found_as_a_16550a, uart_setup),
        cmocka_unit_test_setup(uart_sends_in_order_and_says_when_it_is_full, uart_setup),
        cmocka_unit_test_setup(uart_interrupts_for_an_empty_thr, uart_setup),
        cmocka_unit_test_setup(uart_receives, uart_setup),
        cmocka_unit_test_setup(uart_loops, uart_setup),
        cmocka_unit_test_setup(uart_tells_changes_of_the_modem_once, uart_setup),
        cmocka_unit_test_setup(uart_survives_anything, uart_setup),
        cmocka_unit_test_setup(ioapic_has_its_registers, ioapic_setup),
        cmocka_unit_test_setup(ioapic_sends_an_edge_once, ioapic_setup),
        cmocka_unit_test_setup(ioapic_sends_a_level_until_it_goes, ioapic_setup),
        cmocka_unit_test_setup(ioapic_survives_anything, ioapic_setup),
        cmocka_unit_test_setup(apic_has_its_registers, apic_setup),
        cmocka_unit_test_setup(apic_timer_runs_once, apic_setup),
        cmocka_unit_test_setup(apic_timer_divides_as_it_is_told, apic_setup),
        cmocka_unit_test_setup(apic_timer_repeats, apic_setup),
        cmocka_unit_test_setup(apic_timer_leaves_the_guest_time, apic_setup),
        cmocka_unit_test_setup(apic_commands_find_their_targets, apic_setup),
        cmocka_unit_test_setup(apic_survives_anything, apic_setup),
        cmocka_unit_test(ports_of_acpi),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
