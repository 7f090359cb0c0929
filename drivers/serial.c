/* The serial line of the console. See serial.h. PC16550D data sheet, "Registers". */
#include "drivers/serial.h"

#include <stdatomic.h>

#include "drivers/hw/io.h"
#include "lib/bits.h"
#include "lib/format.h"
#include "lib/hw/cpu.h"

#define UART_DATA    0 /* divisor latch low while LCR.DLAB */
#define UART_IER     1 /* divisor latch high while LCR.DLAB */
#define UART_IIR     2
#define UART_FCR     2 /* what is written there */
#define UART_LCR     3
#define UART_MCR     4
#define UART_LSR     5
#define UART_SCRATCH 7

#define FCR_ON_RESET_BOTH 0x07 /* an interrupt for each byte: the whole FIFO is left for the handler's delay */
#define IIR_FIFO_ON       0xc0
#define LCR_8N1           0x03
#define LCR_DLAB          0x80
#define MCR_DTR_RTS       0x03
#define MCR_OUT2          0x08
#define IER_DATA_READY    0x01
#define LSR_DATA_READY    0x01
#define LSR_OVERRUN       0x02
#define LSR_THR_EMPTY     0x20
#define LSR_ALL_SENT      0x40
#define FLOATING          0xff

#define TX_FIFO_BYTES 16
#define TX_PATIENCE   BIT(36) /* TSC ticks: 11 to 70 s at 6 to 1 GHz, far above any pause of who reads the line */
#define BYTE_ETX      0x03    /* ^C */

#define RING_BYTES 16384u /* a power of two */

const struct serial_port serial_com[SERIAL_COMS] = {
    {.base = 0x3f8, .stride = 1, .width = 1, .baud = SERIAL_BAUD_MAX, .irq_kind = SERIAL_ISA, .irq = 4},
    {.base = 0x2f8, .stride = 1, .width = 1, .baud = SERIAL_BAUD_MAX, .irq_kind = SERIAL_ISA, .irq = 3},
    {.base = 0x3e8, .stride = 1, .width = 1, .baud = SERIAL_BAUD_MAX, .irq_kind = SERIAL_ISA, .irq = 4},
    {.base = 0x2e8, .stride = 1, .width = 1, .baud = SERIAL_BAUD_MAX, .irq_kind = SERIAL_ISA, .irq = 3},
};

static struct serial_port line; /* base 0: no UART */
static u8 ring[RING_BYTES];
static u32 ring_in, ring_out; /* free-running */
static unsigned tx_fifo, tx_room;
static bool tx_is_dead; /* it took nothing for so long: it is asked and not waited for, until it takes something */
static _Atomic u64 tx_lost;
static _Atomic bool interrupted;
static _Atomic unsigned overruns;

static u8 read(const struct serial_port *p, unsigned reg)
{
    u64 at = p->base + reg * p->stride;

    if (!p->is_mmio)
        return io_in8((u16)at);
    return p->width == 4 ? (u8)mmio_read32((hpa_t){at}) : mmio_read8((hpa_t){at});
}

static void write(const struct serial_port *p, unsigned reg, u8 value)
{
    u64 at = p->base + reg * p->stride;

    if (!p->is_mmio)
        io_out8((u16)at, value);
    else if (p->width == 4)
        mmio_write32((hpa_t){at}, value);
    else
        mmio_write8((hpa_t){at}, value);
}

/* Where nothing is, or a device sleeps, reads give all ones, and what is written is gone. */
bool serial_is_there(const struct serial_port *p)
{
    if (p->base == 0 || read(p, UART_LSR) == FLOATING)
        return false;
    u8 before = read(p, UART_SCRATCH);
    write(p, UART_SCRATCH, 0x5a);
    bool is_there = read(p, UART_SCRATCH) == 0x5a;
    write(p, UART_SCRATCH, before);
    return is_there;
}

/* A clock that is not a PC's is the firmware's to divide: such lines come with baud 0. A divisor of 0 was never set. */
static void set_baud(void)
{
    u32 divisor = line.baud == 0 ? 0 : SERIAL_BAUD_MAX / line.baud;

    write(&line, UART_LCR, LCR_DLAB);
    if (divisor == 0 && read(&line, UART_DATA) == 0 && read(&line, UART_IER) == 0)
        divisor = 1;
    if (divisor != 0) {
        write(&line, UART_DATA, (u8)divisor);
        write(&line, UART_IER, (u8)(divisor >> 8));
    }
    write(&line, UART_LCR, LCR_8N1);
}

bool serial_init(const struct serial_port *port)
{
    line = (struct serial_port){0};
    if (!serial_is_there(port))
        return false;
    line = *port;
    write(&line, UART_IER, 0);
    set_baud();
    write(&line, UART_FCR, FCR_ON_RESET_BOTH);
    write(&line, UART_MCR, MCR_DTR_RTS);
    tx_fifo = (read(&line, UART_IIR) & IIR_FIFO_ON) == IIR_FIFO_ON ? TX_FIFO_BYTES : 1;
    tx_room = 0;
    tx_is_dead = false;
    return true;
}

const char *serial_name(const struct serial_port *p, char to[SERIAL_NAME_BYTES])
{
    size_t used = format_to(to, SERIAL_NAME_BYTES, "%s 0x%llx, ", p->is_mmio ? "memory" : "I/O port",
                            (unsigned long long)p->base);

    if (p->baud != 0)
        format_to(to + used, SERIAL_NAME_BYTES - used, "%u baud", p->baud);
    else
        format_to(to + used, SERIAL_NAME_BYTES - used, "the firmware's baud rate");
    return to;
}

/* On a PC the line to the interrupt controller is gated by OUT2. */
void serial_interrupts_on(void)
{
    if (line.base == 0)
        return;
    write(&line, UART_MCR, MCR_DTR_RTS | MCR_OUT2);
    write(&line, UART_IER, IER_DATA_READY);
}

/* False: the line is dead. */
static bool tx_wait_for(u8 lsr_bit)
{
    u64 from = cpu_tsc();
    bool is_there;

    while (!(is_there = read(&line, UART_LSR) & lsr_bit) && !tx_is_dead && cpu_tsc() - from < TX_PATIENCE)
        cpu_relax();
    tx_is_dead = !is_there;
    return is_there;
}

void serial_write(const char *text, size_t bytes)
{
    for (size_t i = 0; line.base != 0 && i < bytes; i++) {
        if (tx_room == 0 && !tx_wait_for(LSR_THR_EMPTY)) {
            tx_lost += bytes - i;
            return;
        }
        tx_room = (tx_room ? tx_room : tx_fifo) - 1;
        write(&line, UART_DATA, (u8)text[i]);
    }
}

void serial_drain(void)
{
    if (line.base != 0)
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
    for (unsigned n = 0; line.base != 0 && n < RING_BYTES; n++) {
        u8 lsr = read(&line, UART_LSR);
        if (lsr & LSR_OVERRUN)
            overruns++;
        if (!(lsr & LSR_DATA_READY))
            break;
        ring_put(read(&line, UART_DATA));
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

void serial_give_interrupt_back(void)
{
    interrupted = true;
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
