/* Work inside the TD: probe fill|verify|accept|convert|touch|spin. guest/probe/protocol.h says what each does. */
#include "kernel/console/cmd_probe.h"

#include "kernel/console/cmd.h"
#include "kernel/console/job.h"
#include "kernel/print.h"
#include "kernel/time.h"
#include "kernel/vm/vm.h"
#include "lib/bits.h"
#include "lib/string.h"
#include "tdx/status.h"

#define SPIN_MS_MAX 3600000ull

static void add_outcome(struct json *j, const struct outcome *o)
{
    json_number(j, "bytes", o->result.bytes);
    json_number(j, "bad_bytes", o->result.bad_bytes);
    json_object(j, "accepted");
    json_number(j, "4k", o->result.accepted[0]);
    json_number(j, "2m", o->result.accepted[1]);
    json_end_object(j);
    json_number(j, "touched", o->result.touched);
    json_number(j, "ve", o->result.ve_count);
    json_number(j, "mapgpa_retries", o->result.mapgpa_retries);
    json_number(j, "faults", o->cost.faults);
    json_number(j, "seamcalls", o->cost.seamcalls);
    json_number(j, "ipis", o->cost.ipis);
    if (o->cost.lost != 0)
        json_number(j, "lost", o->cost.lost);
    json_number(j, "tsc", o->tsc);
    if (!o->result.counted)
        return;
    json_object(j, "walks");
    for (unsigned i = 0; i < ARRAY_COUNT(o->result.walks); i++)
        json_number(j, level_name((level_t){(u8)i}), o->result.walks[i]);
    json_end_object(j);
    json_number(j, "walk_cycles", o->result.walk_cycles);
}

const char *probe_status_text(u32 status)
{
    static const char *const names[] = {"done", "mismatch", "aborted", "accept_failed", "mapgpa_failed", "bad_work"};
    return status < ARRAY_COUNT(names) ? names[status] : "unknown";
}

static struct json *refuse_work(struct command_call *c, const struct outcome *o)
{
    gpa_t page;
    const char *name = vm_in_the_way(o->gpa, o->bytes, &page);
    struct json *j;

    if (o->bytes > vm.memory_bytes || o->gpa.raw > vm.memory_bytes - o->bytes)
        return reply_fail(c, "the payload refuses the work: TD memory ends at 0x%llx",
                          (unsigned long long)vm.memory_bytes);
    if (name == NULL)
        return reply_fail(c, "the payload refuses the work");
    j = reply_fail(c, "the payload refuses the work: 0x%llx is a page of %s", (unsigned long long)page.raw, name);
    json_hex(j, "at", page.raw);
    return j;
}

/* What the payload said, in words; it is not trusted, so an unknown status is a failure too. */
static struct json *answer_result(struct command_call *c, const struct outcome *o)
{
    const struct probe_result *r = &o->result;
    unsigned long long at = r->at_gpa;
    struct json *j;

    switch (r->status) {
    case PROBE_OK:
        print("%llu bytes, %llu faults, %llu #VE, %llu SEAMCALLs for its memory\n", (unsigned long long)r->bytes,
              (unsigned long long)o->cost.faults, (unsigned long long)r->ve_count,
              (unsigned long long)o->cost.seamcalls);
        j = reply_ok(c);
        break;
    case PROBE_MISMATCH:
        j = reply_fail(c, "0x%llx holds 0x%016llx and should hold 0x%016llx; %llu of %llu bytes are wrong", at,
                       (unsigned long long)r->found, (unsigned long long)r->expected, (unsigned long long)r->bad_bytes,
                       (unsigned long long)r->bytes);
        json_hex(j, "at", at);
        break;
    case PROBE_ABORTED:
        j = reply_fail(c, "stopped by ^C after %llu bytes", (unsigned long long)r->bytes);
        break;
    case PROBE_ACCEPT_FAILED:
        j = reply_fail(c, "ACCEPT of 0x%llx: %s, 0x%llx", at, tdx_status_name((tdx_status_t){r->tdcall_status}),
                       (unsigned long long)r->tdcall_status);
        break;
    case PROBE_MAPGPA_FAILED:
        j = reply_fail(c, "MapGPA at 0x%llx was answered with 0x%llx", at, (unsigned long long)r->vmcall_status);
        break;
    case PROBE_BAD_WORK:
        j = refuse_work(c, o);
        break;
    default:
        j = reply_fail(c, "the payload answers with status %u, which means nothing", r->status);
        break;
    }
    add_outcome(j, o);
    return j;
}

/* After ^C the payload may have been done before it saw it: then this is what counts. */
struct json *probe_answer(struct command_call *c, const struct outcome *o)
{
    if (o->err == ERR_OK || o->err == ERR_INTERRUPTED)
        return answer_result(c, o);
    return reply_fail(c, "%s", o->fault.text);
}

static void answer_started(struct command_call *c, const struct job *job)
{
    print("job %u on vCPU %u\n", job->number, job->vcpu);
    json_number(reply_ok(c), "job", job->number);
}

