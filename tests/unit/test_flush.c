/*
 * Flushes of pages that come back from the TD, each of which may fail: the page is out of use for good and counted, a
 * conversion to shared ends in front of it, and all else is as if nothing had been.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "mm/page.h"
#include "tests/host/hold.h"
#include "tests/host/seamcall.h"
#include "tests/unit/tdp_operations.h"

#define LEAF_WBINVD 41
#define REFUSED     0xc000010000000001ull

static unsigned flushes;

static bool count_flushes(struct seamcall_regs *regs)
{
    flushes += (regs->rax & 0xffff) == LEAF_WBINVD;
    return false;
}

/* Where memory is lost, it is lost to the machine. */
static void begin(const struct operation *op)
{
    tb_machine_of(OPERATIONS_MEMORY);
    create_for(op);
    op->have();
}

static unsigned count_flushes_of(const struct operation *op)
{
    begin(op);
    flushes = 0;
    seamcall_host_answer = count_flushes;
    need(op->run());
    seamcall_host_answer = NULL;
    tb_destroy();
    return flushes;
}

/* The TD's memory at `r->at` was given back, and nobody gets it again. */
static void check_lost_memory(const struct operation *op, const struct tdp_report *r)
{
    struct tdp_walk w;
    uint64_t value;

    TB_NEED(r->err == ERR_TDX && r->status.raw == REFUSED && strcmp(r->what, "PHYMEM.PAGE.WBINVD") == 0, r->err);
    TB_NEED(hpa_is(page_first_lost(r->page, TB_4K), r->page), r->page.raw);
    TB_NEED(tdp_walk(tb.tdp, r->at, &w).err == ERR_OK && w.state == TDP_ABSENT, w.state);
    TB_NEED(!tb_load(r->at.raw, false, &value) && tb_last_fault.err == ERR_LOST, tb_last_fault.err);
    struct tdp_report again = op->run();
    TB_NEED(again.err == ERR_LOST && again.what && gpa_is(again.at, r->at), again.err);
    TB_NEED(hpa_is(again.page, r->page), again.page.raw);
    again = tdp_map(tb.tdp, r->at, TB_4K, LEVEL_4K, NULL);
    TB_NEED(again.err == ERR_LOST && again.seamcalls == 0, again.err);
}

/* True: the memory of the TD was what could not be flushed; false: a page of the module's tables. */
static bool try_flush(const struct operation *op, unsigned nth)
{
    begin(op);
    seamcall_host_inject(LEAF_WBINVD, nth, REFUSED);
    struct tdp_report r = op->run();
    TB_NEED(seamcall_host_injections_left() == 0 && hold_host.depth == 0, nth);
    TB_NEED(r.lost == 1 && page_lost_bytes() == TB_4K, r.lost);
    tb_enter();
    tb_check();
    check_blocked(op);
    if (r.err != ERR_OK)
        check_lost_memory(op, &r);
    if (!is_blocked(BASE))
        verify_some();
    tb_check();
    tb_destroy();
    return r.err != ERR_OK;
}

static void one_flush_fails_anywhere(void **state)
{
    unsigned of_memory = 0, of_tables = 0;

    for (unsigned o = 0; o < sizeof(operations) / sizeof(operations[0]); o++) {
        unsigned count = count_flushes_of(&operations[o]);
        for (unsigned n = 0; n < count; n = n < 2 || n == count - 1 ? n + 1 : count - 1)
            if (try_flush(&operations[o], n))
                of_memory++;
            else
                of_tables++;
    }
    assert_true(of_memory > 10 && of_tables > 10);
}

/* A page that is busy is flushed in the end. */
static void busy_flush_is_repeated(void **state)
{
    const struct operation op = {"share a leaf", have_2m, share_2m};

    begin(&op);
    seamcall_host_inject_times(LEAF_WBINVD, 5, 3, 0x8000020000000001);
    struct tdp_report r = op.run();
    TB_NEED(r.err == ERR_OK && r.lost == 0, r.err);
    tb_destroy();
}

/* A GiB is flushed by every CPU itself. */
static struct tdp_report share_1g(enum err write_back)
{
    tb_machine_of(OPERATIONS_MEMORY);
    tb.backing = TDP_INPLACE;
    tb_create(MEMORY, LEVEL_1G, false);
    have_1g();
    hold_host.write_backs = 0;
    hold_host.write_back = write_back;
    struct tdp_report r = tb_convert(0, TB_1G, TDP_SHARED);
    hold_host.write_back = ERR_OK;
    TB_NEED(hold_host.write_backs == 1, hold_host.write_backs);
    tb_check();
    return r;
}

static void gib_is_flushed_on_every_cpu(void **state)
{
    need(share_1g(ERR_OK));
    tb_destroy();
}

static void gib_that_a_cpu_does_not_flush_is_lost(void **state)
{
    struct tdp_report r = share_1g(ERR_TIMEOUT);

    TB_NEED(r.err == ERR_TIMEOUT && r.what && r.at.raw == 0, r.err);
    TB_NEED(r.lost == TB_1G / TB_4K && page_lost_bytes() == TB_1G, r.lost);
    TB_NEED(tb_convert(0, TB_1G, TDP_SHARED).err == ERR_LOST, 0);
    TB_NEED(tdp_map(tb.tdp, at(TB_1G - TB_4K), TB_4K, LEVEL_4K, NULL).err == ERR_LOST, 0);
    need(tdp_map(tb.tdp, at(BASE), TB_4K, LEVEL_4K, NULL));
    tb_destroy();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_flush_fails_anywhere),
        cmocka_unit_test(busy_flush_is_repeated),
        cmocka_unit_test(gib_is_flushed_on_every_cpu),
        cmocka_unit_test(gib_that_a_cpu_does_not_flush_is_lost),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
