/* Recorded conversions, line by line: see conversions.h. */
#include "kernel/experiment/workload/conversions.h"

#include "kernel/console/parser.h"
#include "lib/bits.h"

enum err conversions_open(struct conversions *c, const char *name, struct fault_text *fault)
{
    *c = (struct conversions){.file = name ? script_find(name) : NULL};
    if (name == NULL)
        return fault_say(fault, ERR_NOT_FOUND, "workload=list needs list=NAME, a file of the boot volume");
    if (c->file != NULL)
        return ERR_OK;
    return fault_say(fault, ERR_NOT_FOUND,
                     "list=%s: no such file on the boot volume; those named *.txt and *.sep are read", name);
}

/* NULL where it is fine, else what is wrong. */
static const char *take_range(const struct parsed_line *line, struct conversion *next)
{
    if (!parse_decimal(line->words[0], &next->ms))
        return "the first word is no number of milliseconds";
    if (!parse_address(line->words[1], &next->gpa.raw) || !gpa_is_aligned(next->gpa, LEVEL_4K))
        return "the second word is no address of a page, in hex";
    if (!parse_size(line->words[2], &next->bytes) || next->bytes == 0 || !is_aligned(next->bytes, PAGE_BYTES))
        return "the third word is no length, a multiple of 4K above 0";
    return next->gpa.raw + next->bytes < next->gpa.raw ? "the range ends beyond 64 bits" : NULL;
}

static const char *take_words(const struct parsed_line *line, u64 ms, struct conversion *next)
{
    const char *verb = line->words[3], *also = line->word_count == 5 ? line->words[4] : "";
    bool is_private = parse_same_word(verb, "private");

    *next = (struct conversion){.to_shared = parse_same_word(verb, "shared")};
    next->converts = next->to_shared || is_private;
    next->touches = parse_same_word(verb, "touch") || parse_same_word(also, "touch");
    if (!next->converts && !next->touches)
        return "the fourth word is neither shared, private nor touch";
    if (also[0] != '\0' && (!is_private || !next->touches))
        return "the fifth word can only be touch, behind private";
    const char *wrong = take_range(line, next);
    return wrong == NULL && next->ms < ms ? "it is earlier than the line above" : wrong;
}

static const char *take_line(struct conversions *c, size_t bytes, struct conversion *next, bool *is_empty)
{
    struct parsed_line line;
    const char *wrong = parse_line(c->file->text + c->at, bytes, &line);

    *is_empty = wrong == NULL && line.word_count == 0 && line.key_count == 0;
    if (wrong != NULL || *is_empty)
        return wrong;
    if (line.word_count < 4 || line.word_count > 5 || line.key_count || line.may_fail || line.background)
        return "MS GPA LEN shared|private|touch [touch] is expected";
    return take_words(&line, c->ms, next);
}

enum err conversions_next(struct conversions *c, struct conversion *next, struct fault_text *fault)
{
    while (c->at < c->file->bytes) {
        size_t bytes = 0;
        bool is_empty;

        while (c->at + bytes < c->file->bytes && c->file->text[c->at + bytes] != '\n')
            bytes++;
        c->line++;
        const char *wrong = take_line(c, bytes, next, &is_empty);
        c->at += bytes + 1;
        if (wrong != NULL)
            return fault_say(fault, ERR_ARGUMENT, "%s, line %u: %s", c->file->name, c->line, wrong);
        if (is_empty)
            continue;
        c->ms = next->ms;
        return ERR_OK;
    }
    return ERR_NOT_FOUND;
}
