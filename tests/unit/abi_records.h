/*
 * The genuine records as a source of names and numbers: leaf numbers, statuses, operand ids, field ids. The VMM's ABI
 * headers and the model's are checked against them, each by its own test, since both hands wrote theirs from the same
 * specification. The text of the records is searched for; no JSON library is needed.
 */
#ifndef TESTS_UNIT_ABI_RECORDS_H
#define TESTS_UNIT_ABI_RECORDS_H

#include <ctype.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define RECORD_NAME_BYTES 96

/* What one record says; empty or zero where it does not say it. */
struct abi_record {
    char leaf[RECORD_NAME_BYTES], name[RECORD_NAME_BYTES], operand[RECORD_NAME_BYTES], note[RECORD_NAME_BYTES];
    bool tdcall, has_status;
    unsigned number;
    unsigned long long status, field; /* field: RDX */
};

/* The records' folder: $CONFORMANCE_DIR, or where the build unpacks the project's own. */
static inline const char *abi_records_folder(void)
{
    const char *folder = getenv("CONFORMANCE_DIR");
    return folder ? folder : "build/records";
}

static inline const char *abi_value(const char *from, const char *end, const char *key)
{
    const char *at = strstr(from, key);
    return at && at < end ? at + strlen(key) : NULL;
}

static inline void abi_text(const char *from, const char *end, const char *key, char text[RECORD_NAME_BYTES])
{
    const char *at = abi_value(from, end, key);
    size_t length = at ? strcspn(at, "\"") : 0;
    if (length >= RECORD_NAME_BYTES)
        length = RECORD_NAME_BYTES - 1;
    memcpy(text, at ? at : "", length);
    text[length] = 0;
}

static inline void abi_parse(const char *from, const char *end, struct abi_record *r)
{
    const char *number = abi_value(from, end, "\"num\": "), *status = abi_value(from, end, "\"status\": \"");
    const char *field = abi_value(from, end, "\"rdx\": {\"v\": \"");
    memset(r, 0, sizeof(*r));
    abi_text(from, end, "\"leaf\": \"", r->leaf);
    abi_text(from, end, "\"name\": \"", r->name);
    abi_text(from, end, "\"operand\": \"", r->operand);
    abi_text(from, end, "\"note\": \"", r->note);
    r->tdcall = strncmp(r->leaf, "TDG.", 4) == 0;
    r->number = number ? (unsigned)strtoul(number, NULL, 10) : 0;
    r->has_status = status != NULL;
    r->status = status ? strtoull(status, NULL, 16) : 0;
    r->field = field ? strtoull(field, NULL, 16) : 0;
}

/* Each call of one file to `visit`; false when the file is not there. */
static inline bool abi_records_file(const char *file, void (*visit)(const struct abi_record *r))
{
    char path[1024], *line = NULL;
    size_t size = 0;
    snprintf(path, sizeof(path), "%s/%s", abi_records_folder(), file);
    FILE *f = fopen(path, "r");
    if (!f)
        return false;
    while (getline(&line, &size, f) > 0) {
        for (const char *at = strstr(line, "{\"i\": "); at;) {
            const char *next = strstr(at + 1, "{\"i\": ");
            struct abi_record r;
            abi_parse(at, next ? next : line + strlen(line), &r);
            if (r.leaf[0])
                visit(&r);
            at = next;
        }
    }
    free(line);
    fclose(f);
    return true;
}

/* Every call of every file; the number of files that are there. */
static inline unsigned abi_records(void (*visit)(const struct abi_record *r))
{
    static const char *const files[] = {"setups.jsonl", "setups2.jsonl", "corpus.jsonl", "corpus2.jsonl"};
    unsigned found = 0;
    for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++)
        found += abi_records_file(files[i], visit);
    return found;
}

/* "TDH.MEM.PAGE.AUG" is TDH_MEM_PAGE_AUG in C. */
static inline void abi_symbol(const char *dotted, char symbol[RECORD_NAME_BYTES])
{
    size_t i;
    for (i = 0; dotted[i] && dotted[i] != ' ' && i + 1 < RECORD_NAME_BYTES; i++)
        symbol[i] = dotted[i] == '.' ? '_' : dotted[i];
    symbol[i] = 0;
}

#endif
