/* What the compiler and the packaged SHA library expect of a C library. Eight bytes at a time. */
#include "sim/types.h"

void *memcpy(void *restrict to, const void *restrict from, size_t bytes);
void *memmove(void *to, const void *from, size_t bytes);
void *memset(void *to, int value, size_t bytes);
int memcmp(const void *a, const void *b, size_t bytes);
size_t strlen(const char *text);

void *memset(void *to, int value, size_t bytes)
{
    u64 wide = (u8)value * 0x0101010101010101ull;
    u64 *at = to;
    for (size_t i = 0; i < bytes / 8; i++)
        at[i] = wide;
    for (size_t i = bytes & ~(size_t)7; i < bytes; i++)
        ((u8 *)to)[i] = (u8)value;
    return to;
}

void *memcpy(void *restrict to, const void *restrict from, size_t bytes)
{
    u64 *t = to;
    const u64 *f = from;
    for (size_t i = 0; i < bytes / 8; i++)
        t[i] = f[i];
    for (size_t i = bytes & ~(size_t)7; i < bytes; i++)
        ((u8 *)to)[i] = ((const u8 *)from)[i];
    return to;
}

void *memmove(void *to, const void *from, size_t bytes)
{
    u8 *t = to;
    const u8 *f = from;
    if (t <= f || t >= f + bytes)
        for (size_t i = 0; i < bytes; i++)
            t[i] = f[i];
    else
        while (bytes--)
            t[bytes] = f[bytes];
    return to;
}

int memcmp(const void *a, const void *b, size_t bytes)
{
    const u8 *x = a, *y = b;
    for (size_t i = 0; i < bytes; i++)
        if (x[i] != y[i])
            return x[i] - y[i];
    return 0;
}

size_t strlen(const char *text)
{
    size_t n = 0;
    while (text[n])
        n++;
    return n;
}
