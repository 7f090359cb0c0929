/* Dispatching commands and their answers. See command.h. */
#include "kernel/console/command.h"

#include <stdarg.h>

#include "kernel/console/cmd.h"
#include "kernel/console/pager.h"
#include "kernel/print.h"
#include "lib/bits.h"
#include "lib/format.h"
#include "lib/string.h"

#define ERROR_BYTES 800

/* --- answers --- */

static struct json *reply_begin(struct command_call *c, const char *name, bool ok)
{
    pager_end();
    c->answered = true;
    c->failed = !ok;
    c->json = (struct json){.put = print_bytes};
    print_begin(); /* one line, whatever other CPUs have to say: until reply_end() */
    print("@");
    json_object(&c->json, NULL);
    json_text(&c->json, "cmd", name);
    json_bool(&c->json, "ok", ok);
    return &c->json;
}

static struct json *reply_error(struct command_call *c, const char *name, const char *text)
{
    pager_end();
    print("error: ");
    print_bytes(text, strlen(text)); /* longer than what print() takes */
    print("\n");
    struct json *j = reply_begin(c, name, false);
    json_text(j, "error", text);
    return j;
}

void reply_end(struct command_call *c)
{
    json_end_object(&c->json);
    print("\n");
    print_end();
}

struct json *reply_ok(struct command_call *c)
{
    return reply_begin(c, c->command->name, true);
}

struct json *reply_fail(struct command_call *c, const char *fmt, ...)
{
    char text[ERROR_BYTES];
    va_list args;

    va_start(args, fmt);
    format_v(text, sizeof(text), fmt, args);
    va_end(args);
    return reply_error(c, c->command->name, text);
}

/* --- arguments --- */

unsigned arg_count(const struct command_call *c)
{
    return c->line->word_count - c->first_word;
}

const char *arg_word(const struct command_call *c, unsigned n)
{
    return n < arg_count(c) ? c->line->words[c->first_word + n] : NULL;
}

const char *arg_key(const struct command_call *c, const char *key)
{
    for (unsigned i = 0; i < c->line->key_count; i++)
        if (strcmp(c->line->keys[i].key, key) == 0)
            return c->line->keys[i].value;
    return NULL;
}

static bool arg_missing(struct command_call *c, const char *what)
{
    reply_fail(c, "%s is missing; usage: %s %s", what, c->command->name, c->command->usage);
    return false;
}

bool arg_gpa(struct command_call *c, unsigned n, gpa_t *gpa)
{
    const char *word = arg_word(c, n);

    if (word == NULL)
        return arg_missing(c, "the address");
    if (parse_address(word, &gpa->raw))
        return true;
    reply_fail(c, "'%s' is no address: hex digits are, with or without 0x", word);
    return false;
}

/* Not 0, a multiple of 4K. */
bool arg_length(struct command_call *c, unsigned n, u64 *bytes)
{
    const char *word = arg_word(c, n);

    if (word == NULL)
        return arg_missing(c, "the length");
    if (!parse_size(word, bytes)) {
        reply_fail(c, "'%s' is no length: 4K, 2M, 1G or 0x1000 are", word);
        return false;
    }
    if (*bytes != 0 && is_aligned(*bytes, PAGE_BYTES))
        return true;
    reply_fail(c, "length 0x%llx is not a multiple of 4K above 0", (unsigned long long)*bytes);
    return false;
}

bool arg_range(struct command_call *c, unsigned n, gpa_t *gpa, u64 *bytes)
{
    if (!arg_gpa(c, n, gpa) || !arg_length(c, n + 1, bytes))
        return false;
    if (!gpa_is_aligned(*gpa, LEVEL_4K)) {
        reply_fail(c, "address 0x%llx is not a multiple of 4K", (unsigned long long)gpa->raw);
        return false;
    }
    if (gpa->raw + *bytes >= gpa->raw)
        return true;
    reply_fail(c, "0x%llx and length 0x%llx end beyond 64 bits", (unsigned long long)gpa->raw,
               (unsigned long long)*bytes);
    return false;
}

