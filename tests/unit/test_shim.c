/*
 * The shim's logic in a host process: the head of a bzImage, boot_params, ACPI tables, acceptance of memory behind a module that
 * answers as told. All numbers are typed here from Linux' boot.rst and zero-page.rst, ACPI 6.5 and the TDX module ABI.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "guest/hw/td.h"
#include "guest/shim/check.h"
#include "guest/shim/shim.h"
#include "tests/unit/linux_file.h"

#define MIB 0x100000ull
#define GIB 0x40000000ull

static uint64_t get(const void *from, unsigned at, unsigned bytes)
{
    uint64_t value = 0;
    memcpy(&value, (const uint8_t *)from + at, bytes);
    return value;
}

/* --- bzImage --- */

static uint8_t file[LINUX_FILE_BYTES];
static struct bzimage image;

static int fresh(void **state)
{
    linux_make(file);
    return 0;
}

static void test_a_good_kernel_is_read(void **state)
{
    assert_int_equal(bzimage_read(file, sizeof(file), &image), BZIMAGE_OK);
    assert_int_equal(image.protocol, 0x20f);
    assert_int_equal(image.setup_bytes, LINUX_KERNEL_AT);
    assert_int_equal(image.header_bytes, 0x26c - 0x1f1);
    assert_int_equal(image.address, 0x1000000);
    assert_int_equal(image.run_bytes, 0x3000000);
    assert_int_equal(image.initrd_max, 0x7fffffff);
    assert_int_equal(image.command_line_max, 2047);
    assert_string_equal(image.version, "6.12.95 (someone@somewhere) #1");
    assert_true(image.accepts);
    file[LINUX_KERNEL_AT + 0x2c0 + 4096 + 200] = 0;
    assert_int_equal(bzimage_read(file, sizeof(file), &image), BZIMAGE_OK);
    assert_false(image.accepts);
}

static void test_other_kernels_are_refused(void **state)
{
    static const struct {
        unsigned at, bytes;
        uint64_t value;
        enum bzimage_answer answer;
    } cases[] = {
        {0x202, 4, 0, BZIMAGE_NO_MAGIC},
        {0x206, 2, 0x020b, BZIMAGE_OLD},
        {0x236, 2, 0x7e, BZIMAGE_NOT_64},
        {0x211, 1, 0, BZIMAGE_NOT_HIGH},
        {0x234, 1, 0, BZIMAGE_NOT_MOVING},
        {0x1f1, 1, 255, BZIMAGE_SHORT},         /* the kernel would begin behind the file */
        {0x201, 1, 0x10, BZIMAGE_BAD},          /* a header without init_size */
        {0x201, 1, 0xff, BZIMAGE_BAD},          /* and one that reaches into boot_params */
        {0x258, 8, 0x1000001, BZIMAGE_BAD},     /* not aligned */
        {0x258, 8, 0x100000000, BZIMAGE_BAD},   /* above what an initrd can reach */
        {0x258, 8, 0, BZIMAGE_BAD},             /* where the shim is */
        {0x260, 4, 4096, BZIMAGE_BAD},          /* runs in less than it has */
        {0x24c, 4, 4096 + 200, BZIMAGE_NO_TDX}, /* the text is in the compressed part: by chance */
        {0x24c, 4, 0xffffffff, BZIMAGE_NO_TDX},
        {0x248, 4, 0xffffffff, BZIMAGE_NO_TDX},
    };
    for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        linux_make(file);
        linux_put(file, cases[i].at, cases[i].value, cases[i].bytes);
        if (bzimage_read(file, sizeof(file), &image) != cases[i].answer)
            fail_msg("0x%llx at 0x%x is taken", (unsigned long long)cases[i].value, cases[i].at);
    }
}

/* Each shorter file is refused, and nothing behind its end is read: it lies at the end of a heap object. */
static void test_short_files_are_refused(void **state)
{
    static const unsigned sizes[] = {
        0, 1, 0x1f1, 0x202, 0x205, 0x206, 0x28f, 0x290, 0x500, LINUX_KERNEL_AT, LINUX_KERNEL_AT + 0x200};
    for (unsigned i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        uint8_t *copy = malloc(sizes[i] ? sizes[i] : 1);
        memcpy(copy, file, sizes[i]);
        assert_int_equal(bzimage_read(copy, sizes[i], &image), BZIMAGE_SHORT);
        free(copy);
    }
}

