/*
 * Scripts: text files of console commands. boot/ loads them from the boot volume before boot services end. A command
 * that fails stops its script, unless its line begins with '-': then nothing that is wrong with the line does.
 */
#ifndef KERNEL_CONSOLE_SCRIPT_H
#define KERNEL_CONSOLE_SCRIPT_H

#include "lib/err.h"
#include "lib/types.h"

#define SCRIPT_NAME_BYTES 64
#define SCRIPT_DEPTH_MAX  4 /* of scripts that call scripts */

struct script_file {
    char name[SCRIPT_NAME_BYTES];
    const char *text;
    size_t bytes;
};

void script_set_files(const struct script_file *files, unsigned count);

/* By name, either case, as on FAT. NULL: none of that name. */
const struct script_file *script_find(const char *name);
/* The n-th, NULL behind the last. */
const struct script_file *script_at(unsigned n);

/* How a script ended: ERR_OK, ERR_INTERRUPTED (^C), ERR_STATE (nested too deep), ERR_ARGUMENT (the command in
 * `*failed_line`, counted from 1, failed). */
MUST_CHECK enum err script_run(const struct script_file *file, unsigned *failed_line);

/* True once a script that no other script called was stopped by a failure: `poweroff` without a status then says 1. */
bool script_has_failed(void);

#endif
