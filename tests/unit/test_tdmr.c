/*
 * The layout of TDMRs: every layout is held against the rules of SYS.CONFIG, written down here once more, and against
 * the memory that went in; then particular ones by their numbers, and thousands of random ones.
 */
#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>

#include "tdx/module_internal.h"

#define K4 0x1000ull
#define M1 0x100000ull
#define G1 0x40000000ull

static struct tdmr_layout layout;
static const struct tdmr_limits limits = {.tdmrs_max = 64, .reserved_max = 16, .pamt_entry_bytes = {16, 16, 16}};

static struct phys_range range(u64 base, u64 end)
{
    return (struct phys_range){{base}, end - base};
}

/* --- the rules ---------------------------------------------------------------------------------------------------- */

static bool is_reserved(const struct tdmr_info *t, u64 at)
{
    for (unsigned i = 0; i < 16; i++)
        if (at - t->base >= t->reserved[i].offset && at - t->base < t->reserved[i].offset + t->reserved[i].bytes)
            return true;
    return false;
}

static bool is_in(const struct phys_range *r, unsigned count, u64 base, u64 end)
{
    for (unsigned i = 0; i < count && base < end; i++)
        if (base >= r[i].base.raw && base < r[i].base.raw + r[i].bytes)
            base = r[i].base.raw + r[i].bytes; /* sorted: what is left lies behind */
    return base >= end;
}

static void check_reserved(const struct tdmr_info *t)
{
    u64 behind = 0;
    bool ended = false;
    for (unsigned i = 0; i < 16; i++) {
        if (t->reserved[i].bytes == 0) {
            ended = true;
            continue;
        }
        assert_false(ended); /* a used one behind a null one */
        assert_true(t->reserved[i].offset % K4 == 0 && t->reserved[i].bytes % K4 == 0);
        assert_true(i == 0 ? t->reserved[i].offset >= behind : t->reserved[i].offset > behind);
        behind = t->reserved[i].offset + t->reserved[i].bytes;
        assert_true(behind <= t->bytes);
    }
}

/* Calls `seen` for each run of a TDMR that is not reserved; gives their sum. */
static u64 each_open(const struct tdmr_info *t, void (*seen)(u64 base, u64 end, void *arg), void *arg)
{
    u64 at = t->base, sum = 0;
    for (unsigned i = 0; i <= 16; i++) {
        bool last = i == 16 || t->reserved[i].bytes == 0;
        u64 to = last ? t->base + t->bytes : t->base + t->reserved[i].offset;
        if (to > at) {
            sum += to - at;
            seen(at, to, arg);
        }
        if (last)
            break;
        at = to + t->reserved[i].bytes;
    }
    return sum;
}

struct world {
    const struct phys_range *memory, *cmrs;
    unsigned memory_count, cmr_count;
};

static void check_open(u64 base, u64 end, void *arg)
{
    const struct world *w = arg;
    assert_true(is_in(w->memory, w->memory_count, base, end));
    assert_true(is_in(w->cmrs, w->cmr_count, base, end));
}

static void check_layout(const struct world *w)
{
    u64 behind = 0, memory = 0;
    for (unsigned i = 0; i < layout.count; i++) {
        const struct tdmr_info *t = &layout.tdmrs[i];
        assert_true(t->bytes > 0 && t->base % G1 == 0 && t->bytes % G1 == 0);
        assert_true(t->base >= behind);
        behind = t->base + t->bytes;
        check_reserved(t);
        memory += each_open(t, check_open, (void *)w);
    }
    assert_int_equal(memory, layout.memory_bytes);
    u64 all = 0;
    for (unsigned i = 0; i < w->memory_count; i++)
        all += w->memory[i].bytes;
    assert_int_equal(all, layout.memory_bytes + layout.dropped_bytes);
}

static enum err plan(const struct world *w, u64 limit)
{
    enum err e = tdmr_plan(&layout, &limits, w->memory, w->memory_count, w->cmrs, w->cmr_count, limit);
    if (e == ERR_OK)
        check_layout(w);
    return e;
}