static void test_odd_versions_are_cut(void **state)
{
    linux_put(file, 0x20e, 0xffff, 2);
    assert_int_equal(bzimage_read(file, sizeof(file), &image), BZIMAGE_OK);
    assert_string_equal(image.version, "");
    linux_put(file, 0x20e, 0x300, 2);
    memset(file + 0x500, 'a', 200);
    file[0x501] = '\n';
    assert_int_equal(bzimage_read(file, sizeof(file), &image), BZIMAGE_OK);
    assert_int_equal(strlen(image.version), 127);
    assert_memory_equal(image.version, "a.aaa", 5);
}

/* --- boot_params --- */

static struct boot_params params;

static void build(uint64_t memory, uint64_t initrd_bytes)
{
    static struct shim_handover h;
    h = (struct shim_handover){.memory_bytes = memory,
                               .kernel_gpa = 0x4000000,
                               .initrd_gpa = 0x5000000,
                               .initrd_bytes = initrd_bytes,
                               .command_line = "quiet"};
    assert_int_equal(bzimage_read(file, sizeof(file), &image), BZIMAGE_OK);
    memset(&params, 0xff, sizeof(params));
    boot_params_build(&params, &h, &image, file, 0x10d000, 0x106240);
    assert_int_equal(get(&params, 0x228, 4) | get(&params, 0xc8, 4) << 32, (uintptr_t)h.command_line);
}

static void check_map(const uint64_t (*want)[3], unsigned count)
{
    assert_int_equal(get(&params, 0x1e8, 1), count);
    for (unsigned i = 0; i < count; i++) {
        assert_int_equal(get(&params, 0x2d0 + 20 * i, 8), want[i][0]);
        assert_int_equal(get(&params, 0x2d8 + 20 * i, 8), want[i][1]);
        assert_int_equal(get(&params, 0x2e0 + 20 * i, 4), want[i][2]);
    }
}

static void test_boot_params(void **state)
{
    static const uint64_t map[][3] = {
        {0, 0xa0000, 1}, {0xa0000, 0x60000, 2}, {0x100000, 0xd000, 4}, {0x10d000, 512 * MIB - 0x10d000, 1}};
    build(512 * MIB, 123456);
    assert_int_equal(get(&params, 0x70, 8), 0x106240);
    assert_int_equal(get(&params, 0x1ef, 1), 0); /* the sentinel */
    assert_memory_equal((uint8_t *)&params + 0x1f1, file + 0x1f1, 0x210 - 0x1f1);
    assert_int_equal(get(&params, 0x210, 1), 0xff);
    assert_int_equal(get(&params, 0x211, 1), 1);
    assert_int_equal(get(&params, 0x218, 4), 0x5000000);
    assert_int_equal(get(&params, 0x21c, 4), 123456);
    assert_int_equal(get(&params, 0x236, 2), 0x7f);
    assert_int_equal(get(&params, 0x260, 4), 0x3000000);
    assert_int_equal(get(&params, 0x26c, 8), 0); /* behind the header */
    check_map(map, 4);
}

static void test_memory_around_the_hole(void **state)
{
    static const uint64_t below[][3] = {
        {0, 0xa0000, 1}, {0xa0000, 0x60000, 2}, {0x100000, 0xd000, 4}, {0x10d000, 0xfe000000 - 0x10d000, 1}};
    static const uint64_t above[][3] = {{0, 0xa0000, 1},
                                        {0xa0000, 0x60000, 2},
                                        {0x100000, 0xd000, 4},
                                        {0x10d000, 0xfe000000 - 0x10d000, 1},
                                        {0x100000000, 4 * GIB, 1}};
    build(0xfe000000, 0);
    check_map(below, 4);
    assert_int_equal(get(&params, 0x218, 4), 0); /* no initrd */
    build(4 * GIB, 0);
    check_map(below, 4);
    build(8 * GIB, 0);
    check_map(above, 5);
}

