/*
 * Septum, its console and its experiments in a host process: a machine of CPUs that take turns, sparse memory, the module model.
 * tools/lab is the front end, which knows profiles and tells what went wrong; this takes numbers.
 *
 *   lab/septum [--cpus N] [--memory GIB] [--jitter SEED] [--file FILE ...] NAME=N ... <script
 *
 * --jitter: machine.h. NAME=N are all numbers of a profile (cost.h).
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lab/cost.h"
#include "lab/firmware.h"
#include "lab/io.h"
#include "lab/machine.h"
#include "lib/addr.h"

#define FILE_BYTES_MAX MIB /* as of the boot volume's */
#define MEMORY_GIB_MAX 8192u

static u64 number(const char *name, const char *text, u64 least, u64 most)
{
    char *end;
    u64 value = strtoull(text, &end, 10);

    if (end == text || *end != '\0' || value < least || value > most)
        machine_stop("%s %s: a number from %llu to %llu is needed", name, text, (unsigned long long)least,
                     (unsigned long long)most);
    return value;
}

/* --- files of the boot volume ------------------------------------------------------------------------------------- */

static void add_file(struct firmware_config *config, const char *name, FILE *from)
{
    struct script_file *f = &config->files[config->file_count++];
    char *text = malloc(FILE_BYTES_MAX + 1);

    if (!text)
        machine_stop("no memory for %s", name);
    f->bytes = fread(text, 1, FILE_BYTES_MAX + 1, from);
    f->text = text;
    if (ferror(from))
        machine_stop("%s: %s", name, strerror(errno));
    if (f->bytes > FILE_BYTES_MAX)
        machine_stop("%s is longer than 1 MiB", name);
    if (strlen(name) >= sizeof(f->name))
        machine_stop("%s: the boot volume has names of up to %zu characters", name, sizeof(f->name) - 1);
    memcpy(f->name, name, strlen(name) + 1);
}

static void open_file(struct firmware_config *config, const char *path)
{
    const char *slash = strrchr(path, '/');
    FILE *from = fopen(path, "rb");

    if (!from)
        machine_stop("%s: %s", path, strerror(errno));
    if (config->file_count == FIRMWARE_FILES_MAX)
        machine_stop("the boot volume has %u files at most", FIRMWARE_FILES_MAX - 1);
    add_file(config, slash ? slash + 1 : path, from);
    fclose(from);
}

/* --- arguments ---------------------------------------------------------------------------------------------------- */

static void take_arguments(char **argv, struct firmware_config *config)
{
    for (; *argv; argv++) {
        if (strcmp(*argv, "--cpus") == 0 && argv[1])
            config->cpus = (unsigned)number("--cpus", *++argv, 1, MACHINE_CPUS_MAX);
        else if (strcmp(*argv, "--memory") == 0 && argv[1])
            config->memory_bytes = number("--memory", *++argv, 1, MEMORY_GIB_MAX) * GIB;
        else if (strcmp(*argv, "--jitter") == 0 && argv[1])
            machine_jitter = number("--jitter", *++argv, 0, ~0ull);
        else if (strcmp(*argv, "--file") == 0 && argv[1])
            open_file(config, *++argv);
        else if (!cost_set(*argv))
            machine_stop("'%s' is neither an option nor a number of a profile", *argv);
    }
    const char *missing = cost_missing();
    if (missing)
        machine_stop("the profile has no %s", missing);
}

int main(int argc, char **argv)
{
    static struct firmware_config config = {.cpus = 4, .memory_bytes = 16 * GIB};

    (void)argc;
    add_file(&config, "script", stdin);
    take_arguments(argv + 1, &config);
    io_start();
    firmware_boot(&config);
}
