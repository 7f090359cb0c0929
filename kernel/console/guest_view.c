/* Lines of the guest. See guest_view.h. */
#include "kernel/console/guest_view.h"

#include "kernel/console/console.h"
#include "kernel/print.h"
#include "lib/format.h"
#include "lib/string.h"

struct view {
    struct guest_place place;
    size_t length; /* of `line`, which has not ended yet */
    char line[GUEST_LINE_BYTES];
};

static struct view console;
static struct guest_place newline; /* before it there is none that the console has not shown */
static bool is_paused;

/* A byte as a log can hold it. */
static void add(struct view *v, u8 byte)
{
    if ((byte >= 0x20 && byte < 0x7f) || byte == '\t')
        v->line[v->length++] = (char)byte;
    else if (byte != '\r')
        v->length += format_to(v->line + v->length, sizeof(v->line) - v->length, "\\x%02x", byte);
}

#define BYTE_TEXT 4u /* what add() adds at most */

static void print_line(struct view *v)
{
    print_begin();
    print(GUEST_MARK);
    print_bytes(v->line, v->length);
    print("\n");
    print_end();
    v->length = 0;
}

static void tell_missed(struct view *v)
{
    if (v->length > 0)
        print_line(v);
    print(GUEST_MARK "... %llu bytes are not kept: the guest said more than there is room for\n",
          (unsigned long long)v->place.missed);
    v->place.missed = 0;
}

/* Prints the lines up to `end`. How many. */
static unsigned print_lines(struct view *v, u64 end)
{
    char chunk[256];
    unsigned lines = 0;

    while (v->place.at < end) {
        size_t bytes = guest_console_read(&v->place, chunk, sizeof(chunk));
        if (v->place.missed > 0)
            tell_missed(v);
        for (size_t i = 0; i < bytes; i++) {
            if (chunk[i] != '\n')
                add(v, (u8)chunk[i]);
            if (chunk[i] != '\n' && v->length + BYTE_TEXT < sizeof(v->line))
                continue;
            print_line(v);
            lines++;
        }
    }
    return lines;
}

static void show(bool with_rest)
{
    newline = (struct guest_place){.at = guest_console_end()};
    console_hide_line();
    (void)print_lines(&console, newline.at);
    if (with_rest && console.length > 0)
        print_line(&console);
    console_show_line();
}

void guest_view_update(void)
{
    if (!is_paused && (guest_console_find(&newline, "\n", 1) || newline.missed > 0))
        show(false);
}

void guest_view_finish(void)
{
    if (!is_paused && (console.length > 0 || console.place.at < guest_console_end()))
        show(true);
}

void guest_view_pause(void)
{
    is_paused = true;
}

void guest_view_resume(u64 from)
{
    is_paused = false;
    newline = console.place = (struct guest_place){.at = from};
    console.length = 0;
}

unsigned guest_view_print(u64 from)
{
    struct view v = {.place = {.at = from}};
    unsigned lines = print_lines(&v, guest_console_end());

    if (v.length == 0)
        return lines;
    print_line(&v);
    return lines + 1;
}

const char *guest_view_line(u64 at, char to[GUEST_LINE_BYTES])
{
    struct view v = {.place = {.at = guest_console_line(at, 0)}};
    char c;

    while (v.length + BYTE_TEXT < sizeof(v.line) && guest_console_read(&v.place, &c, 1) == 1 && c != '\n')
        add(&v, (u8)c);
    memcpy(to, v.line, v.length);
    to[v.length] = '\0';
    return to;
}

const char *guest_view_panic(char to[GUEST_LINE_BYTES])
{
    static const char words[] = "Kernel panic - not syncing";
    struct guest_place place = {.at = guest_console_begin()};

    to[0] = '\0';
    return guest_console_find(&place, words, sizeof(words) - 1) ? guest_view_line(place.at - 1, to) : to;
}
