/* Lines, words and numbers. See parser.h. */
#include "kernel/console/parser.h"

#include "lib/format.h"
#include "lib/string.h"

static bool is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\r';
}

static char lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

bool parse_same_word(const char *a, const char *b)
{
    while (*a != '\0' && lower(*a) == lower(*b)) {
        a++;
        b++;
    }
    return *a == '\0' && *b == '\0';
}

/* A long key is cut off. */
static const char *twice(struct parsed_line *out, const char *key)
{
    format_to(out->wrong, sizeof(out->wrong), "%.40s= is given twice", key);
    return out->wrong;
}

/* `word` starts inside `out->text` and is zero terminated; `eq`: its first '=' that is not quoted, or NULL. */
static const char *add_word(struct parsed_line *out, char *word, char *eq)
{
    if (out->background)
        return "`&` is not the last word";
    if (strcmp(word, "&") == 0) {
        out->background = true;
        return NULL;
    }
    if (eq == NULL) {
        if (out->word_count == PARSER_WORDS_MAX)
            return "more than 16 words in one line";
        out->words[out->word_count++] = word;
        return NULL;
    }
    *eq = '\0';
    if (eq == word || eq[1] == '\0')
        return "a key=value pair lacks its key or its value";
    for (unsigned i = 0; i < out->key_count; i++)
        if (strcmp(out->keys[i].key, word) == 0)
            return twice(out, word);
    if (out->key_count == PARSER_KEYS_MAX)
        return "more than 16 key=value pairs in one line";
    out->keys[out->key_count].key = word;
    out->keys[out->key_count++].value = eq + 1;
    return NULL;
}

static const char *check_bytes(const char *line, size_t bytes)
{
    if (bytes >= PARSER_LINE_MAX)
        return "the line is longer than 1023 bytes";
    for (size_t i = 0; i < bytes; i++)
        if (!is_space(line[i]) && ((u8)line[i] < 0x20 || (u8)line[i] >= 0x7f))
            return "the line holds a byte that is no ASCII text";
    return NULL;
}

static bool begins_with_dash(const char *line, size_t bytes)
{
    size_t at = 0;

    while (at < bytes && is_space(line[at]))
        at++;
    return at < bytes && line[at] == '-';
}

static int digit(char c)
{
    c = lower(c);
    if (c >= '0' && c <= '9')
        return c - '0';
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : 99;
}

/* The byte that an escape stands for; *from is at its backslash, and moves to its last character. -1: there is none such. */
static int escaped(const char **from)
{
    static const char names[] = "nrt\\\"", bytes[] = "\n\r\t\\\"";
    char c = *++*from;

    if (c == 'x' && digit((*from)[1]) < 16 && digit((*from)[2]) < 16) {
        *from += 2;
        return digit((*from)[-1]) * 16 + digit((*from)[0]);
    }
    for (size_t i = 0; i < sizeof(names) - 1; i++)
        if (c == names[i])
            return bytes[i];
    return -1;
}

/* What is between two quotes, put at *to; *from is at the first, and moves behind the second. */
static const char *unquote(const char **from, char **to)
{
    for (++*from; **from != '"'; ++*from) {
        int byte = **from == '\\' ? escaped(from) : (u8)(*from)[0];
        if (**from == '\0')
            return "a quotation mark is missing";
        if (byte < 0)
            return "an escape is none of \\n \\r \\t \\\\ \\\" and \\x with two hex digits";
        if (byte == 0)
            return "\\x00 cannot be part of a text";
        *(*to)++ = (char)byte;
    }
    ++*from;
    return NULL;
}

/* Takes the next word; *at moves behind it. In place: what is quoted gets shorter. */
static const char *take_word(struct parsed_line *out, char **at)
{
    const char *from = *at, *wrong = NULL;
    char *word = *at, *to = *at, *eq = NULL;

    while (wrong == NULL && *from != '\0' && !is_space(*from)) {
        if (*from == '"') {
            wrong = unquote(&from, &to);
            continue;
        }
        if (*from == '=' && eq == NULL)
            eq = to;
        *to++ = *from++;
    }
    *at = (char *)from + (*from != '\0');
    *to = '\0';
    return wrong != NULL ? wrong : add_word(out, word, eq);
}

const char *parse_line(const char *line, size_t bytes, struct parsed_line *out)
{
    const char *wrong = check_bytes(line, bytes);
    char *at = out->text;

    out->word_count = out->key_count = 0;
    out->background = false;
    out->may_fail = begins_with_dash(line, bytes);
    if (wrong != NULL)
        return wrong;
    memcpy(out->text, line, bytes);
    out->text[bytes] = '\0';
    while (is_space(*at))
        at++;
    if (out->may_fail)
        at++;
    while (wrong == NULL) {
        while (is_space(*at))
            at++;
        if (*at == '\0' || *at == '#')
            return NULL;
        wrong = take_word(out, &at);
    }
    return wrong;
}

/* Digits of `base` from *text on; moves *text behind them. False: none, or too large. */
static bool number(const char **text, unsigned base, u64 *value)
{
    u64 v = 0;
    const char *at = *text;

    for (; digit(*at) < (int)base; at++) {
        if (__builtin_mul_overflow(v, (u64)base, &v) || __builtin_add_overflow(v, (u64)digit(*at), &v))
            return false;
    }
    if (at == *text)
        return false;
    *text = at;
    *value = v;
    return true;
}

static bool skip_0x(const char **text)
{
    if ((*text)[0] != '0' || lower((*text)[1]) != 'x')
        return false;
    *text += 2;
    return true;
}

bool parse_decimal(const char *text, u64 *value)
{
    u64 v;

    if (!number(&text, 10, &v) || *text != '\0')
        return false;
    *value = v;
    return true;
}

bool parse_address(const char *text, u64 *value)
{
    u64 v;

    skip_0x(&text);
    if (!number(&text, 16, &v) || *text != '\0')
        return false;
    *value = v;
    return true;
}

bool parse_size(const char *text, u64 *value)
{
    static const char units[] = "kmgt";
    bool hex = skip_0x(&text);
    unsigned shift = 0;
    u64 v;

    if (!number(&text, hex ? 16 : 10, &v))
        return false;
    for (unsigned i = 0; *text != '\0' && units[i] != '\0'; i++)
        if (lower(*text) == units[i])
            shift = 10 * (i + 1);
    if (shift != 0)
        text++;
    if (*text != '\0' || (shift != 0 && v >> (64 - shift) != 0))
        return false;
    *value = v << shift;
    return true;
}

bool parse_level(const char *text, level_t *level)
{
    static const level_t levels[] = {{0}, {1}, {2}};

    for (unsigned i = 0; i < ARRAY_COUNT(levels); i++) {
        if (!parse_same_word(text, level_name(levels[i])))
            continue;
        *level = levels[i];
        return true;
    }
    return false;
}
