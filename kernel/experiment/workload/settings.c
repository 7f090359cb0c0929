/* Parameters of policies by name: see settings.h. */
#include "kernel/experiment/workload/settings.h"

#include "kernel/console/parser.h"
#include "lib/string.h"

#define WORD_BYTES 24u

struct setting {
    char name[WORD_BYTES], text[WORD_BYTES];
    u64 value;
};

/* Up to `end` or a comma; behind the word. It is cut where it is too long for any that is good. */
static const char *take_word(const char *from, char end, char to[WORD_BYTES])
{
    size_t n = 0;

    for (; *from != '\0' && *from != end && *from != ','; from++)
        if (n + 1 < WORD_BYTES)
            to[n++] = *from;
    to[n] = '\0';
    return from;
}

/* The next of "name:value,name:value"; NULL: there is no more. A value that is no number leaves `text` empty. */
static const char *next_setting(const char *from, struct setting *s)
{
    if (*from == '\0')
        return NULL;
    from = take_word(from, ':', s->name);
    from = take_word(*from == ':' ? from + 1 : from, ',', s->text);
    if (!parse_size(s->text, &s->value))
        s->text[0] = '\0';
    return *from == ',' ? from + 1 : from;
}

static const struct parameter *find(const struct policy *policy, const char *name)
{
    for (unsigned i = 0; i < POLICY_PARAMETERS_MAX && policy->parameters[i].name; i++)
        if (strcmp(policy->parameters[i].name, name) == 0)
            return &policy->parameters[i];
    return NULL;
}

static enum err check_one(const struct setting *s, const char *only, struct fault_text *fault)
{
    bool known = false;

    if (s->text[0] == '\0')
        return fault_say(fault, ERR_ARGUMENT, "with=%s: NAME:NUMBER is needed, more of them behind commas", s->name);
    for (unsigned i = 0; policies[i]; i++) {
        const struct parameter *p = find(policies[i], s->name);
        if ((only && strcmp(policies[i]->name, only) != 0) || p == NULL)
            continue;
        known = true;
        if (s->value < p->least || s->value > p->most)
            return fault_say(fault, ERR_ARGUMENT, "with=%s:%s: policy %s takes a number from %llu to %llu", s->name,
                             s->text, policies[i]->name, (unsigned long long)p->least, (unsigned long long)p->most);
    }
    if (known)
        return ERR_OK;
    if (only)
        return fault_say(fault, ERR_ARGUMENT, "with=%s:%s: policy %s has no %s; `help policy` lists its parameters",
                         s->name, s->text, only, s->name);
    return fault_say(fault, ERR_ARGUMENT, "with=%s:%s: no policy has a %s; `help policy` lists what they have", s->name,
                     s->text, s->name);
}

enum err settings_check(const char *text, const char *only, struct fault_text *fault)
{
    struct setting s;
    enum err e = ERR_OK;

    while (e == ERR_OK && (text = next_setting(text, &s)) != NULL)
        e = check_one(&s, only, fault);
    return e;
}

void settings_of(const char *text, const struct policy *policy, u64 values[POLICY_PARAMETERS_MAX])
{
    struct setting s;

    for (unsigned i = 0; i < POLICY_PARAMETERS_MAX; i++)
        values[i] = policy->parameters[i].initial;
    while (text && (text = next_setting(text, &s)) != NULL) {
        const struct parameter *p = find(policy, s.name);
        if (p)
            values[p - policy->parameters] = s.value;
    }
}
