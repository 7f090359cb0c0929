/* What experiments share: a sample's line, progress, numbers at random. See kernel/experiment/experiment.h. */
#include "kernel/experiment/experiment.h"

#include <stdarg.h>

#include "kernel/console/command.h"
#include "kernel/hypervisor.h"
#include "kernel/print.h"
#include "kernel/time.h"
#include "lib/format.h"
#include "mm/policy/policy.h"

#define PROGRESS_US    1000000ull
#define PROGRESS_BYTES 160u

static struct command_call line; /* the sample's that is open */

struct json *sample_begin(struct experiment_run *x)
{
    static const struct command experiment = {.name = "experiment"};
    char signature[HYPERVISOR_BYTES];

    line = (struct command_call){.command = &experiment};
    struct json *j = reply_ok(&line);
    json_text(j, "experiment", x->experiment->name);
    json_text(j, "platform", hypervisor_signature(signature));
    json_number(j, "seed", x->seed);
    json_number(j, "sample", x->samples++);
    return j;
}

void sample_end(struct experiment_run *x)
{
    struct json *j = &line.json;

    json_object(j, "parameters");
    for (unsigned i = 0; i < EXPERIMENT_PARAMETERS_MAX && x->experiment->parameters[i].name; i++)
        json_number(j, x->experiment->parameters[i].name, x->values[i]);
    json_end_object(j);
    reply_end(&line);
}

const char *experiment_policy_name(unsigned n)
{
    return policies[n] ? policies[n]->name : NULL;
}

void experiment_progress(struct experiment_run *x, const char *fmt, ...)
{
    char text[PROGRESS_BYTES];
    va_list args;

    if (!x->watched || time_us() - x->told_at < PROGRESS_US)
        return;
    x->told_at = time_us();
    va_start(args, fmt);
    format_v(text, sizeof(text), fmt, args);
    va_end(args);
    print("  %s\n", text);
}

/* SplitMix64. */
u64 experiment_random(struct experiment_run *x, u64 n)
{
    u64 z = x->random += 0x9e3779b97f4a7c15ull;

    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
    return (z ^ (z >> 31)) % n;
}
