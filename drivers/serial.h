/*
 * The serial line of the console: a 16550 at 115200 8n1. Output waits for the transmitter, however slow the line is; one that takes
 * no byte for a time that is seconds on any machine is dead: what is written is dropped and counted until it takes bytes again. Input goes into a ring by interrupt, and also when the timer or whoever waits for input polls, so that nothing typed is
 * lost while the VMM works. One reader, on the CPU that gets the interrupt; interrupts are turned off inside where it matters.
 */
#ifndef DRIVERS_SERIAL_H
#define DRIVERS_SERIAL_H

#include "lib/types.h"

#define SERIAL_COM1     0x3f8
#define SERIAL_COM1_IRQ 4

/* False where no UART answers at `port`; output is then dropped and input never comes. */
bool serial_init(u16 port);

/* The UART interrupts when bytes wait; then serial_poll() is to be called. */
void serial_interrupts_on(void);

/* By one CPU at a time, as serial_drain(). */
void serial_write(const char *text, size_t bytes);

/* Waits, for a bounded time, until the last byte is on the wire: before power goes off. */
void serial_drain(void);

/* Moves what has arrived into the ring. Called with interrupts off (timer) or on. */
void serial_poll(void);

/* The next byte typed, or -1; serial_peek() leaves it there. */
int serial_read(void);
int serial_peek(void);

/* True once after ^C arrived; ^C itself stays in the stream, where the line editor finds it. */
bool serial_take_interrupt(void);

/* Forgets what was typed so far: after ^C took the console out of work. */
void serial_drop_input(void);

/* Bytes lost since the last call: by the UART (overrun) or because the ring was full. */
unsigned serial_take_overruns(void);
/* Bytes of output dropped since the last call, once the line takes bytes again. */
u64 serial_take_lost(void);

#endif
