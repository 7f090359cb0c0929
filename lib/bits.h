/*
 * Bit fields of words that hardware or another CPU reads. A field F is a pair F_SHIFT and F_WIDTH; no C bit-fields.
 */
#ifndef LIB_BITS_H
#define LIB_BITS_H

#include "lib/types.h"

/* clang-format off */
#define BIT(n) (1ull << (n))
#define BITS_MASK(shift, width) ((~0ull >> (64 - (width))) << (shift))

#define FIELD_MASK(f) BITS_MASK(f##_SHIFT, f##_WIDTH)
#define FIELD_GET(f, word) (((u64)(word) & FIELD_MASK(f)) >> f##_SHIFT)
#define FIELD_PUT(f, value) (((u64)(value) << f##_SHIFT) & FIELD_MASK(f))
#define FIELD_SET(f, word, value) (((u64)(word) & ~FIELD_MASK(f)) | FIELD_PUT(f, value))

static inline u64 align_up(u64 v, u64 to) { return (v + to - 1) & ~(to - 1); }
static inline u64 align_down(u64 v, u64 to) { return v & ~(to - 1); }
static inline bool is_aligned(u64 v, u64 to) { return (v & (to - 1)) == 0; }
static inline u64 min_u64(u64 a, u64 b) { return a < b ? a : b; }
static inline u64 max_u64(u64 a, u64 b) { return a > b ? a : b; }
/* clang-format on */

#endif
