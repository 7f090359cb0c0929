/* The level of messages. See log_level.h. */
#include "kernel/log_level.h"

#include "lib/string.h"

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
