/* A small printf for the platform's messages: %c %s %d %u %x %p with l, ll, z, width, 0 and -; nothing else. */
#ifndef SIM_FORMAT_H
#define SIM_FORMAT_H

#include "sim/types.h"
#include <stdarg.h>

/* Writes at most `room` bytes including the terminating zero; returns the length of what was written. */
size_t sim_vformat(char *out, size_t room, const char *format, va_list args);

#endif
