/* The command `experiment`: which there are, and one of them, with its samples as it goes. */
#include "kernel/console/cmd.h"
#include "kernel/experiment/world.h"
#include "kernel/print.h"
#include "lib/string.h"
#include "mm/policy/policy.h"

static unsigned parameter_count(const struct experiment *e)
{
    unsigned n = 0;
    while (n < EXPERIMENT_PARAMETERS_MAX && e->parameters[n].name)
        n++;
    return n;
}

void experiment_help(void)
{
    for (unsigned i = 0; experiments[i]; i++) {
        const struct experiment *e = experiments[i];
        print("    %-9s %s\n", e->name, e->question);
        for (unsigned n = 0; n < parameter_count(e); n++)
            print("              %s=%llu  %s%s%s, %llu to %llu\n", e->parameters[n].name,
                  (unsigned long long)e->parameters[n].initial, e->parameters[n].unit,
                  e->parameters[n].unit[0] ? ": " : "", e->parameters[n].what,
                  (unsigned long long)e->parameters[n].least, (unsigned long long)e->parameters[n].most);
    }
}

static const struct experiment *find(const char *name)
{
    for (unsigned i = 0; experiments[i]; i++)
        if (strcmp(experiments[i]->name, name) == 0)
            return experiments[i];
    return NULL;
}

static bool knows_policy(const char *name)
{
    for (unsigned i = 0; policies[i]; i++)
        if (strcmp(policies[i]->name, name) == 0)
            return true;
    return false;
}

static bool has_parameter(const struct experiment *e, const char *key)
{
    for (unsigned n = 0; n < parameter_count(e); n++)
        if (strcmp(e->parameters[n].name, key) == 0)
            return true;
    return strcmp(key, "seed") == 0 || (strcmp(key, "policy") == 0 && e == &experiment_policies);
}

static bool take_values(struct command_call *c, struct experiment_run *x)
{
    const struct experiment *e = x->experiment;

    for (unsigned i = 0; i < c->line->key_count; i++)
        if (!has_parameter(e, c->line->keys[i].key)) {
            reply_fail(c, "experiment %s has no %s; `help experiment` lists what each takes", e->name,
                       c->line->keys[i].key);
            return false;
        }
    for (unsigned n = 0; n < parameter_count(e); n++) {
        const struct parameter *p = &e->parameters[n];
        x->values[n] = p->initial;
        if (!arg_key_number(c, p->name, p->least, p->most, &x->values[n]))
            return false;
    }
    x->only = arg_key(c, "policy");
    if (!arg_key_number(c, "seed", 0, ~0ull, &x->seed))
        return false;
    if (x->only == NULL || knows_policy(x->only))
        return true;
    reply_fail(c, "no policy '%s'; `help policy` lists them", x->only);
    return false;
}

static void run(struct command_call *c, const struct experiment *experiment)
{
    struct experiment_run x = {.experiment = experiment, .seed = 1};

    if (!take_values(c, &x))
        return;
    x.random = x.seed;
    print("%s: %s\n", experiment->name, experiment->question);
    enum err e = experiment->run(&x);
    struct fault_text why = x.fault;
    enum err end = world_end(&x);
    if (e == ERR_OK && end != ERR_OK)
        why = x.fault;
    struct json *j = e == ERR_OK && end == ERR_OK ? reply_ok(c) : reply_fail(c, "%s", why.text);
    json_text(j, "experiment", experiment->name);
    json_number(j, "samples", x.samples);
}

void cmd_experiment(struct command_call *c)
{
    const char *name = arg_word(c, 0);
    const struct experiment *e = find(name);

    if (e == NULL)
        reply_fail(c, "no experiment '%s'; `help experiment` lists them", name);
    else if (vm.state != VM_NONE)
        reply_fail(c, "an experiment makes its own TD: `td destroy` comes first");
    else
        run(c, e);
}
