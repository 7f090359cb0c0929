/*
 * The machine's EPT walk and guest page-table walk. EPT entries are built here by hand from the SDM's tables, over
 * the sparse memory of the host platform (MAXPA 52, KeyIDs in 51:46, private from 32 on).
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "sim/machine/ept.h"
#include "sim/machine/gpt.h"
#include "tests/host/platform.h"

#define ROOT        0x200000ull
#define SHARED_ROOT 0x300000ull
#define TABLES      0x400000ull /* tables below the roots come from here on */
#define NO_VE       (1ull << 63)
#define R           1ull
#define W           2ull
#define X           4ull
#define WB          (6ull << 3)
#define LARGE       (1ull << 7)
#define KEYID(n)    ((u64)(n) << 46)
#define SHARED_48   (1ull << 47)
#define SHARED_52   (1ull << 51)

static u64 next_table;

static u64 *entry_at(u64 table, u64 gpa, unsigned level)
{
    return (u64 *)(platform_host_memory() + table) + (gpa >> (12 + 9 * level) & 511);
}

/* Writes `value` as the entry of `level` for `gpa`, with tables (RWX) above it. Returns the place. */
static u64 *put(u64 root, unsigned levels, u64 gpa, unsigned level, u64 value)
{
    u64 table = root;

    for (unsigned l = levels - 1; l > level; l--) {
        u64 *entry = entry_at(table, gpa, l);
        if (!*entry) {
            *entry = next_table | R | W | X;
            next_table += 0x1000;
        }
        table = *entry & 0x000ffffffffff000ull & ~KEYID(63);
    }
    *entry_at(table, gpa, level) = value;
    return entry_at(table, gpa, level);
}

static struct ept_space space_4(void)
{
    return (struct ept_space){ROOT | 3 << 3 | 6, SHARED_ROOT, 48};
}

static struct ept_space space_5(void)
{
    return (struct ept_space){ROOT | 4 << 3 | 6, SHARED_ROOT, 52};
}

static int start(void **state)
{
    platform_host_start(NULL);
    next_table = TABLES;
    return 0;
}

static void leaves_of_each_size(void **state)
{
    struct ept_space space = space_4();
    struct ept_walk walk;

    put(ROOT, 4, 0x1000, 0, 0x80001000 | LARGE | WB | R | W | X | NO_VE);
    put(ROOT, 4, 0x40200000, 1, 0x80200000 | LARGE | WB | R | W | X | NO_VE);
    put(ROOT, 4, 0x80000000, 2, 0x140000000 | LARGE | WB | R | W | X | NO_VE);
    walk = ept_translate(&space, 0x1abc, EPT_READ | EPT_WRITE | EPT_EXEC);
    assert_int_equal(walk.outcome, EPT_OK);
    assert_int_equal(walk.hpa, 0x80001abc);
    assert_int_equal(walk.level, 0);
    assert_int_equal(walk.steps, 4);
    walk = ept_translate(&space, 0x403fffff, EPT_READ);
    assert_int_equal(walk.outcome, EPT_OK);
    assert_int_equal(walk.hpa, 0x803fffff);
    assert_int_equal(walk.level, 1);
    assert_int_equal(walk.steps, 3);
    walk = ept_translate(&space, 0xbfff1234, EPT_WRITE);
    assert_int_equal(walk.outcome, EPT_OK);
    assert_int_equal(walk.hpa, 0x17fff1234);
    assert_int_equal(walk.level, 2);
    assert_int_equal(walk.steps, 2);
}

