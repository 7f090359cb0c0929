/* ACPI tables (drivers/acpi.h) as firmware writes them, and as broken firmware does. Layouts typed from ACPI 6.5,
 * chapter 5. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "drivers/acpi.h"
#include "drivers/power.h"
#include "tests/host/cpu.h"
#include "tests/host/io.h"
#include "tests/host/log.h"
#include "tests/host/platform.h"

#define RSDP_AT 0xf0000ull
#define XSDT_AT 0x100000ull
#define MADT_AT 0x101000ull
#define FADT_AT 0x102000ull
#define DSDT_AT 0x103000ull

static u8 *at(u64 pa)
{
    return platform_host_memory() + pa;
}

static void put32(u64 pa, u32 value)
{
    memcpy(at(pa), &value, sizeof(value));
}

static void put64(u64 pa, u64 value)
{
    memcpy(at(pa), &value, sizeof(value));
}

static void sum(u64 pa, u32 bytes, u32 checksum_at)
{
    u8 total = 0;
    at(pa)[checksum_at] = 0;
    for (u32 i = 0; i < bytes; i++)
        total = (u8)(total + at(pa)[i]);
    at(pa)[checksum_at] = (u8)-total;
}

/* Both checksums of the RSDP; the second one covers `bytes`. */
static void seal_rsdp(u32 bytes)
{
    put32(RSDP_AT + 20, bytes);
    at(RSDP_AT)[32] = 0;
    sum(RSDP_AT, 20, 8);
    sum(RSDP_AT, bytes, 32);
}

/* The memory of the machine; what lies behind it would be read where nothing answers. */
static bool is_memory(hpa_t from, u64 bytes)
{
    return from.raw >= 0x100000 && from.raw <= 0x200000 && bytes <= 0x200000 - from.raw;
}

static enum err init(void)
{
    return acpi_init((hpa_t){RSDP_AT}, is_memory);
}

static void seal(u64 pa, const char *signature, u32 bytes)
{
    memcpy(at(pa), signature, 4);
    put32(pa + 4, bytes);
    sum(pa, bytes, 9);
}

static u32 madt_cpu(u32 used, u8 uid, u8 apic_id, u32 flags)
{
    u8 *e = at(MADT_AT + used);
    e[0] = 0;
    e[1] = 8;
    e[2] = uid;
    e[3] = apic_id;
    put32(MADT_AT + used + 4, flags);
    return used + 8;
}

static u32 madt_x2apic(u32 used, u32 uid, u32 apic_id, u32 flags)
{
    at(MADT_AT + used)[0] = 9;
    at(MADT_AT + used)[1] = 16;
    put32(MADT_AT + used + 4, apic_id);
    put32(MADT_AT + used + 8, flags);
    put32(MADT_AT + used + 12, uid);
    return used + 16;
}

static u32 madt_bytes;

static int tables(void **state)
{
    static const u8 s5[] = {0x08, '_', 'S', '5', '_', 0x12, 0x08, 0x04, 0x0a, 0x05, 0x01, 0x00, 0x00};

    memset(at(RSDP_AT), 0, 0x20000);
    memcpy(at(RSDP_AT), "RSD PTR ", 8);
    at(RSDP_AT)[15] = 2;
    put64(RSDP_AT + 24, XSDT_AT);
    seal_rsdp(36);
    put64(XSDT_AT + 36, MADT_AT);
    put64(XSDT_AT + 44, FADT_AT);
    seal(XSDT_AT, "XSDT", 52);
    put32(MADT_AT + 36, 0xfee00000);
    madt_bytes = madt_cpu(44, 0, 0, 1);
    madt_bytes = madt_cpu(madt_bytes, 1, 2, 1);
    madt_bytes = madt_cpu(madt_bytes, 2, 255, 0); /* padding */
    madt_bytes = madt_cpu(madt_bytes, 3, 6, 2);   /* may come later */
    madt_bytes = madt_x2apic(madt_bytes, 300, 0x1234, 1);
    seal(MADT_AT, "APIC", madt_bytes);
    put32(FADT_AT + 40, DSDT_AT);
    put32(FADT_AT + 64, 0x604);
    put32(FADT_AT + 76, 0x608);
    put32(FADT_AT + 112, 1u << 10 | 1u << 8);
    at(FADT_AT)[116] = 1;
    put64(FADT_AT + 120, 0xcf9);
    at(FADT_AT)[128] = 0x0f;
    put64(FADT_AT + 140, DSDT_AT);
    seal(FADT_AT, "FACP", 244);
    memcpy(at(DSDT_AT + 50), s5, sizeof(s5));
    seal(DSDT_AT, "DSDT", 80);
    io_host_reset();
    return 0;
}

