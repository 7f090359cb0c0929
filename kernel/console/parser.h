/*
 * One line of input, taken apart: words, `key=value` pairs, a `-` in front, a comment behind. The console and scripts
 * share it. Between quotes, anywhere in a word, spaces, `=` and `#` are text, and \n \r \t \\ \" \xNN are escapes; a quoted
 * word may be empty. Numbers: sizes are decimal with K, M or G behind, or hex with 0x; addresses are hex with or without 0x.
 */
#ifndef KERNEL_CONSOLE_PARSER_H
#define KERNEL_CONSOLE_PARSER_H

#include "lib/addr.h"

#define PARSER_LINE_MAX  1024 /* with the terminating zero */
#define PARSER_WORDS_MAX 16
#define PARSER_KEYS_MAX  16
#define PARSER_WRONG_MAX 80

struct parsed_line {
    char text[PARSER_LINE_MAX]; /* what the pointers below point into */
    bool may_fail;              /* the line began with '-': nothing that is wrong with it stops a script */
    bool background;            /* it ended with a word `&`, which is not among the words */
    unsigned word_count, key_count;
    const char *words[PARSER_WORDS_MAX];
    struct {
        const char *key, *value;
    } keys[PARSER_KEYS_MAX];
    char wrong[PARSER_WRONG_MAX]; /* room for what is wrong with the line, where that names a part of it */
};

/* NULL when fine, else what is wrong, in words; may_fail is right then too. An empty line has no words. `bytes` without
 * the newline. */
const char *parse_line(const char *line, size_t bytes, struct parsed_line *out);

/* False: not a number of that kind, or it does not fit into 64 bits; *value is then untouched. */
bool parse_size(const char *text, u64 *value);
bool parse_address(const char *text, u64 *value);
bool parse_decimal(const char *text, u64 *value);
bool parse_level(const char *text, level_t *level); /* 4k 2m 1g, in either case */

/* Compares a whole word, ASCII, either case. */
bool parse_same_word(const char *a, const char *b);

#endif
