/* The trace's rings and their text (kernel/trace.h, lib/trace.h). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "kernel/trace.h"
#include "tests/host/cpu.h"
#include "tests/host/cpus.h"
#include "tests/host/testbed.h"

#define RING 2048

static struct {
    unsigned count;
    u32 first, last;
    u64 last_arg;
    bool ordered;
} seen;

static void look(const struct trace_entry *e, void *arg)
{
    assert_ptr_equal(arg, &seen);
    if (seen.count == 0)
        seen.first = e->number;
    else if (e->number != seen.last + 1)
        seen.ordered = false;
    seen.count++;
    seen.last = e->number;
    seen.last_arg = e->args[3];
}

static unsigned each(unsigned max)
{
    memset(&seen, 0, sizeof(seen));
    seen.ordered = true;
    return trace_each(0, max, look, &seen);
}

static int fresh(void **state)
{
    trace_enable(true);
    trace_clear();
    return 0;
}

static void test_empty(void **state)
{
    assert_int_equal(each(100), 0);
    assert_int_equal(trace_each(255, 100, look, &seen), 0);
    assert_int_equal(trace_each(100000, 100, look, &seen), 0);
}

static void test_order_and_bound(void **state)
{
    for (u64 i = 0; i < 10; i++)
        trace_record(TRACE_FAULT, 1, 2, 3, i);
    assert_int_equal(each(100), 10);
    assert_int_equal(seen.first, 0);
    assert_int_equal(seen.last_arg, 9);
    assert_true(seen.ordered);
    assert_int_equal(each(3), 3);
    assert_int_equal(seen.first, 7);
}

static void test_wrap_keeps_the_newest(void **state)
{
    for (u64 i = 0; i < RING + 5; i++)
        trace_record(TRACE_FAULT, 1, 2, 3, i);
    assert_int_equal(each(1000000), RING);
    assert_int_equal(seen.first, 5);
    assert_int_equal(seen.last_arg, RING + 4);
    assert_true(seen.ordered);
}

static void test_off_and_clear(void **state)
{
    trace_record(TRACE_FAULT, 0, 0, 0, 0);
    trace_enable(false);
    assert_false(trace_is_enabled());
    trace_record(TRACE_FAULT, 0, 0, 0, 0);
    assert_int_equal(each(100), 1);
    trace_clear();
    assert_int_equal(each(100), 0);
}

static void test_text(void **state)
{
    char text[200];
    const struct trace_entry call = {.event = TRACE_SEAMCALL, .args = {6, 0x200001, 0x1000, 0x8000020000000001}};
    size_t length = trace_format(&call, text, sizeof(text));
    assert_int_equal(length, strlen(text));
    assert_string_equal(text, "seamcall leaf=0x6 rcx=0x200001 rdx=0x1000 status=0x8000020000000001");
    const struct trace_entry irq = {.event = TRACE_IRQ, .args = {0x40, 0x1234, 5, 6}};
    trace_format(&irq, text, sizeof(text));
    assert_string_equal(text, "irq vector=0x40 rip=0x1234");
    const struct trace_entry bad = {.event = 4711};
    trace_format(&bad, text, sizeof(text));
    assert_non_null(strstr(text, "4711"));
}

static void test_text_is_cut_where_the_buffer_ends(void **state)
{
    const struct trace_entry call = {.event = TRACE_SEAMCALL, .args = {6, 0x200001, 0x1000, 0}};
    char whole[200], part[200];
    size_t length = trace_format(&call, whole, sizeof(whole));
    for (size_t bytes = 1; bytes <= length; bytes++) {
        memset(part, 'x', sizeof(part));
        assert_int_equal(trace_format(&call, part, bytes), length);
        assert_int_equal(strlen(part), bytes - 1);
        assert_memory_equal(part, whole, bytes - 1);
    }
}

static int machine(void **state)
{
    tb_machine();
    cpus_host_start(3);
    return trace_init() == ERR_OK ? 0 : -1;
}

/* Three CPUs' records, merged by time. */
static u64 merged_last;
static unsigned merged_cpus;

static void look_merged(unsigned cpu, const struct trace_entry *e, void *arg)
{
    assert_true(e->tsc >= merged_last);
    merged_last = e->tsc;
    merged_cpus |= 1u << cpu;
    seen.last_arg = e->args[3];
}

static void test_merge_is_in_order(void **state)
{
    for (u64 i = 0; i < 30; i++) {
        cpu_host_use((unsigned)(i % 3));
        trace_record(TRACE_FAULT, 0, 0, 0, i);
    }
    cpu_host_use(0);
    merged_last = merged_cpus = 0;
    assert_int_equal(trace_merge(1000, look_merged, NULL), 30);
    assert_int_equal(merged_cpus, 7);
    assert_int_equal(seen.last_arg, 29);
    merged_last = merged_cpus = 0;
    assert_int_equal(trace_merge(2, look_merged, NULL), 2); /* the newest: of CPUs 1 and 2 */
    assert_int_equal(merged_cpus, 6);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_empty, fresh),
        cmocka_unit_test_setup(test_order_and_bound, fresh),
        cmocka_unit_test_setup(test_wrap_keeps_the_newest, fresh),
        cmocka_unit_test_setup(test_off_and_clear, fresh),
        cmocka_unit_test_setup(test_merge_is_in_order, fresh),
        cmocka_unit_test(test_text),
        cmocka_unit_test(test_text_is_cut_where_the_buffer_ends),
    };
    return cmocka_run_group_tests(tests, machine, NULL);
}
