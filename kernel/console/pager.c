/* Long answers a page at a time. See pager.h. */
#include "kernel/console/pager.h"

#include "drivers/serial.h"
#include "kernel/console/console.h"
#include "kernel/print.h"
#include "kernel/time.h"
#include "kernel/vm/vm.h"

#define WAIT_US 600000000ull
#define ASK     "-- space: a page, enter: a line, q: no more --"
#define FORGET  "\r\x1b[K" /* ECMA-48: erase in line */

static unsigned rows;
static unsigned left; /* lines until it asks again */
static bool quit;

void pager_set_rows(unsigned new_rows)
{
    rows = new_rows;
}

unsigned pager_rows(void)
{
    return rows;
}

/* The key stays in the stream; -1: there was none for long. */
static int wait_for_key(void)
{
    u64 from = time_us();

    while (time_us() - from < WAIT_US) {
        if (console_take_interrupt())
            return 'q';
        if (serial_peek() >= 0)
            return serial_peek();
        vm_idle();
    }
    return -1;
}

static void take_key(int key)
{
    switch (key) {
    case ' ':
        left = rows - 1;
        break;
    case '\r':
    case '\n':
        left = 1;
        break;
    case 'q':
        quit = true;
        break;
    default:
        print_filter(NULL);
        return;
    }
    if (serial_peek() == key)
        (void)serial_read();
    if (key == '\r' && serial_peek() == '\n')
        (void)serial_read();
}

static bool want(const char *text, size_t bytes);

static void ask(void)
{
    print_filter(NULL);
    serial_poll();
    if (serial_peek() >= 0) /* nobody has read the page yet */
        return;
    print(ASK);
    int key = wait_for_key();
    print(key == 'q' ? "\n" : FORGET); /* the answer begins its line */
    print_filter(want);
    take_key(key);
}

static bool want(const char *text, size_t bytes)
{
    if (!quit && left == 0)
        ask();
    for (size_t i = 0; i < bytes && left > 0; i++)
        left -= text[i] == '\n';
    return !quit;
}

void pager_begin(void)
{
    if (rows == 0)
        return;
    left = rows - 1;
    quit = false;
    print_filter(want);
}

void pager_end(void)
{
    print_filter(NULL);
}
