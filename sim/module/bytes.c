/* Filling, copying and comparing memory: see bytes.h. */
#include "sim/module/bytes.h"

void mdl_fill(void *to, u64 value, size_t count)
{
    u64 *word = to;
    for (size_t i = 0; i < count; i++)
        word[i] = value;
}

void mdl_copy(void *to, const void *from, size_t bytes)
{
    u8 *target = to;
    const u8 *source = from;
    for (size_t i = 0; i < bytes; i++)
        target[i] = source[i];
}

bool mdl_is_zero(const void *at, size_t bytes)
{
    const u8 *byte = at;
    for (size_t i = 0; i < bytes; i++)
        if (byte[i])
            return false;
    return true;
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