/* --- unaccepted memory, and EFI's tables that lead to it --- */

static union {
    struct unaccepted u;
    uint8_t bytes[8192];
} left;
static struct efi_tables efi;

/* Kernel of 8K at 64M, initrd of 3M at 66M, running in 48M from 16M on. */
static void leave(uint64_t memory, uint64_t initrd_bytes)
{
    struct shim_handover h = {.memory_bytes = memory,
                              .kernel_gpa = 64 * MIB,
                              .kernel_bytes = sizeof(file),
                              .initrd_gpa = 66 * MIB,
                              .initrd_bytes = initrd_bytes};
    assert_int_equal(bzimage_read(file, sizeof(file), &image), BZIMAGE_OK);
    memset(&left, 0xff, sizeof(left));
    unaccepted_build(&left.u, &h, &image);
}

static void test_unaccepted_memory(void **state)
{
    leave(512 * MIB, 3 * MIB);
    assert_int_equal(get(&left, 0, 4), 1);
    assert_int_equal(get(&left, 4, 4), 0x200000);
    assert_int_equal(get(&left, 8, 8), 0);
    assert_int_equal(get(&left, 16, 8), 32);
    /* Units 0, 8 to 31, 32, 33 and 34 are taken. */
    assert_int_equal(get(&left, 24, 8), 0xfffffff8000000feull);
    assert_int_equal(get(&left, 32, 8), ~0ull);
    assert_int_equal(get(&left, 48, 8), ~0ull);
    assert_false(unaccepted_has(&left.u, 0x1fffff));
    assert_true(unaccepted_has(&left.u, 0x200000));
    assert_true(unaccepted_has(&left.u, 511 * MIB));
    assert_false(unaccepted_has(&left.u, 512 * MIB));
    assert_false(unaccepted_has(NULL, 0x200000));
    leave(256 * MIB + 0x600000, 0); /* no more bits than units, in words of 64 */
    assert_int_equal(get(&left, 16, 8), 24);
    assert_int_equal(get(&left, 24, 8), 0xfffffffe000000feull);
    assert_int_equal(get(&left, 40, 8), 7);
    leave(5 * GIB, 0);
    assert_false(unaccepted_has(&left.u, 0xfe000000));
    assert_false(unaccepted_has(&left.u, 0xffe00000));
    assert_true(unaccepted_has(&left.u, 0xfde00000));
    assert_true(unaccepted_has(&left.u, 0x100000000));
    assert_int_equal(unaccepted_bytes(5 * GIB), 4096);
    assert_int_equal(unaccepted_bytes(64 * GIB), 8192);
    assert_int_equal(unaccepted_bytes(4096 * GIB), 262144 + 4096); /* ends below 2M */
}

static void check_efi_map(const uint64_t (*want)[3], unsigned count)
{
    assert_int_equal(efi.map_count, count);
    assert_int_equal(get(&params, 0x1d4, 4), 48 * count);
    for (unsigned i = 0; i < count; i++) {
        const uint8_t *d = (const uint8_t *)efi.map + 48 * i;
        assert_int_equal(get(d, 0, 4), want[i][0]);
        assert_int_equal(get(d, 8, 8), want[i][1]);
        assert_int_equal(get(d, 24, 8), want[i][2] / 4096);
        assert_int_equal(get(d, 32, 8), 8);
    }
}

