/*
 * The level above which messages (lib/log.h) are dropped. Apart from log_msg() itself (kernel/log.c), which a host
 * process replaces by its own.
 */
#ifndef KERNEL_LOG_LEVEL_H
#define KERNEL_LOG_LEVEL_H

#include "lib/log.h"

enum log_level log_level(void);
void log_set_level(enum log_level level);
const char *log_level_name(enum log_level level);
/* "error", "warn", "info" or "debug"; false for anything else. */
bool log_level_parse(const char *text, enum log_level *level);

#endif
