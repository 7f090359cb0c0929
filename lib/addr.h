/*
 * Address kinds. Each kind is a one-member struct, so that a gpa in an hpa's place does not compile; gcc and clang make
 * the same code as for a bare u64. `.raw` is read only where an ABI word or a page-table entry is built or taken apart.
 */
#ifndef LIB_ADDR_H
#define LIB_ADDR_H

#include "lib/types.h"

/* clang-format off */
typedef struct { u64 raw; } hpa_t;       /* host physical address, no KeyID bits */
typedef struct { u64 raw; } keyed_hpa_t; /* host physical address with a KeyID in its upper bits, as VP.RD shows it */
typedef struct { u64 raw; } gpa_t;       /* guest physical address, the shared bit stripped */
typedef struct { u16 raw; } hkid_t;      /* host KeyID */
typedef struct { u8 raw; } level_t;      /* page-table level as TDX counts them: 0 = 4K, 1 = 2M, 2 = 1G, 3 = 512G */
/* clang-format on */

#define PAGE_SHIFT    12
#define PAGE_BYTES    (1ull << PAGE_SHIFT)
#define TABLE_SHIFT   9
#define TABLE_ENTRIES 512u

#define LEVEL_4K   ((level_t){0})
#define LEVEL_2M   ((level_t){1})
#define LEVEL_1G   ((level_t){2})
#define LEVEL_512G ((level_t){3})

#define HPA_NONE ((hpa_t){~0ull}) /* "no page": page aligned addresses never take this value */

/* clang-format off */
static inline unsigned level_shift(level_t l) { return PAGE_SHIFT + TABLE_SHIFT * l.raw; }
static inline u64 level_bytes(level_t l) { return 1ull << level_shift(l); }
static inline level_t level_below(level_t l) { return (level_t){(u8)(l.raw - 1)}; }
static inline level_t level_above(level_t l) { return (level_t){(u8)(l.raw + 1)}; }
static inline bool level_is(level_t a, level_t b) { return a.raw == b.raw; }

static inline hpa_t hpa_add(hpa_t a, u64 bytes) { return (hpa_t){a.raw + bytes}; }
static inline bool hpa_is(hpa_t a, hpa_t b) { return a.raw == b.raw; }
static inline bool hpa_is_aligned(hpa_t a, level_t l) { return (a.raw & (level_bytes(l) - 1)) == 0; }

static inline gpa_t gpa_add(gpa_t a, u64 bytes) { return (gpa_t){a.raw + bytes}; }
static inline bool gpa_is(gpa_t a, gpa_t b) { return a.raw == b.raw; }
static inline bool gpa_is_aligned(gpa_t a, level_t l) { return (a.raw & (level_bytes(l) - 1)) == 0; }
static inline gpa_t gpa_floor(gpa_t a, level_t l) { return (gpa_t){a.raw & ~(level_bytes(l) - 1)}; }
static inline unsigned gpa_index(gpa_t a, level_t l) { return (a.raw >> level_shift(l)) & (TABLE_ENTRIES - 1); }
/* clang-format on */

/* "4k", "2m", "1g", "512g": the names that the console uses. */
const char *level_name(level_t l);

#endif
