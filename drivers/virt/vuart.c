/* A virtual 16550A. See vuart.h. */
#include "drivers/virt/vuart.h"

#include "lib/bits.h"

enum { DATA, IER, IIR_FCR, LCR, MCR, LSR, MSR, SCR }; /* offsets; with DLAB the first two are the divisor */

#define IER_RECEIVED BIT(0)
#define IER_EMPTY    BIT(1)
#define IER_LINE     BIT(2)
#define IER_MODEM    BIT(3)
#define IER_ALL      0xfu

#define IIR_NONE       1u
#define IIR_MODEM      0u
#define IIR_EMPTY      2u
#define IIR_RECEIVED   4u
#define IIR_LINE       6u
#define IIR_TIMEOUT    0xcu
#define IIR_FIFOS_ON   0xc0u
#define FCR_ENABLE     BIT(0)
#define FCR_CLEAR_RX   BIT(1)
#define FCR_CLEAR_TX   BIT(2)
#define FCR_TRIGGER(f) ((f) >> 6 & 3)

#define LCR_DLAB    BIT(7)
#define MCR_DTR     BIT(0)
#define MCR_RTS     BIT(1)
#define MCR_OUT1    BIT(2)
#define MCR_OUT2    BIT(3)
#define MCR_LOOP    BIT(4)
#define MCR_ALL     0x1fu
#define LSR_READY   BIT(0)
#define LSR_OVERRUN BIT(1)
#define LSR_EMPTY   (BIT(5) | BIT(6)) /* THR, and all of the transmitter */
#define MSR_CTS     BIT(4)
#define MSR_DSR     BIT(5)
#define MSR_RI      BIT(6)
#define MSR_DCD     BIT(7)
#define MSR_TERI    BIT(2) /* of the deltas RI's alone is for one edge: the trailing one */

/* --- FIFOs, of one byte where they are not enabled --------------------------------------------------------------- */

static u32 capacity(const struct vuart *u)
{
    return u->fcr & FCR_ENABLE ? VUART_FIFO_BYTES : 1;
}

static bool put(struct vuart_fifo *f, u32 capacity, u8 byte)
{
    if (f->count >= capacity)
        return false;
    f->bytes[(f->first + f->count++) % VUART_FIFO_BYTES] = byte;
    return true;
}

static u8 get(struct vuart_fifo *f)
{
    u8 byte = f->bytes[f->first];

    if (f->count == 0)
        return 0;
    f->first = (f->first + 1) % VUART_FIFO_BYTES;
    f->count--;
    return byte;
}

void vuart_reset(struct vuart *u)
{
    *u = (struct vuart){.dll = 1};
}

bool vuart_take(struct vuart *u, u8 *byte)
{
    if (u->send.count == 0)
        return false;
    *byte = get(&u->send);
    u->thr_emptied = u->send.count == 0;
    return true;
}

bool vuart_give(struct vuart *u, u8 byte)
{
    return !(u->mcr & MCR_LOOP) && put(&u->receive, capacity(u), byte);
}

/* --- modem -------------------------------------------------------------------------------------------------------- */

static u8 modem_lines(const struct vuart *u)
{
    if (!(u->mcr & MCR_LOOP))
        return MSR_DCD | MSR_DSR | MSR_CTS;
    return (u8)((u->mcr & MCR_RTS ? MSR_CTS : 0) | (u->mcr & MCR_DTR ? MSR_DSR : 0) | (u->mcr & MCR_OUT1 ? MSR_RI : 0) |
                (u->mcr & MCR_OUT2 ? MSR_DCD : 0));
}

static void set_mcr(struct vuart *u, u8 value)
{
    u8 before = modem_lines(u);

    u->mcr = value & MCR_ALL;
    u8 changed = before ^ modem_lines(u);
    u->msr_deltas |= (u8)((changed & ~MSR_RI) >> 4);
    if (changed & before & MSR_RI)
        u->msr_deltas |= MSR_TERI;
}

/* --- interrupts --------------------------------------------------------------------------------------------------- */

static u8 received_id(const struct vuart *u)
{
    static const u8 triggers[] = {1, 4, 8, 14};

    if (!(u->fcr & FCR_ENABLE))
        return IIR_RECEIVED;
    return u->receive.count >= triggers[FCR_TRIGGER(u->fcr)] ? IIR_RECEIVED : IIR_TIMEOUT;
}