#define WORLD(memory, cmrs) ((struct world){memory, cmrs, ARRAY_COUNT(memory), ARRAY_COUNT(cmrs)})

/* --- particular layouts ------------------------------------------------------------------------------------------- */

static void one_aligned_range_needs_no_hole(void **state)
{
    struct phys_range m[] = {range(4 * G1, 8 * G1)}, c[] = {range(4 * G1, 16 * G1)};
    struct world w = WORLD(m, c);
    assert_int_equal(plan(&w, 0), ERR_OK);
    assert_int_equal(layout.count, 1);
    assert_int_equal(layout.tdmrs[0].base, 4 * G1);
    assert_int_equal(layout.tdmrs[0].bytes, 4 * G1);
    assert_int_equal(layout.tdmrs[0].reserved[0].bytes, 0);
    assert_int_equal(layout.memory_bytes, 4 * G1);
}

static void unaligned_ends_become_reserved(void **state)
{
    struct phys_range m[] = {range(M1, 2 * G1 - 7 * K4)}, c[] = {range(0, 4 * G1)};
    struct world w = WORLD(m, c);
    assert_int_equal(plan(&w, 0), ERR_OK);
    assert_int_equal(layout.count, 1);
    assert_int_equal(layout.tdmrs[0].bytes, 2 * G1);
    assert_int_equal(layout.tdmrs[0].reserved[0].offset, 0);
    assert_int_equal(layout.tdmrs[0].reserved[0].bytes, M1);
    assert_int_equal(layout.tdmrs[0].reserved[1].offset, 2 * G1 - 7 * K4);
    assert_int_equal(layout.tdmrs[0].reserved[1].bytes, 7 * K4);
}

/* The hole below 4 GiB: whole GiBs without memory belong to no TDMR. */
static void gap_of_gibs_ends_a_tdmr(void **state)
{
    struct phys_range m[] = {range(M1, 2 * G1), range(4 * G1, 5 * G1)};
    struct phys_range c[] = {range(M1, 2 * G1), range(4 * G1, 5 * G1)};
    struct world w = WORLD(m, c);
    assert_int_equal(plan(&w, 0), ERR_OK);
    assert_int_equal(layout.count, 2);
    assert_int_equal(layout.tdmrs[1].base, 4 * G1);
}

static void memory_outside_cmrs_is_left_out(void **state)
{
    struct phys_range m[] = {range(G1, 3 * G1)}, c[] = {range(G1 + M1, 2 * G1), range(2 * G1, 2 * G1 + 5 * M1)};
    struct world w = WORLD(m, c);
    assert_int_equal(plan(&w, 0), ERR_OK);
    assert_int_equal(layout.memory_bytes, G1 + 4 * M1);
    assert_int_equal(layout.dropped_bytes, G1 - 4 * M1);
    assert_int_equal(layout.tdmrs[0].reserved[1].offset, G1 + 5 * M1); /* CMRs that touch leave no hole between them */
    struct phys_range elsewhere[] = {range(8 * G1, 9 * G1)};
    struct world none = WORLD(m, elsewhere);
    assert_int_equal(plan(&none, 0), ERR_NO_MEMORY);
}

/* 40 pieces in one GiB: 14 holes are allowed (two areas stay free for PAMTs), and the big piece must not be the one to
 * go. */
static void too_many_holes_cost_the_smallest_pieces(void **state)
{
    struct phys_range m[41], c[] = {range(0, 4 * G1)};
    for (unsigned i = 0; i < 40; i++)
        m[i] = range(G1 + i * M1, G1 + i * M1 + (i + 1) * K4);
    m[40] = range(G1 + 64 * M1, 2 * G1);
    struct world w = WORLD(m, c);
    assert_int_equal(plan(&w, 0), ERR_OK);
    assert_int_equal(layout.count, 1);
    u64 dropped = 0;
    for (unsigned i = 0; i < 40 - 13; i++)
        dropped += (i + 1) * K4;
    assert_int_equal(layout.dropped_bytes, dropped);
}

