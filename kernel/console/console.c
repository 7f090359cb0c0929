/* The console. See console.h. */
#include "kernel/console/console.h"

#include <stdatomic.h>

#include "drivers/serial.h"
#include "kernel/console/command.h"
#include "kernel/console/editor.h"
#include "kernel/hw/traps.h"
#include "kernel/guard/mca.h"
#include "kernel/print.h"
#include "kernel/vm/vm.h"
#include "lib/format.h"
#include "lib/log.h"

_Static_assert(EDITOR_LINE_MAX <= PARSER_LINE_MAX, "what can be typed can be parsed");

static struct editor editor;
static bool is_typing; /* at the prompt: the editor has the line */
static bool is_raw;
static _Atomic unsigned strangers, nmis;

static void begin_line(void)
{
    editor_begin(&editor);
    is_typing = true;
}

void console_hide_line(void)
{
    if (is_typing)
        editor_hide(&editor);
}

void console_show_line(void)
{
    if (is_typing)
        editor_show(&editor);
}

void console_set_raw(bool raw)
{
    (void)serial_take_interrupt();
    is_raw = raw;
}

void console_begin(void)
{
    editor_init(&editor, "septum> ", serial_write, command_complete);
    begin_line();
}

static void refuse_bad_byte(void)
{
    char text[80];

    format_to(text, sizeof(text), "the line holds byte 0x%02x at column %zu, which is no text", editor.bad_byte,
              editor.bad_at + 1);
    command_refuse(text);
}

void console_note_stranger(void)
{
    strangers++;
}

void console_note_nmi(void)
{
    nmis++;
}

static void tell_strangers(void)
{
    unsigned strange = atomic_exchange(&strangers, 0), odd = atomic_exchange(&nmis, 0);

    if (strange != 0)
        log_msg(LOG_WARN, "%u interrupts on vectors that nobody uses; `trace dump form=text` has the newest", strange);
    if (odd != 0)
        log_msg(LOG_WARN,
                "%u NMI%s that Septum has not sent: of the machine's watchdog, its management controller, or its buses",
                odd, odd == 1 ? "" : "s");
}

/* What went wrong beside the command: not in its way, so that lines stay whole. */
static void tell_trouble(void)
{
    unsigned lost = serial_take_overruns();
    u64 dropped = serial_take_lost();
    struct mca_report newest;
    unsigned checks = mca_take_survived(&newest);
    char text[MCA_TEXT_BYTES];

    if (lost != 0)
        log_msg(LOG_WARN, "console: input overrun, about %u bytes lost", lost);
    if (dropped != 0)
        log_msg(LOG_WARN, "console: %llu bytes of output lost: the serial line took none for long",
                (unsigned long long)dropped);
    if (checks != 0)
        log_msg(LOG_WARN, "%u machine check%s survived, the newest: %s", checks, checks == 1 ? "" : "s",
                mca_text(&newest, text));
    tell_strangers();
}

/* ^C forgets what was typed; where there was nothing, it is for the work that goes on beside the console. */
static void cancel(void)
{
    unsigned count = editor.length == 0 ? vm_abort() : 0;

    if (count != 0)
        print("%u vCPU%s taken out of work; `wait all` tells how far it came\n", count, count == 1 ? "" : "s");
}

static void finish(enum editor_event event)
{
    is_typing = false;
    switch (event) {
    case EDITOR_LINE:
        (void)command_run(editor.line, editor.length, COMMAND_QUIET);
        break;
    case EDITOR_TOO_LONG:
        command_refuse("the line is longer than 1023 bytes");
        break;
    case EDITOR_BAD_BYTE:
        refuse_bad_byte();
        break;
    case EDITOR_CANCEL:
        cancel();
        break;
    default:
        break;
    }
    tell_trouble();
    begin_line();
}

bool console_step(void)
{
    bool any = false;

    serial_poll();
    for (int byte = serial_read(); byte >= 0; byte = serial_read()) {
        any = true;
        enum editor_event event = editor_byte(&editor, (u8)byte);
        if (event == EDITOR_MORE)
            continue;
        /* A ^C that the editor took as 'forget this line' must not stop the next command. */
        (void)serial_take_interrupt();
        finish(event);
    }
    return any;
}

_Noreturn void console_run(void)
{
    console_begin();
    for (;;) {
        if (console_step())
            continue;
        vm_idle();
    }
}

bool console_take_interrupt(void)
{
    serial_poll();
    if (is_raw || !serial_take_interrupt())
        return false;
    serial_drop_input();
    return true;
}

void console_give_interrupt_back(void)
{
    serial_give_interrupt_back();
}
