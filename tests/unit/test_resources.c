/*
 * Operations that run out of memory, with every number of pages left that is too small, and operations whose vCPUs do
 * not leave in time: an error in words, nothing half done, nothing lost, and the same operation succeeds when the
 * shortage is over.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "mm/page.h"
#include "tests/host/hold.h"
#include "tests/unit/tdp_operations.h"

#define HOARD_MAX 8192

static int machine(void **state)
{
    tb_machine_of(OPERATIONS_MEMORY);
    return 0;
}

/* The TD runs, finds its data, and mirror and module agree. */
static void check_state(const struct operation *op, bool failed)
{
    tb_enter();
    tb_check();
    if (failed)
        check_blocked(op);
    if (!is_blocked(BASE))
        verify_some();
}

/* --- memory ------------------------------------------------------------------------------------------------------- */

static struct {
    hpa_t page;
    level_t level;
} hoard[HOARD_MAX];
static unsigned hoarded;

/* Takes everything, and gives `left` pages of the first block back, behind its first one. */
static void leave_only(unsigned left)
{
    for (int level = 2; level >= 0; level--)
        while (hoarded < HOARD_MAX && page_alloc((level_t){(uint8_t)level}, &hoard[hoarded].page) == ERR_OK)
            hoard[hoarded++].level = (level_t){(uint8_t)level};
    TB_NEED(page_free_bytes() == 0 && hoard[0].level.raw > 0, page_free_bytes());
    if (left)
        page_free_range(hpa_add(hoard[0].page, TB_4K), left * TB_4K);
}

/* All but those pages, some of which the operation has kept. */
static void give_back(unsigned left)
{
    hpa_t first = hoard[0].page;
    page_free(first, LEVEL_4K);
    page_free_range(hpa_add(first, (left + 1) * TB_4K), level_bytes(hoard[0].level) - (left + 1) * TB_4K);
    while (hoarded > 1) {
        hoarded--;
        page_free(hoard[hoarded].page, hoard[hoarded].level);
    }
    hoarded = 0;
}

/* With `left` pages; true when that was enough. */
static bool try_with(const struct operation *op, unsigned left)
{
    create_for(op);
    op->have();
    leave_only(left);
    struct tdp_report r = op->run();
    if (r.err != ERR_OK) {
        TB_NEED(r.err == ERR_NO_MEMORY && r.what, r.err);
        TB_NEED(r.seamcalls == 0, r.seamcalls);
    }
    give_back(left);
    check_state(op, r.err != ERR_OK);
    if (r.err != ERR_OK)
        need(op->run());
    tb_check();
    tb_destroy();
    return r.err == ERR_OK;
}

static void test_no_memory_changes_nothing(void **state)
{
    unsigned tries = 0;
    for (unsigned o = 0; o < sizeof(operations) / sizeof(operations[0]); o++) {
        unsigned left = 0;
        while (!try_with(&operations[o], left)) {
            left++;
            tries++;
            if (operations[o].have == have_scattered && left == 8)
                break; /* that takes a 2M block, however many pages there are */
            if (left == 64)
                fail_msg("%s does not succeed with 64 pages", operations[o].name);
        }
    }
    assert_true(tries > 50);
}

/* --- time --------------------------------------------------------------------------------------------------------- */

static uint64_t kicks_until_late;

static void be_late(void)
{
    if (kicks_until_late-- == 0)
        hold_host.next = ERR_TIMEOUT;
}

/* Kick number `n` of the operation times out; true when there are not so many. */
static bool try_late_kick(const struct operation *op, uint64_t n)
{
    create_for(op);
    op->have();
    kicks_until_late = n;
    hold_host.kicked = be_late;
    struct tdp_report r = op->run();
    hold_host.kicked = NULL;
    bool too_few = kicks_until_late != ~0ull && kicks_until_late <= n;
    TB_NEED(r.err == (too_few ? ERR_OK : ERR_TIMEOUT), r.err);
    TB_NEED(r.err == ERR_OK || r.what, r.err);
    check_state(op, r.err != ERR_OK);
    if (r.err != ERR_OK) {
        r = op->run();
        if (r.err != ERR_EXISTS)
            need(r);
    }
    tb_check();
    tb_destroy();
    return too_few;
}

/* Holding the vCPUs out, which operations of several TRACKs begin with, times out. */
static void try_late_hold(const struct operation *op)
{
    create_for(op);
    op->have();
    hold_host.holds = 0;
    hold_host.next = ERR_TIMEOUT;
    struct tdp_report r = op->run();
    if (hold_host.next != ERR_OK) { /* it neither holds nor kicks */
        hold_host.next = ERR_OK;
        need(r);
    } else {
        TB_NEED(r.err == ERR_TIMEOUT && r.what && hold_host.depth == 0, r.err);
        check_state(op, true);
        r = op->run();
        if (r.err != ERR_EXISTS)
            need(r);
    }
    tb_check();
    tb_destroy();
}

static void test_vcpus_that_do_not_leave(void **state)
{
    for (unsigned o = 0; o < sizeof(operations) / sizeof(operations[0]); o++) {
        try_late_hold(&operations[o]);
        for (uint64_t n = 0; !try_late_kick(&operations[o], n); n++)
            assert_true(n < 8);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_no_memory_changes_nothing),
        cmocka_unit_test(test_vcpus_that_do_not_leave),
    };
    return cmocka_run_group_tests(tests, machine, NULL);
}
