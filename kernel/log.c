/* Messages for people: one event, one line, stamped with the time since start. See lib/log.h. */
#include "kernel/log_level.h"

#include <stdarg.h>

#include "kernel/print.h"
#include "kernel/time.h"
#include "lib/format.h"
#include "lib/string.h"

#define LOG_BYTES_MAX 256 /* with the terminating zero */

void log_msg(enum log_level level, const char *fmt, ...)
{
    char text[LOG_BYTES_MAX];
    va_list args;

    if (level > log_level())
        return;
    va_start(args, fmt);
    format_v(text, sizeof(text), fmt, args);
    va_end(args);
    u64 ms = time_us() / 1000;
    print_begin();
    print("[%5llu.%03llu] %s: ", (unsigned long long)(ms / 1000), (unsigned long long)(ms % 1000),
          log_level_name(level));
    print_bytes(text, strlen(text));
    print_bytes("\n", 1);
    print_end();
}
