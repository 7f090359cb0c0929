/* Commands about the trace: trace on|off|dump|clear. */
#include "kernel/console/cmd.h"
#include "kernel/print.h"
#include "kernel/trace.h"

#define DUMP_DEFAULT 64
#define LINE_BYTES   240

static void answer_state(struct command_call *c)
{
    json_bool(reply_ok(c), "on", trace_is_enabled());
}

void cmd_trace_on(struct command_call *c)
{
    trace_enable(true);
    answer_state(c);
}

void cmd_trace_off(struct command_call *c)
{
    trace_enable(false);
    answer_state(c);
}

void cmd_trace_clear(struct command_call *c)
{
    trace_clear();
    answer_state(c);
}

static void dump_line(unsigned cpu, const struct trace_entry *e, void *arg)
{
    char line[LINE_BYTES];

    trace_format(e, line, sizeof(line));
    print("%3u %8u %16llu %s\n", cpu, e->number, (unsigned long long)e->tsc, line);
}

void cmd_trace_dump(struct command_call *c)
{
    u64 max = DUMP_DEFAULT;

    if (!arg_key_number(c, "count", 1, TRACE_RING_RECORDS, &max))
        return;
    /* Off while it is read: printing takes time, and the timer's records would overwrite what is being shown. */
    bool was_on = trace_is_enabled();
    trace_enable(false);
    unsigned n = trace_merge((unsigned)max, dump_line, NULL);
    trace_enable(was_on);
    json_number(reply_ok(c), "records", n);
}