static void test_efi_tables(void **state)
{
    static const uint64_t map[][3] = {{7, 0, 0xa0000},          {0, 0xa0000, 0x60000},   {10, 0x100000, 0xd000},
                                      {7, 0x10d000, 0xf3000},   {15, 2 * MIB, 14 * MIB}, {7, 16 * MIB, 54 * MIB},
                                      {15, 70 * MIB, 442 * MIB}};
    static const uint8_t guid[] = {0x3c, 0xde, 0xd1, 0xd5, 0x5c, 0x10, 0xf9, 0x44,
                                   0x9e, 0xa9, 0xbc, 0xef, 0x98, 0x12, 0x00, 0x31};
    const uint64_t at = 0x100005000;

    build(512 * MIB, 3 * MIB);
    leave(512 * MIB, 3 * MIB);
    memset(&efi, 0, sizeof(efi));
    assert_true(efi_build(&efi, at, &params, &left.u, 0x10e000));
    assert_memory_equal((uint8_t *)&params + 0x1c0, "EL64", 4);
    assert_int_equal(get(&params, 0x1c4, 4) | get(&params, 0x1d8, 4) << 32, at);
    assert_int_equal(get(&params, 0x1c8, 4), 48);
    assert_int_equal(get(&params, 0x1cc, 4), 1);
    assert_int_equal(get(&params, 0x1d0, 4) | get(&params, 0x1dc, 4) << 32,
                     at + ((uint8_t *)efi.map - (uint8_t *)&efi));
    assert_memory_equal(&efi, "IBI SYST", 8);
    assert_int_equal(get(&efi, 104, 8), 1);
    assert_int_equal(get(&efi, 88, 8) | get(&efi, 96, 8), 0); /* no services */
    const uint8_t *table = (const uint8_t *)&efi + (get(&efi, 112, 8) - at);
    assert_memory_equal(table, guid, sizeof(guid));
    assert_int_equal(get(table, 16, 8), 0x10e000);
    assert_memory_equal((const uint8_t *)&efi + (get(&efi, 24, 8) - at), "S\0e\0p\0t\0u\0m\0\0", 14);
    check_efi_map(map, 7);
}

/* A map that changes with each unit has more runs than there is room for. */
static void test_efi_map_too_long(void **state)
{
    build(512 * MIB, 0);
    leave(512 * MIB, 0);
    memset(left.u.bitmap, 0x55, 32);
    memset(&efi, 0, sizeof(efi));
    assert_false(efi_build(&efi, 0x5000, &params, &left.u, 0x10e000));
    assert_int_equal(efi.map_count, 3 + 256);
}

/* --- the VMM's words --- */

static struct shim_handover words(void)
{
    return (struct shim_handover){.version = 1,
                                  .vcpus = 4,
                                  .memory_bytes = 512 * MIB,
                                  .kernel_gpa = 64 * MIB,
                                  .kernel_bytes = sizeof(file),
                                  .initrd_gpa = 66 * MIB,
                                  .initrd_bytes = 3 * MIB,
                                  .command_line_bytes = 5,
                                  .command_line = "quiet"};
}

static void refused(const struct shim_handover *h, const char *text, uint64_t value)
{
    uint64_t number = 0;
    const char *wrong = check_handover(h, &number);
    assert_non_null(wrong);
    assert_string_equal(wrong, text);
    assert_int_equal(number, value);
}

static void test_handover(void **state)
{
    struct shim_handover h = words();
    uint64_t number;
    assert_null(check_handover(&h, &number));
    h.initrd_bytes = 0;
    h.initrd_gpa = 0;
    assert_null(check_handover(&h, &number));
    h.version = 2;
    refused(&h, "shim: the hand-over page is of another version: ", 2);
    h = words(), h.vcpus = 65;
    refused(&h, "shim: the hand-over page says vCPUs: ", 65);
    h = words(), h.memory_bytes = 512 * MIB + 4096;
    refused(&h, "shim: the hand-over page says memory: ", 512 * MIB + 4096);
    h = words(), h.memory_bytes = 8192 * GIB;
    refused(&h, "shim: the hand-over page says memory: ", 8192 * GIB);
    h = words(), h.command_line[5] = 'x';
    refused(&h, "shim: the command line does not end: ", 5);
    h = words(), h.command_line_bytes = 2048;
    refused(&h, "shim: the command line does not end: ", 2048);
}

