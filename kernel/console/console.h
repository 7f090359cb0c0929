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
/* It came too late for what took it: the next one to ask takes it. */
void console_give_interrupt_back(void);

/* Around what is printed while a line is being typed, at the console's CPU: the line is taken off the screen, and drawn anew. Without
 * one they do nothing. */
void console_hide_line(void);
void console_show_line(void);

/* What is typed is not Septum's: ^C is a byte like others, and interrupts nothing. */
void console_set_raw(bool raw);

/* An interrupt on a vector that nobody uses came: told with the next answer. For the interrupt handler. */
void console_note_stranger(void);
/* The same of an NMI that neither the watchdog nor a panic has sent. */
void console_note_nmi(void);

#endif
