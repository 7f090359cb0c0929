/* The line editor. See editor.h. Keys: ECMA-48 for the escape sequences. */
#include "kernel/console/editor.h"

#include "lib/format.h"
#include "lib/string.h"

#define CTRL(letter) ((letter)&0x1f)
#define BYTE_ESCAPE  0x1b
#define BYTE_DELETE  0x7f

enum { ESC_NONE, ESC_SEEN, ESC_BRACKET, ESC_NUMBER, ESC_O };

#define CANDIDATES_MAX 64

static void put_text(struct editor *e, const char *text)
{
    e->put(text, strlen(text));
}

void editor_init(struct editor *e, const char *prompt, void (*put)(const char *, size_t),
                 bool (*complete)(const char *, unsigned, char *, size_t))
{
    memset(e, 0, sizeof(*e));
    e->prompt = prompt;
    e->put = put;
    e->complete = complete;
}

static void line_clear(struct editor *e)
{
    e->length = e->cursor = e->typed = 0;
    e->line[0] = '\0';
    e->too_long = e->bad = false;
    e->browsing = 0;
    e->escape = ESC_NONE;
}

void editor_begin(struct editor *e)
{
    line_clear(e);
    put_text(e, e->prompt);
}

/* Draws the line anew: start of line, prompt, text, erase what is left of the old one, cursor back. */
static void redraw(struct editor *e)
{
    char back[24];

    put_text(e, "\r");
    put_text(e, e->prompt);
    e->put(e->line, e->length);
    put_text(e, "\x1b[K");
    if (e->cursor == e->length)
        return;
    format_to(back, sizeof(back), "\x1b[%zuD", e->length - e->cursor);
    put_text(e, back);
}

void editor_hide(struct editor *e)
{
    put_text(e, "\r\x1b[K");
}

void editor_show(struct editor *e)
{
    redraw(e);
}

static void insert(struct editor *e, char c)
{
    e->typed++;
    if (e->length + 1 >= EDITOR_LINE_MAX) {
        e->too_long = true;
        return;
    }
    memmove(e->line + e->cursor + 1, e->line + e->cursor, e->length - e->cursor + 1);
    e->line[e->cursor++] = c;
    e->length++;
    /* The usual case costs one byte on the wire. */
    if (e->cursor == e->length)
        e->put(&c, 1);
    else
        redraw(e);
}

static void erase(struct editor *e, size_t from, size_t to)
{
    if (from >= to)
        return;
    memmove(e->line + from, e->line + to, e->length - to + 1);
    e->length -= to - from;
    e->cursor = from;
    redraw(e);
}

static size_t word_start(const struct editor *e)
{
    size_t at = e->cursor;

    while (at > 0 && e->line[at - 1] == ' ')
        at--;
    while (at > 0 && e->line[at - 1] != ' ')
        at--;
    return at;
}

static void line_replace(struct editor *e, const char *with)
{
    size_t n = strlen(with);

    memmove(e->line, with, n + 1);
    e->length = e->cursor = n;
    redraw(e);
}

/* +1: older, -1: newer. */
static void history_move(struct editor *e, int step)
{
    unsigned want = e->browsing + (unsigned)step;

    if ((step < 0 && e->browsing == 0) || want > e->history_count)
        return;
    if (e->browsing == 0)
        memcpy(e->saved, e->line, e->length + 1);
    e->browsing = want;
    if (want == 0)
        line_replace(e, e->saved);
    else
        line_replace(e, e->history[(e->history_next + EDITOR_HISTORY - want) % EDITOR_HISTORY]);
}

static void history_add(struct editor *e)
{
    unsigned last = (e->history_next + EDITOR_HISTORY - 1) % EDITOR_HISTORY;

    if (e->length == 0 || (e->history_count > 0 && strcmp(e->history[last], e->line) == 0))
        return;
    memcpy(e->history[e->history_next], e->line, e->length + 1);
    e->history_next = (e->history_next + 1) % EDITOR_HISTORY;
    if (e->history_count < EDITOR_HISTORY)
        e->history_count++;
}

static void list_candidates(struct editor *e)
{
    char word[EDITOR_LINE_MAX];

    put_text(e, "\r\n");
    for (unsigned n = 0; n < CANDIDATES_MAX && e->complete(e->line, n, word, sizeof(word)); n++) {
        put_text(e, word);
        put_text(e, "  ");
    }
    put_text(e, "\r\n");
    redraw(e);
}

/* Extends the line by what all candidates have in common; lists them where that is nothing. */
static void complete_line(struct editor *e)
{
    char common[EDITOR_LINE_MAX], other[EDITOR_LINE_MAX];

    if (e->complete == NULL || e->cursor != e->length || !e->complete(e->line, 0, common, sizeof(common)))
        return;
    unsigned n = 1;
    for (; n < CANDIDATES_MAX && e->complete(e->line, n, other, sizeof(other)); n++) {
        size_t same = 0;
        while (common[same] != '\0' && common[same] == other[same])
            same++;
        common[same] = '\0';
    }
    size_t have = e->length;
    for (size_t i = have; common[i] != '\0'; i++)
        insert(e, common[i]);
    if (n == 1 && e->length > 0 && e->line[e->length - 1] != ' ')
        insert(e, ' ');
    else if (n > 1 && e->length == have)
        list_candidates(e);
}