/* In the shim, above memory, around the end of the address space, in the hole. */
static void test_places_of_files(void **state)
{
    static const uint64_t places[][2] = {{MIB, 4096},          {2 * MIB - 1, 4096},     {512 * MIB, 1},
                                         {511 * MIB, 2 * MIB}, {400 * MIB, -400 * MIB}, {-4096ull, 8192}};
    for (unsigned i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
        struct shim_handover h = words();
        h.kernel_gpa = places[i][0];
        h.kernel_bytes = places[i][1];
        refused(&h, "shim: the kernel is outside memory: ", places[i][0]);
        h = words();
        h.initrd_gpa = places[i][0];
        h.initrd_bytes = places[i][1];
        refused(&h, "shim: the initrd is outside memory: ", places[i][0]);
    }
    struct shim_handover h = words();
    h.memory_bytes = 8 * GIB;
    h.initrd_gpa = 0xfdf00000;
    h.initrd_bytes = 2 * MIB;
    refused(&h, "shim: the initrd is outside memory: ", 0xfdf00000);
}

/* It runs in 48M from 16M on. */
static void test_place_of_the_kernel(void **state)
{
    struct shim_handover h = words();
    uint64_t number;
    assert_int_equal(bzimage_read(file, sizeof(file), &image), BZIMAGE_OK);
    assert_null(check_place(&h, &image, &number));
    h.memory_bytes = 62 * MIB;
    assert_string_equal(check_place(&h, &image, &number), "shim: there is no room for the kernel at ");
    assert_int_equal(number, 0x1000000);
    h = words(), h.kernel_gpa = 64 * MIB - 1;
    assert_non_null(check_place(&h, &image, &number));
    h = words(), h.initrd_gpa = 16 * MIB - 3 * MIB + 1;
    assert_non_null(check_place(&h, &image, &number));
    h.initrd_gpa--;
    assert_null(check_place(&h, &image, &number));
}

/* --- ACPI --- */

#define TABLES_AT  0x106000ull
#define MAILBOX_AT 0x104000ull
#define RESET_AT   0x100123ull

static uint8_t room[4096] __attribute__((aligned(16)));
static unsigned first_free; /* behind the last table that was looked at */

static uint8_t sum(const void *from, unsigned bytes)
{
    uint8_t s = 0;
    for (unsigned i = 0; i < bytes; i++)
        s = (uint8_t)(s + ((const uint8_t *)from)[i]);
    return s;
}

static const uint8_t *table_at(uint64_t address, const char *signature)
{
    assert_true(address >= TABLES_AT && address % 16 == 0 && address < TABLES_AT + sizeof(room));
    const uint8_t *t = room + (address - TABLES_AT);
    unsigned bytes = (unsigned)get(t, 4, 4);
    assert_memory_equal(t, signature, 4);
    assert_true(t + bytes <= room + sizeof(room));
    assert_int_equal(sum(t, bytes), 0);
    first_free = bytes + (unsigned)(t - room) > first_free ? bytes + (unsigned)(t - room) : first_free;
    return t;
}

static const uint8_t *xsdt(uint32_t vcpus)
{
    memset(room, 0, sizeof(room));
    first_free = 0;
    static const struct acpi_wakeup wakeup = {MAILBOX_AT, RESET_AT};
    uint64_t rsdp = acpi_build(room, TABLES_AT, vcpus, &wakeup);
    assert_true(rsdp >= TABLES_AT && rsdp + 36 <= TABLES_AT + sizeof(room));
    const uint8_t *r = room + (rsdp - TABLES_AT);
    assert_memory_equal(r, "RSD PTR ", 8);
    assert_int_equal(r[15], 2);
    assert_int_equal(sum(r, 20), 0);
    assert_int_equal(sum(r, 36), 0);
    return table_at(get(r, 24, 8), "XSDT");
}

/* ACPI 6.5, section 5.2.9: hardware-reduced, sleep and reset registers at ports. */
static void test_fadt(void **state)
{
    static const uint8_t reset[] = {1, 8, 0, 1, 0x02, 6, 0, 0, 0, 0, 0, 0};
    const uint8_t *f = table_at(get(xsdt(1), 36, 8), "FACP");

    assert_int_equal(get(f, 4, 4), 276);
    assert_int_equal(f[8], 6);
    assert_int_equal(get(f, 112, 4), 1u << 20 | 1u << 10 | 1u << 5 | 1u << 4 | 1u << 2 | 1);
    assert_int_equal(get(f, 109, 2), 1u << 5 | 1u << 2); /* no RTC, no VGA, and no i8042 */
    assert_memory_equal(f + 116, reset, sizeof(reset));
    assert_int_equal(f[128], 1);
    assert_int_equal(get(f, 244 + 4, 8), 0x600);
    assert_int_equal(get(f, 256 + 4, 8), 0x601);
    assert_int_equal(get(f, 36, 4), 0); /* no FACS */
    assert_int_equal(get(f, 40, 4), get(f, 140, 8));
    table_at(get(f, 140, 8), "DSDT");
}

