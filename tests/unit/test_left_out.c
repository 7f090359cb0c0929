/*
 * After `tdx init` the allocator holds TDX memory only: with CMRs that leave holes in the machine's memory, and with tdmem=SIZE.
 * Every page that can be had is looked at.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "drivers/serial.h"
#include "kernel/boot_info.h"
#include "kernel/console/command.h"
#include "mm/page.h"
#include "tdx/module_internal.h"
#include "tests/host/cpu.h"
#include "tests/host/io.h"
#include "tests/host/platform.h"
#include "tests/host/seamcall.h"

#define M 0x100000ull
#define G 0x40000000ull

/* Memory in two ranges; the CMRs leave out the end of the first, a hole in the second, and its end. */
static struct phys_range memory[] = {{{1 * G + 5 * M}, 1 * G}, {{4 * G}, 4 * G}};
static struct boot_info boot = {.map.free = {.r = memory, .count = 2, .max = 2}};
static const struct plat_range cmrs[] = {{0x100000, 2 * G}, {4 * G, 1 * G + 3 * M}, {5 * G + 7 * M, 2 * G}};

static bool is_tdx_memory(u64 at)
{
    for (size_t i = 0; i < sizeof(cmrs) / sizeof(cmrs[0]); i++)
        if (at >= cmrs[i].base && at < cmrs[i].base + cmrs[i].bytes)
            return true;
    return false;
}

static void start(u64 tdmem)
{
    struct plat_info info = *platform_host_default_info();
    info.lp_count = 1;
    memset(info.cmrs, 0, sizeof(info.cmrs));
    memcpy(info.cmrs, cmrs, sizeof(cmrs));
    info.cmr_count = sizeof(cmrs) / sizeof(cmrs[0]);
    platform_host_start(&info);
    cpu_host_reset();
    seamcall_host_reset();
    tdx_module_forget();
    page_init();
    for (unsigned i = 0; i < boot.map.free.count; i++)
        page_add_range(memory[i].base, memory[i].bytes);
    options_default(&boot.options);
    boot.options.tdmem_bytes = tdmem;
    boot_info_set(&boot);
    io_host_reset();
    assert_true(serial_init(SERIAL_COM1));
    if (command_run("tdx init", 8, COMMAND_QUIET) != COMMAND_OK)
        fail_msg("%s", io_host_output());
}

/* Takes all there is, largest pages first; how much it was. */
static u64 take_all(void)
{
    u64 taken = 0;

    for (int level = 2; level >= 0; level--) {
        hpa_t page;
        u64 bytes = 0x1000ull << (9 * level);
        while (page_alloc((level_t){(u8)level}, &page) == ERR_OK) {
            taken += bytes;
            for (u64 at = page.raw; at < page.raw + bytes; at += 0x1000)
                if (!is_tdx_memory(at))
                    fail_msg("page %llx lies in no CMR", (unsigned long long)at);
        }
    }
    return taken;
}

static void test_holes_in_the_cmrs(void **state)
{
    start(0);
    u64 free = page_free_bytes();
    assert_int_equal(take_all(), free);
    /* All of the CMRs' share of it, but for side tables and PAMTs: a hundredth is generous. */
    u64 share = G - 4 * M + G + 3 * M + 2 * G;
    assert_in_range(page_total_bytes(), share - share / 100, share);
}

/* The smallest block that would do for the PAMTs is convertible in no part: a module refuses them there. */
static void test_pamts_lie_in_cmrs(void **state)
{
    struct phys_range was = memory[0];

    memory[0] = (struct phys_range){{3 * G}, 64 * M};
    start(0);
    assert_int_equal(tdx_module_layout()->memory_bytes, G + 3 * M + 2 * G);
    memory[0] = was;
}

static void test_limit(void **state)
{
    start(700 * M);
    u64 free = page_free_bytes();
    assert_int_equal(take_all(), free);
    assert_int_equal(tdx_module_layout()->memory_bytes, 700 * M);
    /* Where the PAMTs are the limit is not asked. The side tables of all memory, 15 MiB, lie in the first range. */
    assert_in_range(page_total_bytes(), 680 * M, 690 * M + tdx_module_layout()->pamt_bytes);
}

/* The module refuses a TDMR whose reserved areas are no whole pages. */
static void test_limit_inside_a_page(void **state)
{
    static const u64 limits[] = {700 * M + 1024, 700 * M + 1, 5 * M - 1, 4096 + 1024};
    for (size_t i = 0; i < sizeof(limits) / sizeof(limits[0]); i++) {
        start(limits[i]);
        assert_true(page_free_bytes() <= limits[i]);
    }
}

static void test_withdrawing_nothing_and_everything(void **state)
{
    hpa_t page;
    start(0);
    u64 before = page_free_bytes();
    page_withdraw((hpa_t){0}, M);
    assert_int_equal(page_free_bytes(), before);
    assert_int_equal(page_alloc(LEVEL_2M, &page), ERR_OK);
    page_withdraw((hpa_t){0}, 16 * G);
    assert_int_equal(page_free_bytes(), 0);
    page_free(page, LEVEL_2M); /* what was in use stays the allocator's */
    assert_int_equal(page_free_bytes(), 2 * M);
    assert_int_equal(page_alloc(LEVEL_2M, &page), ERR_OK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_holes_in_the_cmrs),
        cmocka_unit_test(test_pamts_lie_in_cmrs),
        cmocka_unit_test(test_limit),
        cmocka_unit_test(test_limit_inside_a_page),
        cmocka_unit_test(test_withdrawing_nothing_and_everything),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
