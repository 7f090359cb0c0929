/*
 * Formatted text into a buffer: %c %s %d %u %x %zu %lu %lx %ld %llu %llx %p %%, with width, '-', '0' and precision for
 * %s. Always terminates; returns the length that the whole text would have had.
 */
#ifndef LIB_FORMAT_H
#define LIB_FORMAT_H

#include <stdarg.h>

#include "lib/types.h"

size_t format_v(char *to, size_t bytes, const char *fmt, va_list args);
size_t format_to(char *to, size_t bytes, const char *fmt, ...) PRINTF_LIKE(3, 4);

#endif
