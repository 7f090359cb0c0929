/* Formatted text without a heap and without floating point: see lib/format.h. */
#include "lib/format.h"

#include "lib/string.h"

struct output {
    char *to;
    size_t bytes, length;
};

/* One conversion: the part of the format between % and its letter. */
struct spec {
    bool left, zero;
    unsigned width;
    int precision;  /* -1: none given */
    unsigned longs; /* 0 int, 1 long, 2 long long; size_t counts as long */
};

#define WIDTH_MAX 1024u

static void put(struct output *o, char c)
{
    if (o->length + 1 < o->bytes)
        o->to[o->length] = c;
    o->length++;
}

static void put_padding(struct output *o, char c, unsigned count)
{
    while (count--)
        put(o, c);
}

static void put_text(struct output *o, const struct spec *s, const char *text, size_t length)
{
    unsigned padding = s->width > length ? s->width - (unsigned)length : 0;
    if (!s->left)
        put_padding(o, ' ', padding);
    for (size_t i = 0; i < length; i++)
        put(o, text[i]);
    if (s->left)
        put_padding(o, ' ', padding);
}

static void put_string(struct output *o, const struct spec *s, const char *text)
{
    if (!text)
        text = "(null)";
    size_t length = 0;
    while ((s->precision < 0 || length < (size_t)s->precision) && text[length])
        length++;
    put_text(o, s, text, length);
}

/* `prefix`: "-", "0x" or "". Zeros stand between it and the digits. */
static void put_number(struct output *o, const struct spec *s, u64 value, unsigned base, const char *prefix)
{
    char digits[24];
    unsigned count = 0;
    do
        digits[count++] = "0123456789abcdef"[value % base];
    while (value /= base);
    unsigned length = count + (unsigned)strlen(prefix);
    unsigned padding = s->width > length ? s->width - length : 0;
    if (!s->left && !s->zero)
        put_padding(o, ' ', padding);
    while (*prefix)
        put(o, *prefix++);
    if (!s->left && s->zero)
        put_padding(o, '0', padding);
    while (count--)
        put(o, digits[count]);
    if (s->left)
        put_padding(o, ' ', padding);
}

static unsigned parse_number(const char **fmt)
{
    unsigned n = 0;
    for (; **fmt >= '0' && **fmt <= '9'; (*fmt)++)
        if (n < WIDTH_MAX)
            n = n * 10 + (unsigned)(**fmt - '0');
    return n;
}

/* Leaves `*fmt` at the conversion's letter. */
static struct spec parse_spec(const char **fmt)
{
    struct spec s = {.precision = -1};
    for (; **fmt == '-' || **fmt == '0'; (*fmt)++) {
        s.left |= **fmt == '-';
        s.zero |= **fmt == '0';
    }
    s.width = parse_number(fmt);
    if (**fmt == '.') {
        (*fmt)++;
        s.precision = (int)parse_number(fmt);
    }
    for (; **fmt == 'l' || **fmt == 'z'; (*fmt)++)
        s.longs++;
    return s;
}

static u64 next_unsigned(const struct spec *s, va_list *args)
{
    return s->longs ? va_arg(*args, unsigned long) : va_arg(*args, unsigned);
}

static s64 next_signed(const struct spec *s, va_list *args)
{
    return s->longs ? va_arg(*args, long) : va_arg(*args, int);
}

static void put_signed(struct output *o, const struct spec *s, s64 value)
{
    put_number(o, s, value < 0 ? -(u64)value : (u64)value, 10, value < 0 ? "-" : "");
}

static void convert(struct output *o, const struct spec *s, char letter, va_list *args)
{
    char c;
    switch (letter) {
    case 'c':
        c = (char)va_arg(*args, int);
        put_text(o, s, &c, 1);
        break;
    case 's':
        put_string(o, s, va_arg(*args, const char *));
        break;
    case 'd':
        put_signed(o, s, next_signed(s, args));
        break;
    case 'u':
        put_number(o, s, next_unsigned(s, args), 10, "");
        break;
    case 'x':
        put_number(o, s, next_unsigned(s, args), 16, "");
        break;
    case 'p':
        put_number(o, s, (uintptr_t)va_arg(*args, void *), 16, "0x");
        break;
    default: /* %%, and what the compiler's format check lets nobody write */
        put(o, letter);
        break;
    }
}

size_t format_v(char *to, size_t bytes, const char *fmt, va_list args)
{
    struct output o = {to, bytes, 0};
    va_list rest;
    va_copy(rest, args);
    while (*fmt) {
        char c = *fmt++;
        if (c != '%') {
            put(&o, c);
            continue;
        }
        struct spec s = parse_spec(&fmt);
        if (!*fmt)
            break;
        convert(&o, &s, *fmt++, &rest);
    }
    va_end(rest);
    if (bytes)
        to[o.length < bytes ? o.length : bytes - 1] = 0;
    return o.length;
}

size_t format_to(char *to, size_t bytes, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    size_t length = format_v(to, bytes, fmt, args);
    va_end(args);
    return length;
}