static void test_good_tables(void **state)
{
    assert_int_equal(init(), ERR_OK);
    assert_int_equal(acpi.cpu_count, 4);
    assert_int_equal(acpi.cpus[1].apic_id, 2);
    assert_false(acpi.cpus[2].enabled);
    assert_true(acpi.cpus[2].online_capable);
    assert_int_equal(acpi.cpus[3].apic_id, 0x1234);
    assert_int_equal(acpi.cpus[3].uid, 300);
    assert_int_equal(acpi.lapic.raw, 0xfee00000);
    assert_int_equal(acpi.pm1a_control, 0x604);
    assert_int_equal(acpi.pm_timer, 0x608);
    assert_true(acpi.has_s5);
    assert_int_equal(acpi.s5_a, 5);
    assert_int_equal(acpi.s5_b, 1);
    assert_int_equal(acpi.reset.address, 0xcf9);
    assert_int_equal(acpi.reset_value, 0x0f);
}

static void test_power_off(void **state)
{
    assert_int_equal(init(), ERR_OK);
    power_off();
    assert_int_equal(io_host_last_write.port, 0x604);
    assert_int_equal(io_host_last_write.value & 0x3c00, 5 << 10 | 1 << 13);
}

static void test_old_rsdp_uses_the_rsdt(void **state)
{
    at(RSDP_AT)[15] = 0;
    put32(RSDP_AT + 16, 0x110000);
    sum(RSDP_AT, 20, 8);
    put32(0x110000 + 36, MADT_AT);
    seal(0x110000, "RSDT", 40);
    assert_int_equal(init(), ERR_OK);
    assert_int_equal(acpi.cpu_count, 4);
    assert_false(acpi.has_s5);
}

static void test_nothing_there(void **state)
{
    assert_int_equal(acpi_init(HPA_NONE, is_memory), ERR_NOT_FOUND);
    assert_int_equal(acpi_init((hpa_t){0}, is_memory), ERR_NOT_FOUND);
    assert_int_equal(acpi_init((hpa_t){0x180000}, is_memory), ERR_ARGUMENT);
    power_off(); /* nowhere to write to */
    assert_int_equal(io_host_last_write.port, 0);
}

static void test_bad_checksums(void **state)
{
    at(RSDP_AT)[9]++;
    assert_int_equal(init(), ERR_ARGUMENT);
    at(RSDP_AT)[9]--;
    at(MADT_AT)[50]++;
    assert_int_equal(init(), ERR_OK);
    assert_int_equal(acpi.cpu_count, 0);
    assert_true(acpi.has_s5);
    at(XSDT_AT)[9]++;
    assert_int_equal(init(), ERR_ARGUMENT);
}

static void test_bad_lengths(void **state)
{
    static const u32 lengths[] = {0, 1, 35, 0xffffffff, 17u << 20};
    for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
        put32(MADT_AT + 4, lengths[i]);
        assert_int_equal(init(), ERR_OK);
        assert_int_equal(acpi.cpu_count, 0);
    }
    seal(MADT_AT, "APIC", madt_bytes);
    at(MADT_AT)[44 + 1] = 0; /* an entry of no length */
    seal(MADT_AT, "APIC", madt_bytes);
    assert_int_equal(init(), ERR_OK);
    assert_int_equal(acpi.cpu_count, 0);
    assert_string_equal(log_host_last(),
                        "acpi: the MADT's entry at byte 44 has a length of 0, it and what follows is not read");
    at(MADT_AT)[44 + 1] = 200; /* one that ends behind the table */
    seal(MADT_AT, "APIC", madt_bytes);
    assert_int_equal(init(), ERR_OK);
    assert_int_equal(acpi.cpu_count, 0);
}

static void test_more_cpus_than_fit(void **state)
{
    u32 used = 44;
    for (unsigned i = 0; i < 1100; i++)
        used = madt_x2apic(used, i, i, 1);
    /* Longer than its page: what stood behind it is gone. */
    put64(XSDT_AT + 44, MADT_AT);
    seal(XSDT_AT, "XSDT", 52);
    seal(MADT_AT, "APIC", used);
    assert_int_equal(init(), ERR_OK);
    assert_int_equal(acpi.cpu_count, 1024);
    assert_int_equal(acpi.cpus_left_out, 76);
    assert_int_equal(acpi.cpus[1023].apic_id, 1023);
}

