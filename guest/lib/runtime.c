/* The payloads' own tiny runtime: see runtime.h. */
#include "guest/lib/runtime.h"

#ifndef HOST_PROCESS
/* Freestanding, the compiler may still call these for structure assignments. */
void *memcpy(void *to, const void *from, size_t bytes)
{
    unsigned char *t = to;
    const unsigned char *f = from;
    while (bytes--) {
        *t++ = *f++;
    }
    return to;
}

void *memset(void *to, int value, size_t bytes)
{
    unsigned char *t = to;
    while (bytes--) {
        *t++ = (unsigned char)value;
    }
    return to;
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