/* Holes beyond the limit, but in different GiBs: cut into several TDMRs, nothing is lost. */
static void holes_in_many_gibs_make_several_tdmrs(void **state)
{
    struct phys_range m[40], c[] = {range(0, 64 * G1)};
    for (unsigned i = 0; i < 40; i++)
        m[i] = range(i * G1 + M1, (i + 1) * G1);
    struct world w = WORLD(m, c);
    assert_int_equal(plan(&w, 0), ERR_OK);
    assert_true(layout.count > 1);
    assert_int_equal(layout.dropped_bytes, 0);
}

static void more_tdmrs_than_the_module_takes_are_dropped(void **state)
{
    struct tdmr_limits few = limits;
    few.tdmrs_max = 2;
    struct phys_range m[] = {range(G1, 2 * G1), range(4 * G1, 5 * G1), range(8 * G1, 9 * G1)},
                      c[] = {range(0, 16 * G1)};
    struct world w = WORLD(m, c);
    assert_int_equal(tdmr_plan(&layout, &few, m, 3, c, 1, 0), ERR_OK);
    check_layout(&w);
    assert_int_equal(layout.count, 2);
    assert_int_equal(layout.dropped_bytes, G1);
}

static void limit_bounds_the_memory(void **state)
{
    struct phys_range m[] = {range(G1, 2 * G1), range(4 * G1, 8 * G1)}, c[] = {range(0, 16 * G1)};
    struct world w = WORLD(m, c);
    assert_int_equal(plan(&w, G1 + 3 * M1), ERR_OK);
    assert_int_equal(layout.memory_bytes, G1 + 3 * M1);
    assert_int_equal(layout.count, 2);
    assert_int_equal(layout.tdmrs[1].bytes, G1);
}

/* No reserved area begins inside a page, whatever the limit is. */
static void limit_counts_whole_pages(void **state)
{
    struct phys_range m[] = {range(G1, 2 * G1), range(4 * G1, 8 * G1)}, c[] = {range(0, 16 * G1)};
    struct world w = WORLD(m, c);
    static const u64 beyond[] = {0, 1, 1024, K4 - 1};
    for (unsigned i = 0; i < ARRAY_COUNT(beyond); i++) {
        assert_int_equal(plan(&w, G1 + 3 * M1 + beyond[i]), ERR_OK);
        assert_int_equal(layout.memory_bytes, G1 + 3 * M1);
        assert_int_equal(plan(&w, K4 + beyond[i]), ERR_OK);
        assert_int_equal(layout.memory_bytes, K4);
    }
    assert_int_equal(plan(&w, K4 - 1), ERR_NO_MEMORY);
}

/* --- PAMTs -------------------------------------------------------------------------------------------------------- */

static u64 supply[8];
static unsigned supply_count, supply_used, refusals;
static u64 asked[8];

static hpa_t take(u64 bytes, u64 align)
{
    assert_true(bytes % K4 == 0 && align == K4);
    if (refusals) {
        refusals--;
        return HPA_NONE;
    }
    if (supply_used == supply_count)
        return HPA_NONE;
    asked[supply_used] = bytes;
    return (hpa_t){supply[supply_used++]};
}

static void give_supply(unsigned count, u64 a, u64 b, unsigned refuse)
{
    supply[0] = a;
    supply[1] = b;
    supply_count = count;
    supply_used = 0;
    refusals = refuse;
}

/* Sizes from the specification: 16 bytes for each 4K, 2M and 1G page. */
static void pamt_sizes(void **state)
{
    assert_int_equal(tdmr_pamt_bytes(G1, LEVEL_4K, 16), 4 * M1);
    assert_int_equal(tdmr_pamt_bytes(G1, LEVEL_2M, 16), 8192);
    assert_int_equal(tdmr_pamt_bytes(G1, LEVEL_1G, 16), 4096);
    assert_int_equal(tdmr_pamt_bytes(512 * G1, LEVEL_1G, 16), 8192);
}

