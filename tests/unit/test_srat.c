/* ACPI's SRAT, typed from ACPI 6.5, section 5.2.16: nodes as servers list them, and tables that no firmware should have. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "drivers/srat.h"

#define G 0x40000000ull

static unsigned char table[30000];
static uint32_t bytes;
static struct srat s;

static int fresh(void **state)
{
    memset(table, 0, sizeof(table));
    bytes = 48;
    s = (struct srat){0};
    return 0;
}

static void put(int at, uint64_t value, unsigned size)
{
    memcpy(table + (int)bytes + at, &value, size);
}

static void memory(uint32_t domain, uint64_t base, uint64_t length, uint32_t flags)
{
    put(0, 1, 1);
    put(1, 40, 1);
    put(2, domain, 4);
    put(8, base, 8);
    put(16, length, 8);
    put(28, flags, 4);
    bytes += 40;
}

static void cpu(uint8_t domain, uint8_t apic_id)
{
    put(0, 0, 1);
    put(1, 16, 1);
    put(2, domain, 1);
    put(3, apic_id, 1);
    put(4, 1, 4);
    bytes += 16;
}

static void cpu_x2(uint32_t domain, uint32_t apic_id, uint32_t flags)
{
    put(0, 2, 1);
    put(1, 24, 1);
    put(4, domain, 4);
    put(8, apic_id, 4);
    put(12, flags, 4);
    bytes += 24;
}

static void is_node(uint64_t at, unsigned node, uint64_t end)
{
    hpa_t found;
    assert_int_equal(srat_node(&s, (hpa_t){at}, &found), node);
    assert_int_equal(found.raw, end);
}

static void test_two_sockets(void **state)
{
    cpu(0, 0);
    cpu(1, 128);
    memory(0, 0, 0x80000000, 1);
    memory(0, 4 * G, 510 * G, 1);
    memory(1, 514 * G, 512 * G, 1);
    memory(1, 1026 * G, 256 * G, 1 | 4); /* persistent */
    memory(2, 2048 * G, 2048 * G, 2);    /* a socket without memory: not enabled */
    srat_read(table, bytes, &s);
    assert_int_equal(s.node_count, 2);
    assert_int_equal(s.range_count, 3);
    is_node(0, 0, 2 * G);
    is_node(3 * G, 0, 4 * G); /* nothing said: until something is */
    is_node(4 * G, 0, 514 * G);
    is_node(514 * G - 1, 0, 514 * G);
    is_node(514 * G, 1, 1282 * G);
    is_node(1282 * G, 0, ~0ull);
    assert_int_equal(srat_border(&s, (hpa_t){0}).raw, 514 * G); /* over the hole below 4 GiB */
    assert_int_equal(srat_border(&s, (hpa_t){3 * G}).raw, 514 * G);
    assert_int_equal(srat_border(&s, (hpa_t){514 * G}).raw, ~0ull);
    assert_int_equal(srat_border(&s, (hpa_t){2000 * G}).raw, ~0ull);
}

/* By APIC ids of 8 and of 32 bits; a domain of 32 bits lies in two places of the small entry, beside a byte of no meaning. */
static void test_cpus_have_nodes(void **state)
{
    cpu(1, 0);
    cpu(0, 1);
    cpu(0x12, 2);
    put(-16 + 9, 0xabcdef, 3);
    put(-16 + 8, 0x77, 1);
    memory(0, 4 * G, 4 * G, 1);
    memory(1, 8 * G, 4 * G, 1);
    cpu_x2(1, 300, 1);
    cpu_x2(0, 301, 0); /* not enabled */
    cpu_x2(0xabcdef12, 302, 1);
    cpu_x2(0, 300, 1); /* once more, and not as before */
    cpu(1, 7);
    put(-16 + 4, 0, 4); /* not enabled */
    srat_read(table, bytes, &s);
    static const unsigned want[][2] = {{0, 1}, {1, 0}, {2, 2}, {300, 1}, {301, 0}, {302, 2}, {7, 0}, {99, 0}};
    for (unsigned i = 0; i < sizeof(want) / sizeof(want[0]); i++)
        assert_int_equal(srat_cpu_node(&s, want[i][0]), want[i][1]);
    assert_int_equal(s.node_count, 3); /* the domains of memory first, then the one that has none */
    assert_int_equal(s.domains[0], 0);
    assert_int_equal(s.domains[1], 1);
    assert_int_equal(s.domains[2], 0xabcdef12);
}

