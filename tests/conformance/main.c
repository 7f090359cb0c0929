#define _GNU_SOURCE
/*
 * The conformance runner's command line: conformance FOLDER [--seq NAME] [--tag TAG] [-v]. Its exit status is 0 when
 * every call agrees or is listed in known.txt, 1 when one does not, 2 for a bad command line or damaged records, 77
 * without records.
 */
#include "tests/conformance/conformance.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define EXIT_SKIPPED 77
#define KNOWN_LIST   "tests/conformance/known.txt"

enum form { FORM_SEQUENCES, FORM_SETUPS, FORM_FUZZ, FORM_PAIRS };

void conf_verdict(struct conf *c, unsigned long i, const char *leaf, const struct conf_diff *d)
{
    if (c->quiet) {
        c->setup_broken |= d->text[0] != 0;
        if (c->verbose && d->text[0])
            printf("  in the setup: #%lu %s: %s\n", i, leaf, d->text);
        return;
    }
    c->calls++;
    if (!d->text[0]) {
        c->agree++;
        return;
    }
    c->seq_differs = true;
    if (conf_known(c->seq, i))
        return;
    c->unlisted++;
    if (c->shown++ < CONF_SHOWN_MAX || c->verbose)
        printf("%s %s#%lu %s: expected/got %s\n", c->file, c->seq, i, leaf, d->text);
}

static bool has_tag(const json_t *sequence, const char *tag)
{
    size_t i;
    json_t *value;
    json_array_foreach(json_object_get(sequence, "tags"), i, value)
    {
        if (strcmp(json_string_value(value), tag) == 0)
            return true;
    }
    return false;
}

static bool chosen(const struct conf *c, const json_t *sequence)
{
    const char *name = json_string_value(json_object_get(sequence, "seq"));
    if (c->only_seq && (!name || strcmp(name, c->only_seq) != 0))
        return false;
    return !c->only_tag || has_tag(sequence, c->only_tag);
}

static void remember_setup(struct conf *c, const json_t *sequence)
{
    const char *name = json_string_value(json_object_get(sequence, "seq"));
    if (strncmp(name, "SETUP_", 6) == 0)
        name += 6;
    json_object_set(c->setups, name, json_object_get(sequence, "calls"));
}

/* Without the record of its starting state a sequence cannot be replayed; said once for each such state. */
static bool setup_is_there(struct conf *c, enum form form, const json_t *record)
{
    static char said[512];
    const char *setup = json_string_value(json_object_get(record, "setup"));
    if (form == FORM_PAIRS)
        setup = "TD";
    if (!setup || strcmp(setup, "FRESH") == 0 || json_object_get(c->setups, setup))
        return true;
    if (!strstr(said, setup) && strlen(said) + strlen(setup) + 2 < sizeof(said)) {
        printf("starting state %s: not recorded here, its sequences are skipped\n", setup);
        strcat(strcat(said, setup), " ");
    }
    return false;
}

static void play_line(struct conf *c, enum form form, const json_t *record, unsigned line)
{
    static char pair[64];
    const char *name = json_string_value(json_object_get(record, "seq"));
    snprintf(pair, sizeof(pair), "pair_%u", line);
    c->seq = name ? name : pair;
    if (form == FORM_SETUPS)
        remember_setup(c, record);
    if (form == FORM_PAIRS ? (c->only_seq && strcmp(c->only_seq, pair) != 0) || c->only_tag : !chosen(c, record))
        return;
    if (!setup_is_there(c, form, record)) {
        c->skipped += json_array_size(json_object_get(record, "calls"));
        return;
    }
    unsigned long before = c->calls - c->agree;
    c->sequences++;
    c->seq_differs = false;
    if (form == FORM_FUZZ)
        conf_fuzz(c, record);
    else if (form == FORM_PAIRS)
        conf_interleave(c, record, line);
    else
        conf_replay(c, record);
    if (c->verbose)
        printf("%s: %s (%lu differ)\n", c->seq, c->seq_differs ? "differs" : "agrees", c->calls - c->agree - before);
}

/* False when the file is there and is not understood. */
static bool play_file(struct conf *c, const char *name, enum form form)
{
    char path[1024];
    snprintf(path, sizeof(path), "%s/%s", c->folder, name);
    FILE *f = fopen(path, "r");
    if (!f) {
        printf("%s: not there, left out\n", name);
        return true;
    }
    char *line = NULL;
    size_t size = 0;
    bool ok = true;
    c->file = name;
    for (unsigned n = 1; ok && getline(&line, &size, f) > 0; n++) {
        json_error_t error;
        json_t *record = json_loads(line, 0, &error);
        if (!record) {
            fprintf(stderr, "%s:%u: not a JSON object: %s\n", path, n, error.text);
            ok = false;
            break;
        }
        play_line(c, form, record, n);
        json_decref(record);
    }
    free(line);
    fclose(f);
    return ok;
}

static bool play_all(struct conf *c)
{
    static const struct {
        const char *name;
        enum form form;
    } files[] = {{"setups.jsonl", FORM_SETUPS},     {"setups2.jsonl", FORM_SETUPS},
                 {"concurrency.jsonl", FORM_PAIRS}, /* while the process is small: it forks a lot */
                 {"corpus.jsonl", FORM_SEQUENCES},  {"corpus2.jsonl", FORM_SEQUENCES},
                 {"fuzz.jsonl", FORM_FUZZ}};
    for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++)
        if (!play_file(c, files[i].name, files[i].form))
            return false;
    return true;
}

static bool parse(struct conf *c, int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "-v") == 0)
            c->verbose = true;
        else if (strcmp(argv[i], "--seq") == 0 && i + 1 < argc)
            c->only_seq = argv[++i];
        else if (strcmp(argv[i], "--tag") == 0 && i + 1 < argc)
            c->only_tag = argv[++i];
        else if (argv[i][0] != '-' && !c->folder)
            c->folder = argv[i];
        else
            return false;
    }
    return c->folder != NULL;
}

int main(int argc, char **argv)
{
    struct conf c = {0};
    struct stat st;
    setvbuf(stdout, NULL, _IOLBF, 0);
    if (!parse(&c, argc, argv)) {
        fprintf(stderr, "usage: conformance FOLDER [--seq NAME] [--tag TAG] [-v]\n");
        return 2;
    }
    if (stat(c.folder, &st) != 0 || !S_ISDIR(st.st_mode)) {
        printf("conformance: skipped, no folder of records at %s (name one with DIR=...)\n", c.folder);
        printf("@{\"cmd\":\"conformance\",\"sequences\":0,\"calls\":0,\"agree\":0,\"skipped\":0}\n");
        return EXIT_SKIPPED;
    }
    if (!conf_known_load(KNOWN_LIST))
        return 2;
    if (!conf_env_load(c.folder))
        printf("env.json: not there, the default platform is used\n");
    c.setups = json_object();
    bool understood = play_all(&c);
    json_decref(c.setups);
    if (!understood)
        return 2;
    if (c.sequences == 0)
        printf("conformance: nothing was replayed: no records, or none with that name or tag\n");
    if (c.shown > CONF_SHOWN_MAX && !c.verbose)
        printf("... and %lu more\n", c.shown - CONF_SHOWN_MAX);
    c.stale = conf_known_stale(!c.only_seq && !c.only_tag);
    printf("@{\"cmd\":\"conformance\",\"sequences\":%lu,\"calls\":%lu,\"agree\":%lu,\"skipped\":%lu}\n", c.sequences,
           c.calls, c.agree, c.skipped);
    return c.unlisted || c.stale || c.calls == 0;
}