static void five_levels(void **state)
{
    struct ept_space space = space_5();
    u64 gpa = 1ull << 50 | 0x7000;
    struct ept_walk walk;

    put(ROOT, 5, gpa, 0, 0x80001000 | WB | R | W | X | NO_VE);
    walk = ept_translate(&space, gpa | 8, EPT_READ);
    assert_int_equal(walk.outcome, EPT_OK);
    assert_int_equal(walk.hpa, 0x80001008);
    assert_int_equal(walk.steps, 5);
    walk = ept_translate(&space, 0x7000, EPT_READ);
    assert_int_equal(walk.outcome, EPT_VIOLATION);
    assert_int_equal(walk.level, 4);
    put(SHARED_ROOT, 5, SHARED_52 | 0x7000, 0, 0x5000 | WB | R | W);
    walk = ept_translate(&space, SHARED_52 | 0x7010, EPT_READ);
    assert_int_equal(walk.outcome, EPT_OK);
    assert_int_equal(walk.hpa, 0x5010);
    assert_true(ept_is_shared(&space, SHARED_52));
    assert_false(ept_is_shared(&space, SHARED_48));
}

static void absent_entries(void **state)
{
    struct ept_space space = space_4();
    struct ept_walk walk;

    put(ROOT, 4, 0x1000, 0, NO_VE);
    put(ROOT, 4, 0x2000, 0, 0x80001000 | LARGE | WB | NO_VE); /* pending or blocked: address, no permissions */
    put(ROOT, 4, 0x3000, 0, 0);
    walk = ept_translate(&space, 0x1000, EPT_READ);
    assert_int_equal(walk.outcome, EPT_VIOLATION);
    assert_true(walk.suppress_ve);
    assert_int_equal(walk.permissions, 0);
    walk = ept_translate(&space, 0x2000, EPT_WRITE);
    assert_int_equal(walk.outcome, EPT_VIOLATION);
    assert_true(walk.suppress_ve);
    walk = ept_translate(&space, 0x3000, EPT_READ);
    assert_int_equal(walk.outcome, EPT_VIOLATION);
    assert_false(walk.suppress_ve);
    walk = ept_translate(&space, 0x200000, EPT_READ); /* no page directory entry, bit 63 clear */
    assert_int_equal(walk.outcome, EPT_VIOLATION);
    assert_int_equal(walk.level, 1);
    assert_false(walk.suppress_ve);
}

static void permissions_are_anded(void **state)
{
    struct ept_space space = space_4();
    struct ept_walk walk;

    put(ROOT, 4, 0x1000, 0, 0x80001000 | WB | R | W | X);
    *entry_at(ROOT, 0x1000, 3) &= ~W;
    walk = ept_translate(&space, 0x1000, EPT_READ);
    assert_int_equal(walk.outcome, EPT_OK);
    assert_int_equal(walk.permissions, EPT_READ | EPT_EXEC);
    walk = ept_translate(&space, 0x1000, EPT_WRITE);
    assert_int_equal(walk.outcome, EPT_VIOLATION);
    assert_false(walk.suppress_ve); /* the leaf's bit decides */
    put(ROOT, 4, 0x2000, 0, 0x80001000 | WB | R | NO_VE);
    walk = ept_translate(&space, 0x2000, EPT_EXEC);
    assert_int_equal(walk.outcome, EPT_VIOLATION);
    assert_true(walk.suppress_ve);
    put(ROOT, 4, 0x3000, 0, 0x80001000 | WB | X);
    assert_int_equal(ept_translate(&space, 0x3000, EPT_EXEC).outcome, EPT_OK);
    assert_int_equal(ept_translate(&space, 0x3000, EPT_READ).outcome, EPT_VIOLATION);
}

static void misconfigured(u64 gpa, unsigned level, u64 value)
{
    struct ept_space space = space_4();
    u64 root = gpa & SHARED_48 ? SHARED_ROOT : ROOT;
    u64 *entry = put(root, 4, gpa, level, value);
    struct ept_walk walk = ept_translate(&space, gpa, EPT_READ);

    if (walk.outcome != EPT_MISCONFIG)
        fail_msg("entry %lx at level %u: outcome %d", (unsigned long)value, level, walk.outcome);
    *entry = 0;
}

