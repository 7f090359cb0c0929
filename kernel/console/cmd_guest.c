/* The guest's console: guest, guest send|expect|log. kernel/vm/guest_console.h has what the guest says and is to read. */
#include "drivers/serial.h"
#include "kernel/console/cmd.h"
#include "kernel/console/console.h"
#include "kernel/console/guest_view.h"
#include "kernel/console/guest_wait.h"
#include "kernel/print.h"
#include "kernel/time.h"
#include "kernel/vm/vm.h"
#include "lib/bits.h"
#include "lib/string.h"

#define CTRL_BRACKET 0x1d /* ^] */
#define TIMEOUT_S    60u
#define TIMEOUT_MAX  86400u
#define SEND_S       10u
#define LOG_LINES    20u
#define LOG_MAX      65536u
#define US           1000000ull

static bool check_guest(struct command_call *c)
{
    if (vm.state == VM_NONE || vm.kind != VM_LINUX)
        reply_fail(c, "there is no guest with a console: `td create payload=linux` makes one");
    else if (vm.state == VM_CREATED)
        reply_fail(c, "the guest has not begun: `td run` comes first");
    else
        return true;
    return false;
}

static u64 after(u64 seconds)
{
    return time_us() + seconds * US;
}

/* --- guest -------------------------------------------------------------------------------------------------------- */

struct talk {
    struct guest_place place;
    u64 shown, sent;
};

/* What the guest says goes to the wire as it is. False: nothing came. */
static bool talk_out(struct talk *t)
{
    char chunk[256];
    size_t n = guest_console_read(&t->place, chunk, sizeof(chunk));

    print_raw(chunk, n);
    t->shown += n;
    return n > 0;
}

/* What is typed goes to the guest, as fast as it takes it. True: ^] came. */
static bool talk_in(struct talk *t)
{
    serial_poll();
    for (int byte = serial_peek(); byte >= 0; byte = serial_peek()) {
        char c = (char)byte;
        if (byte != CTRL_BRACKET && guest_console_type(&c, 1) == 0)
            return false;
        (void)serial_read();
        if (byte == CTRL_BRACKET)
            return true;
        t->sent++;
    }
    return false;
}

/* Until ^], or the guest's end. */
static void talk(struct talk *t)
{
    for (bool quiet = false; !quiet && !talk_in(t);) {
        quiet = guest_is_quiet();
        if (!talk_out(t) && !quiet)
            vm_wait();
    }
    while (talk_out(t))
        ;
}

void cmd_guest(struct command_call *c)
{
    if (!check_guest(c))
        return;
    print("the guest's console; ^] leaves it\n");
    guest_view_pause();
    console_set_raw(true);
    struct talk t = {.place = {.at = guest_console_line(guest_console_end(), 0)}};
    talk(&t);
    console_set_raw(false);
    guest_view_resume(t.place.at);
    print("\n");
    if (guest_is_quiet())
        print("the guest does not run: %s\n", guest_why_quiet());
    struct json *j = reply_ok(c);
    json_number(j, "shown", t.shown);
    json_number(j, "sent", t.sent);
    json_bool(j, "runs", !guest_is_quiet());
    if (t.place.missed > 0)
        json_number(j, "missed", t.place.missed);
}

/* --- guest send --------------------------------------------------------------------------------------------------- */

void cmd_guest_send(struct command_call *c)
{
    const char *text = arg_word(c, 0);
    size_t bytes = strlen(text), sent = 0;
    u64 until = after(SEND_S);

    if (!check_guest(c))
        return;
    for (;;) {
        sent += guest_console_type(text + sent, bytes - sent);
        if (sent == bytes || guest_is_quiet() || time_us() >= until || console_take_interrupt())
            break;
        vm_wait();
    }
    struct json *j = sent == bytes ? reply_ok(c)
                                   : reply_fail(c, "the guest does not read: %zu of %zu bytes found room", sent, bytes);
    json_number(j, "bytes", sent);
}

/* --- guest expect ------------------------------------------------------------------------------------------------- */

/* Behind what `guest expect` found last. */
static struct guest_place place;

void cmd_guest_expect(struct command_call *c)
{
    const char *text = arg_word(c, 0);
    char line[GUEST_LINE_BYTES], why[GUEST_WHY_BYTES];
    u64 seconds = TIMEOUT_S;

    if (!arg_key_number(c, "timeout", 1, TIMEOUT_MAX, &seconds) || !check_guest(c))
        return;
    if (text[0] == '\0') {
        reply_fail(c, "the text to wait for is empty");
        return;
    }
    place.at = max_u64(place.at, guest_console_begin());
    place.missed = 0;
    enum guest_heard how = guest_wait(&place, text, after(seconds));
    guest_view_update();
    struct json *j = how == GUEST_HEARD ? reply_ok(c) : reply_fail(c, "%s", guest_why_not(how, text, seconds, why));
    if (how == GUEST_HEARD)
        json_text(j, "line", guest_view_line(place.at - 1, line));
    if (place.missed > 0)
        json_number(j, "missed", place.missed);
}

/* --- guest log ---------------------------------------------------------------------------------------------------- */

void cmd_guest_log(struct command_call *c)
{
    u64 lines = LOG_LINES, begin = guest_console_begin(), end = guest_console_end();

    if (!arg_key_number(c, "lines", 1, LOG_MAX, &lines))
        return;
    if (begin == end) {
        reply_fail(c, "no guest has said anything");
        return;
    }
    unsigned shown = guest_view_print(guest_console_line(end, (unsigned)lines));
    struct json *j = reply_ok(c);
    json_number(j, "lines", shown);
    json_number(j, "bytes", end - begin);
    json_number(j, "kept", min_u64(end - begin, GUEST_OUTPUT_BYTES));
}
