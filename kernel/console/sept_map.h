/*
 * The picture of a TD's memory that `sept map` draws: one letter a cell, 64 cells a row, so that a row fits into 80 columns. A cell
 * stands at a multiple of its size: 4K where that makes few enough cells, else 2M, else a power of two times as much.
 */
#ifndef KERNEL_CONSOLE_SEPT_MAP_H
#define KERNEL_CONSOLE_SEPT_MAP_H

#include "kernel/console/json.h"
#include "mm/tdp.h"

#define SEPT_MAP_CELLS_MAX 1024u /* 16 rows */

/* name in the `@` line, letter, colour (SGR parameter of ECMA-48) */
/* clang-format off */
#define SEPT_MAP_KINDS(X)          \
    X(1G, "1g", 'G', "92")         \
    X(2M, "2m", 'M', "32")         \
    X(4K, "4k", 'k', "33")         \
    X(MIXED, "mixed", 'x', "35")   \
    X(BLOCKED, "blocked", 'B', "31") \
    X(SHARED, "shared", 's', "36") \
    X(PENDING, "pending", 'p', "94") \
    X(ABSENT, "absent", '.', "90")
/* clang-format on */
enum sept_map_kind {
#define X(kind, name, letter, colour) SEPT_MAP_##kind,
    SEPT_MAP_KINDS(X)
#undef X
        SEPT_MAP_KIND_COUNT
};

struct sept_map {
    gpa_t from, first; /* what was asked for, and where the first cell begins */
    u64 bytes, cell_bytes;
    unsigned cells;
    u8 seen[SEPT_MAP_CELLS_MAX]; /* one bit a kind of what lies in the cell */
};

/* An empty map of [from, from + bytes). */
void sept_map_begin(struct sept_map *m, gpa_t from, u64 bytes);
/* For tdp_each_run(): notes a run of equal entries; what is outside the map is left out. */
void sept_map_add(gpa_t from, u64 bytes, level_t level, enum tdp_state state, void *map);

/* Of one kind only, or MIXED. */
enum sept_map_kind sept_map_kind(const struct sept_map *m, unsigned cell);

/* Scale, rows and legend. */
void sept_map_print(const struct sept_map *m, bool colour);
/* The members of the `@` line: gpa bytes cell_bytes cells {}. */
void sept_map_answer(const struct sept_map *m, struct json *j);

#endif
