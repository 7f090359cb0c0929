/* The firmware's memory map: what is free and what is memory, for maps as servers have them and for those that no firmware
 * should give. The descriptors are written here byte by byte. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "kernel/memory_map.h"

#define PAGE  0x1000ull
#define G     0x40000000ull
#define M     0x100000ull
#define T     0x10000000000ull
#define COUNT 3000u

/* UEFI 2.10, table 7.10. */
enum {
    RESERVED,
    LOADER_DATA = 2,
    BOOT_CODE,
    BOOT_DATA,
    RUNTIME_DATA = 6,
    FREE,
    UNUSABLE,
    NVS = 10,
    MMIO,
    NVDIMM = 14,
    UNACCEPTED
};
#define WB          0x8ull
#define PURPOSE     0x40000ull
#define RUNTIME     0x8000000000000000ull
#define PERSISTENCE 0x8000ull

static unsigned char map[COUNT * 80];
static uint64_t used, step;
static struct phys_range free_room[2 * COUNT + 2], described_room[2 * COUNT + 2];
static struct memory_map m;

static int fresh(void **state)
{
    memset(map, 0xee, sizeof(map));
    used = 0;
    step = 48;
    m = (struct memory_map){.free = {.r = free_room, .max = 2 * COUNT + 2},
                            .described = {.r = described_room, .max = 2 * COUNT + 2}};
    return 0;
}

static void describe_as(uint32_t type, uint64_t base, uint64_t pages, uint64_t attributes)
{
    const uint64_t words[5] = {type, base, 0, pages, attributes};
    memcpy(map + used, words, sizeof(words));
    used += step;
}

static void describe(uint32_t type, uint64_t base, uint64_t end)
{
    describe_as(type, base, (end - base) / PAGE, WB);
}

static void read_map(void)
{
    assert_true(memory_map_read(&m, map, used, step));
}

static void assert_free(unsigned i, uint64_t base, uint64_t end)
{
    assert_true(i < m.free.count);
    assert_int_equal(m.free.r[i].base.raw, base);
    assert_int_equal(m.free.r[i].base.raw + m.free.r[i].bytes, end);
}

/* Two sockets of 512 GiB: what is below 4 GiB in pieces, the rest of the first node behind the hole, the second behind it. */
static void test_a_server_of_two_sockets(void **state)
{
    describe(BOOT_CODE, 0, PAGE);
    describe(FREE, PAGE, 0x9f000);
    describe(RESERVED, 0x9f000, 0xa0000);
    describe(FREE, M, 0x5d3f7000);
    describe(BOOT_DATA, 0x5d3f7000, 0x60000000);
    describe(LOADER_DATA, 0x60000000, 0x60800000);
    describe(FREE, 0x60800000, 0x6a0cf000);
    describe(NVS, 0x6a0cf000, 0x6b2f0000);
    describe(RUNTIME_DATA, 0x6b2f0000, 0x6f800000);
    describe(RESERVED, 0x6f800000, 0x90000000); /* TSEG, graphics, MMCONFIG */
    describe(MMIO, 0xfe010000, 0xfe011000);
    describe(FREE, 4 * G, 514 * G);
    describe(FREE, 514 * G, 1026 * G);
    describe(NVDIMM, 1026 * G, 1282 * G);
    read_map();
    assert_int_equal(m.free.count, 3);
    assert_free(0, M, 0x60000000);
    assert_free(1, 0x60800000, 0x6a0cf000);
    assert_free(2, 4 * G, 1026 * G);
    assert_int_equal(m.described.count, 3);
    assert_int_equal(m.described.r[1].base.raw, M);
    assert_int_equal(m.described.r[1].bytes, 0x90000000 - M);
    assert_int_equal(m.described.r[2].bytes, (1282 - 4) * G);
    assert_int_equal(m.set_aside_bytes, 256 * G);
    assert_int_equal(m.overlap_bytes + m.beyond_bytes + m.bad + m.free.given_up, 0);
}

static void test_low_memory_is_left_alone(void **state)
{
    describe(FREE, 0, 2 * M);
    read_map();
    assert_int_equal(m.free.count, 1);
    assert_free(0, M, 2 * M);
    assert_true(ranges_hold(&m.described, 0, 2 * M));
}

/* A second descriptor for part of the largest: counted once. */
static void test_free_twice(void **state)
{
    describe(FREE, 4 * G, 8 * G);
    describe(FREE, 4 * G + 256 * M, 4 * G + 320 * M);
    read_map();
    assert_int_equal(m.free.count, 1);
    assert_free(0, 4 * G, 8 * G);
    assert_int_equal(m.overlap_bytes, 64 * M);
}

/* Free for one descriptor, used or no memory for another, in either order: left alone. */
static void test_free_and_used(void **state)
{
    describe(NVS, 5 * G, 5 * G + M);
    describe(FREE, 4 * G, 8 * G);
    describe(MMIO, 6 * G, 6 * G + M); /* a framebuffer */
    describe(RUNTIME_DATA, 7 * G, 9 * G);
    read_map();
    assert_int_equal(m.free.count, 3);
    assert_free(0, 4 * G, 5 * G);
    assert_free(1, 5 * G + M, 6 * G);
    assert_free(2, 6 * G + M, 7 * G);
    assert_int_equal(m.overlap_bytes, 2 * M + G);
    assert_false(ranges_hold(&m.described, 6 * G, 6 * G + M));
    assert_true(ranges_hold(&m.described, 5 * G, 6 * G));
    assert_int_equal(m.described.r[m.described.count - 1].bytes, 3 * G - M);
}

