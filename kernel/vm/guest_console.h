/*
 * The TD's serial console, between the UART that the guest sees (drivers/virt/) and Septum's own. What the guest says is kept in a
 * ring, newest last: whoever reads has a place of its own in it, and is told how much it missed when the guest was faster. What
 * the guest is to read waits in a second ring until its UART takes it.
 *
 * The guest's side is called by the CPU of any vCPU, the other by the console's.
 */
#ifndef KERNEL_VM_GUEST_CONSOLE_H
#define KERNEL_VM_GUEST_CONSOLE_H

#include "lib/types.h"

#define GUEST_OUTPUT_BYTES 65536u
#define GUEST_INPUT_BYTES  4096u

/* A new guest: its first line is one of its own, and nothing waits to be read. No vCPU runs. */
void guest_console_reset(void);

/* --- the guest's side --- */

void guest_console_put(u8 byte);
/* The next byte that was typed; -1: nothing waits. guest_console_peek() leaves it there. */
int guest_console_take(void);
int guest_console_peek(void);
/* `arrived` is called whenever input came: the UART may interrupt. NULL: nobody wants to know. */
void guest_console_on_input(void (*arrived)(void));

/* --- Septum's side --- */

/* Puts bytes where the guest reads them. How many there was room for. */
size_t guest_console_type(const char *bytes, size_t count);

/* Positions count all that was ever said; they go on with the next guest. Where this one began, and where it is now. */
u64 guest_console_begin(void);
u64 guest_console_end(void);
/* Where the line begins that `at` is in, or the one so many lines before it, as far as this guest's are kept. */
u64 guest_console_line(u64 at, unsigned before);

struct guest_place {
    u64 at;
    u64 missed; /* bytes that were gone when it was their turn */
};

/* What was said from the place on, at most `bytes` of it; the place moves behind it. */
size_t guest_console_read(struct guest_place *place, char *to, size_t bytes);
/* Looks for a text of 1 byte or more from the place on. Found: the place moves behind it; else to where it may begin still. */
bool guest_console_find(struct guest_place *place, const char *text, size_t bytes);

#endif