/* No PAMT meets another, nor memory that is not reserved. */
static void check_pamts(void)
{
    for (unsigned i = 0; i < layout.count; i++) {
        const struct tdmr_info *t = &layout.tdmrs[i];
        check_reserved(t);
        for (unsigned p = 0; p < 3; p++) {
            u64 pages = t->bytes / (p == 0 ? G1 : p == 1 ? 2 * M1 : K4);
            assert_true(t->pamt[p].bytes >= pages * 16 && t->pamt[p].base % K4 == 0);
            for (unsigned j = 0; j < layout.count; j++) {
                const struct tdmr_info *o = &layout.tdmrs[j];
                for (u64 at = t->pamt[p].base; at < t->pamt[p].base + t->pamt[p].bytes; at += K4)
                    assert_true(at < o->base || at >= o->base + o->bytes || is_reserved(o, at));
                for (unsigned q = 0; q < 3; q++)
                    assert_true((i == j && p == q) || t->pamt[p].base >= o->pamt[q].base + o->pamt[q].bytes ||
                                o->pamt[q].base >= t->pamt[p].base + t->pamt[p].bytes);
            }
        }
    }
}

static void pamts_in_one_block_inside_a_tdmr(void **state)
{
    struct phys_range m[] = {range(M1, G1), range(4 * G1, 5 * G1)}, c[] = {range(0, 16 * G1)};
    struct world w = WORLD(m, c);
    assert_int_equal(plan(&w, 0), ERR_OK);
    give_supply(1, 4 * G1 + 64 * M1, 0, 0);
    assert_int_equal(tdmr_place_pamts(&layout, &limits, take), ERR_OK);
    check_pamts();
    assert_int_equal(supply_used, 1);
    assert_int_equal(layout.pamt_bytes, 2 * (4 * M1 + 8192 + 4096));
    assert_int_equal(asked[0], layout.pamt_bytes);
    assert_int_equal(layout.tdmrs[1].reserved[0].offset, 64 * M1);
    assert_int_equal(layout.tdmrs[1].reserved[0].bytes, layout.pamt_bytes);
}

/* A PAMT that touches a hole makes it larger instead of being one more. */
static void pamt_beside_a_hole_joins_it(void **state)
{
    struct phys_range m[] = {range(G1 + M1, 2 * G1)}, c[] = {range(0, 16 * G1)};
    struct world w = WORLD(m, c);
    assert_int_equal(plan(&w, 0), ERR_OK);
    give_supply(1, G1 + M1, 0, 0);
    assert_int_equal(tdmr_place_pamts(&layout, &limits, take), ERR_OK);
    check_pamts();
    assert_int_equal(layout.tdmrs[0].reserved[0].bytes, M1 + layout.pamt_bytes);
    assert_int_equal(layout.tdmrs[0].reserved[1].bytes, 0);
}

static void pamts_one_by_one_where_no_block_is_large_enough(void **state)
{
    struct phys_range m[] = {range(M1, G1), range(4 * G1, 5 * G1)}, c[] = {range(0, 16 * G1)};
    struct world w = WORLD(m, c);
    assert_int_equal(plan(&w, 0), ERR_OK);
    give_supply(2, 512 * M1, 4 * G1 + 512 * M1, 1);
    assert_int_equal(tdmr_place_pamts(&layout, &limits, take), ERR_OK);
    check_pamts();
    assert_int_equal(supply_used, 2);
    assert_int_equal(plan(&w, 0), ERR_OK);
    give_supply(1, 512 * M1, 0, 1);
    assert_int_equal(tdmr_place_pamts(&layout, &limits, take), ERR_NO_MEMORY);
}

/* --- servers ------------------------------------------------------------------------------------------------------ */

#define T1 (1024 * G1)

/* The report: 17 holes in one GiB. 14 fit beside two for PAMTs, so that the smallest pieces go; the first of them, with no hole in
 * front, spares none. */