/* AML that looks like \_S5_ at the very end of the table, cut off anywhere. */
static void test_cut_off_s5(void **state)
{
    static const u8 s5[] = {0x08, '_', 'S', '5', '_', 0x12, 0x48, 0x00, 0x04, 0x0a, 0x05, 0x0a, 0x07};
    for (u32 cut = 1; cut <= sizeof(s5); cut++) {
        memset(at(DSDT_AT), 0, 0x1000);
        memcpy(at(DSDT_AT + 60), s5, sizeof(s5));
        seal(DSDT_AT, "DSDT", 60 + cut);
        assert_int_equal(init(), ERR_OK);
        assert_int_equal(acpi.has_s5, cut == sizeof(s5));
    }
    assert_int_equal(acpi.s5_b, 7);
}

static void test_extended_checksum(void **state)
{
    at(RSDP_AT)[33]++; /* reserved: in the second sum only */
    assert_int_equal(init(), ERR_ARGUMENT);
    at(RSDP_AT)[33]--;
    assert_int_equal(init(), ERR_OK);
    seal_rsdp(64);
    assert_int_equal(init(), ERR_OK);
    seal_rsdp(35);
    assert_int_equal(init(), ERR_ARGUMENT);
    at(RSDP_AT)[15] = 0; /* an old one has neither */
    put32(RSDP_AT + 16, 0x110000);
    put32(0x110000 + 36, MADT_AT);
    seal(0x110000, "RSDT", 40);
    sum(RSDP_AT, 20, 8);
    assert_int_equal(init(), ERR_OK);
}

/* Addresses where the memory map has nothing: not read, and the other tables are used. */
static void test_tables_outside_memory(void **state)
{
    static const u64 places[] = {0xfffff000, 0x200000, 0x1fffe0, 0xffffffffffffff00, 0x7fffffffffff0000, 8};
    for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
        tables(state);
        put64(XSDT_AT + 36, places[i]);
        seal(XSDT_AT, "XSDT", 52);
        assert_int_equal(init(), ERR_OK);
        assert_int_equal(acpi.cpu_count, 0);
        assert_true(acpi.has_s5);
        put64(RSDP_AT + 24, places[i]);
        seal_rsdp(36);
        assert_int_equal(init(), ERR_ARGUMENT);
        assert_int_equal(acpi_init((hpa_t){places[i]}, is_memory), ERR_ARGUMENT);
    }
}

/* It begins in memory and ends outside. */
static void test_table_with_a_tail_outside_memory(void **state)
{
    memset(at(0x1ff000), 0, 0x2000);
    memcpy(at(0x1ff000), at(MADT_AT), madt_bytes);
    put64(XSDT_AT + 36, 0x1ff000);
    seal(XSDT_AT, "XSDT", 52);
    seal(0x1ff000, "APIC", 0x1000);
    assert_int_equal(init(), ERR_OK);
    assert_int_equal(acpi.cpu_count, 4);
    seal(0x1ff000, "APIC", 0x1001);
    assert_int_equal(init(), ERR_OK);
    assert_int_equal(acpi.cpu_count, 0);
}

static void test_cpu_listed_twice(void **state)
{
    u32 used = madt_x2apic(madt_bytes, 1, 2, 1); /* the second local APIC again */
    used = madt_x2apic(used, 3, 6, 1);           /* enabled, where the other entry says 'may come' */
    used = madt_cpu(used, 9, 255, 1);            /* broadcasts */
    used = madt_x2apic(used, 10, 0xffffffff, 1);
    seal(MADT_AT, "APIC", used);
    assert_int_equal(init(), ERR_OK);
    assert_int_equal(acpi.cpu_count, 4);
    assert_true(acpi.cpus[2].enabled && acpi.cpus[2].online_capable);
    assert_true(acpi.cpus[1].enabled && !acpi.cpus[1].online_capable);
}

static void test_second_madt_is_not_used(void **state)
{
    memcpy(at(0x112000), at(MADT_AT), madt_bytes);
    at(0x112000)[44 + 3] = 77; /* an APIC id that the first does not have */
    seal(0x112000, "APIC", madt_bytes);
    put64(XSDT_AT + 52, 0x112000);
    seal(XSDT_AT, "XSDT", 60);
    assert_int_equal(init(), ERR_OK);
    assert_int_equal(acpi.cpu_count, 4);
    assert_int_equal(acpi.cpus[0].apic_id, 0);
}

