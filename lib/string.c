/*
 * Memory and strings: see lib/string.h. Eight bytes at a time, for whole pages are what is copied and filled most.
 *
 * A host process keeps libc's functions (the sanitizers watch them); there these have other names, under which the
 * tests call them.
 */
#ifdef HOST_PROCESS
#define memcpy  lib_memcpy
#define memmove lib_memmove
#define memset  lib_memset
#define memcmp  lib_memcmp
#define strlen  lib_strlen
#define strcmp  lib_strcmp
#define strncmp lib_strncmp
#endif
#include "lib/string.h"

#ifndef __clang__
#pragma GCC optimize("no-tree-loop-distribute-patterns") /* else gcc makes the loops below into calls of themselves */
#endif

static void copy_up(u8 *to, const u8 *from, size_t bytes)
{
    for (; bytes >= 8; bytes -= 8, to += 8, from += 8)
        __builtin_memcpy(to, from, 8);
    while (bytes--)
        *to++ = *from++;
}

static void copy_down(u8 *to, const u8 *from, size_t bytes)
{
    while (bytes--)
        to[bytes] = from[bytes];
}

void *memcpy(void *to, const void *from, size_t bytes)
{
    copy_up(to, from, bytes);
    return to;
}

/* Upwards hurts only where `to` lies inside the source: unsigned distance less than its length. Eight bytes are read
 * before they are written, so copying up is right for any `to` below `from`. */
void *memmove(void *to, const void *from, size_t bytes)
{
    if ((uintptr_t)to - (uintptr_t)from >= bytes)
        copy_up(to, from, bytes);
    else
        copy_down(to, from, bytes);
    return to;
}

void *memset(void *to, int value, size_t bytes)
{
    u8 *at = to;
    u64 eight = (u8)value * 0x0101010101010101ull;
    for (; bytes >= 8; bytes -= 8, at += 8)
        __builtin_memcpy(at, &eight, 8);
    while (bytes--)
        *at++ = (u8)value;
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

size_t strlen(const char *s)
{
    size_t length = 0;
    while (s[length])
        length++;
    return length;
}

int strcmp(const char *a, const char *b)
{
    while (*a && *a == *b)
        a++, b++;
    return (u8)*a - (u8)*b;
}

int strncmp(const char *a, const char *b, size_t bytes)
{
    for (; bytes && *a && *a == *b; bytes--)
        a++, b++;
    return bytes ? (u8)*a - (u8)*b : 0;
}