static void seventeen_holes_in_one_gib(void **state)
{
    struct phys_range m[18], c[] = {range(0, 8 * G1)};
    for (unsigned i = 0; i < 17; i++)
        m[i] = range(G1 + i * 32 * M1, G1 + i * 32 * M1 + (i + 4) * M1);
    m[17] = range(G1 + 17 * 32 * M1, 4 * G1);
    struct world w = WORLD(m, c);
    assert_int_equal(plan(&w, 0), ERR_OK);
    assert_int_equal(layout.count, 1); /* and it goes on into the GiBs without holes */
    assert_int_equal(layout.tdmrs[0].bytes, 3 * G1);
    assert_int_equal(layout.dropped_bytes, (4 + 5 + 6 + 7) * M1);
}

/* A hundred runs of GiBs, of which the module takes 64: those that go are the smallest, wherever they stand. */
static void too_many_runs_cost_the_smallest(void **state)
{
    struct phys_range m[100], c[] = {range(0, T1)};
    u64 dropped = 0;
    for (unsigned i = 0; i < 100; i++) {
        unsigned size = i * 37 % 100;
        m[i] = range(4 * i * G1, 4 * i * G1 + (size + 1) * M1);
        dropped += size < 36 ? (size + 1) * M1 : 0;
    }
    struct world w = WORLD(m, c);
    assert_int_equal(plan(&w, 0), ERR_OK);
    assert_int_equal(layout.count, 64);
    assert_int_equal(layout.dropped_bytes, dropped);
}

/* More pieces than any table has, the largest in the end. */
static void thousands_of_pieces(void **state)
{
    static struct phys_range m[6000];
    struct phys_range c[] = {range(0, 16 * T1)};
    for (unsigned i = 0; i < 5999; i++)
        m[i] = range(G1 + i * M1, G1 + i * M1 + (1 + i % 7) * K4);
    m[5999] = range(8 * G1, 8 * T1);
    struct world w = WORLD(m, c);
    assert_int_equal(plan(&w, 0), ERR_OK);
    assert_true(layout.memory_bytes >= 8 * T1 - 8 * G1);
}

/* Sockets of equal size one behind the other, the first around the hole below 4 GiB. */
static u64 socket_bytes;

static hpa_t socket_end(hpa_t at)
{
    u64 socket = at.raw < 2 * G1 + socket_bytes ? 0 : (at.raw - 2 * G1) / socket_bytes;
    return (hpa_t){2 * G1 + (socket + 1) * socket_bytes};
}

static hpa_t near_to[8];
static unsigned near_count;

/* The end of the node's memory: whole GiBs in front of it stay. */
static hpa_t take_near(u64 bytes, hpa_t near)
{
    near_to[near_count++] = near;
    return (hpa_t){socket_end(near).raw - bytes};
}

static const struct tdx_numa sockets = {socket_end, take_near};

/* As public boot logs of machines with 1 to 4 TiB list their memory: pieces below 2 GiB, then all from 4 GiB on. */
static void check_server(unsigned count, u64 each)
{
    struct phys_range m[] = {range(M1, 0x5d3f7 * K4), range(0x60000 * K4, 0x6a0cf * K4), range(0x6f7ff * K4, 2 * G1),
                             range(4 * G1, 2 * G1 + count * each)};
    struct phys_range c[] = {range(M1, 0x778 * M1), range(4 * G1, 2 * G1 + count * each)};
    struct world w = WORLD(m, c);
    struct tdmr_limits l = limits;
    socket_bytes = each;
    near_count = 0;
    l.numa = &sockets;
    assert_int_equal(tdmr_plan(&layout, &l, m, ARRAY_COUNT(m), c, ARRAY_COUNT(c), 0), ERR_OK);
    check_layout(&w);
    assert_int_equal(layout.count, 1 + count); /* below 2 GiB, and one a socket */
    for (unsigned i = 1; i < layout.count; i++)
        assert_true(socket_end((hpa_t){layout.tdmrs[i].base}).raw == layout.tdmrs[i].base + layout.tdmrs[i].bytes);
    assert_int_equal(layout.dropped_bytes, 2 * G1 - 0x778 * M1);
    assert_int_equal(tdmr_place_pamts(&layout, &l, NULL), ERR_OK);
    check_pamts();
    assert_int_equal(near_count, count);
    for (unsigned i = 0; i < count; i++) {
        const struct tdmr_info *t = &layout.tdmrs[i + 1];
        assert_true(near_to[i].raw <= t->base && t->pamt[2].base >= t->base && t->pamt[2].base < t->base + t->bytes);
    }
}

