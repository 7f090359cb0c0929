/*
 * A virtual 16550A: PC16550D data sheet, sections 6 and 8. Pure state: its owner takes what is to be sent and gives what came
 * in, a byte at a time, and looks at the interrupt line after each of these.
 *
 * Left out: times (a byte is sent as soon as the owner takes it, and a character time-out is there as soon as a byte is), parity,
 * framing and break, DMA mode, modem inputs, which say that there is somebody at the other end.
 */
#ifndef DRIVERS_VIRT_VUART_H
#define DRIVERS_VIRT_VUART_H

#include "lib/types.h"

#define VUART_FIFO_BYTES 16u

struct vuart_fifo {
    u8 bytes[VUART_FIFO_BYTES];
    u32 first, count;
};

struct vuart {
    u8 ier, fcr, lcr, mcr, scr, dll, dlm;
    u8 msr_deltas;    /* bits 3:0 of MSR, until it is read */
    bool overrun;     /* LSR bit 1, until that is read */
    bool thr_emptied; /* the interrupt of it waits, until IIR names it or THR is written */
    struct vuart_fifo receive, send;
};

void vuart_reset(struct vuart *u);

/* The register at offset 0 to 7. */
u8 vuart_read(struct vuart *u, unsigned offset);
void vuart_write(struct vuart *u, unsigned offset, u8 value);

/* False: nothing is to be sent. */
bool vuart_take(struct vuart *u, u8 *byte);
/* False: the FIFO is full, and nothing changes. */
bool vuart_give(struct vuart *u, u8 byte);

/* The interrupt line, which goes nowhere while OUT2 of MCR is off. */
bool vuart_interrupts(const struct vuart *u);

#endif
