/* Scripts. See script.h. */
#include "kernel/console/script.h"

#include "kernel/console/command.h"
#include "kernel/console/console.h"
#include "kernel/console/parser.h"
#include "kernel/print.h"

static const struct script_file *files;
static unsigned file_count;
static unsigned depth;
static bool failed;

void script_set_files(const struct script_file *f, unsigned count)
{
    files = f;
    file_count = count;
}

const struct script_file *script_at(unsigned n)
{
    return n < file_count ? &files[n] : NULL;
}

const struct script_file *script_find(const char *name)
{
    for (unsigned i = 0; i < file_count; i++)
        if (parse_same_word(files[i].name, name))
            return &files[i];
    return NULL;
}

bool script_has_failed(void)
{
    return failed;
}

/* A script's comments are for those who watch it run. */
static void show_comment(const char *text, size_t bytes)
{
    size_t at = 0;

    while (at < bytes && (text[at] == ' ' || text[at] == '\t'))
        at++;
    if (at == bytes || text[at] != '#')
        return;
    print_bytes(text + at, bytes - at);
    print("\n");
}

static enum err run_lines(const struct script_file *f, unsigned *failed_line)
{
    unsigned number = 0;

    for (size_t from = 0; from < f->bytes;) {
        size_t to = from;
        while (to < f->bytes && f->text[to] != '\n')
            to++;
        number++;
        *failed_line = number;
        if (console_take_interrupt())
            return ERR_INTERRUPTED;
        show_comment(f->text + from, to - from);
        if (command_run(f->text + from, to - from, COMMAND_ECHO) == COMMAND_FAILED)
            return ERR_ARGUMENT;
        from = to + 1;
    }
    return ERR_OK;
}

enum err script_run(const struct script_file *f, unsigned *failed_line)
{
    *failed_line = 0;
    if (depth == SCRIPT_DEPTH_MAX)
        return ERR_STATE;
    depth++;
    enum err e = run_lines(f, failed_line);
    depth--;
    /* What an inner script met is the outer one's line, which may begin with '-'. */
    if (e != ERR_OK && depth == 0)
        failed = true;
    return e;
}