/* ACPI 6.5, section 20.2, by hand. */
static void test_dsdt(void **state)
{
    /* clang-format off */
    static const uint8_t aml[] = {
        0x08, '_', 'S', '5', '_', 0x12, 0x4b, 0x00, 4, 0x0a, 5, 0x0a, 0, 0x0a, 0, 0x0a, 0,
        0x10, 0x4d, 0x03, '\\', '_', 'S', 'B', '_',
        0x5b, 0x82, 0x44, 0x03, 'C', 'O', 'M', '1',
        0x08, '_', 'H', 'I', 'D', 0x0c, 0x41, 0xd0, 0x05, 0x01, /* PNP0501 */
        0x08, '_', 'U', 'I', 'D', 0x0a, 1,
        0x08, '_', 'C', 'R', 'S', 0x11, 0x47, 0x01, 0x0a, 19,
        0x47, 1, 0xf8, 3, 0xf8, 3, 1, 8, /* ports 0x3f8 to 0x3ff */
        0x89, 6, 0, 3, 1, 4, 0, 0, 0,    /* GSI 4 */
        0x79, 0,
    };
    /* clang-format on */
    const uint8_t *f = table_at(get(xsdt(1), 36, 8), "FACP"), *d = table_at(get(f, 140, 8), "DSDT");

    assert_int_equal(get(d, 4, 4), 36 + sizeof(aml));
    assert_memory_equal(d + 36, aml, sizeof(aml));
}

static void check_madt(uint32_t vcpus)
{
    const uint8_t *m = table_at(get(xsdt(vcpus), 44, 8), "APIC"), *at = m + 44;

    assert_int_equal(get(m, 36, 4), 0xfee00000);
    assert_int_equal(get(m, 40, 4), 0); /* no PIC */
    assert_int_equal(get(at, 0, 2), 1 | 12 << 8);
    assert_int_equal(get(at, 4, 4), 0xfec00000);
    assert_int_equal(get(at, 8, 4), 0);
    at += 12;
    for (uint32_t i = 0; i < vcpus; i++, at += 16) {
        assert_int_equal(get(at, 0, 4), 9 | 16 << 8);
        assert_int_equal(get(at, 4, 4), i);
        assert_int_equal(get(at, 8, 4), 1);
        assert_int_equal(get(at, 12, 4), i);
    }
    assert_int_equal(get(at, 0, 8), 16 | 24 << 8 | 1 << 16);
    assert_int_equal(get(at, 8, 8), MAILBOX_AT);
    assert_int_equal(get(at, 16, 8), RESET_AT);
    assert_int_equal(get(m, 4, 4), at + 24 - m);
}

static void test_madt(void **state)
{
    check_madt(1);
    check_madt(4);
    check_madt(64);
    assert_true(first_free < sizeof(room) - 36 - 16); /* the RSDP comes last */
}

/* --- acceptance --- */

#define LEAF_ACCEPT   6
#define ALREADY       0x00000b0a00000000ull
#define SIZE_MISMATCH 0xc0000b0b00000001ull
#define BUSY          0x8000020000000001ull
#define REFUSED       0xc000010000000001ull
#define BIG           0x200000ull

enum { PENDING, ACCEPTED, ADDED };

static struct {
    uint8_t page[8 * BIG / 4096], is_big[8];
    unsigned busy, calls;
    uint64_t refuses; /* this page; 0: none */
    jmp_buf end;
    char words[65];
    uint64_t number;
} fake;

const struct shim_handover shim_handover;
struct boot_params shim_boot_params;
uint8_t shim_mailbox[4096];

_Noreturn void shim_fatal(const char *words, uint64_t number)
{
    strncpy(fake.words, words, sizeof(fake.words) - 1);
    fake.number = number;
    longjmp(fake.end, 1);
}

