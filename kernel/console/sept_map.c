/* The picture of a TD's memory. See sept_map.h. */
#include "kernel/console/sept_map.h"

#include "kernel/print.h"
#include "lib/bits.h"
#include "lib/format.h"

#define ROW_CELLS  64u
#define ROW_BYTES  512u /* the row's address, and for each cell a letter and a change of colour */
#define LEGEND_ROW 4u

static const struct {
    const char *name;
    char letter;
    const char *colour;
} kinds[SEPT_MAP_KIND_COUNT] = {
#define X(kind, name, letter, colour) [SEPT_MAP_##kind] = {name, letter, colour},
    SEPT_MAP_KINDS(X)
#undef X
};

/* --- cells -------------------------------------------------------------------------------------------------------- */

static void scale(struct sept_map *m, u64 cell_bytes)
{
    m->cell_bytes = cell_bytes;
    m->first = (gpa_t){align_down(m->from.raw, cell_bytes)};
    m->cells = 0;
    u64 cells = (m->from.raw + m->bytes - 1 - m->first.raw) / cell_bytes + 1;
    if (cells <= SEPT_MAP_CELLS_MAX)
        m->cells = (unsigned)cells;
}

void sept_map_begin(struct sept_map *m, gpa_t from, u64 bytes)
{
    *m = (struct sept_map){.from = from, .bytes = bytes};
    scale(m, level_bytes(LEVEL_4K));
    for (u64 size = level_bytes(LEVEL_2M); m->cells == 0; size *= 2)
        scale(m, size);
}

static enum sept_map_kind kind_of(level_t level, enum tdp_state state)
{
    static const enum sept_map_kind mapped[] = {SEPT_MAP_4K, SEPT_MAP_2M, SEPT_MAP_1G};

    switch (state) {
    case TDP_MAPPED:
        return mapped[level.raw];
    case TDP_PENDING:
        return SEPT_MAP_PENDING;
    case TDP_BLOCKED:
    case TDP_PENDING_BLOCKED:
        return SEPT_MAP_BLOCKED;
    case TDP_IS_SHARED:
        return SEPT_MAP_SHARED;
    default:
        return SEPT_MAP_ABSENT;
    }
}

void sept_map_add(gpa_t from, u64 bytes, level_t level, enum tdp_state state, void *map)
{
    struct sept_map *m = map;
    u64 begin = max_u64(from.raw, m->from.raw), end = min_u64(from.raw + bytes, m->from.raw + m->bytes);

    for (u64 at = begin; at < end; at = align_down(at, m->cell_bytes) + m->cell_bytes)
        m->seen[(at - m->first.raw) / m->cell_bytes] |= (u8)(1u << kind_of(level, state));
}

enum sept_map_kind sept_map_kind(const struct sept_map *m, unsigned cell)
{
    u8 seen = m->seen[cell];

    if (seen == 0)
        return SEPT_MAP_ABSENT;
    return (seen & (seen - 1)) != 0 ? SEPT_MAP_MIXED : (enum sept_map_kind)__builtin_ctz(seen);
}

static void count(const struct sept_map *m, unsigned counts[SEPT_MAP_KIND_COUNT])
{
    for (unsigned k = 0; k < SEPT_MAP_KIND_COUNT; k++)
        counts[k] = 0;
    for (unsigned i = 0; i < m->cells; i++)
        counts[sept_map_kind(m, i)]++;
}

/* --- drawing ------------------------------------------------------------------------------------------------------ */

static void print_scale(const struct sept_map *m)
{
    char cell[PRINT_SIZE_BYTES], row[PRINT_SIZE_BYTES];
    u64 regions = m->cell_bytes / level_bytes(LEVEL_2M);

    print("one cell %s, one row %s", print_size(cell, m->cell_bytes), print_size(row, m->cell_bytes * ROW_CELLS));
    if (regions > 1)
        print("; a cell stands for %llu regions of 2M", (unsigned long long)regions);
    print("\n");
}

static void print_row(const struct sept_map *m, unsigned first, bool colour)
{
    char text[ROW_BYTES];
    u64 gpa = m->first.raw + first * m->cell_bytes;
    size_t used = format_to(text, sizeof(text), "%12llx ", (unsigned long long)gpa);
    unsigned last = SEPT_MAP_KIND_COUNT;

    for (unsigned i = first; i < m->cells && i < first + ROW_CELLS; i++) {
        enum sept_map_kind kind = sept_map_kind(m, i);
        if (colour && kind != last)
            used += format_to(text + used, sizeof(text) - used, "\x1b[%sm", kinds[kind].colour);
        last = kind;
        text[used++] = kinds[kind].letter;
    }
    used += format_to(text + used, sizeof(text) - used, "%s\n", colour ? "\x1b[0m" : "");
    print_bytes(text, used);
}

static void print_legend(const struct sept_map *m, bool colour)
{
    unsigned counts[SEPT_MAP_KIND_COUNT];

    count(m, counts);
    for (unsigned k = 0; k < SEPT_MAP_KIND_COUNT; k++) {
        if (colour)
            print("\x1b[%sm", kinds[k].colour);
        print("  %c%s %-8s%5u%s", kinds[k].letter, colour ? "\x1b[0m" : "", kinds[k].name, counts[k],
              k % LEGEND_ROW == LEGEND_ROW - 1 ? "\n" : "");
    }
}

void sept_map_print(const struct sept_map *m, bool colour)
{
    print_begin(); /* a picture is one piece */
    print_scale(m);
    for (unsigned i = 0; i < m->cells; i += ROW_CELLS)
        print_row(m, i, colour);
    print_legend(m, colour);
    print_end();
}

void sept_map_answer(const struct sept_map *m, struct json *j)
{
    unsigned counts[SEPT_MAP_KIND_COUNT];

    count(m, counts);
    json_hex(j, "gpa", m->from.raw);
    json_number(j, "bytes", m->bytes);
    json_number(j, "cell_bytes", m->cell_bytes);
    json_object(j, "cells");
    for (unsigned k = 0; k < SEPT_MAP_KIND_COUNT; k++)
        json_number(j, kinds[k].name, counts[k]);
    json_end_object(j);
}
