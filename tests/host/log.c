/*
 * Host twin of the kernel's messages: stderr, from the level in the environment variable SEPTUM_LOG (error, warn,
 * info, debug; warn without it). A panic aborts, so that the sanitizers print where.
 */
#include "tests/host/log.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/log.h"

_Atomic unsigned log_host_count[4];

static _Thread_local char last[400];

const char *log_host_last(void)
{
    return last;
}

void log_host_forget(void)
{
    last[0] = '\0';
}

static const char *const names[] = {"error", "warn", "info", "debug"};

static enum log_level level_wanted(void)
{
    const char *wanted = getenv("SEPTUM_LOG");
    for (unsigned i = 0; wanted && i < ARRAY_COUNT(names); i++)
        if (strcmp(wanted, names[i]) == 0)
            return (enum log_level)i;
    return LOG_WARN;
}

void log_msg(enum log_level level, const char *fmt, ...)
{
    va_list args;

    log_host_count[level]++;
    va_start(args, fmt);
    vsnprintf(last, sizeof(last), fmt, args);
    va_end(args);
    if (level <= level_wanted())
        fprintf(stderr, "%s: %s\n", names[level], last);
}

void panic(const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    fputs("panic: ", stderr);
    vfprintf(stderr, fmt, args);
    fputc('\n', stderr);
    va_end(args);
    abort();
}
