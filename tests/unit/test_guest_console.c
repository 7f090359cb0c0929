/*
 * The guest's console: its rings, what is shown of it, the commands `guest`, on a console whose TD runs on a thread
 * (tests/unit/jobs_world.h). The guest speaks by calls of this file. Sizes are typed here again.
 */
#include <pthread.h>

#include "kernel/console/guest_view.h"
#include "tests/unit/jobs_world.h"

#define OUTPUT_BYTES 65536u
#define INPUT_BYTES  4096u

static void say_bytes(const char *text, size_t bytes)
{
    for (size_t i = 0; i < bytes; i++)
        guest_console_put((u8)text[i]);
}

static void say(const char *text)
{
    say_bytes(text, strlen(text));
}

/* --- the rings ---------------------------------------------------------------------------------------------------- */

static int fresh(void **state)
{
    while (guest_console_take() >= 0)
        ;
    guest_console_reset();
    guest_console_on_input(NULL);
    guest_view_resume(guest_console_end());
    io_host_forget();
    return 0;
}

static void read_is(struct guest_place *place, const char *expected)
{
    char text[256] = "";
    size_t n = guest_console_read(place, text, sizeof(text) - 1);

    text[n] = '\0';
    assert_string_equal(text, expected);
}

static void test_readers_have_places_of_their_own(void **state)
{
    struct guest_place a = {.at = guest_console_end()}, b = a;
    char two[2];

    say("one");
    read_is(&a, "one");
    read_is(&a, "");
    say(" two");
    read_is(&a, " two");
    assert_int_equal(guest_console_read(&b, two, 2), 2);
    assert_memory_equal(two, "on", 2);
    read_is(&b, "e two");
    assert_int_equal(a.missed + b.missed, 0);
}

/* A reader that comes late finds the newest, and is told how many bytes are gone. */
static void test_a_flood_is_bounded_and_counted(void **state)
{
    struct guest_place place = {.at = guest_console_end()};
    char text[8];

    for (unsigned i = 0; i < OUTPUT_BYTES + 1000; i++)
        guest_console_put((u8)('a' + i % 26));
    assert_int_equal(guest_console_read(&place, text, 1), 1);
    assert_int_equal(place.missed, 1000);
    assert_int_equal(text[0], 'a' + 1000 % 26);
    assert_int_equal(guest_console_end() - place.at, OUTPUT_BYTES - 1);
}

static void test_a_text_is_found_wherever_it_begins(void **state)
{
    /* Across the ring's end too: it begins at each place near it, and comes byte by byte. */
    for (unsigned round = 0; round < 3 * 64; round++) {
        struct guest_place place = {.at = guest_console_end()};
        u64 until = (guest_console_end() / OUTPUT_BYTES + 1) * OUTPUT_BYTES - round % 64;
        while (guest_console_end() < until)
            guest_console_put('.');
        for (const char *at = "needlneedle"; *at != '\0'; at++) {
            assert_false(guest_console_find(&place, "needle", 6));
            guest_console_put((u8)*at);
        }
        guest_console_put('!');
        assert_true(guest_console_find(&place, "needle", 6));
        read_is(&place, "!");
        assert_int_equal(place.missed, 0);
    }
}

static void test_each_text_is_found_once(void **state)
{
    struct guest_place place = {.at = guest_console_end()};

    say("ok ok");
    assert_true(guest_console_find(&place, "ok", 2));
    assert_true(guest_console_find(&place, "ok", 2));
    assert_false(guest_console_find(&place, "ok", 2));
    say("k"); /* the text may not begin inside one that was found */
    assert_false(guest_console_find(&place, "kk", 2));
}

static void test_what_was_overwritten_is_not_found(void **state)
{
    struct guest_place place = {.at = guest_console_end()};

    say("needle");
    for (unsigned i = 0; i < OUTPUT_BYTES - 1; i++)
        guest_console_put('.');
    assert_false(guest_console_find(&place, "needle", 6));
    assert_int_equal(place.missed, 5);
}