static u32 madt_bytes_of(u32 used, const u8 *entry)
{
    memcpy(at(MADT_AT + used), entry, entry[1]);
    return used + entry[1];
}

static void test_interrupt_routes(void **state)
{
    static const u8 ioapic0[] = {1, 12, 8, 0, 0x00, 0x00, 0xc0, 0xfe, 0, 0, 0, 0};
    static const u8 ioapic1[] = {1, 12, 9, 0, 0x00, 0x10, 0xc0, 0xfe, 24, 0, 0, 0};
    static const u8 irq0[] = {2, 10, 0, 0, 2, 0, 0, 0, 0, 0};
    static const u8 irq4[] = {2, 10, 0, 4, 20, 0, 0, 0, 0x0f, 0};   /* low, level */
    static const u8 irq9[] = {2, 10, 0, 9, 9, 0, 0, 0, 0x0d, 0};    /* high, level */
    static const u8 no_isa[] = {2, 10, 1, 5, 44, 0, 0, 0, 0, 0};    /* another bus */
    static const u8 far_irq[] = {2, 10, 0, 200, 44, 0, 0, 0, 0, 0}; /* ISA has 16 */
    static const u8 lapic64[] = {5, 12, 0, 0, 0, 0, 0xd0, 0xfe, 1, 0, 0, 0};
    static const u8 *const entries[] = {ioapic1, ioapic0, irq0, irq4, irq9, no_isa, far_irq, lapic64};
    u32 used = madt_bytes;

    assert_int_equal(init(), ERR_OK);
    assert_null(acpi_ioapic_of(4));
    assert_int_equal(acpi.isa_irqs[4].gsi, 4);
    for (size_t i = 0; i < sizeof(entries) / sizeof(entries[0]); i++)
        used = madt_bytes_of(used, entries[i]);
    seal(MADT_AT, "APIC", used);
    assert_int_equal(init(), ERR_OK);
    assert_int_equal(acpi.ioapic_count, 2);
    assert_int_equal(acpi_ioapic_of(23)->base.raw, 0xfec00000);
    assert_int_equal(acpi_ioapic_of(24)->base.raw, 0xfec01000);
    assert_int_equal(acpi.isa_irqs[0].gsi, 2);
    assert_int_equal(acpi.isa_irqs[3].gsi, 3);
    assert_int_equal(acpi.isa_irqs[4].gsi, 20);
    assert_true(acpi.isa_irqs[4].active_low && acpi.isa_irqs[4].level);
    assert_true(!acpi.isa_irqs[9].active_low && acpi.isa_irqs[9].level);
    assert_true(!acpi.isa_irqs[0].active_low && !acpi.isa_irqs[0].level);
    assert_int_equal(acpi.isa_irqs[5].gsi, 5);
    assert_int_equal(acpi.lapic.raw, 0x1fed00000);
}

static void test_more_ioapics_than_fit(void **state)
{
    static const u8 ioapic[] = {1, 12, 8, 0, 0x00, 0x00, 0xc0, 0xfe, 0, 0, 0, 0};
    u32 used = madt_bytes;
    for (unsigned i = 0; i < 20; i++)
        used = madt_bytes_of(used, ioapic);
    seal(MADT_AT, "APIC", used);
    assert_int_equal(init(), ERR_OK);
    assert_int_equal(acpi.ioapic_count, 16);
}

/* A plain COM1; then one bit is wrong, then the length: as if there were no such table. */
/* A length that is wrong and a checksum that happens to be right: what lies behind the list is read as addresses. */
static void test_longer_list_than_any(void **state)
{
    for (u32 i = 2; i < 256; i++)
        put64(XSDT_AT + 36 + 8 * i, XSDT_AT); /* itself */
    put64(XSDT_AT + 36 + 8 * 255, DSDT_AT);
    put64(XSDT_AT + 36 + 8 * 256, MADT_AT);
    put64(XSDT_AT + 36, DSDT_AT);
    seal(XSDT_AT, "XSDT", 36 + 8 * 400);
    log_host_forget();
    assert_int_equal(init(), ERR_OK);
    assert_string_equal(log_host_last(), "acpi: 400 tables are listed, the first 256 are read");
    assert_int_equal(acpi.cpu_count, 0);
    assert_int_equal(acpi.pm1a_control, 0x604);
}