bool arg_level(struct command_call *c, unsigned n, level_t *level)
{
    const char *word = arg_word(c, n);

    if (word == NULL)
        return arg_missing(c, "the level");
    if (parse_level(word, level))
        return true;
    reply_fail(c, "'%s' is no level: 4k, 2m and 1g are", word);
    return false;
}

bool arg_key_size(struct command_call *c, const char *key, u64 *value)
{
    const char *text = arg_key(c, key);

    if (text == NULL || parse_size(text, value))
        return true;
    reply_fail(c, "%s=%s: a size such as 4K, 2M, 1G or 0x1000 is needed", key, text);
    return false;
}

bool arg_key_number(struct command_call *c, const char *key, u64 min, u64 max, u64 *value)
{
    const char *text = arg_key(c, key);
    u64 v;

    if (text == NULL)
        return true;
    if (parse_size(text, &v) && v >= min && v <= max) {
        *value = v;
        return true;
    }
    reply_fail(c, "%s=%s: a number from %llu to %llu is needed", key, text, (unsigned long long)min,
               (unsigned long long)max);
    return false;
}

bool arg_key_bool(struct command_call *c, const char *key, bool *value)
{
    u64 v = *value;

    if (!arg_key_number(c, key, 0, 1, &v))
        return false;
    *value = v != 0;
    return true;
}

/* --- dispatch --- */

/* Length of the first word of a name. */
static size_t first_word_bytes(const char *name)
{
    size_t n = 0;

    while (name[n] != '\0' && name[n] != ' ')
        n++;
    return n;
}

static bool is_first_word(const struct command *cmd, const char *word)
{
    size_t n = first_word_bytes(cmd->name);
    return strlen(word) == n && strncmp(cmd->name, word, n) == 0;
}

/* The command that the line names; *words: how many words its name has. */
static const struct command *find(const struct parsed_line *line, unsigned *words)
{
    for (unsigned i = 0; i < command_count; i++) {
        const char *name = commands[i].name;
        size_t n = first_word_bytes(name);
        if (!is_first_word(&commands[i], line->words[0]))
            continue;
        *words = name[n] == '\0' ? 1 : 2;
        if (*words == 1 || (line->word_count > 1 && strcmp(name + n + 1, line->words[1]) == 0))
            return &commands[i];
    }
    return NULL;
}

static void refuse_unknown(struct command_call *c)
{
    char text[ERROR_BYTES];
    const char *word = c->line->words[0];
    size_t used = format_to(text, sizeof(text), "%s needs one of:", word);
    bool is_family = false;

    for (unsigned i = 0; i < command_count && used < sizeof(text); i++) {
        if (!is_first_word(&commands[i], word))
            continue;
        is_family = true;
        used += format_to(text + used, sizeof(text) - used, " %s", commands[i].name + strlen(word) + 1);
    }
    if (!is_family)
        format_to(text, sizeof(text), "unknown command '%s'; `help` lists them", word);
    reply_error(c, word, text);
}

static bool takes_key(const char *keys, const char *key)
{
    size_t n = strlen(key);

    for (const char *at = keys; *at != '\0';) {
        size_t word = first_word_bytes(at);
        if (word == n && strncmp(at, key, n) == 0)
            return true;
        at += word;
        while (*at == ' ')
            at++;
    }
    return false;
}

static bool check_shape(struct command_call *c)
{
    const struct command *cmd = c->command;
    unsigned n = arg_count(c);

    if (c->line->background && !takes_key(cmd->keys, "cpu")) {
        reply_fail(c, "%s does not run beside the console: only the payload's work takes `&`", cmd->name);
        return false;
    }
    if (n < cmd->words_min || n > cmd->words_max) {
        reply_fail(c, "%s; usage: %s %s", n < cmd->words_min ? "too few words" : "too many words", cmd->name,
                   cmd->usage);
        return false;
    }
    for (unsigned i = 0; i < c->line->key_count; i++) {
        const char *key = c->line->keys[i].key;
        if (takes_key(cmd->keys, key) || cmd->keys[0] == '*')
            continue;
        if (cmd->keys[0] == '\0')
            reply_fail(c, "unknown key '%s'; %s takes none", key, cmd->name);
        else
            reply_fail(c, "unknown key '%s'; %s takes: %s", key, cmd->name, cmd->keys);
        return false;
    }
    return true;
}