static void test_lines_begin_behind_newlines(void **state)
{
    u64 begin = guest_console_begin();

    say("a\nbb\nccc");
    u64 end = guest_console_end();
    assert_int_equal(guest_console_line(end, 0) - begin, 5);
    assert_int_equal(guest_console_line(end, 1) - begin, 2);
    assert_int_equal(guest_console_line(end, 2) - begin, 0);
    assert_int_equal(guest_console_line(end, 99) - begin, 0);
    assert_int_equal(guest_console_line(begin + 4, 0) - begin, 2);
    say("\n");
    end = guest_console_end();
    assert_int_equal(guest_console_line(end, 0), end);
    assert_int_equal(guest_console_line(end, 1) - begin, 5);
    guest_console_reset(); /* an earlier guest's lines are not this one's */
    assert_int_equal(guest_console_line(guest_console_end(), 2), guest_console_end());
}

static unsigned arrivals;

static void count_arrival(void)
{
    arrivals++;
}

static void test_input_waits_until_it_is_taken(void **state)
{
    char many[INPUT_BYTES + 1];

    memset(many, 'x', sizeof(many));
    guest_console_on_input(count_arrival);
    arrivals = 0;
    assert_int_equal(guest_console_take(), -1);
    assert_int_equal(guest_console_peek(), -1);
    assert_int_equal(guest_console_type("\xff", 1), 1);
    assert_int_equal(arrivals, 1);
    assert_int_equal(guest_console_peek(), 0xff);
    assert_int_equal(guest_console_take(), 0xff);
    assert_int_equal(guest_console_type(many, sizeof(many)), INPUT_BYTES);
    assert_int_equal(guest_console_type(many, 1), 0);
    assert_int_equal(arrivals, 2); /* nothing came the third time */
    for (unsigned i = 0; i < INPUT_BYTES; i++)
        assert_int_equal(guest_console_take(), 'x');
    assert_int_equal(guest_console_take(), -1);
}

/* --- what is shown ------------------------------------------------------------------------------------------------ */

static void shown_is(const char *expected)
{
    guest_view_update();
    assert_string_equal(io_host_output(), expected);
    io_host_forget();
}

static void test_whole_lines_are_shown_with_a_mark(void **state)
{
    say("one\r\ntw");
    shown_is("[guest] one\r\n");
    shown_is("");
    say("o\r\n\r\n");
    shown_is("[guest] two\r\n[guest] \r\n");
}

static void test_what_a_guest_leaves_of_a_line_is_shown(void **state)
{
    say("one\ntwo");
    shown_is("[guest] one\r\n");
    guest_view_finish();
    guest_view_finish();
    shown_is("[guest] two\r\n");
    say(" and more");
    guest_view_pause();
    guest_view_finish();
    shown_is("");
}

/* Nothing that a guest says can pass for a line of Septum's, or move a terminal's cursor. */
static void test_bytes_that_are_no_text_are_shown_by_number(void **state)
{
    say("\x1b[2J\t\x80\a@{}\n@{\"cmd\":\"poweroff\"}\n");
    shown_is("[guest] \\x1b[2J\t\\x80\\x07@{}\r\n[guest] @{\"cmd\":\"poweroff\"}\r\n");
}

static void test_long_lines_come_in_pieces(void **state)
{
    for (unsigned i = 0; i < 1200; i++)
        guest_console_put('x');
    say("\n");
    guest_view_update();
    unsigned lines = 0, bytes = 0;
    for (const char *at = io_host_output(); *at != '\0'; at++) {
        bytes += *at == 'x';
        lines += *at == '\n';
    }
    assert_int_equal(bytes, 1200);
    assert_int_equal(lines, 3);
}

static void test_what_is_missed_is_told(void **state)
{
    say("begin\n");
    guest_view_update();
    io_host_forget();
    for (unsigned i = 0; i < OUTPUT_BYTES; i++)
        guest_console_put(i % 64 == 63 ? '\n' : '.');
    say("12345\n");
    guest_view_update();
    assert_ptr_equal(strstr(io_host_output(), "[guest] ... 6 bytes are not kept"), io_host_output());
    assert_non_null(strstr(io_host_output(), ".\r\n[guest] 12345\r\n"));
}

