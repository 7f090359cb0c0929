/* Text for the person at the console. See print.h. */
#include "kernel/print.h"

#include <stdarg.h>

#include "drivers/serial.h"
#include "lib/format.h"
#include "lib/hw/cpu.h"
#include "lib/lock.h"
#include "lib/string.h"

#define PRINT_BYTES_MAX 512

#define NOBODY 0u

/* Who prints: a CPU's index and one. It may print in several pieces, and a handler of its own in between. */
static struct spin lock;
static _Atomic unsigned owner;
static unsigned depth;
static void (*sink)(const char *text, size_t bytes) = serial_write;

void print_redirect(void (*write)(const char *text, size_t bytes))
{
    sink = write != NULL ? write : serial_write;
}

static bool (*filter)(const char *text, size_t bytes); /* of filter_owner alone, who changes both */
static _Atomic unsigned filter_owner;

void print_filter(bool (*wanted)(const char *text, size_t bytes))
{
    filter = wanted;
    filter_owner = wanted != NULL ? cpu_index() + 1 : NOBODY;
}

static bool is_wanted(const char *text, size_t bytes)
{
    unsigned self = cpu_index() + 1;
    return filter_owner != self || owner == self || filter(text, bytes);
}

void print_begin(void)
{
    unsigned self = cpu_index() + 1;

    if (owner != self) {
        spin_lock(&lock);
        owner = self;
    }
    depth++;
}

void print_end(void)
{
    if (--depth)
        return;
    owner = NOBODY;
    spin_unlock(&lock);
}

void print_break_lock(void)
{
    depth = 0;
    owner = NOBODY;
    lock = (struct spin){0};
}

void print_bytes(const char *text, size_t bytes)
{
    size_t from = 0;

    if (!is_wanted(text, bytes))
        return;
    print_begin();
    for (size_t i = 0; i < bytes; i++) {
        if (text[i] != '\n')
            continue;
        sink(text + from, i - from);
        sink("\r\n", 2);
        from = i + 1;
    }
    sink(text + from, bytes - from);
    print_end();
}

void print_raw(const char *bytes, size_t count)
{
    print_begin();
    sink(bytes, count);
    print_end();
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
