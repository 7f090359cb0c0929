/* Whole sequences: their setup, then their calls one by one. A call that disagrees does not stop the sequence. */
#include "tests/conformance/conformance.h"

#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static void memory_op(struct conf *c, struct conf_diff *d, const char *op, const json_t *call)
{
    bool td = strncmp(op, "TD_", 3) == 0, write = strcmp(op + (td ? 3 : 4), "WRITE") == 0;
    u64 pa = conf_number(json_object_get(call, "pa"));
    if (td && !conf_td_address(c, conf_number(json_object_get(call, "gpa")), &pa)) {
        conf_differ(d, "private page of the TD at %llx not found",
                    (unsigned long long)conf_number(json_object_get(call, "gpa")));
        return;
    }
    if (write)
        conf_memory_write(d, pa, call);
    else
        conf_memory_compare(d, pa, call);
}

static void set_pending(const json_t *call)
{
    platform_host_knobs.pending = true;
    platform_host_knobs.polls_before = (unsigned)conf_number(json_object_get(call, "polls_before_pending"));
    platform_host_knobs.pending_events = (unsigned)conf_number(json_object_get(call, "value"));
}

/* A TDCALL that nobody saw, which later answers tell of: the TD's own answer is not known. */
static bool infer(struct conf *c, const json_t *call)
{
    struct conf_diff unknown = {{0}};
    conf_step_tdcall(c, &unknown, call);
    return false;
}

/* True when the record is a call whose answer counts. */
static bool play(struct conf *c, struct conf_diff *d, const char *op, const json_t *call)
{
    if (strcmp(op, "SEAMCALL") == 0)
        conf_step_seamcall(c, d, call);
    else if (strcmp(op, "TDCALL") == 0 && json_is_true(json_object_get(call, "inferred")))
        return infer(c, call);
    else if (strcmp(op, "TDCALL") == 0)
        conf_step_tdcall(c, d, call);
    else if (strcmp(op, "VMEXIT") == 0)
        conf_step_vmexit(c, d, call);
    else if (strstr(op, "_WRITE") || strstr(op, "_READ")) {
        memory_op(c, d, op, call);
        return strstr(op, "_READ") || d->text[0];
    } else if (strcmp(op, "SET_PENDING_INTERRUPT") == 0) {
        set_pending(call);
        return false;
    } else if (strcmp(op, "CLEAR_PENDING_INTERRUPT") == 0) {
        platform_host_knobs.pending = false;
        return false;
    } else if (strcmp(op, "PLATFORM") == 0) {
        conf_env_change(c, json_string_value(json_object_get(call, "text")));
        return false;
    } else {
        conf_differ(d, "record of kind %s not understood", op);
    }
    return true;
}

void conf_step(struct conf *c, struct conf_diff *d, const json_t *call)
{
    const char *op = json_string_value(json_object_get(call, "op"));
    if (op)
        play(c, d, op, call);
}

static const char *leaf_of(const json_t *call, const char *op)
{
    const char *leaf = json_string_value(json_object_get(call, "leaf"));
    const char *what = json_string_value(json_object_get(call, "what"));
    return leaf ? leaf : what ? what : op;
}

/* Calls that a NOTE tells of instead of listing them. `last` is the SEAMCALL before it. */
static void play_note(struct conf *c, struct conf_diff *d, const char *text, const json_t *last)
{
    unsigned n = 0;
    const char *others = strstr(text, "of the other ");
    if (strstr(text, "every #VE below is followed by a TDG.VP.VEINFO.GET"))
        c->reads_ve_info = true;
    else if (last && sscanf(text, "%u more TDH.", &n) == 1 && strstr(text, "not listed"))
        conf_more_seamcalls(c, d, last, n);
    else if (strstr(text, "TDG.MEM.PAGE.ACCEPT level 1 of the other ") && sscanf(others, "of the other %u 2M", &n) == 1)
        conf_accept_2m(c, d, 0, 1ull << 30, n + 1);
}