/* Domains are any numbers; nodes are dense. Upside down, as some list them. */
static void test_domains_are_numbered_as_they_come(void **state)
{
    memory(700, 8 * G, 4 * G, 1);
    memory(3, 4 * G, 4 * G, 1);
    srat_read(table, bytes, &s);
    assert_int_equal(s.domains[0], 700);
    assert_int_equal(s.domains[1], 3);
    is_node(9 * G, 0, 12 * G);
    is_node(5 * G, 1, 8 * G);
}

static void test_overlapping_ranges_are_not_used(void **state)
{
    memory(0, 4 * G, 4 * G, 1);
    memory(1, 7 * G, 4 * G, 1);
    memory(1, 2 * G, 3 * G, 1);
    memory(1, ~0ull - G, 2 * G, 1);
    memory(1, 8 * G, 4 * G, 1);
    srat_read(table, bytes, &s);
    assert_int_equal(s.range_count, 2);
    is_node(7 * G, 0, 8 * G);
    is_node(8 * G, 1, 12 * G);
}

static void test_no_sense_ends_the_table(void **state)
{
    memory(0, 4 * G, 4 * G, 1);
    memory(1, 8 * G, 4 * G, 1);
    for (unsigned length = 0; length < 2; length++) {
        fresh(state);
        memory(0, 4 * G, 4 * G, 1);
        memory(1, 8 * G, 4 * G, 1);
        table[48 + 41] = (unsigned char)length; /* a loop */
        srat_read(table, bytes, &s);
        assert_int_equal(s.range_count, 1);
    }
    fresh(state);
    memory(0, 4 * G, 4 * G, 1);
    srat_read(table, bytes - 1, &s); /* cut short */
    assert_int_equal(s.range_count, 0);
}

static void test_more_than_there_is_room_for(void **state)
{
    for (unsigned i = 0; i < 400; i++)
        memory(i, 4 * G + 2 * i * G, G, 1);
    srat_read(table, bytes, &s);
    assert_int_equal(s.node_count, 64);
    assert_int_equal(s.range_count, 64);
    fresh(state);
    for (unsigned i = 0; i < 400; i++)
        memory(i % 2, 4 * G + i * G, G, 1); /* GiB by GiB in turn */
    srat_read(table, bytes, &s);
    assert_int_equal(s.node_count, 2);
    assert_int_equal(s.range_count, 256);
    fresh(state);
    for (unsigned i = 0; i < 400; i++)
        memory(0, 4 * G + i * G, G, 1); /* one of one node */
    srat_read(table, bytes, &s);
    assert_int_equal(s.range_count, 1);
    is_node(4 * G, 0, 404 * G);
    fresh(state);
    memory(0, 4 * G, 4 * G, 1);
    memory(1, 8 * G, 4 * G, 1);
    for (unsigned i = 0; i < 1100; i++)
        cpu_x2(1, i, 1);
    srat_read(table, bytes, &s);
    assert_int_equal(srat_cpu_node(&s, 1023), 1);
    assert_int_equal(srat_cpu_node(&s, 1024), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_two_sockets, fresh),
        cmocka_unit_test_setup(test_cpus_have_nodes, fresh),
        cmocka_unit_test_setup(test_domains_are_numbered_as_they_come, fresh),
        cmocka_unit_test_setup(test_overlapping_ranges_are_not_used, fresh),
        cmocka_unit_test_setup(test_no_sense_ends_the_table, fresh),
        cmocka_unit_test_setup(test_more_than_there_is_room_for, fresh),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
