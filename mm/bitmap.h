/*
 * Bitmaps of 64-bit words: runs are set, cleared and found a word at a time. The caller owns the words and the lock of
 * those who set bits in one word; bits that nobody is changing may be read without.
 */
#ifndef MM_BITMAP_H
#define MM_BITMAP_H

#include "lib/bits.h"

#define BITMAP_WORDS(bits) (((bits) + 63) / 64)

static inline bool bitmap_get(const u64 *words, u64 bit)
{
    return __atomic_load_n(&words[bit / 64], __ATOMIC_RELAXED) >> (bit % 64) & 1;
}

/* Gives `count` bits from `first` on the value `to`; returns how many of them had another one. */
u64 bitmap_set(u64 *words, u64 first, u64 count, bool to);

/* The first bit of [first, end) that has `value`, or `end`. */
u64 bitmap_find(const u64 *words, u64 first, u64 end, bool value);

#endif
