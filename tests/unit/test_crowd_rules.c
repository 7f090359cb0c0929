/*
 * What the rules of translation are for: each test breaks one, by a twin that forgets it, and sees a vCPU that is inside
 * work on with a translation that is no longer its own; with the rule in place the same steps do no harm.
 *
 * The module watches over TRACK: where it is missing it refuses to take blocked pages away. Over the shared half nobody
 * watches, and AUG asks nothing: a page that is made private again is overwritten by who still has it shared.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/host/crowd.h"
#include "tests/host/hold.h"
#include "tests/host/platform.h"
#include "tests/host/seamcall.h"

#define AT     0x200000ull
#define K4     0x1000ull
#define M2     0x200000ull
#define SECRET 0x5ec5e7ull

#define LEAF_DEMOTE 15
#define LEAF_REMOVE 29
#define LEAF_TRACK  38

static const struct crowd_plan plan = {.vcpus = 2, .operators = 0, .seed = 1};

static struct tdp_report to(enum tdp_attr attr, uint64_t bytes)
{
    return tdp_convert(crowd_tdp(), (gpa_t){AT}, bytes, attr, NULL);
}

/* The spy has a shared page of the range, which becomes private under it; then it writes. What stands in the private page,
 * and how the spy ended. */
static uint64_t write_into_private(uint64_t bytes, enum err *end)
{
    assert_int_equal(to(TDP_SHARED, bytes).err, ERR_OK);
    crowd_spy_enter(AT, true);
    assert_int_equal(to(TDP_PRIVATE, bytes).err, ERR_OK);
    crowd_accept(AT, 0);
    assert_int_equal(crowd_read(AT), 0);
    crowd_spy_tell(SECRET);
    *end = crowd_spy_end();
    return crowd_read(AT);
}

/* The word that stands in the host's memory behind the first page of the range. */
static uint64_t in_memory(void)
{
    struct tdp_walk w;

    assert_int_equal(tdp_walk(crowd_tdp(), (gpa_t){AT}, &w).err, ERR_OK);
    return *(uint64_t *)(platform_host_memory() + (w.page.raw & ~(M2 - 1)) + AT % M2);
}

static int open_td(void **state)
{
    hold_host = (struct hold_host){0};
    crowd_open(&plan);
    return 0;
}

static int close_td(void **state)
{
    hold_host.forget_kick = hold_host.forget_hold = seamcall_host_forget_invept = false;
    crowd_close(true);
    return 0;
}

/* No table is in the way: KICK, INVEPT, AUG. */
static void test_kick(void **state)
{
    enum err end;

    assert_int_equal(write_into_private(K4, &end), 0);
    assert_int_equal(end, ERR_ATTR_MISMATCH);
    assert_int_equal(hold_host.kicks, 1);
}

static void test_kick_forgotten(void **state)
{
    enum err end;

    hold_host.forget_kick = true;
    assert_int_equal(write_into_private(K4, &end), SECRET);
    assert_int_equal(end, ERR_OK);
}

/* Kicked, the vCPU goes in again with what its CPU has cached. */
static void test_invept_forgotten(void **state)
{
    enum err end;

    seamcall_host_forget_invept = true;
    assert_int_equal(write_into_private(K4, &end), SECRET);
    assert_int_equal(end, ERR_OK);
}

/* As 512 pages of 4K: KICK, INVEPT; AUG 2M, BLOCK; TRACK; DEMOTE, the vCPUs out from the one to the other. The spy is told to
 * write when the page is the TD's private memory already. */
static bool tell_at_demote(struct seamcall_regs *regs)
{
    if ((regs->rax & 0xffff) == LEAF_DEMOTE)
        crowd_spy_tell(SECRET);
    return false;
}

static uint64_t write_at_demote(enum err *end)
{
    tdp_choose(crowd_tdp(), (struct tdp_choice){TDP_CALLS, {0}});
    assert_int_equal(to(TDP_SHARED, M2).err, ERR_OK);
    crowd_spy_enter(AT, true);
    seamcall_host_answer = tell_at_demote;
    assert_int_equal(to(TDP_PRIVATE, M2).err, ERR_OK);
    seamcall_host_answer = NULL;
    *end = crowd_spy_end();
    return in_memory();
}

static void test_hold(void **state)
{
    enum err end;

    assert_int_equal(write_at_demote(&end), 0);
    assert_int_equal(end, ERR_ATTR_MISMATCH);
}

static void test_hold_forgotten(void **state)
{
    enum err end;

    hold_host.forget_hold = true;
    assert_int_equal(write_at_demote(&end), SECRET);
    assert_int_equal(end, ERR_OK);
}

/* --- TRACK -------------------------------------------------------------------------------------------------------- */

static bool forgets_track;

static bool forget_track(struct seamcall_regs *regs)
{
    if ((regs->rax & 0xffff) != LEAF_TRACK)
        return false;
    regs->rax = 0;
    return true;
}

/* The spy has a private page; the VMM blocks it to take it away, and the spy is told to write when that is under way. */
static bool tell_at_remove(struct seamcall_regs *regs)
{
    if ((regs->rax & 0xffff) == LEAF_REMOVE)
        crowd_spy_tell(SECRET);
    return forgets_track && forget_track(regs);
}

static struct tdp_report take_away(uint64_t *word, enum err *end)
{
    assert_int_equal(tdp_map(crowd_tdp(), (gpa_t){AT}, K4, LEVEL_4K, NULL).err, ERR_OK);
    crowd_accept(AT, 0);
    struct tdp_walk w;
    assert_int_equal(tdp_walk(crowd_tdp(), (gpa_t){AT}, &w).err, ERR_OK);
    crowd_spy_enter(AT, false);
    seamcall_host_answer = tell_at_remove;
    struct tdp_report r = to(TDP_SHARED, K4);
    seamcall_host_answer = NULL;
    *end = crowd_spy_end();
    *word = *(uint64_t *)(platform_host_memory() + w.page.raw);
    return r;
}

static void test_track(void **state)
{
    uint64_t word;
    enum err end;

    forgets_track = false;
    assert_int_equal(take_away(&word, &end).err, ERR_OK);
    assert_int_equal(word, 0);
    assert_int_equal(end, ERR_ATTR_MISMATCH);
    assert_int_equal(hold_host.kicks, 1);
}

/* The spy is kicked as ever, comes in again with what it has cached, and writes a page that is blocked and about to go.
 * The module's refusal is all that keeps the page from being anybody else's by then, and nothing can be undone. */
static void test_track_forgotten(void **state)
{
    uint64_t word;
    enum err end;

    forgets_track = true;
    assert_int_equal(take_away(&word, &end).err, ERR_TD_DEAD);
    assert_int_equal(word, SECRET);
    assert_int_equal(end, ERR_OK);
}

static int close_dead(void **state)
{
    crowd_close(false);
    return 0;
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_kick, open_td, close_td),
        cmocka_unit_test_setup_teardown(test_kick_forgotten, open_td, close_td),
        cmocka_unit_test_setup_teardown(test_invept_forgotten, open_td, close_td),
        cmocka_unit_test_setup_teardown(test_hold, open_td, close_td),
        cmocka_unit_test_setup_teardown(test_hold_forgotten, open_td, close_td),
        cmocka_unit_test_setup_teardown(test_track, open_td, close_td),
        cmocka_unit_test_setup_teardown(test_track_forgotten, open_td, close_dead),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