static void test_attributes_set_memory_aside(void **state)
{
    describe_as(FREE, 4 * G, G / PAGE, WB | PURPOSE);
    describe_as(FREE, 5 * G, G / PAGE, WB | RUNTIME);
    describe_as(FREE, 6 * G, G / PAGE, WB | PERSISTENCE);
    describe_as(UNACCEPTED, 7 * G, G / PAGE, WB);
    describe_as(BOOT_DATA, 8 * G, G / PAGE, WB);
    read_map();
    assert_int_equal(m.free.count, 1);
    assert_free(0, 8 * G, 9 * G);
    assert_int_equal(m.set_aside_bytes, 3 * G);
    assert_false(ranges_hold(&m.described, 7 * G, 7 * G + PAGE));
}

static void test_descriptors_without_sense(void **state)
{
    describe_as(FREE, 4 * G, 0, WB);
    describe_as(FREE, 4 * G + 1, 1, WB);
    describe_as(FREE, 4 * G, ~0ull, WB);
    describe_as(FREE, 0xfffffffffffff000, 1, WB); /* its end is no address */
    describe_as(FREE, 4 * G, (1ull << 52), WB);
    describe(FREE, 8 * G, 9 * G);
    used += 17; /* and a part of one */
    read_map();
    assert_int_equal(m.bad, 5);
    assert_int_equal(m.free.count, 1);
    assert_free(0, 8 * G, 9 * G);
}

/* Four levels of page tables map 47 bits; 16 TiB, and what lies above 2^46, fit. */
static void test_high_memory(void **state)
{
    describe(FREE, 64 * T, 80 * T);
    describe(FREE, 127 * T, 130 * T);
    describe(FREE, 4096 * T, 4097 * T);
    describe_as(FREE, 8192 * T, T / PAGE, WB | PURPOSE);
    read_map();
    assert_int_equal(m.free.count, 2);
    assert_free(0, 64 * T, 80 * T);
    assert_free(1, 127 * T, 128 * T);
    assert_int_equal(m.beyond_bytes, 3 * T);
    assert_int_equal(m.set_aside_bytes, T);
}

/* Descriptors may be longer than version 1 has them, and are never shorter. */
static void test_sizes_of_a_descriptor(void **state)
{
    for (step = 40; step <= 80; step += 8) {
        used = 0;
        describe(FREE, 4 * G, 5 * G);
        describe(FREE, 6 * G, 7 * G);
        read_map();
        assert_int_equal(m.free.count, 2);
    }
    assert_false(memory_map_read(&m, map, used, 39));
    assert_false(memory_map_read(&m, map, used, 0));
    assert_int_equal(m.free.count, 0);
}

/* Thousands of holes, the map upside down: nothing is lost. */
static void test_thousands_of_holes(void **state)
{
    for (uint64_t i = COUNT; i-- > 0;)
        describe(i % 2 ? FREE : RUNTIME_DATA, 4 * G + i * 20 * PAGE, 4 * G + (i + 1) * 20 * PAGE);
    read_map();
    assert_int_equal(m.free.count, COUNT / 2);
    assert_int_equal(ranges_bytes(&m.free), COUNT / 2 * 20 * PAGE);
    assert_int_equal(m.free.given_up, 0);
    assert_int_equal(m.described.count, 1);
}

/* The room that is promised holds whatever may come: each descriptor cuts the largest in two. */
static void test_room_is_enough(void **state)
{
    describe(FREE, 4 * G, 16 * G);
    for (uint64_t i = 1; i < COUNT; i++)
        describe(i % 2 ? MMIO : NVS, 4 * G + 2 * i * PAGE, 4 * G + (2 * i + 1) * PAGE);
    m.free.max = m.described.max = memory_map_room(used, step);
    read_map();
    assert_int_equal(m.free.count, COUNT);
    assert_int_equal(m.free.given_up + m.described.given_up, 0);
    assert_int_equal(ranges_bytes(&m.free), 12 * G - (COUNT - 1) * PAGE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_a_server_of_two_sockets, fresh),
        cmocka_unit_test_setup(test_low_memory_is_left_alone, fresh),
        cmocka_unit_test_setup(test_free_twice, fresh),
        cmocka_unit_test_setup(test_free_and_used, fresh),
        cmocka_unit_test_setup(test_attributes_set_memory_aside, fresh),
        cmocka_unit_test_setup(test_descriptors_without_sense, fresh),
        cmocka_unit_test_setup(test_high_memory, fresh),
        cmocka_unit_test_setup(test_sizes_of_a_descriptor, fresh),
        cmocka_unit_test_setup(test_thousands_of_holes, fresh),
        cmocka_unit_test_setup(test_room_is_enough, fresh),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
