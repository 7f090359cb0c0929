/*
 * Messages for people, and the end of the road. Declared here so that every room can use them; kernel/log.c and
 * kernel/guard/panic.c implement them, tests/host/log.c for host processes.
 */
#ifndef LIB_LOG_H
#define LIB_LOG_H

#include "lib/types.h"

enum log_level { LOG_ERROR, LOG_WARN, LOG_INFO, LOG_DEBUG };

/* One event, one line; no newline in `fmt`. Cut at 255 bytes. */
void log_msg(enum log_level level, const char *fmt, ...) PRINTF_LIKE(2, 3);

/* A broken invariant of ours: registers, last trace records, return addresses, halt. Never for input or resources. */
_Noreturn void panic(const char *fmt, ...) PRINTF_LIKE(1, 2);

#define ASSERT(cond)                                                                                                   \
    do {                                                                                                               \
        if (!(cond))                                                                                                   \
            panic("%s:%d: %s", __FILE__, __LINE__, #cond);                                                             \
    } while (0)

#endif
