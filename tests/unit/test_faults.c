/*
 * Every kind of status that is no success, at every SEAMCALL of every plan: the call is not executed and answers that
 * status, once or, for one that wants repeating, until the operation gives up. After it nothing may be lost: the
 * mirror agrees with the module, no page is missing at the end, the report is an error with words (or a success,
 * where repeating is the answer), and the TD's data is what it was wherever the conversion did not come.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tdx/leaf.h"
#include "tests/host/hold.h"
#include "tests/host/seamcall.h"
#include "tests/unit/tdp_operations.h"

/* --- the fault ---------------------------------------------------------------------------------------------------- */

/* As many calls as an operation makes before it gives up: 513 in each of two rounds. */
#define LONG 1026

#define ONE_OF_EACH_KIND 4 /* repeat, repeat in vain, refused, TD dead */

static const struct injected {
    const char *name;
    uint64_t status;
    unsigned times;
    bool kills;
} statuses[] = {
    {"OPERAND_BUSY once", 0x8000020000000001, 1, false},
    {"OPERAND_BUSY(SEPT_TREE) for long", 0x8000020000000092, LONG, false},
    {"EPT_ENTRY_STATE_INCORRECT once", 0xc0000b0d00000001, 1, false},
    {"TD_FATAL once", 0xe000060400000000, 1, true},
    {"INTERRUPTED_RESTARTABLE once", 0x8000000400000000, 1, false},
    {"PREVIOUS_TLB_EPOCH_BUSY once", 0x8000020100000000, 1, false},
    {"TLB_TRACKING_NOT_DONE once", 0xc0000b0800000001, 1, false},
    {"GPA_RANGE_NOT_BLOCKED once", 0xc0000b0600000001, 1, false},
    {"EPT_WALK_FAILED once", 0xc0000b0000000001, 1, false},
    {"EPT_INVALID_PROMOTE_CONDITIONS once", 0xc0000b0900000001, 1, false},
    {"PAGE_METADATA_INCORRECT once", 0xc000030000000008, 1, false},
    {"OPERAND_INVALID once", 0xc000010000000001, 1, false},
    {"an unknown status once", 0xdead0bad00000000, 1, false},
};

/* Counts the SEAMCALLs of an operation and says which leaf the one to be hit is. */
static uint64_t calls_seen;
static unsigned leaf_of_call[8192];
static void (*testbed_watch)(const struct seamcall_regs *regs);

static void count_calls(const struct seamcall_regs *regs)
{
    if (calls_seen < sizeof(leaf_of_call) / sizeof(leaf_of_call[0]))
        leaf_of_call[calls_seen] = regs->rax & 0xffff;
    calls_seen++;
    testbed_watch(regs);
}

static uint64_t count_operation(const struct operation *op)
{
    create_for(op);
    op->have();
    testbed_watch = seamcall_host_watch;
    seamcall_host_watch = count_calls;
    calls_seen = 0;
    struct tdp_report r = op->run();
    uint64_t calls = calls_seen;
    seamcall_host_watch = testbed_watch;
    TB_NEED(r.err == ERR_OK, r.status.raw);
    tb_check();
    tb_destroy();
    return calls;
}

/* PAGE.WBINVD is a flush, which is reported and passed over; SEPT.RD only looks. */
static bool is_of_the_plan(unsigned leaf)
{
    return leaf != 41 && leaf != 25;
}

/* How many of the statuses call `n` is tried with: all where a run of one leaf begins, one of each kind (the first of
 * the table) at its second and last call, none between: calls in the middle of 512 are like their neighbours. */
static unsigned statuses_for(uint64_t n, uint64_t calls)
{
    unsigned leaf = leaf_of_call[n];
    bool first = n == 0 || leaf_of_call[n - 1] != leaf, last = n + 1 == calls || leaf_of_call[n + 1] != leaf;
    bool second = n > 0 && !first && (n == 1 || leaf_of_call[n - 2] != leaf);
    if (!is_of_the_plan(leaf))
        return 0;
    return first ? sizeof(statuses) / sizeof(statuses[0]) : second || last ? ONE_OF_EACH_KIND : 0;
}

/* Which occurrence of its leaf call `n` is. */
static unsigned occurrence(uint64_t n)
{
    unsigned before = 0;
    for (uint64_t i = 0; i < n; i++)
        before += leaf_of_call[i] == leaf_of_call[n];
    return before;
}

static bool is_repeatable(uint64_t status)
{
    return status >> 32 == 0x80000200 || status >> 32 == 0x80000004;
}

/* PROMOTE is refused in it anyway: a fault in the undo is one too many, and the TD is given up. */
static bool is_refused_anyway(const struct operation *op)
{
    return op->have == have_two_states;
}

/* The report of an operation that met the fault: a success where another call is the answer, else words and the
 * status. */
static void judge(const struct operation *op, const struct injected *s, const struct tdp_report *r)
{
    if (s->kills || (is_refused_anyway(op) && r->err == ERR_TD_DEAD)) {
        TB_NEED(r->err == ERR_TD_DEAD, r->err);
    } else if (is_repeatable(s->status)) {
        TB_NEED(r->err == (s->times == 1 ? ERR_OK : ERR_BUSY), r->err);
    } else {
        TB_NEED(r->err == ERR_OK || r->err == ERR_TDX, r->err);
        TB_NEED(r->err == ERR_OK || r->status.raw == s->status, r->status.raw);
    }
    TB_NEED(r->err == ERR_OK || r->what, r->err);
    TB_NEED(hold_host.depth == 0, hold_host.depth);
}

/* One operation with one fault at one call. What failed can be asked for again, and ends as if nothing had been. */
static void try_fault(const struct operation *op, const struct injected *s, uint64_t call)
{
    create_for(op);
    op->have();
    seamcall_host_inject_times(leaf_of_call[call], occurrence(call), s->times, s->status);
    struct tdp_report r = op->run();
    TB_NEED(seamcall_host_injections_left() == 0, call);
    judge(op, s, &r);
    if (r.err != ERR_TD_DEAD) {
        tb_enter();
        tb_check();
        if (!is_blocked(BASE))
            verify_some();
        if (r.err != ERR_OK) {
            check_blocked(op);
            r = op->run();
            if (r.err != ERR_EXISTS) /* mapped already, by a large page that was to be split */
                need(r);
        }
        tb_check();
    }
    tb_destroy();
}

/* Each status at each SEAMCALL of one operation. */
static void every_call_of_an_operation_may_fail(void **state)
{
    const struct operation *op = *state;
    uint64_t calls = count_operation(op);

    assert_in_range(calls, 1, sizeof(leaf_of_call) / sizeof(leaf_of_call[0]) - 1);
    for (uint64_t n = 0; n < calls; n++)
        for (unsigned s = 0; s < statuses_for(n, calls); s++) {
            if (getenv("TRACE"))
                printf("%s, call %llu (leaf %u): %s\n", op->name, (unsigned long long)n, leaf_of_call[n],
                       statuses[s].name);
            try_fault(op, &statuses[s], n);
        }
}

int main(void)
{
    struct CMUnitTest tests[sizeof(operations) / sizeof(operations[0])];

    tb_machine();
    for (unsigned o = 0; o < sizeof(operations) / sizeof(operations[0]); o++)
        tests[o] = (struct CMUnitTest){.name = operations[o].name,
                                       .test_func = every_call_of_an_operation_may_fail,
                                       .initial_state = (void *)&operations[o]};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
