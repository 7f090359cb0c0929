/*
 * Text for the person at the console, and the sink that everything printed goes through. Newlines become CR LF on the
 * wire.
 */
#ifndef KERNEL_PRINT_H
#define KERNEL_PRINT_H

#include "lib/types.h"

void print(const char *fmt, ...) PRINTF_LIKE(1, 2); /* cut at 511 bytes */
void print_bytes(const char *text, size_t bytes);

/* As it is: a newline stays one. */
void print_raw(const char *bytes, size_t count);

/* What this CPU prints between the two is not interrupted by others. May nest. */
void print_begin(void);
void print_end(void);
/* In a panic: whoever printed will not go on. */
void print_break_lock(void);

/* What the CPU that calls it prints outside of print_begin() and print_end() is printed only where `wanted` says so from here on;
 * it is called with nothing held. NULL: all is. */
void print_filter(bool (*wanted)(const char *text, size_t bytes));

/* Where the text goes: until boot services end, the firmware's console. NULL: the serial line. */
void print_redirect(void (*write)(const char *text, size_t bytes));

/* "1200 MiB", "4 KiB", "12 B": the largest unit that divides `bytes`. Returns `to`. */
#define PRINT_SIZE_BYTES 24
const char *print_size(char to[PRINT_SIZE_BYTES], u64 bytes);

#endif
