/*
 * The ports of a host process behind drivers/hw/io.h: one 16550, at COM1 unless a test puts it elsewhere, whose line the
 * test types into and reads from; one PCI function where a test wants it. Other ports read as all-ones; what is written to them is
 * remembered once.
 */
#ifndef TESTS_HOST_IO_H
#define TESTS_HOST_IO_H

#include "lib/types.h"

/* Nothing typed, nothing printed, no ports written; the UART at COM1 again, 115200 baud. */
void io_host_reset(void);
/* Arrives at the UART, behind what is there; as many bytes as the test likes. Copied. */
void io_host_type(const void *bytes, size_t count);
/* What was printed since the last io_host_forget(), zero terminated. */
const char *io_host_output(void);
void io_host_forget(void);
/* Each time its FIFO is full the transmitter is not ready for so many reads of its status, each of which takes `ticks` of
 * the TSC. 0: it is ready at once. How many such reads there were. */
void io_host_slow_down(u64 reads, u64 ticks);
u64 io_host_not_ready(void);
/* The UART reports one overrun. */
void io_host_overrun(void);

/* Where the UART is; base 0: nowhere. One in memory with stride 4 answers to both widths of access, others to bytes alone. */
extern struct io_host_uart {
    bool is_mmio, has_no_fifo;
    u64 base;
    unsigned stride;
} io_host_uart;
/* What its line is divided by: 1 at 115200 baud. */
extern unsigned io_host_divisor;

/* A PCI function: bus, device and function as in the address port; 0: none. */
extern struct io_host_pci {
    u16 at;
    u32 registers[16];
} io_host_pci;

/* An HPET whose registers stand in memory at `base`; each look at its counter lets so much time pass. Base 0: none. */
extern struct io_host_hpet {
    u64 base;
    u32 ticks;
    u64 tsc;
} io_host_hpet;

struct io_host_write {
    u16 port;
    u32 value;
};
/* The newest write to a port that is not the UART's; port 0: none. All of them in order, as far as there is room. */
extern struct io_host_write io_host_last_write;
#define IO_HOST_WRITES 16u
extern struct io_host_write io_host_writes[IO_HOST_WRITES];
extern unsigned io_host_write_count;
void io_host_note_write(u16 port, u32 value);

#endif
