/* The serial line of the console. See serial.h. PC16550D data sheet, "Registers". */
#include "drivers/serial.h"

#include <stdatomic.h>

#include "drivers/hw/io.h"
#include "lib/bits.h"
#include "lib/hw/cpu.h"

#define UART_DATA    0 /* divisor latch low while LCR.DLAB */
#define UART_IER     1 /* divisor latch high while LCR.DLAB */
#define UART_FCR     2
#define UART_LCR     3
#define UART_MCR     4
#define UART_LSR     5
#define UART_SCRATCH 7

#define FCR_ON_RESET_BOTH 0x07
#define LCR_8N1           0x03
#define LCR_DLAB          0x80
#define MCR_DTR_RTS       0x03
#define MCR_OUT2          0x08
#define IER_DATA_READY    0x01
#define LSR_DATA_READY    0x01
#define LSR_OVERRUN       0x02
#define LSR_THR_EMPTY     0x20
#define LSR_ALL_SENT      0x40

#define TX_FIFO_BYTES 16
#define TX_PATIENCE   BIT(36) /* TSC ticks: 11 to 70 s at 6 to 1 GHz, far above any pause of who reads the line */
#define BYTE_ETX      0x03    /* ^C */

#define RING_BYTES 16384u /* a power of two */

static u16 base; /* 0: no UART */
static u8 ring[RING_BYTES];
static u32 ring_in, ring_out; /* free-running */
static unsigned tx_room;
static bool tx_is_dead; /* it took nothing for so long: it is asked and not waited for, until it takes something */
static _Atomic u64 tx_lost;
static _Atomic bool interrupted;
static _Atomic unsigned overruns;

bool serial_init(u16 port)
{
    base = 0;
    io_out8(port + UART_SCRATCH, 0x5a);
    if (io_in8(port + UART_SCRATCH) != 0x5a)
        return false;
    io_out8(port + UART_IER, 0);
    io_out8(port + UART_LCR, LCR_DLAB);
    io_out8(port + UART_DATA, 1); /* 115200 */
    io_out8(port + UART_IER, 0);
    io_out8(port + UART_LCR, LCR_8N1);
    io_out8(port + UART_FCR, FCR_ON_RESET_BOTH);
    io_out8(port + UART_MCR, MCR_DTR_RTS);
    tx_room = 0;
    tx_is_dead = false;
    base = port;
    return true;
}

/* On a PC the line to the interrupt controller is gated by OUT2. */
void serial_interrupts_on(void)
{
    if (base == 0)
        return;
    io_out8(base + UART_MCR, MCR_DTR_RTS | MCR_OUT2);
    io_out8(base + UART_IER, IER_DATA_READY);
}

/* False: the line is dead. */
static bool tx_wait_for(u8 lsr_bit)
{
    u64 from = cpu_tsc();
    bool is_there;

    while (!(is_there = io_in8(base + UART_LSR) & lsr_bit) && !tx_is_dead && cpu_tsc() - from < TX_PATIENCE)
        cpu_relax();
    tx_is_dead = !is_there;
    return is_there;
}

void serial_write(const char *text, size_t bytes)
{
    for (size_t i = 0; base != 0 && i < bytes; i++) {
        if (tx_room == 0 && !tx_wait_for(LSR_THR_EMPTY)) {
            tx_lost += bytes - i;
            return;
        }
        tx_room = (tx_room ? tx_room : TX_FIFO_BYTES) - 1;
        io_out8(base + UART_DATA, (u8)text[i]);
    }
}

void serial_drain(void)
{
    if (base != 0)
        (void)tx_wait_for(LSR_ALL_SENT);
}

static void ring_put(u8 byte)
{
    if (byte == BYTE_ETX)
        interrupted = true;
    if (ring_in - ring_out == RING_BYTES) {
        overruns++;
        return;
    }
    ring[ring_in++ % RING_BYTES] = byte;
}

void serial_poll(void)
{
    u64 irq = cpu_irq_save();

    /* A UART that always has data (a floating bus) must not hold the CPU: one ring's worth at a time. */
    for (unsigned n = 0; base != 0 && n < RING_BYTES; n++) {
        u8 lsr = io_in8(base + UART_LSR);
        if (lsr & LSR_OVERRUN)
            overruns++;
        if (!(lsr & LSR_DATA_READY))
            break;
        ring_put(io_in8(base + UART_DATA));
    }
    cpu_irq_restore(irq);
}

int serial_read(void)
{
    int byte = -1;
    u64 irq = cpu_irq_save();

    if (ring_out != ring_in)
        byte = ring[ring_out++ % RING_BYTES];
    cpu_irq_restore(irq);
    return byte;
}

int serial_peek(void)
{
    u64 irq = cpu_irq_save();
    int byte = ring_out != ring_in ? ring[ring_out % RING_BYTES] : -1;

    cpu_irq_restore(irq);
    return byte;
}

bool serial_take_interrupt(void)
{
    return atomic_exchange(&interrupted, false);
}

void serial_drop_input(void)
{
    u64 irq = cpu_irq_save();

    ring_out = ring_in;
    cpu_irq_restore(irq);
}

unsigned serial_take_overruns(void)
{
    return atomic_exchange(&overruns, 0);
}

u64 serial_take_lost(void)
{
    return tx_is_dead ? 0 : atomic_exchange(&tx_lost, 0);
}