static void work(struct command_call *c, const struct probe_work *w)
{
    struct outcome o;
    struct job *job;
    u64 cpu = 0;

    if (!arg_key_number(c, "cpu", 0, TD_VCPUS_MAX - 1, &cpu))
        return;
    if (job_start(c->command, (unsigned)cpu, w, &job, &o.fault) != ERR_OK) {
        reply_fail(c, "%s", o.fault.text);
    } else if (c->line->background) {
        answer_started(c, job);
    } else {
        job_finish(job, &o);
        probe_answer(c, &o);
    }
}

/* A range of whole `unit`s inside TD memory: words 0 and 1. */
static bool read_range(struct command_call *c, u64 unit, struct probe_work *w)
{
    const char *text = arg_word(c, 1);
    gpa_t gpa;

    if (!arg_gpa(c, 0, &gpa))
        return false;
    if (text == NULL || !parse_size(text, &w->len)) {
        reply_fail(c, "'%s' is no length: 4K, 2M, 1G or 0x1000 are", text != NULL ? text : "");
        return false;
    }
    w->gpa = gpa.raw;
    if (w->len == 0 || !is_aligned(w->gpa | w->len, unit)) {
        reply_fail(c, "address and length must be multiples of %llu, the length above 0", (unsigned long long)unit);
        return false;
    }
    if (vm.state != VM_NONE && (w->gpa >= vm.memory_bytes || w->len > vm.memory_bytes - w->gpa)) {
        reply_fail(c, "0x%llx and 0x%llx bytes are not inside TD memory, which ends at 0x%llx",
                   (unsigned long long)w->gpa, (unsigned long long)w->len, (unsigned long long)vm.memory_bytes);
        return false;
    }
    return true;
}

static bool read_seed(struct command_call *c, struct probe_work *w)
{
    bool shared = false;

    if (!arg_key_number(c, "seed", 0, ~0ull, &w->seed) || !arg_key_bool(c, "shared", &shared))
        return false;
    w->shared_access = shared;
    return true;
}

void cmd_probe_fill(struct command_call *c)
{
    struct probe_work w = {.op = PROBE_FILL};

    if (read_range(c, 8, &w) && read_seed(c, &w))
        work(c, &w);
}

void cmd_probe_verify(struct command_call *c)
{
    struct probe_work w = {.op = PROBE_VERIFY};

    if (read_range(c, 8, &w) && read_seed(c, &w))
        work(c, &w);
}

void cmd_probe_accept(struct command_call *c)
{
    struct probe_work w = {.op = PROBE_ACCEPT};
    level_t level;

    if (!read_range(c, PAGE_BYTES, &w) || !arg_level(c, 2, &level))
        return;
    if (level.raw > LEVEL_2M.raw) {
        reply_fail(c, "accept takes 4k or 2m, not %s: the TDX module accepts no larger pages", level_name(level));
        return;
    }
    w.level = level.raw;
    work(c, &w);
}

void probe_convert(struct command_call *c, gpa_t gpa, u64 bytes, bool to_shared)
{
    struct probe_work w = {.op = PROBE_CONVERT, .gpa = gpa.raw, .len = bytes, .to_shared = to_shared};

    work(c, &w);
}

void cmd_probe_convert(struct command_call *c)
{
    struct probe_work w = {.op = PROBE_CONVERT};
    const char *to = arg_word(c, 2);

    if (!read_range(c, PAGE_BYTES, &w))
        return;
    if (strcmp(to, "shared") != 0 && strcmp(to, "private") != 0) {
        reply_fail(c, "'%s': shared or private is needed", to);
        return;
    }
    probe_convert(c, (gpa_t){w.gpa}, w.len, strcmp(to, "shared") == 0);
}

static bool read_order(struct command_call *c, struct probe_work *w)
{
    static const char *const names[] = {"seq", "random", "zipf"};
    const char *text = arg_key(c, "order");

    for (unsigned i = 0; text != NULL && i < ARRAY_COUNT(names); i++) {
        if (strcmp(text, names[i]) != 0)
            continue;
        w->order = i;
        return true;
    }
    if (text == NULL)
        return true;
    reply_fail(c, "order=%s: seq, random or zipf is needed", text);
    return false;
}

void cmd_probe_touch(struct command_call *c)
{
    struct probe_work w = {.op = PROBE_TOUCH, .stride = PAGE_BYTES, .order = PROBE_SEQUENTIAL};
    bool write = false;

    if (!read_range(c, 8, &w) || !read_seed(c, &w) || !read_order(c, &w) || !arg_key_bool(c, "write", &write) ||
        !arg_key_size(c, "stride", &w.stride) || !arg_key_number(c, "count", 1, ~0ull, &w.count))
        return;
    if (w.stride == 0 || w.stride % 8 != 0) {
        reply_fail(c, "stride=%s: a multiple of 8 above 0 is needed", arg_key(c, "stride"));
        return;
    }
    w.write = write;
    work(c, &w);
}

void cmd_probe_spin(struct command_call *c)
{
    struct probe_work w = {.op = PROBE_SPIN, .tsc_khz = time_tsc_khz()};
    const char *text = arg_word(c, 0);

    if (!parse_decimal(text, &w.milliseconds) || w.milliseconds > SPIN_MS_MAX) {
        reply_fail(c, "'%s': milliseconds from 0 to %llu are needed", text, (unsigned long long)SPIN_MS_MAX);
        return;
    }
    work(c, &w);
}
