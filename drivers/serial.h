/*
 * The serial line of the console: a 16550 at I/O ports or in memory, 8n1, without flow control. Output waits for the transmitter,
 * however slow the line is; one that takes no byte for a time that is seconds on any machine is dead: what is written is dropped
 * and counted until it takes bytes again. Input goes into a ring by interrupt, and also when the timer or whoever waits for input
 * polls, so that nothing typed is lost while the VMM works. One reader, on the CPU that gets the interrupt; interrupts are turned
 * off inside where it matters. Which UART it is: kernel/line.h.
 */
#ifndef DRIVERS_SERIAL_H
#define DRIVERS_SERIAL_H

#include "lib/types.h"

enum serial_irq { SERIAL_POLLED, SERIAL_ISA, SERIAL_GSI };

struct serial_port {
    bool is_mmio;
    u64 base;  /* the first port, or where the registers are in memory; 0: there is no line */
    u8 stride; /* bytes from one register to the next */
    u8 width;  /* bytes of one access: 1 or 4 */
    u32 baud;  /* what divides 115200; 0: as the firmware left it */
    enum serial_irq irq_kind;
    u32 irq; /* an ISA IRQ or a global system interrupt */
};

#define SERIAL_COMS     4u
#define SERIAL_BAUD_MAX 115200u
#define SERIAL_BAUD_MIN 2u /* the divisor has 16 bits */
extern const struct serial_port serial_com[SERIAL_COMS];
#define SERIAL_COM1 (&serial_com[0])

/* Does a UART answer there? Disturbs nobody who uses it. */
bool serial_is_there(const struct serial_port *port);
/* False where none does; output is then dropped and input never comes. */
bool serial_init(const struct serial_port *port);

/* "I/O port 0x3f8, 115200 baud". Returns `to`. */
#define SERIAL_NAME_BYTES 64
const char *serial_name(const struct serial_port *port, char to[SERIAL_NAME_BYTES]);

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
void serial_give_interrupt_back(void);

/* Forgets what was typed so far: after ^C took the console out of work. */
void serial_drop_input(void);

/* Bytes lost since the last call: by the UART (overrun) or because the ring was full. */
unsigned serial_take_overruns(void);
/* Bytes of output dropped since the last call, once the line takes bytes again. */
u64 serial_take_lost(void);

#endif
