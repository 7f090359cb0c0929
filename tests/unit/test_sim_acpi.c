/* The MADT that the platform writes where it shows other APIC IDs than the CPUs have. Layouts typed from ACPI 6.5. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "sim/machine/acpi.h"

static u8 rsdp[36], xsdt[52], facp[40], madt[100], room[ACPI_MADT_BYTES_MAX];

static void put(u8 *to, u64 value, unsigned bytes)
{
    memcpy(to, &value, bytes);
}

static u8 sum(const u8 *table)
{
    u8 total = 0;
    u32 bytes;
    memcpy(&bytes, table + 4, 4);
    for (u32 i = 0; i < bytes; i++)
        total = (u8)(total + table[i]);
    return total;
}

/* CPU 0, CPU 5, an I/O APIC, and CPU 7 as x2APIC already. */
static int tables(void **state)
{
    static const u8 entries[] = {0,    8,    1, 0, 1, 0, 0, 0,  0, 8, 2, 5, 1, 0, 0, 0, 1, 12, 9, 0, 0, 0,
                                 0xc0, 0xfe, 0, 0, 0, 0, 9, 16, 0, 0, 7, 0, 0, 0, 1, 0, 0, 0,  3, 0, 0, 0};
    memset(room, 0xee, sizeof(room));
    memcpy(xsdt, "XSDT", 4);
    put(xsdt + 4, 52, 4);
    memcpy(facp, "FACP", 4);
    put(facp + 4, 40, 4);
    memcpy(madt, "APIC", 4);
    put(madt + 4, 44 + sizeof(entries), 4);
    memcpy(madt + 44, entries, sizeof(entries));
    put(xsdt + 36, (u64)facp, 8);
    put(xsdt + 44, (u64)madt, 8);
    put(rsdp + 24, (u64)xsdt, 8);
    return 0;
}

static void other_cpus_become_x2apics_with_higher_ids(void **state)
{
    static const u8 expected[] = {0, 8, 1, 0, 1,    0,    0, 0, 9, 16, 0, 0,  5, 1, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 1, 12,
                                  9, 0, 0, 0, 0xc0, 0xfe, 0, 0, 0, 0,  9, 16, 0, 0, 7, 1, 0, 0, 1, 0, 0, 0, 3, 0, 0, 0};
    u64 named;
    assert_true(acpi_show_ids(rsdp, room, 0, 256));
    memcpy(&named, xsdt + 44, 8);
    assert_int_equal(named, (u64)room);
    assert_memory_equal(room, "APIC", 4);
    assert_int_equal(room[4], 44 + sizeof(expected));
    assert_memory_equal(room + 44, expected, sizeof(expected));
    assert_int_equal(sum(room), 0);
    assert_int_equal(sum(xsdt), 0);
}

static void damaged_or_missing_tables_are_refused(void **state)
{
    u64 named;
    madt[45] = 0; /* an entry without length */
    assert_false(acpi_show_ids(rsdp, room, 0, 256));
    madt[45] = 200; /* one that ends behind the table */
    assert_false(acpi_show_ids(rsdp, room, 0, 256));
    memcpy(&named, xsdt + 44, 8);
    assert_int_equal(named, (u64)madt);
    memcpy(madt, "APIX", 4);
    assert_false(acpi_show_ids(rsdp, room, 0, 256));
    put(rsdp + 24, 0, 8);
    assert_false(acpi_show_ids(rsdp, room, 0, 256));
}

/* As many CPUs as the new table has room for, and one more. */
static void table_that_grows_too_long_is_refused(void **state)
{
    for (unsigned cpus = 508; cpus <= 510; cpus++) {
        u8 *large = calloc(1, 44 + 8 * cpus);
        memcpy(large, "APIC", 4);
        put(large + 4, 44 + 8 * cpus, 4);
        for (unsigned i = 0; i < cpus; i++)
            memcpy(large + 44 + 8 * i, (const u8[]){0, 8, 0, 1, 1, 0, 0, 0}, 8);
        put(xsdt + 44, (u64)large, 8);
        assert_true(acpi_show_ids(rsdp, room, 0, 256) == (cpus < 509));
        free(large);
    }
}

static void each_table_is_damaged_in_its_way(void **state)
{
    static u8 hpet[56], longer[60];
    u64 named;
    assert_false(acpi_damage(rsdp)); /* there is no HPET */
    assert_int_equal(facp[4], 40);
    memcpy(hpet, "HPET", 4);
    put(hpet + 4, 56, 4);
    hpet[9] = (u8)-sum(hpet);
    memcpy(longer, xsdt, 52);
    put(longer + 4, 60, 4);
    put(longer + 52, (u64)hpet, 8);
    put(rsdp + 24, (u64)longer, 8);
    assert_true(acpi_damage(rsdp));
    assert_int_equal(sum(hpet), 1);
    assert_memory_equal(facp + 4, "\xff\xff\xff\xff", 4);
    assert_int_equal(madt[44 + 29], 0); /* CPU 7's entry */
    assert_int_equal(madt[44 + 9], 8);
    assert_int_equal(sum(madt), 0);
    memcpy(&named, longer + 52, 8);
    assert_int_equal(named, (u64)hpet); /* which is damaged itself */
}

static void hidden_cpu_is_listed_no_more(void **state)
{
    static const u8 left[] = {0, 8, 1, 0, 1, 0, 0, 0, 1, 12, 9, 0, 0, 0, 0xc0, 0xfe, 0, 0, 0, 0};
    assert_false(acpi_hide_cpu(rsdp, 9)); /* the I/O APIC's ID */
    assert_int_equal(madt[4], 88);
    assert_true(acpi_hide_cpu(rsdp, 5));
    assert_true(acpi_hide_cpu(rsdp, 7));
    assert_int_equal(madt[4], 44 + sizeof(left));
    assert_memory_equal(madt + 44, left, sizeof(left));
    assert_int_equal(sum(madt), 0);
    assert_false(acpi_hide_cpu(rsdp, 5));
    put(xsdt + 4, 44, 4); /* without a MADT */
    assert_false(acpi_hide_cpu(rsdp, 0));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(other_cpus_become_x2apics_with_higher_ids, tables),
        cmocka_unit_test_setup(damaged_or_missing_tables_are_refused, tables),
        cmocka_unit_test_setup(each_table_is_damaged_in_its_way, tables),
        cmocka_unit_test_setup(hidden_cpu_is_listed_no_more, tables),
        cmocka_unit_test_setup(table_that_grows_too_long_is_refused, tables),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