static void test_a_kernels_last_words(void **state)
{
    char line[512];

    say("Kernel command line: panic=-1\nguest: shell\n");
    assert_string_equal(guest_view_panic(line), "");
    say("[    1.5] Kernel panic - not syncing: Attempted to kill init!\r\nCall Trace:\n");
    assert_string_equal(guest_view_panic(line), "[    1.5] Kernel panic - not syncing: Attempted to kill init!");
    guest_console_reset();
    assert_string_equal(guest_view_panic(line), "");
}

/* What is being typed is drawn again behind what the guest says. */
static void test_the_line_that_is_typed_stays_whole(void **state)
{
    console_begin();
    io_host_type("walk 0\x02", 7);
    (void)console_step();
    io_host_forget();
    say("one\ntwo\nthree");
    shown_is("\r\x1b[K[guest] one\r\n[guest] two\r\n\rseptum> walk 0\x1b[K\x1b[1D");
    io_host_type("\x03", 1);
    (void)console_step();
}

/* --- the commands ------------------------------------------------------------------------------------------------- */

/* vCPU 0 runs; as far as the console knows a Linux does. */
static int with_guest(void **state)
{
    (void)with_running_td(state);
    spin_on(0);
    vm.kind = VM_LINUX;
    return fresh(state);
}

/* What ends is the probe, which is asked for no more work. */
static void end_guest(void)
{
    vm.kind = VM_PROBE;
    payloads[0].let_go = true;
    wait_for_end(0);
    vm.kind = VM_LINUX;
}

static int without_guest(void **state)
{
    end_guest();
    vm.kind = VM_PROBE;
    good("wait all");
    return without_td(state);
}

static void test_expect_finds_what_was_said(void **state)
{
    say("Linux version 6\r\nguest: shell\r\nguest# ");
    assert_non_null(strstr(good("guest expect \"shell\\r\\n\""), "\"line\":\"guest: shell\""));
    said("[guest] guest: shell\r\n");
    good("guest expect \"guest# \"");
    set_clock(false);
    bad("guest expect shell timeout=1", "the guest did not say 'shell' within 1 s; its last line: guest# ");
    set_clock(true);
    say("shell");
    good("guest expect shell");
}

/* It speaks while the console waits: a byte at a time. */
static void *speak_later(void *text)
{
    for (const char *at = text; *at != '\0'; at++) {
        guest_console_put((u8)*at);
        for (unsigned i = 0; i < 20; i++)
            sched_yield();
    }
    return NULL;
}

static void test_expect_waits_for_what_comes(void **state)
{
    pthread_t speaker;

    assert_int_equal(pthread_create(&speaker, NULL, speak_later, "booting\nguest: status 7\n"), 0);
    good("guest expect \"status 7\\n\" timeout=600");
    said("[guest] booting\r\n[guest] guest: status 7\r\n");
    pthread_join(speaker, NULL);
}

static void test_expect_ends_with_the_guest_and_by_interrupt(void **state)
{
    bad("guest expect x timeout=0", "a number from 1 to 86400");
    bad("guest expect \"\"", "the text to wait for is empty");
    io_host_type("\x03", 1);
    bad("guest expect x timeout=86400", "stopped by ^C; the guest's last line: it has said nothing");
    end_guest();
    say("last words");
    good("guest expect words timeout=86400");
    bad("guest expect more timeout=86400",
        "the guest does not run (running) and did not say 'more'; its last line: last words");
    say("\nKernel panic - not syncing: VFS\nCall Trace:\n");
    bad("guest expect more", "and did not say 'more'; its last line: Kernel panic - not syncing: VFS");
}