/* Instruction information of an exit, from the TDG.VP.VEINFO.GET that reads it. */
static u32 instruction_info(const json_t *calls, size_t i)
{
    const json_t *next = json_array_get(calls, i + 1);
    const char *leaf = json_string_value(json_object_get(next, "leaf"));
    if (!leaf || strcmp(leaf, "TDG.VP.VEINFO.GET") != 0)
        return 0;
    return (u32)(conf_number(json_object_get(json_object_get(next, "td_out"), "r10")) >> 32);
}

static bool is_inner_note(const json_t *call)
{
    const char *text = json_string_value(json_object_get(call, "text"));
    return text && strncmp(text, "inner ", 6) == 0;
}

void conf_calls(struct conf *c, const json_t *calls)
{
    size_t i, count = json_array_size(calls);
    const json_t *last = NULL;
    for (i = 0; i < count; i++) {
        const json_t *call = json_array_get(calls, i), *next = json_array_get(calls, i + 1);
        const char *op = json_string_value(json_object_get(call, "op"));
        struct conf_diff d = {{0}};
        if (!op)
            continue;
        if (strcmp(op, "NOTE") == 0 && is_inner_note(call)) {
            conf_inner_check(c, &d);
            conf_verdict(c, i, "inner call", &d);
            continue;
        }
        if (strcmp(op, "NOTE") == 0) {
            play_note(c, &d, json_string_value(json_object_get(call, "text")), last);
            if (d.text[0])
                conf_verdict(c, i, "calls not listed", &d);
            continue;
        }
        last = strcmp(op, "SEAMCALL") == 0 ? call : last;
        c->instr_info = instruction_info(calls, i);
        if (next && is_inner_note(next))
            conf_inner_arm(c, call, next);
        if (play(c, &d, op, call))
            conf_verdict(c, i, leaf_of(call, op), &d);
        const char *inject = json_string_value(json_object_get(call, "inject"));
        unsigned lp = (unsigned)conf_number(json_object_get(call, "lp"));
        if (c->reads_ve_info && inject && strcmp(inject, "#VE") == 0 && c->lps[lp].td)
            conf_read_ve_info(c, lp);
    }
}

void conf_setup(struct conf *c, const char *name, const json_t *env)
{
    memset(c->lps, 0, sizeof(c->lps));
    c->long_mode = true;
    c->reads_ve_info = false;
    c->cpl = 0;
    c->setup_broken = false;
    conf_env_start(env, c->interleaved);
    if (!name || strcmp(name, "FRESH") == 0)
        return;
    const json_t *calls = json_object_get(c->setups, name);
    struct conf_diff d = {{0}};
    c->quiet = true;
    if (calls)
        conf_calls(c, calls);
    c->quiet = false;
    if (c->setup_broken)
        conf_differ(&d, "starting state %s was not reached", name);
    if (d.text[0])
        conf_verdict(c, 99999, "setup", &d);
}

/* Does the sequence agree when it runs so? In a child process, which leaves everything as it was. */
static bool agrees_in_a_child(struct conf *c, const json_t *sequence)
{
    int status = 0;
    fflush(stdout);
    pid_t child = fork();
    if (child == 0) {
        c->quiet = true;
        c->setup_broken = false;
        conf_setup(c, json_string_value(json_object_get(sequence, "setup")), json_object_get(sequence, "env"));
        c->quiet = true;
        conf_calls(c, json_object_get(sequence, "calls"));
        _exit(c->setup_broken);
    }
    return child > 0 && waitpid(child, &status, 0) == child && status == 0;
}

/* With several packages: LPs in blocks, unless only the other way agrees. */
static void choose_packages(struct conf *c, const json_t *sequence)
{
    c->interleaved = false;
    if (conf_number(json_object_get(json_object_get(sequence, "env"), "pkgs")) < 2)
        return;
    bool verbose = c->verbose;
    c->verbose = false;
    if (!agrees_in_a_child(c, sequence)) {
        c->interleaved = true;
        c->interleaved = agrees_in_a_child(c, sequence);
    }
    c->verbose = verbose;
}

void conf_replay(struct conf *c, const json_t *sequence)
{
    choose_packages(c, sequence);
    conf_setup(c, json_string_value(json_object_get(sequence, "setup")), json_object_get(sequence, "env"));
    conf_calls(c, json_object_get(sequence, "calls"));
}
