/* The guest of an experiment: see linux_guest.h. */
#include "kernel/experiment/linux_guest.h"

#include "kernel/console/guest_wait.h"
#include "kernel/time.h"
#include "lib/bits.h"
#include "lib/format.h"
#include "lib/string.h"

#define US           1000000ull
#define LINE_BYTES   400u
#define STATUS_BYTES 4u
/* Behind a line, and what its shell makes of that. That it shows what is typed must not pass for it. */
#define ASK_STATUS "; echo status:$?:\n"
#define STATUS     "status:"

void linux_guest_begin(struct linux_guest *g)
{
    g->heard = (struct guest_place){.at = guest_console_begin()};
}

static enum err say_why(struct linux_guest *g, enum guest_heard how, const char *text)
{
    enum err e = how == GUEST_STOPPED ? ERR_INTERRUPTED : how == GUEST_LATE ? ERR_TIMEOUT : ERR_STATE;
    char why[GUEST_WHY_BYTES];

    return fault_say(&g->x->fault, e, "%s", guest_why_not(how, text, g->seconds, why));
}

enum err linux_guest_hear(struct linux_guest *g, const char *text)
{
    u64 end = time_us() + g->seconds * US;
    enum guest_heard how;

    for (;;) {
        how = guest_wait(&g->heard, text, min_u64(end, time_us() + g->every_ms * 1000));
        enum err e = g->meanwhile(g->arg);
        if (e != ERR_OK || how == GUEST_HEARD)
            return e;
        if (how != GUEST_LATE || time_us() >= end)
            return say_why(g, how, text);
    }
}

static enum err type(struct linux_guest *g, const char *text)
{
    size_t bytes = strlen(text), typed = guest_console_type(text, bytes);

    if (typed == bytes)
        return ERR_OK;
    return fault_say(&g->x->fault, ERR_STATE, "the guest does not read: %zu of %zu bytes found room", typed, bytes);
}

/* Of the line that ran; text[0] is its first digit. */
static enum err hear_status(struct linux_guest *g, char text[STATUS_BYTES])
{
    enum err e;

    do {
        e = linux_guest_hear(g, STATUS);
        struct guest_place from = g->heard;
        if (e == ERR_OK)
            e = linux_guest_hear(g, ":");
        if (e == ERR_OK)
            text[guest_console_read(&from, text, STATUS_BYTES - 1)] = '\0';
    } while (e == ERR_OK && text[0] == '$'); /* that was typed */
    return e;
}

enum err linux_guest_run(struct linux_guest *g, const char *line)
{
    char text[LINE_BYTES], status[STATUS_BYTES];

    if (format_to(text, sizeof(text), "%s" ASK_STATUS, line) >= sizeof(text))
        return fault_say(&g->x->fault, ERR_ARGUMENT, "the line for the guest is longer than %u bytes", LINE_BYTES);
    enum err e = type(g, text);
    if (e == ERR_OK)
        e = hear_status(g, status);
    if (e != ERR_OK || memcmp(status, "0:", 2) == 0)
        return e;
    return fault_say(&g->x->fault, ERR_STATE, "the guest's `%s` ended with status %.3s", line, status);
}