static void test_send_types(void **state)
{
    char line[INPUT_BYTES];

    assert_non_null(strstr(good("guest send \"ls = # -l\\n\\x03\""), "\"bytes\":11"));
    for (const char *at = "ls = # -l\n\x03"; *at != '\0'; at++)
        assert_int_equal(guest_console_take(), *at);
    assert_int_equal(guest_console_take(), -1);
    memset(line, 'x', INPUT_BYTES);
    assert_int_equal(guest_console_type(line, INPUT_BYTES - 3), INPUT_BYTES - 3);
    io_host_type("\x03", 1);
    bad("guest send \"12345\"", "the guest does not read: 3 of 5 bytes found room");
}

static void test_log_shows_the_last_lines(void **state)
{
    bad("guest log", "no guest has said anything");
    say("one\ntwo\nthree\nguest# ");
    assert_non_null(strstr(good("guest log lines=2"), "\"lines\":3,\"bytes\":21,\"kept\":21"));
    said("[guest] two\r\n[guest] three\r\n[guest] guest# \r\n@{");
    assert_null(strstr(io_host_output(), "one"));
}

/* To and fro as it is, ^C as well, until ^]; a later view goes on behind what was seen. */
static void test_a_person_talks_to_the_guest(void **state)
{
    say("boot\nguest# ");
    io_host_type("ls\x03\r\x1d", 5);
    const char *answer = good("guest");
    said("the guest's console; ^] leaves it\r\nguest# \r\n");
    assert_non_null(strstr(answer, "\"shown\":7,\"sent\":4,\"runs\":true"));
    for (const char *at = "ls\x03\r"; *at != '\0'; at++)
        assert_int_equal(guest_console_take(), *at);
    io_host_forget();
    say("done\n");
    shown_is("[guest] done\r\n");
}

static void test_talk_ends_with_the_guest(void **state)
{
    end_guest();
    say("\x1b[1mbye");
    assert_non_null(strstr(good("guest"), "\"shown\":7,\"sent\":0,\"runs\":false"));
    said("\x1b[1mbye\r\nthe guest does not run: running\r\n");
}

static void test_without_a_guest(void **state)
{
    bad("guest", "there is no guest with a console: `td create payload=linux` makes one");
    bad("guest send x", "there is no guest with a console");
    bad("guest expect x", "there is no guest with a console");
    vm.kind = VM_LINUX;
    bad("guest", "the guest has not begun: `td run` comes first");
    vm.kind = VM_PROBE;
    bad("guest shout", "too many words; usage: guest [send|expect|log ...]");
}

int main(void)
{
#define FRESH(test)      cmocka_unit_test_setup(test, fresh)
#define WITH_GUEST(test) cmocka_unit_test_setup_teardown(test, with_guest, without_guest)
    const struct CMUnitTest tests[] = {
        FRESH(test_readers_have_places_of_their_own),
        FRESH(test_a_flood_is_bounded_and_counted),
        FRESH(test_a_text_is_found_wherever_it_begins),
        FRESH(test_each_text_is_found_once),
        FRESH(test_what_was_overwritten_is_not_found),
        FRESH(test_lines_begin_behind_newlines),
        FRESH(test_input_waits_until_it_is_taken),
        FRESH(test_whole_lines_are_shown_with_a_mark),
        FRESH(test_what_a_guest_leaves_of_a_line_is_shown),
        FRESH(test_bytes_that_are_no_text_are_shown_by_number),
        FRESH(test_long_lines_come_in_pieces),
        FRESH(test_what_is_missed_is_told),
        FRESH(test_a_kernels_last_words),
        WITH_GUEST(test_expect_finds_what_was_said),
        WITH_GUEST(test_expect_waits_for_what_comes),
        WITH_GUEST(test_expect_ends_with_the_guest_and_by_interrupt),
        WITH_GUEST(test_send_types),
        WITH_GUEST(test_log_shows_the_last_lines),
        WITH_GUEST(test_a_person_talks_to_the_guest),
        WITH_GUEST(test_talk_ends_with_the_guest),
        cmocka_unit_test_setup_teardown(test_without_a_guest, with_td, without_td),
        FRESH(test_the_line_that_is_typed_stays_whole), /* and is there still, so it comes last */
    };
    return cmocka_run_group_tests(tests, machine, machine_off);
}