/* At length, perhaps, and nothing waits for it: see kernel/console/pager.h. */
static bool only_tells(const struct command *cmd)
{
    static void (*const telling[])(struct command_call *) = {
        cmd_help,      cmd_tdx_info, cmd_tdx_check, cmd_td_info, cmd_plan,       cmd_jobs,
        cmd_vcpu_list, cmd_stats,    cmd_mem,       cmd_cpus,    cmd_trace_dump, cmd_guest_log,
    };
    for (unsigned i = 0; i < ARRAY_COUNT(telling); i++)
        if (cmd->run == telling[i])
            return true;
    return false;
}

static void dispatch(struct command_call *c)
{
    unsigned words = 0;

    c->command = find(c->line, &words);
    c->first_word = words;
    if (c->command == NULL) {
        refuse_unknown(c);
        return;
    }
    if (check_shape(c)) {
        if (!c->in_script && only_tells(c->command))
            pager_begin();
        c->command->run(c);
    }
    if (!c->answered)
        reply_fail(c, "the command ended without an answer");
}

/* The line as a log can hold it: what is no text as \x and two digits, and no more than a good line has. */
static void echo(const char *text, size_t bytes)
{
    size_t shown = min_u64(bytes, PARSER_LINE_MAX - 1);

    print_begin();
    print("septum> ");
    for (size_t from = 0, at = 0; at < shown; from = ++at) {
        while (at < shown && ((u8)text[at] >= 0x20 && (u8)text[at] < 0x7f))
            at++;
        print_bytes(text + from, at - from);
        if (at < shown && (text[at] == '\t' || (text[at] == '\r' && at + 1 == bytes)))
            print_bytes(text + at, text[at] == '\t');
        else if (at < shown)
            print("\\x%02x", (u8)text[at]);
    }
    if (shown < bytes)
        print("... (%zu bytes)", bytes);
    print("\n");
    print_end();
}

enum command_result command_run(const char *text, size_t bytes, enum command_mode mode)
{
    struct parsed_line line;
    const char *wrong = parse_line(text, bytes, &line);
    struct command_call c = {.line = &line, .in_script = mode == COMMAND_ECHO};

    if (wrong == NULL && line.word_count == 0 && line.key_count == 0)
        return COMMAND_EMPTY;
    if (mode == COMMAND_ECHO)
        echo(text, bytes);
    if (wrong == NULL && line.word_count == 0)
        wrong = "the line has key=value pairs but no command";
    if (wrong != NULL)
        reply_error(&c, "", wrong);
    else
        dispatch(&c);
    reply_end(&c);
    if (c.afterwards != NULL)
        c.afterwards();
    return c.failed && !line.may_fail ? COMMAND_FAILED : COMMAND_OK;
}

void command_refuse(const char *why)
{
    struct command_call c = {0};

    reply_error(&c, "", why);
    reply_end(&c);
}

/* --- completion: of names, first words and second words alike --- */

bool command_complete(const char *prefix, unsigned n, char *to, size_t bytes)
{
    size_t typed = strlen(prefix);
    const char *last = "";
    size_t last_bytes = 0;

    for (unsigned i = 0; i < command_count; i++) {
        const char *name = commands[i].name;
        size_t first = first_word_bytes(name);
        /* Until its first word is there, a family of two-word commands is one candidate. */
        size_t whole = typed <= first ? first : strlen(name);
        if (strncmp(name, prefix, typed) != 0 || typed > whole)
            continue;
        if (whole == last_bytes && strncmp(name, last, whole) == 0)
            continue;
        last = name;
        last_bytes = whole;
        if (n-- > 0)
            continue;
        if (whole >= bytes)
            return false;
        memcpy(to, name, whole);
        to[whole] = '\0';
        return true;
    }
    return false;
}
