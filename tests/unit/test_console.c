/* The console from bytes to answers: editor, dispatcher, scripts (kernel/console/editor.h, console.h, command.h, script.h). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "drivers/serial.h"
#include "kernel/console/command.h"
#include "kernel/console/console.h"
#include "kernel/console/editor.h"
#include "kernel/console/script.h"
#include "tests/host/cpu.h"
#include "tests/host/io.h"
#include "tests/host/platform.h"
#include "tests/host/traps.h"

#define LINE_LIMIT 1023 /* bytes that a line may have */

/* --- the editor alone --- */

static struct editor editor;

static void swallow(const char *text, size_t bytes) {}

static const char *const names[] = {"tdx", "td", "trace", "map"};

static bool candidates(const char *prefix, unsigned n, char *to, size_t bytes)
{
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (strncmp(names[i], prefix, strlen(prefix)) != 0 || n-- > 0)
            continue;
        snprintf(to, bytes, "%s", names[i]);
        return true;
    }
    return false;
}

static int fresh_editor(void **state)
{
    editor_init(&editor, "> ", swallow, candidates);
    editor_begin(&editor);
    return 0;
}

/* Types `text`; the last event that was not EDITOR_MORE. */
static enum editor_event type(const char *text)
{
    enum editor_event last = EDITOR_MORE;
    for (; *text != '\0'; text++) {
        enum editor_event e = editor_byte(&editor, (u8)*text);
        if (e != EDITOR_MORE)
            last = e;
    }
    return last;
}

static void check_line(const char *typed, const char *expected)
{
    editor_begin(&editor);
    if (type(typed) != EDITOR_LINE || strcmp(editor.line, expected) != 0)
        fail_msg("typed '%s': line '%s', expected '%s'", typed, editor.line, expected);
}

static void test_keys(void **state)
{
    check_line("walk 0\r", "walk 0");
    check_line("wakl\b\blk\r", "walk");
    check_line("wakl\x7f\x7flk\r", "walk");
    check_line("alk\x01w\r", "walk"); /* ^A */
    check_line("wlk\x02\x02"
               "a\r",
               "walk"); /* ^B */
    check_line("wlk\x01\x06"
               "a\x05 0\r",
               "walk 0");                             /* ^A ^F ^E */
    check_line("walkx\x02\x04\r", "walk");            /* ^D */
    check_line("walk 0 zz\x02\x02\x0b\r", "walk 0 "); /* ^K */
    check_line("xxwalk\x01\x06\x06\x15\r", "walk");   /* ^U */
    check_line("walk wrong \x17"
               "0\r",
               "walk 0");                     /* ^W */
    check_line("wlk\x1b[D\x1b[Da\r", "walk"); /* cursor left */
    check_line("alk\x1b[Hw\x1b[F 0\r", "walk 0");
    check_line("alk\x1b[1~w\x1b[4~ 0\r", "walk 0");
    check_line("alk\x1bOHw\r", "walk");
    check_line("wxalk\x1b[H\x1b[C\x1b[3~\r", "walk"); /* delete */
    check_line("wa\x1b[99;99zlk\r", "walk");          /* unknown sequence: nothing */
    check_line("\x02\x06\x04\x0b\x15\x17\x7f\x1b[D\x1b[C\x1b[3~\r", "");
}

static void test_cr_lf_ends_one_line(void **state)
{
    assert_int_equal(type("a\r"), EDITOR_LINE);
    editor_begin(&editor);
    assert_int_equal(editor_byte(&editor, '\n'), EDITOR_MORE);
    assert_int_equal(editor_byte(&editor, '\n'), EDITOR_LINE);
    assert_string_equal(editor.line, "");
}

static void test_history(void **state)
{
    check_line("first\r", "first");
    check_line("second\r", "second");
    check_line("second\r", "second"); /* the same again is kept once */
    check_line("\r", "");             /* nothing is not kept */
    check_line("\x10\r", "second");
    check_line("\x10\x10\r", "first");
    check_line("new\x10\x10\x0e\x0e\r", "new");
    check_line("\x1b[A\x1b[A\x1b[A\x1b[A\x1b[A!\r", "first!");
    for (int i = 0; i < 100; i++) {
        char typed[24], expected[24];
        snprintf(typed, sizeof(typed), "line%d\r", i);
        snprintf(expected, sizeof(expected), "line%d", i);
        check_line(typed, expected);
    }
    char up[101 + 1];
    memset(up, 0x10, 100);
    up[100] = '\r';
    up[101] = '\0';
    editor_begin(&editor);
    assert_int_equal(type(up), EDITOR_LINE);
    assert_string_equal(editor.line, "line68"); /* the oldest of 32 */
}

