/* Commands that look at the TD's memory mappings: walk, sept. */
#include "kernel/console/cmd.h"
#include "kernel/console/sept_map.h"
#include "kernel/vm/fault_text.h"
#include "kernel/print.h"
#include "kernel/vm/vm.h"
#include "lib/string.h"

static const char *state_name(enum tdp_state s)
{
    static const char *const names[] = {"absent", "mapped", "pending", "blocked", "pending_blocked", "shared"};
    return names[s];
}

static bool need_td(struct command_call *c)
{
    if (vm.state != VM_NONE && vm.tdp != NULL)
        return true;
    reply_fail(c, "there is no TD: `td create` comes first");
    return false;
}

static void answer_failure(struct command_call *c, const struct tdp_report *r)
{
    struct fault_text text;

    (void)fault_tdp(&text, c->command->name, r);
    reply_fail(c, "%s", text.text);
}

void cmd_walk(struct command_call *c)
{
    struct tdp_walk w;
    gpa_t gpa;

    if (!arg_gpa(c, 0, &gpa) || !need_td(c))
        return;
    struct tdp_report r = tdp_walk(vm.tdp, gpa, &w);
    if (r.err != ERR_OK) {
        answer_failure(c, &r);
        return;
    }
    print("0x%llx: %s%s of level %s\n", (unsigned long long)gpa.raw, state_name(w.state), w.is_table ? " table" : "",
          level_name(w.level));
    print("  mirror 0x%016llx, module 0x%016llx: they %s\n", (unsigned long long)w.mirror_raw,
          (unsigned long long)w.module_raw, w.agree ? "agree" : "DISAGREE");
    struct json *j = reply_ok(c);
    json_hex(j, "gpa", gpa.raw);
    json_text(j, "level", level_name(w.level));
    json_text(j, "state", state_name(w.state));
    json_hex(j, "hpa", hpa_is(w.page, HPA_NONE) ? 0 : w.page.raw);
    json_bool(j, "table", w.is_table);
    json_bool(j, "agree", w.agree);
}

static void answer_census(struct command_call *c, const struct tdp_census *s)
{
    print("leaves: %llu x 4k, %llu x 2m, %llu x 1g; %llu blocked; %llu tables; 0x%llx bytes shared\n",
          (unsigned long long)s->leaf[0], (unsigned long long)s->leaf[1], (unsigned long long)s->leaf[2],
          (unsigned long long)s->blocked, (unsigned long long)s->tables, (unsigned long long)s->shared_bytes);
    if (!s->agree)
        print("mirror and module DISAGREE, first at 0x%llx\n", (unsigned long long)s->first_disagreement.raw);
    struct json *j = reply_ok(c);
    json_object(j, "leaf");
    json_number(j, "4k", s->leaf[0]);
    json_number(j, "2m", s->leaf[1]);
    json_number(j, "1g", s->leaf[2]);
    json_end_object(j);
    json_number(j, "blocked", s->blocked);
    json_number(j, "tables", s->tables);
    json_number(j, "shared_bytes", s->shared_bytes);
    json_bool(j, "agree", s->agree);
    if (!s->agree)
        json_hex(j, "first_disagreement", s->first_disagreement.raw);
}

static void census(struct command_call *c, gpa_t gpa, u64 bytes)
{
    struct tdp_census found;
    struct tdp_report r = tdp_census(vm.tdp, gpa, bytes, &found);

    if (r.err == ERR_OK)
        answer_census(c, &found);
    else
        answer_failure(c, &r);
}

/* The cells are gathered first and drawn when the vCPUs run again, for the line is slow. */
static void map(struct command_call *c, gpa_t gpa, u64 bytes, bool colour)
{
    struct sept_map m;

    sept_map_begin(&m, gpa, bytes);
    struct tdp_report r = tdp_each_run(vm.tdp, gpa, bytes, sept_map_add, &m);
    if (r.err != ERR_OK) {
        answer_failure(c, &r);
        return;
    }
    sept_map_print(&m, colour);
    sept_map_answer(&m, reply_ok(c));
}

void cmd_sept(struct command_call *c)
{
    const char *word = arg_word(c, 0);
    bool is_map = word != NULL && strcmp(word, "map") == 0, colour = !c->in_script;
    unsigned range = is_map ? 1 : 0; /* the word where it begins */
    gpa_t gpa = {0};
    u64 bytes = 0;

    if (arg_count(c) > range + 2)
        reply_fail(c, "too many words; usage: sept %s", c->command->usage);
    else if (!is_map && arg_key(c, "colour") != NULL)
        reply_fail(c, "colour= goes with `sept map`");
    else if (!arg_key_bool(c, "colour", &colour) ||
             (arg_word(c, range) != NULL && !arg_range(c, range, &gpa, &bytes)) || !need_td(c))
        return;
    else if (is_map)
        map(c, gpa, bytes ? bytes : vm.memory_bytes, colour);
    else
        census(c, gpa, bytes);
}