static void servers_of_two_and_four_sockets(void **state)
{
    check_server(2, 512 * G1);
    check_server(2, T1);
    check_server(4, 512 * G1);
    check_server(4, T1);
}

/* No memory above 2^46 less than below it. */
static void sixteen_tebibytes_above_2_46(void **state)
{
    struct phys_range m[] = {range(64 * T1, 80 * T1)}, c[] = {range(64 * T1, 80 * T1)};
    struct world w = WORLD(m, c);
    assert_int_equal(plan(&w, 0), ERR_OK);
    assert_int_equal(layout.count, 1);
    assert_int_equal(layout.memory_bytes, 16 * T1);
}

/* --- random layouts ----------------------------------------------------------------------------------------------- */

static u64 random_below(u64 n)
{
    return (((u64)rand() << 31) ^ (u64)rand()) % n;
}

static unsigned random_ranges(struct phys_range *to, unsigned max, u64 step_max)
{
    u64 at = random_below(2 * G1 / K4) * K4;
    unsigned count = 1 + (unsigned)random_below(max);
    for (unsigned i = 0; i < count; i++) {
        u64 bytes = (1 + random_below(step_max)) * K4;
        to[i] = range(at, at + bytes);
        at += bytes + random_below(4) * random_below(step_max) * K4;
    }
    return count;
}

static void random_layouts_keep_the_rules(void **state)
{
    static struct phys_range m[200], c[32];
    srand(7);
    unsigned planned = 0;
    for (unsigned round = 0; round < 3000; round++) {
        u64 step = round % 3 == 0 ? 64 : round % 3 == 1 ? 0x8000 : 0x80000;
        struct world w = {.memory = m, .cmrs = c};
        w.memory_count = random_ranges(m, 200, step);
        w.cmr_count = random_ranges(c, 32, 4 * step);
        planned += plan(&w, round % 5 ? 0 : random_below(G1 / K4) * K4 + K4) == ERR_OK;
    }
    assert_true(planned > 1500);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_aligned_range_needs_no_hole),
        cmocka_unit_test(unaligned_ends_become_reserved),
        cmocka_unit_test(gap_of_gibs_ends_a_tdmr),
        cmocka_unit_test(memory_outside_cmrs_is_left_out),
        cmocka_unit_test(too_many_holes_cost_the_smallest_pieces),
        cmocka_unit_test(holes_in_many_gibs_make_several_tdmrs),
        cmocka_unit_test(more_tdmrs_than_the_module_takes_are_dropped),
        cmocka_unit_test(limit_bounds_the_memory),
        cmocka_unit_test(limit_counts_whole_pages),
        cmocka_unit_test(pamt_sizes),
        cmocka_unit_test(pamts_in_one_block_inside_a_tdmr),
        cmocka_unit_test(pamt_beside_a_hole_joins_it),
        cmocka_unit_test(pamts_one_by_one_where_no_block_is_large_enough),
        cmocka_unit_test(seventeen_holes_in_one_gib),
        cmocka_unit_test(too_many_runs_cost_the_smallest),
        cmocka_unit_test(thousands_of_pieces),
        cmocka_unit_test(servers_of_two_and_four_sockets),
        cmocka_unit_test(sixteen_tebibytes_above_2_46),
        cmocka_unit_test(random_layouts_keep_the_rules),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
