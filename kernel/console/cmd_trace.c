/* Commands about the trace: trace on|off|dump|clear. */
#include "kernel/console/cmd.h"
#include "kernel/console/console.h"
#include "kernel/print.h"
#include "kernel/trace.h"
#include "kernel/trace_dump.h"
#include "lib/string.h"

#define TEXT_DEFAULT 64
#define LINE_BYTES   240

static void answer_state(struct command_call *c)
{
    struct json *j = reply_ok(c);

    json_bool(j, "on", trace_is_enabled());
    json_number(j, "ring", trace_ring_records());
}

void cmd_trace_on(struct command_call *c)
{
    u64 records = 0;

    if (!arg_key_number(c, "records", TRACE_RING_RECORDS_MIN, TRACE_RING_RECORDS_MAX, &records))
        return;
    enum err e = records ? trace_resize((u32)records) : ERR_OK;
    if (e != ERR_OK) {
        reply_fail(c, "rings of %llu records: %s", (unsigned long long)records, err_text(e));
        return;
    }
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

static void text_line(unsigned cpu, const struct trace_entry *e, void *arg)
{
    char line[LINE_BYTES];

    trace_format(e, line, sizeof(line));
    print("%3u %8u %16llu %s\n", cpu, e->number, (unsigned long long)e->tsc, line);
}

/* Off while it is read: printing takes time, and the timer's records would overwrite what is being shown. */
static void show_text(struct command_call *c, u64 max)
{
    bool was_on = trace_is_enabled();

    trace_enable(false);
    unsigned n = trace_merge((unsigned)max, text_line, NULL);
    trace_enable(was_on);
    json_number(reply_ok(c), "records", n);
}

static void dump_all(struct command_call *c, u64 max)
{
    struct trace_dumped done = trace_dump(max, console_take_interrupt);

    if (done.stopped) {
        reply_fail(c, "stopped by ^C: the dump is not whole");
        return;
    }
    print("%llu records; %llu older ones are lost\n", (unsigned long long)done.records, (unsigned long long)done.lost);
    struct json *j = reply_ok(c);
    json_number(j, "records", done.records);
    json_number(j, "lost", done.lost);
}

void cmd_trace_dump(struct command_call *c)
{
    const char *form = arg_key(c, "form");
    bool text = form != NULL && strcmp(form, "text") == 0;
    u64 max = text ? TEXT_DEFAULT : TRACE_RING_RECORDS_MAX;

    if (form != NULL && !text && strcmp(form, "compact") != 0) {
        reply_fail(c, "form=%s is not known; compact (for tools/trace) and text are", form);
        return;
    }
    if (!arg_key_number(c, "count", 1, TRACE_RING_RECORDS_MAX, &max))
        return;
    if (text)
        show_text(c, max);
    else
        dump_all(c, max);
}
