/*
 * The console: lines from the serial port to commands. See kernel/console/editor.h for the keys.
 */
#ifndef KERNEL_CONSOLE_CONSOLE_H
#define KERNEL_CONSOLE_CONSOLE_H

#include "lib/types.h"

/* Reads and runs commands for ever. */
_Noreturn void console_run(void);

/* Takes what has been typed as far as it is there, and runs complete lines; true when something was there. */
bool console_step(void);
void console_begin(void);

/* True once after ^C. Polls the line, so work that asks now and then needs no interrupts; drops what was typed
 * before. */
bool console_take_interrupt(void);

/* An interrupt on a vector that nobody uses came: told with the next answer. For the interrupt handler. */
void console_note_stranger(void);

#endif
