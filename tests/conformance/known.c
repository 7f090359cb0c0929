/* The reviewed list of known disagreements: lines `seq#i reason`, '#' at the start of a line is a comment. */
#include "tests/conformance/conformance.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#define KNOWN_MAX 512

static struct {
    char name[96];
    bool seen;
} known[KNOWN_MAX];
static unsigned known_count;

bool conf_known_load(const char *path)
{
    FILE *f = fopen(path, "r");
    if (!f)
        return true; /* no list: nothing is known to disagree */
    char line[512];
    bool ok = true;
    for (unsigned n = 1; fgets(line, sizeof(line), f); n++) {
        line[strcspn(line, "\n")] = 0;
        if (line[0] == '#' || line[0] == 0)
            continue;
        size_t length = strcspn(line, " \t");
        const char *reason = line + length + strspn(line + length, " \t");
        if (!memchr(line, '#', length) || *reason == 0 || length >= sizeof(known[0].name) || known_count == KNOWN_MAX) {
            fprintf(stderr, "%s:%u: expected `sequence#call reason`\n", path, n);
            ok = false;
            continue;
        }
        memcpy(known[known_count++].name, line, length);
    }
    fclose(f);
    return ok;
}

bool conf_known(const char *seq, unsigned long i)
{
    char name[96];
    snprintf(name, sizeof(name), "%s#%lu", seq, i);
    for (unsigned k = 0; k < known_count; k++)
        if (strcmp(known[k].name, name) == 0)
            return known[k].seen = true;
    return false;
}

unsigned conf_known_stale(bool whole_run)
{
    unsigned stale = 0;
    for (unsigned k = 0; whole_run && k < known_count; k++) {
        if (known[k].seen)
            continue;
        printf("known.txt: %s agrees now or is gone: take it off the list\n", known[k].name);
        stale++;
    }
    return stale;
}