/* The older list is there for those that cannot read the newer one. */
static void test_rsdt_where_the_xsdt_is_damaged(void **state)
{
    put32(RSDP_AT + 16, 0x110000);
    seal_rsdp(36);
    put32(0x110000 + 36, MADT_AT);
    seal(0x110000, "RSDT", 40);
    at(XSDT_AT)[9] ^= 1;
    assert_int_equal(init(), ERR_OK);
    assert_int_equal(acpi.cpu_count, 4);
}

/* A store there would be a page fault, or go to another port. */
static void test_registers_where_none_can_be(void **state)
{
    static const struct {
        u8 space;
        u64 address;
    } rows[] = {{0, 0x100000000}, {0, 0xfffffffffed00000}, {1, 0x10cf9}, {2, 0xcf9}, {1, 0xffffffffffffffff}};

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        at(FADT_AT)[116] = rows[i].space;
        put64(FADT_AT + 120, rows[i].address);
        seal(FADT_AT, "FACP", 244);
        log_host_forget();
        assert_int_equal(init(), ERR_OK);
        assert_int_equal(acpi.reset.address, 0);
        assert_non_null(strstr(log_host_last(), "acpi: FADT has its reset register at address space "));
    }
    memset(at(MADT_AT), 0, 56);
    put64(MADT_AT + 44, 0xfed0000000000000);
    seal(MADT_AT, "HPET", 56);
    assert_int_equal(init(), ERR_OK);
    assert_int_equal(acpi.hpet.raw, 0);
    put64(MADT_AT + 44, 0xfed00000);
    seal(MADT_AT, "HPET", 56);
    assert_int_equal(init(), ERR_OK);
    assert_int_equal(acpi.hpet.raw, 0xfed00000);
}

static void test_spcr(void **state)
{
    memset(at(0x112000), 0, 0x1000);
    at(0x112000)[40] = 1;
    put64(0x112000 + 44, 0x3f8);
    put32(0x112000 + 64, 0xffffffff);
    seal(0x112000, "SPCR", 80);
    put64(XSDT_AT + 52, 0x112000);
    seal(XSDT_AT, "XSDT", 60);
    assert_int_equal(init(), ERR_OK);
    assert_int_equal(acpi.spcr.base, 0x3f8);
    at(0x112000)[45] ^= 1;
    log_host_forget();
    assert_int_equal(init(), ERR_OK);
    assert_int_equal(acpi.spcr.base, 0);
    assert_string_equal(log_host_last(), "acpi: table SPCR at 0x112000 has a bad length or checksum, not used");
    at(0x112000)[45] ^= 1;
    seal(0x112000, "SPCR", 79);
    assert_int_equal(init(), ERR_OK);
    assert_int_equal(acpi.spcr.base, 0);
    assert_true(acpi.cpu_count == 4 && acpi.has_s5); /* the other tables are used */
}

static int machine(void **state)
{
    platform_host_start(NULL);
    cpu_host_reset();
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_good_tables, tables),
        cmocka_unit_test_setup(test_power_off, tables),
        cmocka_unit_test_setup(test_spcr, tables),
        cmocka_unit_test_setup(test_longer_list_than_any, tables),
        cmocka_unit_test_setup(test_rsdt_where_the_xsdt_is_damaged, tables),
        cmocka_unit_test_setup(test_registers_where_none_can_be, tables),
        cmocka_unit_test_setup(test_old_rsdp_uses_the_rsdt, tables),
        cmocka_unit_test_setup(test_nothing_there, tables),
        cmocka_unit_test_setup(test_bad_checksums, tables),
        cmocka_unit_test_setup(test_bad_lengths, tables),
        cmocka_unit_test_setup(test_more_cpus_than_fit, tables),
        cmocka_unit_test_setup(test_cut_off_s5, tables),
        cmocka_unit_test_setup(test_extended_checksum, tables),
        cmocka_unit_test_setup(test_tables_outside_memory, tables),
        cmocka_unit_test_setup(test_table_with_a_tail_outside_memory, tables),
        cmocka_unit_test_setup(test_cpu_listed_twice, tables),
        cmocka_unit_test_setup(test_second_madt_is_not_used, tables),
        cmocka_unit_test_setup(test_interrupt_routes, tables),
        cmocka_unit_test_setup(test_more_ioapics_than_fit, tables),
    };
    return cmocka_run_group_tests(tests, machine, NULL);
}
