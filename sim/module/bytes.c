/* Filling, copying and comparing memory: see bytes.h. */
#include "sim/module/bytes.h"

void mdl_fill(void *to, u64 value, size_t count)
{
    u64 *word = to;
    for (size_t i = 0; i < count; i++)
        word[i] = value;
}

static bool in_words(const void *a, const void *b, size_t bytes)
{
    return (((uintptr_t)a | (uintptr_t)b | bytes) & 7) == 0;
}

void mdl_copy(void *to, const void *from, size_t bytes)
{
    u8 *target = to;
    const u8 *source = from;
    if (in_words(to, from, bytes)) {
        for (size_t i = 0; i < bytes / 8; i++)
            ((u64 *)to)[i] = ((const u64 *)from)[i];
        return;
    }
    for (size_t i = 0; i < bytes; i++)
        target[i] = source[i];
}

bool mdl_is_zero(const void *at, size_t bytes)
{
    const u8 *byte = at;
    u64 any = 0;
    if (in_words(at, at, bytes)) {
        for (size_t i = 0; i < bytes / 8; i++)
            any |= ((const u64 *)at)[i];
        return any == 0;
    }
    for (size_t i = 0; i < bytes; i++)
        any |= byte[i];
    return any == 0;
}

u64 mdl_divide(unsigned __int128 dividend, u64 divisor)
{
    u64 quotient = 0;
    unsigned __int128 rest = 0;
    for (int bit = 127; bit >= 0; bit--) {
        rest = rest << 1 | (u64)(dividend >> bit & 1);
        quotient <<= 1;
        if (rest >= divisor) {
            rest -= divisor;
            quotient |= 1;
        }
    }
    return quotient;
}
