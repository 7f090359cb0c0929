/* The payloads' own tiny runtime: see runtime.h. */
#include "guest/lib/runtime.h"

#ifndef HOST_PROCESS
/* Freestanding, the compiler may still call the first two for structure assignments; a library wants all of them. */
void *memcpy(void *to, const void *from, size_t bytes)
{
    uint64_t *t = to;
    const uint64_t *f = from;
    for (size_t i = 0; i < bytes / 8; i++) {
        t[i] = f[i];
    }
    for (size_t i = bytes & ~(size_t)7; i < bytes; i++) {
        ((unsigned char *)to)[i] = ((const unsigned char *)from)[i];
    }
    return to;
}

void *memset(void *to, int value, size_t bytes)
{
    uint64_t wide = (unsigned char)value * 0x0101010101010101ull, *t = to;
    for (size_t i = 0; i < bytes / 8; i++) {
        t[i] = wide;
    }
    for (size_t i = bytes & ~(size_t)7; i < bytes; i++) {
        ((unsigned char *)to)[i] = (unsigned char)value;
    }
    return to;
}

int memcmp(const void *a, const void *b, size_t bytes)
{
    const unsigned char *x = a, *y = b;
    for (size_t i = 0; i < bytes; i++) {
        if (x[i] != y[i]) {
            return x[i] - y[i];
        }
    }
    return 0;
}

size_t strlen(const char *text)
{
    size_t n = 0;
    while (text[n]) {
        n++;
    }
    return n;
}
#endif

static void add_char(struct guest_text *text, char c)
{
    if (text->used < sizeof(text->bytes)) {
        text->bytes[text->used++] = c;
    }
}

void guest_text_add(struct guest_text *text, const char *words)
{
    while (*words) {
        add_char(text, *words++);
    }
}

void guest_text_add_hex(struct guest_text *text, uint64_t value)
{
    int shift = 60;
    while (shift > 0 && !(value >> shift)) {
        shift -= 4;
    }
    add_char(text, '0');
    add_char(text, 'x');
    for (; shift >= 0; shift -= 4) {
        add_char(text, "0123456789abcdef"[value >> shift & 15]);
    }
}
