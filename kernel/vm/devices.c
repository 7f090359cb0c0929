/* The TD's devices. See devices.h. */
#include "kernel/vm/devices.h"

#include "drivers/virt/vioapic.h"
#include "drivers/virt/vuart.h"
#include "guest/shim/machine.h"
#include "kernel/vm/guest_console.h"
#include "kernel/vm/interrupt.h"
#include "lib/lock.h"

#define IOAPIC_BROADCAST 0xffu
#define DESTINATION_ALL  0xffffffffu

static struct {
    struct spin lock;
    struct vuart uart;
    struct vioapic ioapic;
} devices; /* under its lock */

/* --- interrupts --------------------------------------------------------------------------------------------------- */

static void send_to(unsigned vcpu, const struct vapic_ipi *ipi)
{
    if (ipi->mode == VAPIC_NMI)
        interrupt_nmi(vcpu);
    else if (ipi->mode == VAPIC_FIXED || ipi->mode == VAPIC_LOWEST)
        interrupt_post(vcpu, ipi->vector);
}

/* Lowest priority is for one of them: the first. */
void devices_send(const struct vapic_ipi *ipi, unsigned sender)
{
    for (unsigned i = 0; i < vm.vcpu_count; i++) {
        if (!vapic_is_target(ipi, i, sender))
            continue;
        send_to(i, ipi);
        if (ipi->mode == VAPIC_LOWEST)
            return;
    }
}

static void send_messages(void)
{
    struct vioapic_message m;

    while (vioapic_take(&devices.ioapic, &m)) {
        bool is_for_all = m.destination == IOAPIC_BROADCAST;
        struct vapic_ipi ipi = {.vector = m.vector,
                                .mode = m.mode,
                                .is_logical = m.is_logical,
                                .destination = is_for_all ? DESTINATION_ALL : m.destination};
        devices_send(&ipi, vm.vcpu_count);
    }
}

static void set_uart_pin(void)
{
    vioapic_set_pin(&devices.ioapic, MACHINE_UART_GSI, vuart_interrupts(&devices.uart));
    send_messages();
}

/* --- the line ----------------------------------------------------------------------------------------------------- */

static void move_output(void)
{
    u8 byte;

    while (vuart_take(&devices.uart, &byte))
        guest_console_put(byte);
}

static void move_input(void)
{
    for (int byte = guest_console_peek(); byte >= 0 && vuart_give(&devices.uart, (u8)byte); byte = guest_console_peek())
        (void)guest_console_take();
}

static void input_arrived(void)
{
    spin_lock(&devices.lock);
    move_input();
    set_uart_pin();
    spin_unlock(&devices.lock);
}

void devices_reset(void)
{
    spin_lock(&devices.lock);
    vuart_reset(&devices.uart);
    vioapic_reset(&devices.ioapic);
    spin_unlock(&devices.lock);
    guest_console_on_input(input_arrived);
}

/* --- ports -------------------------------------------------------------------------------------------------------- */

static bool is_uart(u32 port)
{
    return port - MACHINE_UART_PORT < MACHINE_UART_PORTS;
}

/* The pin between two steps as well: it may go down for a moment, which is what makes the next edge. */
static u8 in_byte(u32 port)
{
    if (!is_uart(port))
        return 0;
    u8 value = vuart_read(&devices.uart, port - MACHINE_UART_PORT);
    set_uart_pin();
    move_input();
    set_uart_pin();
    return value;
}

static void out_uart(unsigned offset, u8 value)
{
    vuart_write(&devices.uart, offset, value);
    set_uart_pin();
    move_output();
    set_uart_pin();
}

u32 devices_in(u16 port, unsigned bytes)
{
    u32 value = 0;

    spin_lock(&devices.lock);
    for (unsigned i = 0; i < bytes; i++)
        value |= (u32)in_byte(port + i) << 8 * i;
    spin_unlock(&devices.lock);
    return value;
}

enum vpower devices_out(u16 port, unsigned bytes, u32 value)
{
    enum vpower asked = VPOWER_ON;

    spin_lock(&devices.lock);
    for (unsigned i = 0; i < bytes && asked == VPOWER_ON; i++) {
        u8 byte = (u8)(value >> 8 * i);
        if (is_uart(port + i))
            out_uart(port + i - MACHINE_UART_PORT, byte);
        else
            asked = vpower_write((u16)(port + i), byte);
    }
    spin_unlock(&devices.lock);
    return asked;
}

/* --- memory ------------------------------------------------------------------------------------------------------- */

static bool is_ioapic(gpa_t gpa)
{
    return gpa.raw - MACHINE_IOAPIC_GPA < VIOAPIC_BYTES;
}

u64 devices_read(gpa_t gpa)
{
    if (!is_ioapic(gpa))
        return 0;
    spin_lock(&devices.lock);
    u32 value = vioapic_read(&devices.ioapic, (u32)(gpa.raw - MACHINE_IOAPIC_GPA));
    spin_unlock(&devices.lock);
    return value;
}

void devices_write(gpa_t gpa, u64 value)
{
    if (!is_ioapic(gpa))
        return;
    spin_lock(&devices.lock);
    vioapic_write(&devices.ioapic, (u32)(gpa.raw - MACHINE_IOAPIC_GPA), (u32)value);
    send_messages();
    spin_unlock(&devices.lock);
}