void td_pause(void) {}

void tdcall(struct td_regs *r)
{
    uint64_t gpa = r->rcx & ~0xfffull, level = r->rcx & 7, pages = level ? 512 : 1;

    assert_int_equal(r->rax, LEAF_ACCEPT);
    assert_true(level <= 1 && gpa < 8 * BIG && gpa % (pages * 4096) == 0);
    fake.calls++;
    r->rax = 0;
    if (fake.busy) {
        fake.busy--;
        r->rax = BUSY;
    } else if (fake.refuses && gpa == fake.refuses) {
        r->rax = REFUSED;
    } else if (level && !fake.is_big[gpa / BIG]) {
        r->rax = SIZE_MISMATCH;
    } else if (fake.page[gpa / 4096] == ADDED) {
        r->rax = ALREADY;
    } else {
        for (uint64_t i = 0; i < pages; i++) {
            assert_int_equal(fake.page[gpa / 4096 + i], PENDING); /* none is accepted twice */
            fake.page[gpa / 4096 + i] = ACCEPTED;
        }
    }
}

static int fresh_module(void **state)
{
    memset(&fake, 0, sizeof(fake));
    memset(fake.is_big, 1, sizeof(fake.is_big));
    return 0;
}

static bool accept(uint64_t from, uint64_t to)
{
    if (setjmp(fake.end))
        return false;
    shim_accept(from, to);
    return true;
}

static unsigned accepted(void)
{
    unsigned n = 0;
    for (unsigned i = 0; i < sizeof(fake.page); i++)
        n += fake.page[i] == ACCEPTED;
    return n;
}

/* From the middle of one region to the middle of another, one of them mapped by 4K pages, some of which were added. */
static void test_accept(void **state)
{
    fake.is_big[0] = fake.is_big[3] = fake.is_big[5] = 0;
    memset(fake.page + 3 * 512 + 100, ADDED, 50);
    fake.busy = 3;
    assert_true(accept(0x10d000, 5 * BIG + 0x7000));
    assert_int_equal(accepted(), 5 * 512 + 7 - 0x10d - 50);
    assert_int_equal(fake.calls, 3 + (512 - 0x10d) + 3 + 1 + 512 + 7);
}

static void test_accept_of_nothing(void **state)
{
    assert_true(accept(4 * BIG, 4 * BIG));
    assert_true(accept(4 * BIG, BIG));
    assert_int_equal(fake.calls, 0);
}

static void test_accept_refused(void **state)
{
    fake.refuses = 2 * BIG;
    assert_false(accept(BIG, 4 * BIG));
    assert_string_equal(fake.words, "shim: ACCEPT is refused at ");
    assert_int_equal(fake.number, 2 * BIG);
    fake.busy = ~0u;
    assert_false(accept(4 * BIG, 5 * BIG));
    assert_string_equal(fake.words, "shim: ACCEPT stays busy at ");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_a_good_kernel_is_read, fresh),
        cmocka_unit_test_setup(test_other_kernels_are_refused, fresh),
        cmocka_unit_test_setup(test_short_files_are_refused, fresh),
        cmocka_unit_test_setup(test_odd_versions_are_cut, fresh),
        cmocka_unit_test_setup(test_boot_params, fresh),
        cmocka_unit_test_setup(test_memory_around_the_hole, fresh),
        cmocka_unit_test_setup(test_unaccepted_memory, fresh),
        cmocka_unit_test_setup(test_efi_tables, fresh),
        cmocka_unit_test_setup(test_efi_map_too_long, fresh),
        cmocka_unit_test(test_handover),
        cmocka_unit_test(test_places_of_files),
        cmocka_unit_test_setup(test_place_of_the_kernel, fresh),
        cmocka_unit_test(test_fadt),
        cmocka_unit_test(test_dsdt),
        cmocka_unit_test(test_madt),
        cmocka_unit_test_setup(test_accept, fresh_module),
        cmocka_unit_test_setup(test_accept_of_nothing, fresh_module),
        cmocka_unit_test_setup(test_accept_refused, fresh_module),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
