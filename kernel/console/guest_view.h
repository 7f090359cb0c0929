/*
 * What the guest says, shown by whole lines on Septum's console, each with a mark that no program behind it can take for Septum's
 * own lines. Also the line that `guest` gives to a person, where bytes go to and fro as they are.
 */
#ifndef KERNEL_CONSOLE_GUEST_VIEW_H
#define KERNEL_CONSOLE_GUEST_VIEW_H

#include "kernel/vm/guest_console.h"

#define GUEST_MARK       "[guest] "
#define GUEST_LINE_BYTES 512u /* a longer line is shown in pieces */

/* Prints the lines that have come, at the console's CPU whenever it waits. What was typed there stays whole. */
void guest_view_update(void);

/* The guest has ended: prints what it left of a line too. */
void guest_view_finish(void);

/* From now on guest_view_update() does nothing, for the lines are shown by other means; until it is to go on from `from`. */
void guest_view_pause(void);
void guest_view_resume(u64 from);

/* Prints from `from` to the end, also a line that has not ended. How many lines. */
unsigned guest_view_print(u64 from);

/* The line that position `at` is in, as far as it has come. Returns `to`. */
const char *guest_view_line(u64 at, char to[GUEST_LINE_BYTES]);
/* The line by which a kernel said why it gave up, as far as it is kept; "" where none did. Returns `to`. */
const char *guest_view_panic(char to[GUEST_LINE_BYTES]);

#endif
