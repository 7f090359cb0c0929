/* Text for the person at the console. See print.h. */
#include "kernel/print.h"

#include <stdarg.h>

#include "drivers/serial.h"
#include "lib/format.h"
#include "lib/string.h"

#define PRINT_BYTES_MAX 512

void print_bytes(const char *text, size_t bytes)
{
    size_t from = 0;

    for (size_t i = 0; i < bytes; i++) {
        if (text[i] != '\n')
            continue;
        serial_write(text + from, i - from);
        serial_write("\r\n", 2);
        from = i + 1;
    }
    serial_write(text + from, bytes - from);
}

void print(const char *fmt, ...)
{
    char text[PRINT_BYTES_MAX];
    va_list args;

    va_start(args, fmt);
    size_t bytes = format_v(text, sizeof(text), fmt, args);
    va_end(args);
    print_bytes(text, bytes < sizeof(text) ? bytes : sizeof(text) - 1);
}

const char *print_size(char to[PRINT_SIZE_BYTES], u64 bytes)
{
    static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB"};
    unsigned u = 0;

    while (u + 1 < ARRAY_COUNT(units) && bytes >= 1024 && bytes % 1024 == 0) {
        bytes /= 1024;
        u++;
    }
    format_to(to, PRINT_SIZE_BYTES, "%llu %s", (unsigned long long)bytes, units[u]);
    return to;
}
