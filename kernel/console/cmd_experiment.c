/* The command `experiment`: which there are, and one of them, with its samples as it goes. */
#include "kernel/console/cmd.h"
#include "kernel/experiment/world.h"
#include "kernel/print.h"
#include "lib/format.h"
#include "lib/string.h"

#define NAMES_BYTES 200u

static unsigned parameter_count(const struct experiment *e)
{
    unsigned n = 0;
    while (n < EXPERIMENT_PARAMETERS_MAX && e->parameters[n].name)
        n++;
    return n;
}

static unsigned choice_count(const struct experiment *e)
{
    unsigned n = 0;
    while (n < EXPERIMENT_CHOICES_MAX && e->choices[n].key)
        n++;
    return n;
}

/* "a, b, c": all that a choice allows. */
static const char *name_all(const struct experiment_choice *choice, char *to, size_t bytes)
{
    size_t used = 0;

    for (unsigned n = 0; choice->name(n) && used < bytes; n++)
        used += format_to(to + used, bytes - used, "%s%s", n ? ", " : "", choice->name(n));
    return to;
}

static void choice_help(const struct experiment_choice *choice)
{
    char names[NAMES_BYTES] = "";

    print("              %s=NAME  %s%s%s\n", choice->key, choice->what, choice->name ? ": " : "",
          choice->name ? name_all(choice, names, sizeof(names)) : "");
    for (unsigned n = 0; choice->says && choice->name(n); n++)
        print("                %-8s %s\n", choice->name(n), choice->says(n));
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
        for (unsigned n = 0; n < choice_count(e); n++)
            choice_help(&e->choices[n]);
    }
}

static const struct experiment *find(const char *name)
{
    for (unsigned i = 0; experiments[i]; i++)
        if (strcmp(experiments[i]->name, name) == 0)
            return experiments[i];
    return NULL;
}

static bool has_parameter(const struct experiment *e, const char *key)
{
    for (unsigned n = 0; n < parameter_count(e); n++)
        if (strcmp(e->parameters[n].name, key) == 0)
            return true;
    for (unsigned n = 0; n < choice_count(e); n++)
        if (strcmp(e->choices[n].key, key) == 0)
            return true;
    return strcmp(key, "seed") == 0;
}

static bool check_keys(struct command_call *c, const struct experiment *e)
{
    for (unsigned i = 0; i < c->line->key_count; i++) {
        if (has_parameter(e, c->line->keys[i].key))
            continue;
        reply_fail(c, "experiment %s has no %s; `help experiment` lists what each takes", e->name,
                   c->line->keys[i].key);
        return false;
    }
    return true;
}

static bool take_choice(struct command_call *c, const struct experiment_choice *choice, const char **chosen)
{
    char names[NAMES_BYTES];

    *chosen = arg_key(c, choice->key);
    if (*chosen == NULL || choice->name == NULL)
        return true;
    for (unsigned n = 0; choice->name(n); n++)
        if (strcmp(choice->name(n), *chosen) == 0)
            return true;
    reply_fail(c, "no %s '%s'; there are %s", choice->key, *chosen, name_all(choice, names, sizeof(names)));
    return false;
}

static bool take_values(struct command_call *c, struct experiment_run *x)
{
    const struct experiment *e = x->experiment;

    if (!check_keys(c, e))
        return false;
    for (unsigned n = 0; n < parameter_count(e); n++) {
        const struct parameter *p = &e->parameters[n];
        x->values[n] = p->initial;
        if (!arg_key_number(c, p->name, p->least, p->most, &x->values[n]))
            return false;
    }
    for (unsigned n = 0; n < choice_count(e); n++)
        if (!take_choice(c, &e->choices[n], &x->chosen[n]))
            return false;
    return arg_key_number(c, "seed", 0, ~0ull, &x->seed);
}

static void run(struct command_call *c, const struct experiment *experiment)
{
    struct experiment_run x = {.experiment = experiment, .seed = 1, .watched = !c->in_script};

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
