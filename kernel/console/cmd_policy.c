/* The command `policy`: which merge policy runs, what it has done, and the choice of another. */
#include "kernel/console/cmd.h"
#include "kernel/print.h"
#include "kernel/vm/vm.h"
#include "lib/format.h"
#include "lib/string.h"
#include "mm/policy/policy.h"

static const char *const counter_names[TDP_POLICY_COUNTERS] = {
#define X(name, text) [TDP_POLICY_##name] = text,
    TDP_POLICY_COUNTER_LIST(X)
#undef X
};

static unsigned parameter_count(const struct policy *p)
{
    unsigned n = 0;
    while (n < POLICY_PARAMETERS_MAX && p->parameters[n].name != NULL)
        n++;
    return n;
}

static const struct policy *find(const char *name)
{
    for (unsigned i = 0; policies[i] != NULL; i++)
        if (strcmp(policies[i]->name, name) == 0)
            return policies[i];
    return NULL;
}

void policy_help(void)
{
    for (unsigned i = 0; policies[i] != NULL; i++) {
        const struct policy *p = policies[i];
        print("    %-6s %s\n", p->name, p->what);
        for (unsigned n = 0; n < parameter_count(p); n++)
            print("           %s=%llu  %s: %s, %llu to %llu\n", p->parameters[n].name,
                  (unsigned long long)p->parameters[n].initial, p->parameters[n].unit, p->parameters[n].what,
                  (unsigned long long)p->parameters[n].least, (unsigned long long)p->parameters[n].most);
    }
}

/* --- choosing --- */

/* "none scan fault ...", or the names of a policy's parameters. */
static const char *list(char *to, size_t bytes, const char *(*name)(const struct policy *p, unsigned i),
                        const struct policy *p)
{
    size_t used = 0;

    to[0] = '\0';
    for (unsigned i = 0; name(p, i) != NULL; i++)
        used += format_to(to + used, bytes - used, "%s%s", i ? " " : "", name(p, i));
    return to;
}

static const char *policy_name(const struct policy *p, unsigned i)
{
    return policies[i] != NULL ? policies[i]->name : NULL;
}

static const char *parameter_name(const struct policy *p, unsigned i)
{
    return i < parameter_count(p) ? p->parameters[i].name : NULL;
}

static bool has_parameter(const struct policy *p, const char *key)
{
    for (unsigned n = 0; n < parameter_count(p); n++)
        if (strcmp(p->parameters[n].name, key) == 0)
            return true;
    return false;
}

/* The command's table has allowed the keys of all policies. */
static bool take_values(struct command_call *c, const struct policy *p, u64 values[POLICY_PARAMETERS_MAX])
{
    char names[96];

    for (unsigned i = 0; i < c->line->key_count; i++) {
        if (has_parameter(p, c->line->keys[i].key))
            continue;
        (void)list(names, sizeof(names), parameter_name, p);
        reply_fail(c, "policy %s has no %s; %s%s", p->name, c->line->keys[i].key,
                   names[0] != '\0' ? "it takes: " : "it takes no parameters", names);
        return false;
    }
    for (unsigned n = 0; n < parameter_count(p); n++) {
        values[n] = p->parameters[n].initial;
        if (!arg_key_number(c, p->parameters[n].name, p->parameters[n].least, p->parameters[n].most, &values[n]))
            return false;
    }
    return true;
}

static bool choose(struct command_call *c, const char *name)
{
    u64 values[POLICY_PARAMETERS_MAX] = {0};
    const struct policy *p = find(name);
    char names[96];

    if (p == NULL) {
        reply_fail(c, "no policy '%s'; there are: %s", name, list(names, sizeof(names), policy_name, NULL));
        return false;
    }
    if (!take_values(c, p, values))
        return false;
    enum err e = tdp_policy_choose(vm.tdp, p, values);
    if (e != ERR_OK)
        reply_fail(c, "the policy before could not let go of all that it has blocked: %s", err_text(e));
    return e == ERR_OK;
}

/* --- showing --- */

static void show(const struct tdp_policy_status *s)
{
    print("%s: %s\n", s->policy->name, s->policy->what);
    for (unsigned n = 0; n < parameter_count(s->policy); n++)
        print("  %s=%llu %s\n", s->policy->parameters[n].name, (unsigned long long)s->values[n],
              s->policy->parameters[n].unit);
    for (unsigned i = 0; i < TDP_POLICY_COUNTERS; i++)
        print("  %-11s %llu\n", counter_names[i], (unsigned long long)s->counters[i]);
    print("  queue: %llu ready, %llu blocked, %llu resting\n", (unsigned long long)s->ready,
          (unsigned long long)s->blocked, (unsigned long long)s->resting);
}

static void answer(struct command_call *c)
{
    struct tdp_policy_status s;

    tdp_policy_status(vm.tdp, &s);
    show(&s);
    struct json *j = reply_ok(c);
    json_text(j, "name", s.policy->name);
    json_object(j, "parameters");
    for (unsigned n = 0; n < parameter_count(s.policy); n++)
        json_number(j, s.policy->parameters[n].name, s.values[n]);
    json_end_object(j);
    json_object(j, "counters");
    for (unsigned i = 0; i < TDP_POLICY_COUNTERS; i++)
        json_number(j, counter_names[i], s.counters[i]);
    json_end_object(j);
    json_number(j, "queued", s.ready);
    json_number(j, "blocked", s.blocked);
    json_number(j, "resting", s.resting);
}

void cmd_policy(struct command_call *c)
{
    const char *name = arg_word(c, 0);

    if (vm.state == VM_NONE)
        reply_fail(c, "there is no TD: `td create` comes first");
    else if (vm.state == VM_DEAD)
        reply_fail(c, "the TD is dead: only `td destroy` is left");
    else if (name == NULL && c->line->key_count != 0)
        reply_fail(c, "a parameter belongs behind the name of a policy: `policy NAME %s=%s`", c->line->keys[0].key,
                   c->line->keys[0].value);
    else if (name == NULL || choose(c, name))
        answer(c);
}