static void test_completion(void **state)
{
    check_line("m\t\r", "map ");
    check_line("t\t\r", "t"); /* td, tdx, trace: nothing in common */
    check_line("td\t\r", "td");
    check_line("tdx\t\r", "tdx ");
    check_line("zzz\t\r", "zzz");
    check_line("ma\x02\t\r", "ma"); /* only at the end of the line */
}

static void test_cancel(void **state)
{
    assert_int_equal(type("abc\x03"), EDITOR_CANCEL);
    check_line("def\r", "def");
    assert_int_equal(type("\x1b\x03"), EDITOR_CANCEL);
}

static void test_longest_line(void **state)
{
    char text[LINE_LIMIT + 3];
    memset(text, 'x', sizeof(text));
    text[LINE_LIMIT] = '\r';
    text[LINE_LIMIT + 1] = '\0';
    assert_int_equal(type(text), EDITOR_LINE);
    assert_int_equal(strlen(editor.line), LINE_LIMIT);
    editor_begin(&editor);
    text[LINE_LIMIT] = 'x';
    text[LINE_LIMIT + 1] = '\r';
    text[LINE_LIMIT + 2] = '\0';
    assert_int_equal(type(text), EDITOR_TOO_LONG);
    check_line("short\r", "short");
}

static void test_bad_byte_is_named(void **state)
{
    assert_int_equal(type("ab\xc3\xa4z\r"), EDITOR_BAD_BYTE);
    assert_int_equal(editor.bad_byte, 0xc3);
    assert_int_equal(editor.bad_at, 2);
    editor_begin(&editor);
    assert_int_equal(editor_byte(&editor, 0), EDITOR_MORE);
    assert_int_equal(editor_byte(&editor, '\r'), EDITOR_BAD_BYTE);
    check_line("fine\r", "fine");
}

/* Whatever comes, the line stays inside its bounds and is terminated. */
static void test_noise(void **state)
{
    uint64_t random = 7;
    for (int i = 0; i < 2000000; i++) {
        random = random * 6364136223846793005ull + 1442695040888963407ull;
        u8 byte = random >> 63 ? (u8)(random >> 40) : (u8) "\x1b[A;3~Dx\x10\x0e\x02 \x15\t"[(random >> 40) % 14];
        if (editor_byte(&editor, byte) != EDITOR_MORE)
            editor_begin(&editor);
        assert_true(editor.length < EDITOR_LINE_MAX && editor.cursor <= editor.length);
        assert_int_equal(editor.line[editor.length], 0);
    }
}

/* --- the whole console --- */

static int fresh_console(void **state)
{
    io_host_reset();
    (void)serial_take_interrupt();
    (void)serial_take_overruns();
    serial_drop_input();
    assert_true(serial_init(SERIAL_COM1));
    console_begin();
    io_host_forget();
    return 0;
}

/* What the console prints for these bytes. */
static const char *console(const void *bytes, size_t count)
{
    io_host_forget();
    io_host_type(bytes, count);
    while (console_step())
        ;
    return io_host_output();
}

static const char *console_text(const char *text)
{
    return console(text, strlen(text));
}

static unsigned answers(const char *output)
{
    unsigned n = 0;
    for (const char *at = output; (at = strstr(at, "\r\n@{\"cmd\":")) != NULL; at++)
        n++;
    return n;
}

static void test_one_answer_a_line(void **state)
{
    const char *out = console_text("version\rlog\rnonsense\r");
    assert_int_equal(answers(out), 3);
    assert_non_null(strstr(out, "@{\"cmd\":\"version\",\"ok\":true,"));
    assert_non_null(strstr(out, "@{\"cmd\":\"nonsense\",\"ok\":false,\"error\":\"unknown command 'nonsense'"));
    assert_int_equal(answers(console_text("\r  \r# comment\r-\r")), 0);
}

