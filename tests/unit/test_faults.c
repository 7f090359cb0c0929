/*
 * Every kind of status that is no success, at every SEAMCALL of every plan: the call is not executed and answers that
 * status, once or, for one that wants repeating, until the operation gives up. After it nothing may be lost: the
 * mirror agrees with the module, no page is missing at the end, the report is an error with words (or a success,
 * where repeating is the answer), and the TD's data is what it was wherever the conversion did not come. Of each kind
 * a few are tried at each call, and all that the module has at one call of each leaf.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "tdx/leaf.h"
#include "tests/host/hold.h"
#include "tests/host/seamcall.h"
#include "tests/unit/tdp_operations.h"

/* --- the fault ---------------------------------------------------------------------------------------------------- */

/* As many calls as an operation makes before it gives up: 513 in each of two rounds. */
#define LONG 1026

#define ONE_OF_EACH_KIND 4  /* repeat, repeat in vain, refused, TD dead */
#define BETWEEN          16 /* of so many calls in the middle of a run one is tried */

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

#define STATUSES (sizeof(statuses) / sizeof(statuses[0]))

/* The SEAMCALLs of an operation's plan, in their order: which leaf each is, and which occurrence of it. */
static uint64_t calls_seen;
static struct {
    unsigned leaf, occurrence;
} call_at[8192];
static void (*testbed_watch)(const struct seamcall_regs *regs);

/* PAGE.WBINVD is a flush, for which test_flush.c is; SEPT.RD only looks. */
static bool is_of_the_plan(unsigned leaf)
{
    return leaf != 41 && leaf != 25;
}

static void count_calls(const struct seamcall_regs *regs)
{
    static unsigned occurrences[64];
    unsigned leaf = regs->rax & 0xffff;

    if (calls_seen == 0)
        memset(occurrences, 0, sizeof(occurrences));
    if (is_of_the_plan(leaf)) {
        TB_NEED(calls_seen < sizeof(call_at) / sizeof(call_at[0]) && leaf < 64, calls_seen);
        call_at[calls_seen].leaf = leaf;
        call_at[calls_seen++].occurrence = occurrences[leaf]++;
    }
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

/* Is call `n` tried with status `s`? With all where a run of one leaf begins, with one of each kind (the first of the
 * table) at its second and last call; between, where calls are like their neighbours, now and then with one of them, each
 * in its turn. EVERY=1 in the environment: always. */
static bool is_tried(uint64_t n, unsigned s, uint64_t calls)
{
    unsigned leaf = call_at[n].leaf;
    bool first = n == 0 || call_at[n - 1].leaf != leaf, last = n + 1 == calls || call_at[n + 1].leaf != leaf;
    bool second = n > 0 && !first && (n == 1 || call_at[n - 2].leaf != leaf);

    if (first || getenv("EVERY"))
        return true;
    if (second || last)
        return s < ONE_OF_EACH_KIND;
    return n % BETWEEN == 0 && s == n / BETWEEN % STATUSES;
}

static bool is_repeatable(uint64_t status)
{
    return tdx_verdict((tdx_status_t){status}) == TDX_REPEAT;
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

/* One operation with one fault at one call, on the state that it wants. What failed can be asked for again, and ends as if
 * nothing had been. */
static void try_fault(const struct operation *op, const struct injected *s, uint64_t call)
{
    seamcall_host_inject_times(call_at[call].leaf, call_at[call].occurrence, s->times, s->status);
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

/* In a copy of this process, which is the cheapest way to the same state again and again. */
static bool survives(const struct operation *op, const struct injected *s, uint64_t call)
{
    int status;

    fflush(NULL);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        try_fault(op, s, call);
        _exit(0);
    }
    return waitpid(child, &status, 0) == child && status == 0;
}

/* Each status at each SEAMCALL of one operation. */
static void every_call_of_an_operation_may_fail(void **state)
{
    const struct operation *op = *state;
    uint64_t calls = count_operation(op);

    assert_true(calls > 0);
    create_for(op);
    op->have();
    for (uint64_t n = 0; n < calls; n++)
        for (unsigned s = 0; s < STATUSES; s++)
            if (is_tried(n, s, calls) && !survives(op, &statuses[s], n))
                fail_msg("%s, call %llu (leaf %u): %s", op->name, (unsigned long long)n, call_at[n].leaf,
                         statuses[s].name);
    tb_destroy();
}

/* --- all that a module may answer --------------------------------------------------------------------------------- */

/* Those of the module's statuses that are no success, an operand where they name one. */
static const struct injected all_statuses[] = {
#define X(code, name, verdict, details)                                                                                \
    {#name, (uint64_t)(code) << 32 | (TDX_DETAILS_##details == TDX_DETAILS_OPERAND), 1, TDX_##verdict == TDX_TD_DEAD},
    TDX_STATUS_LIST(X)
#undef X
};

static void all_at(const struct operation *op, uint64_t call)
{
    for (unsigned s = 0; s < sizeof(all_statuses) / sizeof(all_statuses[0]); s++)
        if (!tdx_ok((tdx_status_t){all_statuses[s].status}) && !survives(op, &all_statuses[s], call))
            fail_msg("%s, call %llu (leaf %u): %s", op->name, (unsigned long long)call, call_at[call].leaf,
                     all_statuses[s].name);
}

/* At the first call of each leaf in the first operation that has one. */
static void every_status_at_every_leaf(void **state)
{
    static const unsigned leaves[] = {3, 5, 6, 7, 15, 23, 29, 30, 38, 39};
    bool tried[64] = {false};

    for (unsigned o = 0; o < sizeof(operations) / sizeof(operations[0]); o++) {
        const struct operation *op = &operations[o];
        uint64_t calls = is_refused_anyway(op) ? 0 : count_operation(op);
        create_for(op);
        op->have();
        for (uint64_t n = 0; n < calls; n++)
            if (!tried[call_at[n].leaf]) {
                tried[call_at[n].leaf] = true;
                all_at(op, n);
            }
        tb_destroy();
    }
    for (unsigned i = 0; i < sizeof(leaves) / sizeof(leaves[0]); i++)
        assert_true(tried[leaves[i]]);
}

int main(void)
{
    struct CMUnitTest tests[sizeof(operations) / sizeof(operations[0]) + 1];

    tb_machine_of(OPERATIONS_MEMORY);
    for (unsigned o = 0; o < sizeof(operations) / sizeof(operations[0]); o++)
        tests[o] = (struct CMUnitTest){.name = operations[o].name,
                                       .test_func = every_call_of_an_operation_may_fail,
                                       .initial_state = (void *)&operations[o]};
    tests[sizeof(operations) / sizeof(operations[0])] = (struct CMUnitTest)cmocka_unit_test(every_status_at_every_leaf);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