static void misconfigurations(void **state)
{
    misconfigured(0x1000, 0, 0x80001000 | WB | W);
    misconfigured(0x1000, 0, 0x80001000 | WB | W | X);
    misconfigured(0x1000, 0, 0x80001000 | 2 << 3 | R);
    misconfigured(0x1000, 0, 0x80001000 | 3 << 3 | R);
    misconfigured(0x1000, 0, 0x80001000 | 7 << 3 | R);
    misconfigured(0x1000, 0, KEYID(1) | 0x80001000 | WB | R); /* the Secure EPT names no KeyID */
    misconfigured(0x1000, 0, KEYID(33) | 0x80001000 | WB | R);
    misconfigured(0x40000000, 1, 0x80001000 | LARGE | WB | R); /* address not aligned to 2M */
    misconfigured(0x80000000, 2, 0x80200000 | LARGE | WB | R);
    misconfigured(0x8000000000, 3, LARGE | R | W | X);  /* no 512G pages */
    misconfigured(0xc0000000, 2, 0x90000 | 1 << 3 | R); /* a table entry has no memory type */
    misconfigured(SHARED_48 | 0x1000, 0, KEYID(32) | 0x1000 | WB | R | W);
    misconfigured(SHARED_48 | 0x1000, 0, KEYID(63) | 0x1000 | WB | R | W);
}

static void address_bits_above_maxpa(void **state)
{
    struct plat_info info = *platform_host_default_info();
    struct ept_space space = space_4();

    info.maxpa = 48;
    info.keyid_shift = 42;
    platform_host_start(&info);
    put(ROOT, 4, 0x1000, 0, 1ull << 48 | 0x80001000 | WB | R);
    assert_int_equal(ept_translate(&space, 0x1000, EPT_READ).outcome, EPT_MISCONFIG);
    put(SHARED_ROOT, 4, SHARED_48 | 0x1000, 0, 31ull << 42 | 0x1000 | WB | R);
    assert_int_equal(ept_translate(&space, SHARED_48 | 0x1000, EPT_READ).hpa, 0x1000);
    assert_int_equal(ept_strip_keyid(0x3full << 42 | 0x5123), 0x5000);
}

static void shared_walk(void **state)
{
    struct ept_space space = space_4();
    struct ept_walk walk;

    put(SHARED_ROOT, 4, SHARED_48 | 0x1000, 0, KEYID(31) | 0x9000 | WB | R | W);
    walk = ept_translate(&space, SHARED_48 | 0x1008, EPT_WRITE);
    assert_int_equal(walk.outcome, EPT_OK);
    assert_int_equal(walk.hpa, 0x9008);
    assert_int_equal(ept_translate(&space, 0x1008, EPT_WRITE).outcome, EPT_VIOLATION);
}

static void table_outside_memory(void **state)
{
    struct ept_space space = space_4();

    put(ROOT, 4, 0x1000, 3, 0x3f0000000000 | R | W | X);
    assert_int_equal(ept_translate(&space, 0x1000, EPT_READ).outcome, EPT_NO_MEMORY);
}

/* --- guest page tables -------------------------------------------------------------------------------------------- */

static struct gpt_walk guest_walk(enum gpt_paging paging, u64 cr3, bool nx, u64 linear)
{
    struct gpt_mode mode = {.paging = paging, .cr3 = cr3, .no_execute = nx, .physical_bits = 48};
    struct gpt_walk walk = gpt_begin(&mode, linear);

    while (!walk.done) {
        u64 entry = 0;
        memcpy(&entry, platform_host_memory() + walk.entry_gpa, walk.entry_bytes);
        gpt_step(&walk, entry);
    }
    return walk;
}

static void poke(u64 at, u64 value, unsigned bytes)
{
    memcpy(platform_host_memory() + at, &value, bytes);
}

static void guest_paging_off(void **state)
{
    struct gpt_walk walk = guest_walk(GPT_OFF, 0, false, 0x1fffffff0);

    assert_true(walk.present && walk.writable && walk.execute);
    assert_int_equal(walk.gpa, 0xfffffff0);
}

