/*
 * Commands that change the TD's memory mappings: map convert split merge block unblock relocate, and `plan` before each of them.
 * All are one operation of mm/tdp.h; `convert` without `force` asks the payload, which then asks by MapGPA.
 */
#include "kernel/console/cmd_memory.h"

#include "kernel/console/cmd.h"
#include "kernel/console/cmd_probe.h"
#include "kernel/print.h"
#include "kernel/vm/vm.h"
#include "lib/format.h"
#include "lib/string.h"

#define PLAN_LINE_BYTES 96

enum op_kind { OP_MAP, OP_CONVERT, OP_SPLIT, OP_MERGE, OP_BLOCK, OP_UNBLOCK, OP_RELOCATE };

struct op {
    enum op_kind kind;
    gpa_t gpa;
    u64 bytes;
    level_t level;
    enum tdp_attr to;
    bool force;
    struct tdp_choice choice; /* for this operation alone */
};

/* --- what operations may choose --- */

const char *goal_name(enum tdp_goal goal)
{
    return goal == TDP_CALLS ? "calls" : "time";
}

bool arg_choice(struct command_call *c, struct tdp_choice *choice)
{
    const char *plan = arg_key(c, "plan"), *back = arg_key(c, "back");

    if (plan != NULL && strcmp(plan, "calls") != 0 && strcmp(plan, "time") != 0) {
        reply_fail(c, "plan=%s: calls or time is needed", plan);
        return false;
    }
    if (back != NULL && (!parse_level(back, &choice->back) || level_is(choice->back, LEVEL_1G))) {
        reply_fail(c, "back=%s: 4k or 2m is needed", back);
        return false;
    }
    if (plan != NULL)
        choice->goal = strcmp(plan, "time") == 0 ? TDP_TIME : TDP_CALLS;
    return true;
}

static bool need_td(struct command_call *c)
{
    if (vm.state == VM_NONE)
        reply_fail(c, "there is no TD: `td create` comes first");
    else if (vm.state == VM_DEAD)
        reply_fail(c, "the TD is dead: only `td destroy` is left");
    else
        return true;
    return false;
}

/* A larger page than the TD may have is refused here, in words that say why. */
static bool fits_td(struct command_call *c, struct op *op)
{
    if (!need_td(c))
        return false;
    op->choice = tdp_choice(vm.tdp);
    if (!arg_choice(c, &op->choice))
        return false;
    if (op->kind != OP_MERGE || op->level.raw <= vm.level.raw)
        return true;
    reply_fail(c, "the TD was created with level=%s: it gets no %s pages", level_name(vm.level), level_name(op->level));
    return false;
}

/* --- arguments; word `n` is the first behind the operation's name --- */

static bool parse_map(struct command_call *c, unsigned n, struct op *op)
{
    op->level = LEVEL_2M;
    if (!arg_range(c, n, &op->gpa, &op->bytes))
        return false;
    if (arg_word(c, n + 2) == NULL)
        return true;
    if (!arg_level(c, n + 2, &op->level))
        return false;
    if (op->level.raw <= LEVEL_2M.raw)
        return true;
    reply_fail(c, "map takes 4k or 2m: the TDX module makes 1g pages only by merging");
    return false;
}

static bool parse_convert(struct command_call *c, unsigned n, struct op *op)
{
    const char *to = arg_word(c, n + 2), *force = arg_word(c, n + 3);

    if (!arg_range(c, n, &op->gpa, &op->bytes))
        return false;
    if (to == NULL || (strcmp(to, "shared") != 0 && strcmp(to, "private") != 0)) {
        reply_fail(c, "'%s': shared or private is needed", to != NULL ? to : "");
        return false;
    }
    if (force != NULL && strcmp(force, "force") != 0) {
        reply_fail(c, "'%s': only `force` may follow", force);
        return false;
    }
    op->to = strcmp(to, "shared") == 0 ? TDP_SHARED : TDP_PRIVATE;
    op->force = force != NULL;
    return true;
}

/* Split and merge have no 4K form. Of a merge a length may follow: then it is about all regions of that range. */
static bool parse_leaf(struct command_call *c, unsigned n, struct op *op)
{
    if (!arg_gpa(c, n, &op->gpa) || !arg_level(c, n + 1, &op->level))
        return false;
    if ((op->kind == OP_SPLIT || op->kind == OP_MERGE) && level_is(op->level, LEVEL_4K)) {
        reply_fail(c, "4k is no level of a split or merge: 2m and 1g are");
        return false;
    }
    if (op->kind == OP_MERGE && arg_word(c, n + 2) != NULL && !arg_length(c, n + 2, &op->bytes))
        return false;
    if (gpa_is_aligned(op->gpa, op->level))
        return true;
    reply_fail(c, "address 0x%llx is not a multiple of %s", (unsigned long long)op->gpa.raw, level_name(op->level));
    return false;
}

static bool parse_op(struct command_call *c, enum op_kind kind, unsigned n, struct op *op)
{
    *op = (struct op){.kind = kind};
    switch (kind) {
    case OP_MAP:
        return parse_map(c, n, op);
    case OP_CONVERT:
        return parse_convert(c, n, op);
    case OP_RELOCATE:
        return arg_range(c, n, &op->gpa, &op->bytes);
    default:
        return parse_leaf(c, n, op);
    }
}

