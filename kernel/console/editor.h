/*
 * The line editor of the serial console: bytes in, lines out. Emacs keys and VT100 arrows, history, completion of the
 * first words, ^C. A line that is too long or holds bytes that are no text is swallowed to its end and comes out as
 * one error. It prints its echo through `put`; it keeps no global state and waits for nothing.
 */
#ifndef KERNEL_CONSOLE_EDITOR_H
#define KERNEL_CONSOLE_EDITOR_H

#include "lib/types.h"

#define EDITOR_LINE_MAX 1024 /* with the terminating zero */
#define EDITOR_HISTORY  32

enum editor_event {
    EDITOR_MORE,     /* nothing yet */
    EDITOR_LINE,     /* `line` is complete */
    EDITOR_TOO_LONG, /* it had more than EDITOR_LINE_MAX - 1 bytes */
    EDITOR_BAD_BYTE, /* it held `bad_byte` first at `bad_at` (0-based) */
    EDITOR_CANCEL,   /* ^C: the line is gone */
};

struct editor {
    void (*put)(const char *text, size_t bytes);
    /* Writes what may follow `prefix` (the line up to the cursor) to `to`, one candidate a call; false when there is
     * none left. */
    bool (*complete)(const char *prefix, unsigned n, char *to, size_t bytes);
    const char *prompt;

    char line[EDITOR_LINE_MAX];
    size_t length, cursor;
    bool too_long, bad;
    u8 bad_byte;
    size_t bad_at;
    size_t typed; /* bytes of this line so far, also those that found no room */

    unsigned escape; /* where in ESC [ n ~ the input is */
    u8 escape_number;
    bool last_was_cr; /* so that CR LF ends one line, not two */

    char history[EDITOR_HISTORY][EDITOR_LINE_MAX];
    unsigned history_count, history_next;
    unsigned browsing; /* 0: the line being typed; n: the n-th newest */
    char saved[EDITOR_LINE_MAX];
};

void editor_init(struct editor *e, const char *prompt, void (*put)(const char *, size_t),
                 bool (*complete)(const char *, unsigned, char *, size_t));

/* Shows the prompt of a fresh line. */
void editor_begin(struct editor *e);

/* Takes the line off the screen, for something to be printed there; draws it again. */
void editor_hide(struct editor *e);
void editor_show(struct editor *e);

/* After anything but EDITOR_MORE, `line` is valid until editor_begin(). */
enum editor_event editor_byte(struct editor *e, u8 byte);

#endif
