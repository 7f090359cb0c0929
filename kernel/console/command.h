/*
 * Commands of the console: one table entry each (kernel/console/commands.c), a handler each (kernel/console/cmd_*.c). A handler prints
 * for people and answers exactly once, by reply_ok() or reply_fail(); the answer becomes the line `@{...}` that ends
 * every command. The dispatcher has checked the number of words and the names of the keys before a handler runs.
 */
#ifndef KERNEL_CONSOLE_COMMAND_H
#define KERNEL_CONSOLE_COMMAND_H

#include "kernel/console/json.h"
#include "kernel/console/parser.h"

struct command_call {
    const struct command *command;
    const struct parsed_line *line;
    unsigned first_word; /* the first word behind the command's name */
    struct json json;
    bool answered, failed;
    bool in_script;           /* nobody types: no screens, no colour */
    void (*afterwards)(void); /* runs when the answer's line is out; NULL: nothing */
};

struct command {
    const char *name; /* one word, or two: "td create" */
    const char *usage, *help;
    unsigned words_min, words_max; /* behind the name */
    /* "mem vcpus": the keys that it takes; one with "cpu" is work of the payload, and takes `&`; "*": run() looks itself. */
    const char *keys;
    void (*run)(struct command_call *call);
};

extern const struct command commands[];
extern const unsigned command_count;

enum command_result { COMMAND_EMPTY, COMMAND_OK, COMMAND_FAILED };
enum command_mode { COMMAND_QUIET, COMMAND_ECHO /* prints the line first: scripts */ };

/* COMMAND_OK also for a failure that the line's '-' allows. */
enum command_result command_run(const char *line, size_t bytes, enum command_mode mode);

/* A line that never became a command: one message and one `@` line. */
void command_refuse(const char *why);

/* For the line editor: see struct editor. */
bool command_complete(const char *prefix, unsigned n, char *to, size_t bytes);

/* --- for handlers --- */

unsigned arg_count(const struct command_call *c);
const char *arg_word(const struct command_call *c, unsigned n);     /* NULL behind the last */
const char *arg_key(const struct command_call *c, const char *key); /* NULL: not given */

/* Each of these answers with reply_fail() and returns false where the word is missing or wrong. */
bool arg_gpa(struct command_call *c, unsigned n, gpa_t *gpa);
bool arg_range(struct command_call *c, unsigned n, gpa_t *gpa,
               u64 *bytes);                                      /* words n and n+1: 4K multiples, no overflow */
bool arg_length(struct command_call *c, unsigned n, u64 *bytes); /* a 4K multiple above 0 */
bool arg_level(struct command_call *c, unsigned n, level_t *level);
/* *value stays where the key is not given. */
bool arg_key_size(struct command_call *c, const char *key, u64 *value);
bool arg_key_number(struct command_call *c, const char *key, u64 min, u64 max, u64 *value);
bool arg_key_bool(struct command_call *c, const char *key, bool *value);

/* Begins the `@` line; the handler adds members, the dispatcher ends it. */
struct json *reply_ok(struct command_call *c);
/* The whole answer; members may be added. No full stop in `fmt`. */
struct json *reply_fail(struct command_call *c, const char *fmt, ...) PRINTF_LIKE(2, 3);
/* Ends the line of a call that a handler has made up itself; the dispatcher does it for its own. */
void reply_end(struct command_call *c);

#endif
