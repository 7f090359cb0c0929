/* Options of septum.efi. See options.h. */
#include "kernel/options.h"

#include "kernel/console/pager.h"
#include "kernel/console/parser.h"
#include "kernel/line.h"
#include "lib/addr.h"
#include "lib/format.h"
#include "lib/string.h"

/* The smallest TD with its tables and control pages. What is no TDX memory goes to nobody, so that less would leave none to
 * work with. */
#define TDMEM_MIN (16 * MIB)

#define OPTION_NAMES "script=NAME log=LEVEL tdmem=SIZE serial=PORT module=PATH rows=N force check"

void options_default(struct options *o)
{
    *o = (struct options){.log = LOG_INFO};
}

static bool set_name(char name[OPTION_NAME_BYTES], const char *value)
{
    size_t n = strlen(value);

    if (n >= OPTION_NAME_BYTES)
        return false;
    memcpy(name, value, n + 1);
    return true;
}

bool options_are_rows(u64 rows)
{
    return rows == 0 || (rows >= PAGER_ROWS_MIN && rows <= PAGER_ROWS_MAX);
}

static bool set_rows(struct options *o, const char *value)
{
    u64 rows;

    if (!parse_decimal(value, &rows) || !options_are_rows(rows))
        return false;
    o->rows = (unsigned)rows;
    return true;
}

static bool set_key(struct options *o, const char *key, const char *value, char *error, size_t bytes)
{
    const char *allowed;

    if (strcmp(key, "script") == 0) {
        allowed = "a file name of at most 63 bytes";
        if (set_name(o->script, value))
            return true;
    } else if (strcmp(key, "module") == 0) {
        allowed = "the path of a file, at most 63 bytes";
        if (set_name(o->module, value))
            return true;
    } else if (strcmp(key, "log") == 0) {
        allowed = "error, warn, info or debug";
        if (log_level_parse(value, &o->log))
            return true;
    } else if (strcmp(key, "tdmem") == 0) {
        allowed = "a size such as 512M or 4G, at least 16M";
        if (parse_size(value, &o->tdmem_bytes) && o->tdmem_bytes >= TDMEM_MIN)
            return true;
    } else if (strcmp(key, "rows") == 0) {
        allowed = OPTIONS_ROWS;
        if (set_rows(o, value))
            return true;
    } else if (strcmp(key, "serial") == 0) {
        allowed = LINE_ALLOWED;
        o->has_serial = line_parse(value, &o->serial);
        if (o->has_serial)
            return true;
    } else {
        format_to(error, bytes, "unknown option '%s='; there are " OPTION_NAMES, key);
        return false;
    }
    format_to(error, bytes, "option %s=%s: the value must be %s", key, value, allowed);
    return false;
}

static bool apply_line(const struct parsed_line *l, struct options *o, char *error, size_t bytes)
{
    for (unsigned i = 0; i < l->word_count; i++) {
        bool *flag = strcmp(l->words[i], "force") == 0   ? &o->force
                     : strcmp(l->words[i], "check") == 0 ? &o->check
                                                         : NULL;
        if (flag != NULL) {
            *flag = true;
            continue;
        }
        format_to(error, bytes, "unknown option '%s'; there are " OPTION_NAMES, l->words[i]);
        return false;
    }
    for (unsigned i = 0; i < l->key_count; i++)
        if (!set_key(o, l->keys[i].key, l->keys[i].value, error, bytes))
            return false;
    return true;
}

static bool parse_one(const char *text, size_t bytes, struct options *o, char *error, size_t error_bytes)
{
    static struct parsed_line line; /* too large for a firmware's stack to be taken for granted */
    const char *wrong = parse_line(text, bytes, &line);

    if (wrong != NULL)
        format_to(error, error_bytes, "options: %s", wrong);
    return wrong == NULL && apply_line(&line, o, error, error_bytes);
}

bool options_parse(const char *text, size_t bytes, struct options *o, char *error, size_t error_bytes)
{
    char wrong[200];
    unsigned n = 1;

    for (size_t from = 0, to; from < bytes; from = to + 1, n++) {
        for (to = from; to < bytes && text[to] != '\n'; to++)
            ;
        if (parse_one(text + from, to - from, o, wrong, sizeof(wrong)))
            continue;
        if (to - from == bytes)
            format_to(error, error_bytes, "%s", wrong);
        else
            format_to(error, error_bytes, "line %u: %s", n, wrong);
        return false;
    }
    return true;
}