static void guest_4_level(void **state)
{
    struct gpt_walk walk;

    poke(0x10000 + 8 * 511, 0x11007, 8);
    poke(0x11000 + 8 * 510, 0x12007, 8);
    poke(0x12000 + 8 * 1, 0x13005, 8);            /* read-only directory entry */
    poke(0x13000 + 8 * 2, 0x8000800000055003, 8); /* supervisor, NX, shared bit in the address */
    poke(0x12000 + 8 * 3, 0x400083, 8);           /* 2M */
    poke(0x11000 + 8 * 509, 0x40000087, 8);       /* 1G */
    walk = guest_walk(GPT_4_LEVEL, 0x10000, true, 0xffffffff80202abc);
    assert_true(walk.present && !walk.reserved);
    assert_int_equal(walk.gpa, 0x800000055abc);
    assert_false(walk.writable);
    assert_false(walk.user);
    assert_false(walk.execute);
    walk = guest_walk(GPT_4_LEVEL, 0x10000, true, 0xffffffff80612345);
    assert_int_equal(walk.gpa, 0x412345);
    assert_true(walk.writable && !walk.user && walk.execute);
    walk = guest_walk(GPT_4_LEVEL, 0x10000, true, 0xffffffff41234567);
    assert_int_equal(walk.gpa, 0x41234567);
    assert_int_equal(walk.page_shift, 30);
    assert_false(guest_walk(GPT_4_LEVEL, 0x10000, true, 0x1000).present);
    assert_true(guest_walk(GPT_4_LEVEL, 0x10000, false, 0xffffffff80202abc).reserved); /* NX without NXE */
    poke(0x13000 + 8 * 2, 0x0001000000055003, 8);
    assert_true(guest_walk(GPT_4_LEVEL, 0x10000, true, 0xffffffff80202abc).reserved); /* address too wide */
}

static void guest_5_level(void **state)
{
    poke(0x10000 + 8 * 1, 0x11007, 8);
    poke(0x11000, 0x12007, 8);
    poke(0x12000, 0x40000087, 8);
    assert_int_equal(guest_walk(GPT_5_LEVEL, 0x10000, true, (1ull << 48) + 0x1234).gpa, 0x40001234);
}

static void guest_pae_and_32(void **state)
{
    poke(0x10020 + 8 * 2, 0x11001, 8);
    poke(0x11000 + 8 * 1, 0x12007, 8);
    poke(0x12000 + 8 * 3, 0x77007, 8);
    assert_int_equal(guest_walk(GPT_PAE, 0x10020, false, 0x80203456).gpa, 0x77456);
    poke(0x20000 + 4 * 0x301, 0x21007, 4);
    poke(0x21000 + 4 * 5, 0x88005, 4);
    poke(0x20000 + 4 * 0x302, 0x00c02087, 4); /* 4M page, address bit 32 in bit 13 */
    assert_int_equal(guest_walk(GPT_32, 0x20000, false, 0xc0405678).gpa, 0x88678);
    assert_int_equal(guest_walk(GPT_32, 0x20000, false, 0xc0812345).gpa, 0x100c12345);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(leaves_of_each_size, start), cmocka_unit_test_setup(five_levels, start),
        cmocka_unit_test_setup(absent_entries, start),      cmocka_unit_test_setup(permissions_are_anded, start),
        cmocka_unit_test_setup(misconfigurations, start),   cmocka_unit_test_setup(address_bits_above_maxpa, start),
        cmocka_unit_test_setup(shared_walk, start),         cmocka_unit_test_setup(table_outside_memory, start),
        cmocka_unit_test_setup(guest_paging_off, start),    cmocka_unit_test_setup(guest_4_level, start),
        cmocka_unit_test_setup(guest_5_level, start),       cmocka_unit_test_setup(guest_pae_and_32, start),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
