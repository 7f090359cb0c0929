/*
 * What the tests of experiments stand on: the real experiments, mm/ with its policies and the module model, over the testbed (one
 * vCPU, tests/host/testbed.h) in the place of kernel/experiment/world.c, and time that passes where an experiment waits and
 * nowhere else. So every count is exact, and the testbed sees each stale translation.
 */
#ifndef TESTS_UNIT_EXPERIMENT_WORLD_H
#define TESTS_UNIT_EXPERIMENT_WORLD_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "drivers/serial.h"
#include "kernel/console/command.h"
#include "kernel/console/script.h"
#include "kernel/experiment/world.h"
#include "kernel/time.h"
#include "mm/policy/policy.h"
#include "tests/host/io.h"
#include "tests/host/testbed.h"

#define LEAF_SEPT_RD 25u

/* --- time --------------------------------------------------------------------------------------------------------- */

static u64 clock_us;

void time_init(void) {}

u64 time_tsc_khz(void)
{
    return 1000000;
}

u64 time_us(void)
{
    return clock_us;
}

void time_wait_us(u64 us)
{
    clock_us += us;
}

u64 time_start_ticks(void)
{
    return 0;
}

/* --- the TD ------------------------------------------------------------------------------------------------------- */

static bool has_td;
static uint64_t stop_at; /* ^C at this time, us; 0: never */

enum err world_begin(struct experiment_run *x, u64 bytes, level_t level, unsigned vcpus)
{
    tb_create(WORLD_BASE + bytes, level, false);
    has_td = true;
    vm.tdp = tb.tdp;
    vm.vcpu_count = 1;
    return ERR_OK;
}

enum err world_end(struct experiment_run *x)
{
    if (has_td) {
        tb_check();
        tb_destroy();
    }
    has_td = false;
    return ERR_OK;
}

/* SEPT.RD is how the testbed looks at its tables, and counts for nobody. */
static u64 reads_before;

static void begin_access(void)
{
    reads_before = tdx_counts.leaf[LEAF_SEPT_RD];
}

static enum err end_access(void)
{
    tdx_counts.leaf[LEAF_SEPT_RD] = reads_before;
    return ERR_OK;
}

enum err world_accept(struct experiment_run *x, unsigned vcpu, gpa_t gpa, u64 bytes)
{
    begin_access();
    tb_accept_range(gpa.raw, bytes);
    return end_access();
}

enum err world_accept_small(struct experiment_run *x, unsigned vcpu, gpa_t gpa, u64 bytes)
{
    begin_access();
    for (u64 at = 0; at < bytes; at += TB_4K)
        tb_accept_range(gpa.raw + at, TB_4K);
    return end_access();
}

enum err world_fill(struct experiment_run *x, unsigned vcpu, gpa_t gpa, u64 bytes)
{
    begin_access();
    for (u64 at = 0; at < bytes; at += TB_4K)
        tb_write_page(gpa.raw + at);
    return end_access();
}

enum err world_verify(struct experiment_run *x, unsigned vcpu, gpa_t gpa, u64 bytes)
{
    begin_access();
    tb_verify_range(gpa.raw, bytes);
    return end_access();
}

static enum err convert(gpa_t gpa, u64 bytes, enum tdp_attr to)
{
    assert_int_equal(tb_convert(gpa.raw, bytes, to).err, ERR_OK);
    tb_enter(); /* by MapGPA, as it were */
    return ERR_OK;
}

enum err world_convert(struct experiment_run *x, unsigned vcpu, gpa_t gpa, u64 bytes, bool shared)
{
    begin_access();
    (void)convert(gpa, bytes, shared ? TDP_SHARED : TDP_PRIVATE);
    if (!shared)
        tb_accept_range(gpa.raw, bytes);
    return end_access();
}

enum err world_leave_pending(struct experiment_run *x, unsigned vcpu, gpa_t gpa, u64 bytes)
{
    begin_access();
    (void)convert(gpa, bytes, TDP_PRIVATE);
    return end_access();
}

/* Memory that it meets for the first time is accepted, as the payload's #VE handler does it. */
enum err world_touch(struct experiment_run *x, unsigned vcpu, gpa_t gpa, u64 bytes, u64 stride, bool write)
{
    u64 word;