static void test_wrong_shape(void **state)
{
    static const struct {
        const char *line, *words;
    } cases[] = {
        {"tdx\r", "init"},
        {"tdx nonsense\r", "init"},
        {"trace loud\r", "dump"},
        {"mem extra\r", "too many"},
        {"map 0\r", "too few"},
        {"td create colour=red\r", "colour"},
        {"mem a=1\r", "none"},
        {"log loud\r", "loud"},
        {"poweroff 256\r", "255"},
        {"poweroff soon\r", "soon"},
        {"script no.txt\r", "no.txt"},
        {"help nonsense\r", "nonsense"},
        {"a=1\r", "no command"},
        {"plan dance\r", "dance"},
        {"map zz 4K\r", "zz"},
        {"map 1001 4K\r", "4K"},
        {"map 0 4Q\r", "4Q"},
        {"map 0 4K 1g\r", "1g"},
        {"split 0 4k\r", "4k"},
        {"split 1000 2m\r", "2m"},
        {"convert 0 4K purple\r", "purple"},
        {"convert 0 4K shared now\r", "now"},
        {"probe touch 0 4K order=sideways\r", "sideways"},
        {"probe touch 0 4K stride=12\r", "stride"},
        {"probe spin soon\r", "soon"},
        {"map fffffffffffff000 8K\r", "64 bits"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        const char *out = console_text(cases[i].line);
        const char *answer = strstr(out, "\"ok\":false,\"error\":\"");
        if (answers(out) != 1 || answer == NULL || strstr(answer, cases[i].words) == NULL)
            fail_msg("'%s' gives '%s'", cases[i].line, out);
    }
}

static void test_every_command_without_a_td(void **state)
{
    char line[80];
    for (unsigned i = 0; i < command_count; i++) {
        const struct command *c = &commands[i];
        if (strcmp(c->name, "poweroff") == 0 || strcmp(c->name, "reboot") == 0 || strcmp(c->name, "tdx init") == 0 ||
            strcmp(c->name, "tdx check") == 0)
            continue; /* they do what they say */
        snprintf(line, sizeof(line), "%s\r", c->name);
        assert_int_equal(answers(console_text(line)), 1);
        snprintf(line, sizeof(line), "%s 0 4K 2m private\r", c->name);
        assert_int_equal(answers(console_text(line)), 1);
        snprintf(line, sizeof(line), "help %s\r", c->name);
        assert_non_null(strstr(console_text(line), "\"ok\":true"));
    }
}

static void test_ten_kilobytes_in_a_line(void **state)
{
    static char text[10001];
    memset(text, 'x', 10000);
    text[10000] = '\r';
    const char *out = console(text, sizeof(text));
    assert_int_equal(answers(out), 1);
    assert_non_null(strstr(out, "longer than 1023"));
    assert_non_null(strstr(console_text("version\r"), "\"ok\":true"));
}

static void test_binary_line(void **state)
{
    u8 bytes[129];
    for (unsigned i = 0; i < 128; i++)
        bytes[i] = (u8)(0x80 + i);
    bytes[128] = '\r';
    const char *out = console(bytes, sizeof(bytes));
    assert_int_equal(answers(out), 1);
    assert_non_null(strstr(out, "byte 0x80 at column 1"));
}

static void test_binary_noise_does_no_harm(void **state)
{
    static u8 bytes[100000];
    uint64_t random = 3;
    for (size_t i = 0; i < sizeof(bytes); i++) {
        random = random * 6364136223846793005ull + 1442695040888963407ull;
        bytes[i] = (u8)(random >> 40);
    }
    for (size_t at = 0; at < sizeof(bytes); at += 1000)
        console(bytes + at, 1000);
    assert_non_null(strstr(console_text("\x03version\r"), "\"ok\":true"));
}

static void test_overrun_is_told(void **state)
{
    io_host_overrun();
    assert_non_null(strstr(console_text("version\r"), "\"ok\":true"));
    assert_int_equal(serial_take_overruns(), 0); /* taken, and told by the log */
}

static const char sixty_four[] = "0123456789abcdef0123456789ABCDEF0123456789abcdef0123456789ABCDEF";

/* A host that is at other work, or a line that is read at leisure: nothing is lost. */
static void test_a_slow_line_loses_nothing(void **state)
{
    io_host_slow_down(250000, 40000); /* 2 to 10 s for each 16 bytes */
    serial_write(sixty_four, 32);
    assert_memory_equal(io_host_output(), sixty_four, 32);
    assert_int_equal(io_host_not_ready(), 2 * 250000);
    serial_drain();
    assert_int_equal(serial_take_lost(), 0);
}

/* A dead one is waited for once, and no longer than seconds; what is lost is told when it lives again. */
static void test_a_dead_line_holds_nobody(void **state)
{
    io_host_slow_down(~0ull, 1ull << 30);
    serial_write(sixty_four, 64);
    assert_in_range(strlen(io_host_output()), 0, 16);
    assert_in_range(io_host_not_ready(), 10, 128); /* of a third of a second, or of a whole one */
    u64 asked = io_host_not_ready();
    serial_write(sixty_four, 64);
    serial_drain();
    assert_int_equal(io_host_not_ready(), asked + 2);
    assert_int_equal(serial_take_lost(), 0); /* who could be told? */
    u64 sent = strlen(io_host_output());
    io_host_slow_down(0, 0);
    io_host_forget();
    serial_write(sixty_four, 64);
    assert_string_equal(io_host_output(), sixty_four);
    assert_int_equal(serial_take_lost(), 2 * 64 - sent);
}

static void test_lost_output_is_told(void **state)
{
    io_host_slow_down(~0ull, 1ull << 36);
    serial_write(sixty_four, 64);
    io_host_slow_down(0, 0);
    serial_write("", 1);
    assert_non_null(strstr(console_text("version\r"), "\"ok\":true"));
    assert_int_equal(serial_take_lost(), 0); /* taken, and told by the log */
}

/* --- pages --- */

/* What is typed when the console waits, key by key; each is checked to come behind the line that asks. */
static const char *keys;
static unsigned asked;

static void press(void)
{
    const char *out = io_host_output();
    size_t n = strlen(out), ask = strlen("q: no more --");
    if (n < ask || strcmp(out + n - ask, "q: no more --") != 0)
        return;
    asked++;
    if (*keys != '\0')
        io_host_type(keys++, 1);
    else
        (cpu_host_tsc_ahead += 601ull * 25000000000); /* nobody is there */
}

static unsigned lines_of(const char *text)
{
    unsigned n = 0;
    for (; *text != '\0'; text++)
        n += *text == '\n';
    return n;
}

static const char *paged(const char *line, const char *pressed)
{
    keys = pressed;
    asked = 0;
    traps_host_wait = press;
    const char *out = console_text(line);
    traps_host_wait = NULL;
    return out;
}

/* The lines of `help` in all; five rows are four lines and the one that asks. */
static void test_long_answers_come_a_page_at_a_time(void **state)
{
    unsigned all = lines_of(console_text("help\r"));
    assert_true(all > 40);
    assert_non_null(strstr(console_text("rows 5\r"), "\"ok\":true,\"rows\":5}"));
    static const struct {
        const char *keys;
        unsigned asked, lines; /* that it asked for a key; that were printed, those of echo, `@` and prompt included */
    } cases[] = {{"q", 1, 7}, {" q", 2, 11}, {"\rq", 2, 8}, {"\r\r\n q", 5, 14}, {"\x03", 1, 7}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        const char *out = paged("help\r", cases[i].keys);
        if (asked != cases[i].asked || lines_of(out) != cases[i].lines)
            fail_msg("case %zu: asked %u times, %u lines: %s", i, asked, lines_of(out), out);
        assert_int_equal(answers(out), 1);
        assert_non_null(strstr(out, "q: no more --\r\n@{\"cmd\":\"help\",\"ok\":true"));
    }
    assert_int_equal(lines_of(paged("version\r", "")), 3); /* shorter than a page */
    assert_int_equal(asked, 0);
    (void)console_text("rows 0\r");
    assert_int_equal(lines_of(console_text("help\r")), all);
}

static void test_what_is_typed_ahead_ends_the_pages(void **state)
{
    unsigned all = lines_of(console_text("help\r"));
    (void)console_text("rows 5\r");
    const char *out = paged("help\rversion\r", "");
    assert_int_equal(asked, 0);
    assert_int_equal(lines_of(out), all + 3);
    out = paged("help\r", "v"); /* no key of the pager's: the rest comes, and it begins the next command */
    assert_int_equal(asked, 1);
    assert_int_equal(lines_of(out), all);
    assert_non_null(strstr(console_text("ersion\r"), "{\"cmd\":\"version\",\"ok\":true"));
    out = paged("help\r", ""); /* nobody there for ten minutes */
    assert_int_equal(asked, 1);
    assert_int_equal(lines_of(out), all);
    (void)console_text("rows 0\r");
}

static void test_scripts_and_errors_have_no_pages(void **state)
{
    (void)console_text("rows 3\r");
    keys = "";
    asked = 0;
    traps_host_wait = press;
    io_host_forget();
    assert_int_equal(command_run("help", 4, COMMAND_ECHO), COMMAND_OK);
    (void)console_text("help nonsense\r");
    traps_host_wait = NULL;
    assert_int_equal(asked, 0);
    (void)console_text("rows 0\r");
    assert_non_null(strstr(console_text("rows 2\r"), "'2' is no number of rows: 0, or 3 to 1000 are"));
    assert_non_null(strstr(console_text("rows 1001\r"), "'1001' is no number of rows: 0, or 3 to 1000 are"));
    assert_non_null(strstr(console_text("rows\r"), "\"rows\":0}"));
}

static void test_completion_of_commands(void **state)
{
    char word[32];
    assert_true(command_complete("versi", 0, word, sizeof(word)));
    assert_string_equal(word, "version");
    assert_false(command_complete("versi", 1, word, sizeof(word)));
    assert_true(command_complete("pro", 0, word, sizeof(word)));
    assert_string_equal(word, "probe");
    assert_false(command_complete("pro", 1, word, sizeof(word)));
    assert_true(command_complete("probe ve", 0, word, sizeof(word)));
    assert_string_equal(word, "probe verify");
    assert_false(command_complete("zz", 0, word, sizeof(word)));
}

/* --- scripts --- */

#define SCRIPT(script_name, script_text)                                                                               \
    {                                                                                                                  \
        .name = script_name, .text = script_text, .bytes = sizeof(script_text) - 1                                     \
    }

static const struct script_file scripts[] = {
    SCRIPT("GOOD.TXT", "version\r\n# comment\n\nlog\n-nonsense\nversion"),
    SCRIPT("bad.txt", "version\nnonsense\nlog\n"),
    SCRIPT("loop.txt", "script loop.txt\n"),
    SCRIPT("outer.txt", "script good.txt\nlog\n"),
    SCRIPT("binary.txt", "\x01\x02\xff\n"),
    SCRIPT("dash.txt", "-\x80\tx\r\n-x =1\n-a=1\n-x a=1 a=2\n-script bad.txt\n-log\r\n"),
};

static char long_text[3000];
static const struct script_file long_script = {.name = "long.txt", .text = long_text, .bytes = sizeof(long_text)};

static int with_scripts(void **state)
{
    script_set_files(scripts, sizeof(scripts) / sizeof(scripts[0]));
    return fresh_console(state);
}

static void test_script_runs_to_its_end(void **state)
{
    const char *out = console_text("script good.txt\r");
    assert_int_equal(answers(out), 5); /* version log nonsense version script */
    assert_non_null(strstr(out, "@{\"cmd\":\"script\",\"ok\":true"));
    assert_false(script_has_failed());
    assert_int_equal(answers(console_text("script outer.txt\r")), 7);
    assert_false(script_has_failed());
}

static void test_script_stops_at_the_first_failure(void **state)
{
    const char *out = console_text("script bad.txt\r");
    assert_int_equal(answers(out), 3); /* version nonsense script */
    assert_non_null(strstr(out, "line 2 failed"));
    assert_null(strstr(out, "\"cmd\":\"log\""));
    assert_true(script_has_failed());
    assert_int_equal(answers(console_text("script binary.txt\r")), 2);
}

static void test_lines_with_a_dash_never_stop_a_script(void **state)
{
    const char *out = console_text("script dash.txt\r");
    assert_int_equal(answers(out), 9); /* four refused lines; version, nonsense and the inner script; log and script */
    assert_non_null(strstr(out, "\"cmd\":\"script\",\"ok\":true"));
    assert_false(script_has_failed());
    assert_non_null(strstr(out, "septum> -\\x80\tx\r\nerror: the line holds a byte"));
    assert_non_null(strstr(out, "septum> -x =1\r\nerror: a key=value pair"));
    assert_non_null(strstr(out, "septum> -a=1\r\nerror: the line has key=value pairs"));
}

static void test_a_line_too_long_is_shown_and_passed_over(void **state)
{
    script_set_files(&long_script, 1);
    memset(long_text, 'x', sizeof(long_text));
    memcpy(long_text, "-abc", 4);
    memcpy(long_text + 2000, "\nversion\n-", 10);
    const char *out = console_text("script long.txt\r");
    assert_int_equal(answers(out), 4);
    assert_non_null(strstr(out, "septum> -abcxxx"));
    assert_non_null(strstr(out, "xxx... (2000 bytes)\r\nerror: the line is longer"));
    assert_non_null(strstr(out, "\"cmd\":\"version\",\"ok\":true"));
    long_text[0] = 'y'; /* the same without the dash */
    out = console_text("script long.txt\r");
    assert_non_null(strstr(out, "line 1 failed"));
    assert_null(strstr(out, "\"cmd\":\"version\""));
}

static void test_scripts_nest_within_bounds(void **state)
{
    const char *out = console_text("script loop.txt\r");
    assert_non_null(strstr(out, "nest at most 4"));
    assert_non_null(strstr(console_text("version\r"), "\"ok\":true"));
}

static void test_script_list(void **state)
{
    assert_non_null(strstr(console_text("script\r"), "\"scripts\":6"));
}

static void test_interrupt_stops_a_script(void **state)
{
    unsigned line;
    io_host_type("\x03", 1);
    assert_int_equal(script_run(&scripts[0], &line), ERR_INTERRUPTED);
    assert_int_equal(script_run(&scripts[0], &line), ERR_OK);
}

/* A machine whose TDX module nobody initialises here. */
static int machine(void **state)
{
    platform_host_start(NULL);
    cpu_host_reset();
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_keys, fresh_editor),
        cmocka_unit_test_setup(test_cr_lf_ends_one_line, fresh_editor),
        cmocka_unit_test_setup(test_history, fresh_editor),
        cmocka_unit_test_setup(test_completion, fresh_editor),
        cmocka_unit_test_setup(test_cancel, fresh_editor),
        cmocka_unit_test_setup(test_longest_line, fresh_editor),
        cmocka_unit_test_setup(test_bad_byte_is_named, fresh_editor),
        cmocka_unit_test_setup(test_noise, fresh_editor),
        cmocka_unit_test_setup(test_one_answer_a_line, fresh_console),
        cmocka_unit_test_setup(test_wrong_shape, fresh_console),
        cmocka_unit_test_setup(test_every_command_without_a_td, fresh_console),
        cmocka_unit_test_setup(test_ten_kilobytes_in_a_line, fresh_console),
        cmocka_unit_test_setup(test_binary_line, fresh_console),
        cmocka_unit_test_setup(test_binary_noise_does_no_harm, fresh_console),
        cmocka_unit_test_setup(test_overrun_is_told, fresh_console),
        cmocka_unit_test_setup(test_a_slow_line_loses_nothing, fresh_console),
        cmocka_unit_test_setup(test_a_dead_line_holds_nobody, fresh_console),
        cmocka_unit_test_setup(test_lost_output_is_told, fresh_console),
        cmocka_unit_test_setup(test_long_answers_come_a_page_at_a_time, fresh_console),
        cmocka_unit_test_setup(test_what_is_typed_ahead_ends_the_pages, fresh_console),
        cmocka_unit_test_setup(test_scripts_and_errors_have_no_pages, fresh_console),
        cmocka_unit_test_setup(test_completion_of_commands, fresh_console),
        cmocka_unit_test_setup(test_script_runs_to_its_end, with_scripts),
        cmocka_unit_test_setup(test_lines_with_a_dash_never_stop_a_script, with_scripts),
        cmocka_unit_test_setup(test_script_stops_at_the_first_failure, with_scripts),
        cmocka_unit_test_setup(test_a_line_too_long_is_shown_and_passed_over, with_scripts),
        cmocka_unit_test_setup(test_scripts_nest_within_bounds, with_scripts),
        cmocka_unit_test_setup(test_script_list, with_scripts),
        cmocka_unit_test_setup(test_interrupt_stops_a_script, with_scripts),
    };
    return cmocka_run_group_tests(tests, machine, NULL);
}
