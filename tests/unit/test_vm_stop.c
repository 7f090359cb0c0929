/*
 * What ends an operation early: ^C while the payload works, between two steps of a conversion, in a look at many entries; and
 * what divides it, `pause=` of `td create`. On one CPU; on several: test_jobs.c.
 */
#include "tests/unit/vm_world.h"

/* --- ^C --- */

static unsigned entries_left;

static void type_interrupt(const struct seamcall_regs *regs)
{
    if ((regs->rax & 0xffff) == 0 && entries_left > 0 && --entries_left == 0)
        io_host_type("\x03", 1);
}

/* The payload sees the flag in its mailbox and asks for work again. */
static void obey(const struct seamcall_regs *regs)
{
    type_interrupt(regs);
    struct claim held;
    struct probe_mailbox *box = vm_mailbox_hold(0, &held);
    assert_non_null(box);
    vm_mailbox_release(&held);
    if (box->abort && guest_waiting(vcpu(0)) == 0) {
        box->result.status = 2; /* aborted */
        box->result.bytes = 4096;
        push_idle();
    }
}

static void test_interrupt_is_obeyed(void **state)
{
    entries_left = 20;
    seamcall_host_watch = obey;
    bad("probe fill 0 1M", "^C after 4096 bytes");
    seamcall_host_watch = NULL;
    push_idle();
    good("probe spin 0");
}

/* ^C in the middle of a conversion: it ends between two steps, what is done stays done, and the rest can be asked for. */
static void type_at_remove(const struct seamcall_regs *regs)
{
    if ((regs->rax & 0xffff) == 29 && entries_left > 0 && --entries_left == 0)
        io_host_type("\x03", 1);
}

static void test_interrupt_stops_a_conversion(void **state)
{
    good("map 800000 8M 2m");
    entries_left = 2;
    seamcall_host_watch = type_at_remove;
    const char *answer = run("convert 800000 8M shared force");
    says(answer, "\"ok\":false");
    says(answer, "stopped between two steps");
    says(answer, "\"at\":\"0xc00000\"");
    seamcall_host_watch = NULL;
    says(good("sept 800000 8M"), "\"agree\":true");
    says(good("walk bff000"), "\"state\":\"shared\"");
    says(good("walk c00000"), "\"state\":\"pending\"");
    good("convert 800000 8M shared force");
}

/* ^C in a look at many entries: in the comparison, and in a piece of a map. */
static void type_at_look(const struct seamcall_regs *regs)
{
    if ((regs->rax & 0xffff) == 25 && entries_left > 0 && --entries_left == 0)
        io_host_type("\x03", 1);
}

static void test_interrupt_stops_a_look(void **state)
{
    good("map 800000 8M 4k");
    seamcall_host_watch = type_at_look;
    entries_left = 100;
    bad("sept", "interrupted at 0x");
    entries_left = 100;
    bad("sept 800000 8M", "stopped");
    entries_left = 1500; /* not in the first piece */
    bad("sept map", "stopped");
    assert_int_equal(entries_left, 0);
    seamcall_host_watch = NULL;
    says(good("sept map"), "\"pending\":");
    says(good("sept"), "\"agree\":true");
}

static void test_interrupt_is_ignored(void **state)
{
    entries_left = 20;
    seamcall_host_watch = type_interrupt;
    bad("probe fill 0 1M", "did not react");
    bad("probe fill 0 1M", "did not react");
    seamcall_host_watch = NULL;
    push_idle();
    good("td run"); /* it comes round after all */
    push_idle();
    good("probe spin 0");
}

/* --- pauses --- */

/* Regions at 4K: each piece merges its own behind one TRACK and removes them behind another. */
static void converts_8m_in(const char *create, const char *tracks)
{
    good("td destroy");
    good(create);
    push_idle();
    good("td run");
    good("map 800000 8M 4k");
    says(good("convert 800000 8M shared force"), tracks);
    says(good("sept 800000 8M"), "\"shared_bytes\":8388608,\"agree\":true");
}

static void test_a_pause_may_be_asked_for(void **state)
{
    converts_8m_in("td create mem=64M", "\"tracks\":2,");
    converts_8m_in("td create mem=64M pause=1", "\"tracks\":8,");
    good("td destroy");
    bad("td create mem=64M pause=0", "pause");
}

static int machine_with_tdx(void **state)
{
    if (machine(state) != 0)
        return -1;
    good("tdx init");
    return 0;
}

int main(void)
{
#define WITH_TD(test) cmocka_unit_test_setup_teardown(test, with_td, without_td)
    const struct CMUnitTest tests[] = {
        WITH_TD(test_interrupt_is_obeyed),      WITH_TD(test_interrupt_stops_a_conversion),
        WITH_TD(test_interrupt_stops_a_look),   WITH_TD(test_interrupt_is_ignored),
        WITH_TD(test_a_pause_may_be_asked_for),
    };
    return cmocka_run_group_tests(tests, machine_with_tdx, NULL);
}