    begin_access();
    for (u64 at = gpa.raw; at < gpa.raw + bytes; at += stride) {
        if (!tb_is_accepted(at))
            tb_accept_range(at & ~(TB_2M - 1), TB_2M);
        if (write)
            tb_write_page(at);
        else
            assert_true(tb_load(at & ~7ull, false, &word));
    }
    return end_access();
}

/* Reads alone, in order; it has no performance counters. */
enum err world_work(struct experiment_run *x, unsigned vcpu, const struct probe_work *work, struct probe_result *result)
{
    assert_int_equal(work->op, PROBE_TOUCH);
    *result = (struct probe_result){.touched = work->count};
    return world_touch(x, vcpu, (gpa_t){work->gpa}, work->len, TB_2M, false);
}

/* There is one vCPU, and it is the one that works. */
enum err world_keep_reading(struct experiment_run *x, unsigned vcpu, gpa_t gpa, u64 bytes, u64 stride)
{
    return ERR_OK;
}

enum err world_keep_spinning(struct experiment_run *x, unsigned vcpu)
{
    return ERR_OK;
}

enum err world_did(struct experiment_run *x, const char *doing, struct tdp_report r)
{
    return r.err == ERR_OK ? ERR_OK : fault_tdp(&x->fault, doing, &r);
}

enum err world_wait(struct experiment_run *x, u64 ms)
{
    for (u64 end = clock_us + ms * 1000; clock_us < end;) {
        if (stop_at && clock_us >= stop_at)
            return fault_say(&x->fault, ERR_INTERRUPTED, "stopped by ^C after %u samples", x->samples);
        clock_us += 1000;
        tdp_policy_tick(tb.tdp, clock_us / 1000);
    }
    return ERR_OK;
}

/* --- the console -------------------------------------------------------------------------------------------------- */

static int machine(void **state)
{
    tb_machine();
    io_host_reset();
    return serial_init(SERIAL_COM1) ? 0 : -1;
}

/* One command, from time 0 on; its last `@` line. */
static const char *answer_in(const char *line, enum command_mode mode)
{
    clock_us = 0;
    io_host_forget();
    (void)command_run(line, strlen(line), mode);
    assert_false(has_td);
    const char *at = strstr(io_host_output(), "@{"), *next;
    assert_non_null(at);
    while ((next = strstr(at + 1, "\n@{")) != NULL)
        at = next + 1;
    return at;
}

static const char *answer_to(const char *line)
{
    return answer_in(line, COMMAND_ECHO);
}

/* How many samples it came to. */
static unsigned good(const char *line)
{
    const char *answer = answer_to(line), *samples = strstr(answer, "\"samples\":");

    if (strstr(answer, "\"ok\":true") == NULL || samples == NULL)
        fail_msg("%s: %s", line, answer);
    return (unsigned)strtoul(samples + strlen("\"samples\":"), NULL, 10);
}

static void bad(const char *line, const char *words)
{
    const char *error = strstr(answer_to(line), "\"ok\":false,\"error\":\"");

    if (error == NULL || strstr(error, words) == NULL)
        fail_msg("%s, where '%s' was expected: %s", line, words, io_host_output());
}

/* Where the member's value stands in the n-th sample; `object`: NULL, or the name of the object that the member is in. */
static const char *value(unsigned n, const char *object, const char *key)
{
    char words[64];

    snprintf(words, sizeof(words), "\"sample\":%u,", n);
    const char *at = strstr(io_host_output(), words);
    assert_non_null(at);
    snprintf(words, sizeof(words), "\"%s\":{", object ? object : "");
    if (object && (at = strstr(at, words)) == NULL)
        fail_msg("no %s in sample %u", object, n);
    snprintf(words, sizeof(words), "\"%s\":", key);
    at = strstr(at, words);
    if (at == NULL)
        fail_msg("no %s in sample %u", key, n);
    return at + strlen(words);
}

static u64 number(unsigned n, const char *object, const char *key)
{
    return strtoull(value(n, object, key), NULL, 10);
}

static void is_text(unsigned n, const char *key, const char *text)
{
    const char *at = value(n, NULL, key);

    if (strncmp(at + 1, text, strlen(text)) != 0 || at[strlen(text) + 1] != '"')
        fail_msg("%s of sample %u is not %s: %.40s", key, n, text, at);
}

#endif
