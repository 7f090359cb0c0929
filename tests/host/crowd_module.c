/* What the module is made to answer to the crowd: BUSY for nothing, interrupts, every status. See tests/host/crowd.h. */
#include "tests/host/crowd_internal.h"

#include <stdio.h>
#include <string.h>

#include "lib/bits.h"
#include "tests/host/baton.h"
#include "tests/host/platform.h"
#include "tests/host/seamcall.h"

static unsigned events(struct seam_lp *lp)
{
    (void)lp;
    return dice(1000) < crowd.plan->interrupts ? PLAT_EVENT_INTERRUPT | (dice(2) ? PLAT_EVENT_NMI : 0) : 0;
}

/* The leaves of the TDP MMU's steps, by number, and what each of them is made to answer; `times` in a row. */
static const unsigned step_leaves[] = {3, 5, 6, 7, 15, 23, 29, 30, 38, 39};
static const struct {
    u64 status;
    unsigned times;
} fault_list[] = {
    {0x8000020000000001, 1}, {0x8000020000000092, 1026}, {0xc0000b0d00000001, 1}, {0x8000000400000000, 1},
    {0x8000020100000000, 1}, {0xc0000b0800000001, 1},    {0xc0000b0600000001, 1}, {0xc0000b0000000001, 1},
    {0xc0000b0900000001, 1}, {0xc000030000000008, 1},    {0xc000010000000001, 1}, {0xdead0bad00000000, 1},
};
#define LEAVES (sizeof(step_leaves) / sizeof(step_leaves[0]))
#define FAULTS (sizeof(fault_list) / sizeof(fault_list[0]))

static u64 calls_so_far;
static u64 faults_of[LEAVES]; /* so far: which comes next is this modulo FAULTS */

static int step_leaf(const struct seamcall_regs *regs)
{
    for (unsigned i = 0; i < LEAVES; i++)
        if (step_leaves[i] == (regs->rax & 0xffff))
            return (int)i;
    return -1;
}

/* What is rare fails more often, until it has answered each of them. */
static u64 fault_rate(unsigned leaf)
{
    static const u64 rates[LEAVES] = {[0] = 1000, [1] = 300, [4] = 300, [5] = 300, [7] = 1000, [8] = 50, [9] = 300};
    bool is_missing = __atomic_load_n(&faults_of[leaf], __ATOMIC_RELAXED) < FAULTS;
    return crowd.plan->faults ? max_u64(crowd.plan->faults, is_missing ? rates[leaf] : 0) : 0;
}

/* Nothing is moved in memory that is in place; scattered memory is rarely merged. */
static bool is_expected(unsigned leaf)
{
    unsigned number = step_leaves[leaf];
    return crowd.plan->backing == TDP_INPLACE ? number != 5 : number != 15 && number != 23 && number != 30;
}

/* How many of the statuses this leaf has yet to answer. */
static unsigned missing_of(unsigned leaf)
{
    bool is_wanted = crowd.plan->faults && is_expected(leaf) && faults_of[leaf] < FAULTS;
    return is_wanted ? (unsigned)(FAULTS - faults_of[leaf]) : 0;
}

unsigned crowd_faults_missing(void)
{
    unsigned sum = 0;
    for (unsigned i = 0; i < LEAVES; i++)
        sum += missing_of(i);
    return sum;
}

void crowd_tell_missing(void)
{
    for (unsigned i = 0; i < LEAVES; i++)
        if (missing_of(i))
            printf("leaf %u did not answer %u of the statuses\n", step_leaves[i], missing_of(i));
}

/* BUSY for nothing, or a fault. */
static bool answer(struct seamcall_regs *regs)
{
    static const u64 statuses[] = {0x8000020000000001, 0x8000020000000092, 0x8000020000000008};
    static _Thread_local unsigned again, again_leaf;
    static _Thread_local u64 again_status;
    int leaf = step_leaf(regs);

    baton_point();
    if (leaf < 0)
        return false;
    if (crowd.plan->fatal_at && count(&calls_so_far) == crowd.plan->fatal_at) {
        regs->rax = 0xe000060400000000;
    } else if (again && again_leaf == (unsigned)leaf) {
        again--;
        regs->rax = again_status;
    } else if (may_fail && dice(1000) < fault_rate((unsigned)leaf)) {
        unsigned f = (unsigned)(__atomic_fetch_add(&faults_of[leaf], 1, __ATOMIC_RELAXED) % FAULTS);
        may_fail = false;
        again = fault_list[f].times - 1;
        again_leaf = (unsigned)leaf;
        again_status = regs->rax = fault_list[f].status;
    } else if (step_leaves[leaf] != 38 && dice(1000) < crowd.plan->busy) {
        regs->rax = statuses[dice(3)];
    } else {
        if (step_leaves[leaf] == LEAF_PROMOTE)
            may_fail = false; /* where that is refused, an undo comes next, which cannot fail */
        return false;
    }
    return true;
}

bool crowd_stop(void)
{
    if (self || dice(1000) >= crowd.plan->stops)
        return false;
    may_fail = false; /* an undo comes next */
    return true;
}

static void at_atomic_point(struct seam_lp *lp)
{
    (void)lp;
    baton_point();
}

void crowd_module_begin(void)
{
    memset(faults_of, 0, sizeof(faults_of));
    calls_so_far = 0;
    seamcall_host_answer = answer;
    platform_host_knobs.events = events;
    platform_host_knobs.atomic_point = at_atomic_point;
}

void crowd_module_end(void)
{
    seamcall_host_answer = NULL;
    platform_host_knobs.events = NULL;
    platform_host_knobs.atomic_point = NULL;
}
