/* The trace's rings and their text (kernel/trace.h, lib/trace.h). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "kernel/trace.h"
#include "lib/hw/cpu.h"
#include "mm/page.h"
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
    const struct trace_entry regs = {.event = TRACE_REGS, .args = {77 << 16 | 17 << 5 | 8, 0x5000, 0x6000}};
    trace_format(&regs, text, sizeof(text));
    assert_string_equal(text, "  took=77 in r8=0x5000 out rcx=0x6000");
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

/* --- what is lost, and rings of another size ------------------------------------------------------------------------ */

static void test_lost_records_are_counted(void **state)
{
    for (u64 i = 0; i < RING; i++)
        trace_record(TRACE_FAULT, 0, 0, 0, i);
    assert_int_equal(trace_extent(0).recorded, RING);
    assert_int_equal(trace_extent(0).lost, 0);
    for (u64 i = 0; i < 3; i++)
        trace_record(TRACE_FAULT, 0, 0, 0, i);
    assert_int_equal(trace_extent(0).recorded, RING + 3);
    assert_int_equal(trace_extent(0).lost, 3);
    assert_int_equal(trace_extent(1).recorded, 0);
    trace_clear();
    assert_int_equal(trace_extent(0).lost, 0);
    assert_int_equal(trace_extent(255).recorded, 0); /* a CPU that is not there */
    assert_int_equal(trace_extent(100000).recorded, 0);
}

static void test_a_cpu_without_a_ring_loses_all(void **state)
{
    cpu_host_use(5);
    trace_record(TRACE_FAULT, 0, 0, 0, 0);
    cpu_host_use(0);
    assert_int_equal(trace_extent(5).recorded, 1);
    assert_int_equal(trace_extent(5).lost, 1);
    assert_int_equal(trace_each(5, 100, look, &seen), 0);
    assert_int_equal(trace_merge(100, look_merged, NULL), 0);
}

static void test_resize(void **state)
{
    u64 free_bytes = page_free_bytes();

    trace_record(TRACE_FAULT, 0, 0, 0, 0);
    assert_int_equal(trace_resize(64), ERR_OK);
    assert_int_equal(trace_ring_records(), 64);
    assert_int_equal(each(100), 0);
    for (u64 i = 0; i < 70; i++)
        trace_record(TRACE_FAULT, 0, 0, 0, i);
    assert_int_equal(each(100), 64);
    assert_int_equal(seen.last_arg, 69);
    assert_int_equal(trace_extent(0).lost, 6);
    assert_int_equal(trace_resize(1u << 30), ERR_NO_MEMORY); /* nothing changes */
    assert_int_equal(trace_ring_records(), 64);
    assert_true(trace_is_enabled());
    assert_int_equal(each(100), 64);
    assert_int_equal(trace_resize(RING), ERR_OK);
    assert_int_equal(page_free_bytes(), free_bytes);
}

/* --- a call and its registers --------------------------------------------------------------------------------------- */

static struct trace_entry kept[32];

static void keep(const struct trace_entry *e, void *arg)
{
    assert_true(*(unsigned *)arg < 32);
    kept[(*(unsigned *)arg)++] = *e;
}

static void test_a_call_has_all_its_registers(void **state)
{
    u64 in[16] = {[1] = 0x200001, [2] = 0x1000, [8] = 0x5000}, out[16];
    const struct trace_call call = {.leaf = 6, .status = 0x8000020000000001, .began = cpu_tsc(), .in = in, .out = out};
    unsigned count = 0;

    memcpy(out, in, sizeof(out));
    out[0] = 0x77; /* RAX is the status */
    out[1] = 0;
    out[15] = 0xf;
    trace_store_call(&call);
    assert_int_equal(trace_each(0, 32, keep, &count), 2);
    assert_int_equal(kept[0].event, TRACE_SEAMCALL);
    assert_int_equal(kept[0].args[0], 6);
    assert_int_equal(kept[0].args[1], 0x200001);
    assert_int_equal(kept[0].args[2], 0x1000);
    assert_int_equal(kept[0].args[3], 0x8000020000000001);
    assert_int_equal(kept[1].event, TRACE_REGS);
    assert_int_equal(kept[1].args[0] & 0x7fff, 8 | (16 + 1) << 5 | (16 + 15) << 10);
    assert_int_equal(kept[1].args[1], 0x5000);
    assert_int_equal(kept[1].args[2], 0);
    assert_int_equal(kept[1].args[3], 0xf);
    assert_in_range(kept[1].args[0] >> 16, 1, cpu_tsc());
    assert_int_equal(kept[0].number + 1, kept[1].number);
}

static void test_a_call_with_all_registers_fits(void **state)
{
    u64 in[16], out[16];
    const struct trace_call call = {.leaf = 0, .in = in, .out = out, .began = cpu_tsc()};
    unsigned count = 0, in_seen = 0, out_seen = 0;

    for (unsigned i = 0; i < 16; i++) {
        in[i] = i == 4 ? 0 : 0x100 + i;
        out[i] = i == 4 ? 0 : 0x200 + i;
    }
    trace_store_call(&call);
    assert_int_equal(trace_each(0, 32, keep, &count), 1 + 9); /* RBX to R15 in, RCX to R15 out: 12 and 14 of them */
    for (unsigned e = 1; e < count; e++)
        for (unsigned i = 0; i < 3; i++) {
            unsigned which = kept[e].args[0] >> (5 * i) & 31;
            if (which == 0)
                continue;
            assert_int_equal(kept[e].args[1 + i], (which & 16 ? 0x200 : 0x100) + (which & 15));
            *(which & 16 ? &out_seen : &in_seen) |= 1u << (which & 15);
        }
    assert_int_equal(in_seen, 0xffe8);
    assert_int_equal(out_seen, 0xffee);
}

static void test_memory_leaves_out_zeros(void **state)
{
    const u64 words[8] = {0, 0, 0, 0, 5, 0, 7, 8};
    unsigned count = 0;

    trace_memory(0x1000, words, sizeof(words));
    assert_int_equal(trace_each(0, 32, keep, &count), 2);
    assert_int_equal(kept[0].args[0], 0x1018);
    assert_int_equal(kept[0].args[2], 5);
    assert_int_equal(kept[1].args[0], 0x1030);
    assert_int_equal(kept[1].args[1], 7);
    assert_int_equal(kept[1].args[2], 8);
    assert_int_equal(kept[1].args[3], 0);
    trace_enable(false);
    trace_memory(0x1000, words, sizeof(words));
    assert_int_equal(trace_extent(0).recorded, 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_empty, fresh),
        cmocka_unit_test_setup(test_order_and_bound, fresh),
        cmocka_unit_test_setup(test_wrap_keeps_the_newest, fresh),
        cmocka_unit_test_setup(test_off_and_clear, fresh),
        cmocka_unit_test_setup(test_merge_is_in_order, fresh),
        cmocka_unit_test_setup(test_lost_records_are_counted, fresh),
        cmocka_unit_test_setup(test_a_cpu_without_a_ring_loses_all, fresh),
        cmocka_unit_test_setup(test_resize, fresh),
        cmocka_unit_test_setup(test_a_call_has_all_its_registers, fresh),
        cmocka_unit_test_setup(test_a_call_with_all_registers_fits, fresh),
        cmocka_unit_test_setup(test_memory_leaves_out_zeros, fresh),
        cmocka_unit_test(test_text),
        cmocka_unit_test(test_text_is_cut_where_the_buffer_ends),
    };
    return cmocka_run_group_tests(tests, machine, NULL);
}