/* The highest of those that are enabled and wait: table 4 of the data sheet. */
static u8 interrupt_id(const struct vuart *u)
{
    if ((u->ier & IER_LINE) && u->overrun)
        return IIR_LINE;
    if ((u->ier & IER_RECEIVED) && u->receive.count != 0)
        return received_id(u);
    if ((u->ier & IER_EMPTY) && u->thr_emptied)
        return IIR_EMPTY;
    if ((u->ier & IER_MODEM) && u->msr_deltas != 0)
        return IIR_MODEM;
    return IIR_NONE;
}

bool vuart_interrupts(const struct vuart *u)
{
    return (u->mcr & MCR_OUT2) && !(u->mcr & MCR_LOOP) && interrupt_id(u) != IIR_NONE;
}

/* --- registers ---------------------------------------------------------------------------------------------------- */

static u8 read_iir(struct vuart *u)
{
    u8 id = interrupt_id(u);

    if (id == IIR_EMPTY)
        u->thr_emptied = false;
    return id | (u->fcr & FCR_ENABLE ? IIR_FIFOS_ON : 0);
}

static u8 read_lsr(struct vuart *u)
{
    u8 value = (u8)((u->receive.count ? LSR_READY : 0) | (u->overrun ? LSR_OVERRUN : 0) |
                    (u->send.count == 0 ? LSR_EMPTY : 0));

    u->overrun = false;
    return value;
}

static u8 read_msr(struct vuart *u)
{
    u8 value = modem_lines(u) | u->msr_deltas;

    u->msr_deltas = 0;
    return value;
}

u8 vuart_read(struct vuart *u, unsigned offset)
{
    bool is_divisor = u->lcr & LCR_DLAB;

    switch (offset) {
    case DATA:
        return is_divisor ? u->dll : get(&u->receive);
    case IER:
        return is_divisor ? u->dlm : u->ier;
    case IIR_FCR:
        return read_iir(u);
    case LCR:
        return u->lcr;
    case MCR:
        return u->mcr;
    case LSR:
        return read_lsr(u);
    case MSR:
        return read_msr(u);
    default:
        return u->scr;
    }
}

/* In the loop what is sent is received at once. */
static void write_data(struct vuart *u, u8 value)
{
    if (u->mcr & MCR_LOOP) {
        u->overrun |= !put(&u->receive, capacity(u), value);
        u->thr_emptied = true;
        return;
    }
    u->thr_emptied = false;
    (void)put(&u->send, capacity(u), value);
}

/* Enabling the interrupt of an empty THR raises it, also where it was told before. */
static void write_ier(struct vuart *u, u8 value)
{
    if ((value & ~u->ier & IER_EMPTY) && u->send.count == 0)
        u->thr_emptied = true;
    u->ier = value & IER_ALL;
}

static void write_fcr(struct vuart *u, u8 value)
{
    bool toggles = (value ^ u->fcr) & FCR_ENABLE;

    if (toggles || ((value & FCR_ENABLE) && (value & FCR_CLEAR_RX)))
        u->receive.count = 0;
    if (toggles || ((value & FCR_ENABLE) && (value & FCR_CLEAR_TX))) {
        u->thr_emptied |= u->send.count != 0;
        u->send.count = 0;
    }
    u->fcr = value & FCR_ENABLE ? value : 0;
}

static void write_first_two(struct vuart *u, unsigned offset, u8 value)
{
    if (u->lcr & LCR_DLAB)
        *(offset == DATA ? &u->dll : &u->dlm) = value;
    else if (offset == DATA)
        write_data(u, value);
    else
        write_ier(u, value);
}

void vuart_write(struct vuart *u, unsigned offset, u8 value)
{
    switch (offset) {
    case DATA:
    case IER:
        write_first_two(u, offset, value);
        break;
    case IIR_FCR:
        write_fcr(u, value);
        break;
    case LCR:
        u->lcr = value;
        break;
    case MCR:
        set_mcr(u, value);
        break;
    case SCR:
        u->scr = value;
        break;
    default: /* LSR and MSR: for the factory's tests */
        break;
    }
}
