/* A small printf. Field width counts characters; there is no precision, no floating point. */
#include "sim/format.h"

struct sink {
    char *out;
    size_t room, used;
};

static void put(struct sink *s, char c)
{
    if (s->used + 1 < s->room)
        s->out[s->used++] = c;
}

struct spec {
    unsigned width, longs;
    bool zero, left;
};

static void put_field(struct sink *s, const struct spec *f, const char *text, size_t length)
{
    size_t pad = f->width > length ? f->width - length : 0;
    for (; !f->left && pad; pad--)
        put(s, f->zero ? '0' : ' ');
    for (size_t i = 0; i < length; i++)
        put(s, text[i]);
    for (; pad; pad--)
        put(s, ' ');
}

static void put_number(struct sink *s, const struct spec *f, u64 value, unsigned base, bool negative)
{
    char digits[24];
    size_t at = sizeof(digits);
    do {
        digits[--at] = "0123456789abcdef"[value % base];
        value /= base;
    } while (value);
    if (negative)
        digits[--at] = '-';
    put_field(s, f, digits + at, sizeof(digits) - at);
}

static const char *read_spec(const char *p, struct spec *f)
{
    *f = (struct spec){0};
    for (; *p == '0' || *p == '-'; p++)
        *(*p == '0' ? &f->zero : &f->left) = true;
    for (; *p >= '0' && *p <= '9'; p++)
        f->width = f->width * 10 + (unsigned)(*p - '0');
    for (; *p == 'l' || *p == 'z'; p++)
        f->longs++;
    return p;
}

size_t sim_vformat(char *out, size_t room, const char *format, va_list args)
{
    struct sink s = {out, room, 0};
    struct spec f;
    for (const char *p = format; *p; p++) {
        if (*p != '%') {
            put(&s, *p);
            continue;
        }
        p = read_spec(p + 1, &f);
        if (!*p)
            break;
        if (*p == 's') {
            const char *text = va_arg(args, const char *);
            size_t length = 0;
            while (text[length])
                length++;
            put_field(&s, &f, text, length);
        } else if (*p == 'c') {
            put(&s, (char)va_arg(args, int));
        } else if (*p == 'd') {
            s64 v = f.longs ? va_arg(args, long) : va_arg(args, int);
            put_number(&s, &f, v < 0 ? -(u64)v : (u64)v, 10, v < 0);
        } else if (*p == 'u' || *p == 'x') {
            u64 v = f.longs ? va_arg(args, unsigned long) : va_arg(args, unsigned);
            put_number(&s, &f, v, *p == 'x' ? 16 : 10, false);
        } else if (*p == 'p') {
            put_number(&s, &f, (u64)va_arg(args, void *), 16, false);
        } else {
            put(&s, *p);
        }
    }
    if (room)
        out[s.used] = 0;
    return s.used;
}