static struct tdp_report perform_chosen(const struct op *op, struct plan *dry)
{
    switch (op->kind) {
    case OP_MAP:
        return tdp_map(vm.tdp, op->gpa, op->bytes, op->level, dry);
    case OP_CONVERT:
        return tdp_convert(vm.tdp, op->gpa, op->bytes, op->to, dry);
    case OP_SPLIT:
        return tdp_split(vm.tdp, op->gpa, op->level, dry);
    case OP_MERGE:
        return op->bytes ? tdp_merge_range(vm.tdp, op->gpa, op->bytes, op->level, dry)
                         : tdp_merge(vm.tdp, op->gpa, op->level, dry);
    case OP_BLOCK:
        return tdp_block(vm.tdp, op->gpa, op->level, dry);
    case OP_RELOCATE:
        return tdp_relocate(vm.tdp, op->gpa, op->bytes, dry);
    default:
        return tdp_unblock(vm.tdp, op->gpa, op->level, dry);
    }
}

static struct tdp_report perform(const struct op *op, struct plan *dry)
{
    struct tdp_choice before = tdp_choice(vm.tdp);

    tdp_choose(vm.tdp, op->choice);
    vm.td.late = 0;
    struct tdp_report r = perform_chosen(op, dry);
    tdp_choose(vm.tdp, before);
    return r;
}

/* --- answers --- */

static void add_cost(struct json *j, const struct tdp_report *r)
{
    json_number(j, "seamcalls", r->seamcalls);
    json_number(j, "tracks", r->tracks);
    json_number(j, "ipis", r->ipis);
    json_number(j, "tsc", r->tsc);
    if (r->lost != 0)
        json_number(j, "lost", r->lost);
}

static void answer_failure(struct command_call *c, const struct tdp_report *r)
{
    struct fault_text text;

    (void)vm_say(&text, c->command->name, r);
    struct json *j = reply_fail(c, "%s", text.text);
    json_hex(j, "at", r->at.raw);
    add_cost(j, r);
}

static void do_op(struct command_call *c, const struct op *op)
{
    struct tdp_report r = perform(op, NULL);

    if (r.err != ERR_OK) {
        if (r.err == ERR_TD_DEAD)
            vm_dies();
        answer_failure(c, &r);
        return;
    }
    print("done by %llu SEAMCALLs, %llu of them TRACK, in %llu TSC ticks\n", (unsigned long long)r.seamcalls,
          (unsigned long long)r.tracks, (unsigned long long)r.tsc);
    if (r.lost != 0)
        print("lost: %llu pages whose cache flush failed\n", (unsigned long long)r.lost);
    struct json *j = reply_ok(c);
    add_cost(j, &r);
    if (op->kind == OP_MERGE)
        json_number(j, "regions", op->bytes ? r.regions : 1);
}

static void run_op(struct command_call *c, enum op_kind kind)
{
    struct op op;

    if (parse_op(c, kind, 0, &op) && fits_td(c, &op))
        do_op(c, &op);
}

void cmd_map(struct command_call *c)
{
    run_op(c, OP_MAP);
}

void cmd_split(struct command_call *c)
{
    run_op(c, OP_SPLIT);
}

void cmd_merge(struct command_call *c)
{
    run_op(c, OP_MERGE);
}

void cmd_block(struct command_call *c)
{
    run_op(c, OP_BLOCK);
}

void cmd_unblock(struct command_call *c)
{
    run_op(c, OP_UNBLOCK);
}

void cmd_relocate(struct command_call *c)
{
    run_op(c, OP_RELOCATE);
}

void cmd_convert(struct command_call *c)
{
    struct op op;

    if (!parse_op(c, OP_CONVERT, 0, &op) || !fits_td(c, &op))
        return;
    if (op.force)
        do_op(c, &op);
    else if (arg_key(c, "plan") != NULL || arg_key(c, "back") != NULL)
        reply_fail(c, "plan= and back= go with `force`; what the payload asks for follows those of `td create`");
    else
        probe_convert(c, op.gpa, op.bytes, op.to == TDP_SHARED);
}

/* --- plan --- */

static bool op_by_name(const char *name, enum op_kind *kind)
{
    static const char *const names[] = {"map", "convert", "split", "merge", "block", "unblock", "relocate"};

    for (unsigned i = 0; i < ARRAY_COUNT(names); i++) {
        if (strcmp(name, names[i]) != 0)
            continue;
        *kind = (enum op_kind)i;
        return true;
    }
    return false;
}

static void answer_plan(struct command_call *c, const struct plan *p)
{
    char line[PLAN_LINE_BYTES];

    for (unsigned i = 0; i < plan_lines(p); i++) {
        plan_line(p, i, line, sizeof(line));
        print("  %s\n", line);
    }
    print("%llu SEAMCALLs, %llu rounds of kicks\n", (unsigned long long)plan_seamcalls(p),
          (unsigned long long)plan_kick_rounds(p));
    struct json *j = reply_ok(c);
    json_number(j, "seamcalls", plan_seamcalls(p));
    json_number(j, "kick_rounds", plan_kick_rounds(p));
    json_number(j, "ipis", 0); /* one CPU: nobody to send them to */
    json_array(j, "steps");
    for (unsigned i = 0; i < plan_lines(p); i++) {
        plan_line(p, i, line, sizeof(line));
        json_text(j, NULL, line);
    }
    json_end_array(j);
}

void cmd_plan(struct command_call *c)
{
    const char *name = arg_word(c, 0);
    enum op_kind kind;
    struct op op;

    if (!op_by_name(name, &kind)) {
        reply_fail(c, "'%s' cannot be planned: map, convert, split, merge, block, unblock and relocate can", name);
        return;
    }
    if (!parse_op(c, kind, 1, &op) || !fits_td(c, &op))
        return;
    struct plan *plan = plan_new();
    if (plan == NULL) {
        reply_fail(c, "no memory for the plan");
        return;
    }
    struct tdp_report r = perform(&op, plan);
    if (r.err == ERR_OK)
        answer_plan(c, plan);
    else
        answer_failure(c, &r);
    plan_free(plan);
}
