/* Bitmaps: see mm/bitmap.h. */
#include "mm/bitmap.h"

/* The bits of one word that belong to a run: `count` of them from `first` on, cut at the word's end. */
struct piece {
    u64 word, mask, count;
};

static struct piece piece_at(u64 first, u64 count)
{
    u64 in_word = min_u64(count, 64 - first % 64);
    return (struct piece){first / 64, BITS_MASK(first % 64, in_word), in_word};
}

/* No __builtin_popcountll: without the POPCNT instruction it becomes a call into libgcc. */
static u64 ones(u64 word)
{
    word -= word >> 1 & 0x5555555555555555ull;
    word = (word & 0x3333333333333333ull) + (word >> 2 & 0x3333333333333333ull);
    word = (word + (word >> 4)) & 0x0f0f0f0f0f0f0f0full;
    return word * 0x0101010101010101ull >> 56;
}

u64 bitmap_set(u64 *words, u64 first, u64 count, bool to)
{
    u64 changed = 0;
    while (count) {
        struct piece p = piece_at(first, count);
        u64 old = words[p.word], new = to ? old | p.mask : old & ~p.mask;
        __atomic_store_n(&words[p.word], new, __ATOMIC_RELAXED);
        changed += ones(old ^ new);
        first += p.count;
        count -= p.count;
    }
    return changed;
}

u64 bitmap_find(const u64 *words, u64 first, u64 end, bool value)
{
    while (first < end) {
        struct piece p = piece_at(first, end - first);
        u64 word = __atomic_load_n(&words[p.word], __ATOMIC_RELAXED), hits = (value ? word : ~word) & p.mask;
        if (hits)
            return p.word * 64 + (u64)__builtin_ctzll(hits);
        first += p.count;
    }
    return end;
}
