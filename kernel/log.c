/* Messages for people: one event, one line, stamped with the time since start. See lib/log.h. */
#include "kernel/log.h"

#include <stdarg.h>

#include "kernel/print.h"
#include "kernel/time.h"
#include "lib/format.h"
#include "lib/string.h"

#define LOG_BYTES_MAX 256 /* with the terminating zero */

static const char *const names[] = {"error", "warn", "info", "debug"};
static enum log_level limit = LOG_INFO;

enum log_level log_level(void)
{
    return limit;
}

void log_set_level(enum log_level level)
{
    limit = level;
}

const char *log_level_name(enum log_level level)
{
    return names[level];
}

bool log_level_parse(const char *text, enum log_level *level)
{
    for (unsigned i = 0; i < ARRAY_COUNT(names); i++) {
        if (strcmp(text, names[i]) != 0)
            continue;
        *level = (enum log_level)i;
        return true;
    }
    return false;
}

void log_msg(enum log_level level, const char *fmt, ...)
{
    char text[LOG_BYTES_MAX];
    va_list args;

    if (level > limit)
        return;
    va_start(args, fmt);
    format_v(text, sizeof(text), fmt, args);
    va_end(args);
    u64 ms = time_us() / 1000;
    print("[%5llu.%03llu] %s: ", (unsigned long long)(ms / 1000), (unsigned long long)(ms % 1000), names[level]);
    print_bytes(text, strlen(text));
    print_bytes("\n", 1);
}