static enum editor_event end_of_line(struct editor *e)
{
    put_text(e, "\r\n");
    if (e->bad)
        return EDITOR_BAD_BYTE;
    if (e->too_long)
        return EDITOR_TOO_LONG;
    history_add(e);
    return EDITOR_LINE;
}

static void move_to(struct editor *e, size_t at)
{
    e->cursor = at;
    redraw(e);
}

/* The final byte of ESC [ ... or ESC O ...; what is unknown does nothing. */
static void escape_final(struct editor *e, u8 byte)
{
    switch (byte) {
    case 'A':
        history_move(e, 1);
        break;
    case 'B':
        history_move(e, -1);
        break;
    case 'C':
        move_to(e, e->cursor < e->length ? e->cursor + 1 : e->length);
        break;
    case 'D':
        move_to(e, e->cursor > 0 ? e->cursor - 1 : 0);
        break;
    case 'H':
        move_to(e, 0);
        break;
    case 'F':
        move_to(e, e->length);
        break;
    case '~':
        if (e->escape_number == 3)
            erase(e, e->cursor, e->cursor < e->length ? e->cursor + 1 : e->length);
        else if (e->escape_number == 1 || e->escape_number == 7)
            move_to(e, 0);
        else if (e->escape_number == 4 || e->escape_number == 8)
            move_to(e, e->length);
        break;
    default:
        break;
    }
}

/* True when the byte belonged to an escape sequence. */
static bool escape_byte(struct editor *e, u8 byte)
{
    switch (e->escape) {
    case ESC_SEEN:
        e->escape = byte == '[' ? ESC_BRACKET : byte == 'O' ? ESC_O : ESC_NONE;
        e->escape_number = 0;
        return e->escape != ESC_NONE;
    case ESC_BRACKET:
    case ESC_NUMBER:
        if ((byte >= '0' && byte <= '9') || byte == ';') {
            e->escape_number = (u8)(e->escape_number * 10 + (byte == ';' ? 0 : byte - '0'));
            e->escape = ESC_NUMBER;
            return true;
        }
        e->escape = ESC_NONE;
        if (byte < 0x40 || byte > 0x7e)
            return false;
        escape_final(e, byte);
        return true;
    case ESC_O:
        e->escape = ESC_NONE;
        escape_final(e, byte);
        return true;
    default:
        return false;
    }
}

static void note_bad(struct editor *e, u8 byte)
{
    if (!e->bad) {
        e->bad = true;
        e->bad_byte = byte;
        e->bad_at = e->typed;
    }
    e->typed++;
}

static enum editor_event control(struct editor *e, u8 byte)
{
    switch (byte) {
    case CTRL('A'):
        move_to(e, 0);
        break;
    case CTRL('B'):
        move_to(e, e->cursor > 0 ? e->cursor - 1 : 0);
        break;
    case CTRL('D'):
        erase(e, e->cursor, e->cursor < e->length ? e->cursor + 1 : e->length);
        break;
    case CTRL('E'):
        move_to(e, e->length);
        break;
    case CTRL('F'):
        move_to(e, e->cursor < e->length ? e->cursor + 1 : e->length);
        break;
    case CTRL('H'):
    case BYTE_DELETE:
        erase(e, e->cursor > 0 ? e->cursor - 1 : 0, e->cursor);
        break;
    case CTRL('I'):
        complete_line(e);
        break;
    case CTRL('K'):
        erase(e, e->cursor, e->length);
        break;
    case CTRL('L'):
        redraw(e);
        break;
    case CTRL('N'):
        history_move(e, -1);
        break;
    case CTRL('P'):
        history_move(e, 1);
        break;
    case CTRL('U'):
        erase(e, 0, e->cursor);
        break;
    case CTRL('W'):
        erase(e, word_start(e), e->cursor);
        break;
    case CTRL('C'):
        put_text(e, "^C\r\n");
        return EDITOR_CANCEL;
    case BYTE_ESCAPE:
        e->escape = ESC_SEEN;
        break;
    default:
        note_bad(e, byte);
        break;
    }
    return EDITOR_MORE;
}

enum editor_event editor_byte(struct editor *e, u8 byte)
{
    bool after_cr = e->last_was_cr;

    e->last_was_cr = byte == '\r';
    if (byte == '\n' && after_cr)
        return EDITOR_MORE;
    if (e->escape != ESC_NONE && escape_byte(e, byte))
        return EDITOR_MORE;
    if (byte == '\r' || byte == '\n')
        return end_of_line(e);
    if (byte >= 0x80)
        note_bad(e, byte);
    else if (byte < 0x20 || byte == BYTE_DELETE)
        return control(e, byte);
    else
        insert(e, (char)byte);
    return EDITOR_MORE;
}
