/*
 * Long answers a page at a time, for a person at a terminal: off until the option rows= or the command `rows` says how many rows
 * the terminal has, and for lines that are typed alone, those of scripts never. Only commands that tell something are paged
 * (command.c), so that nothing waits in the midst of its work, and never the answer's `@` line, an error or a message.
 *
 * A space brings a page, enter a line, q or ^C the `@` line. Any other key, input that is there already, or none for ten minutes
 * end it: the rest comes at once, and what was typed is read as ever.
 */
#ifndef KERNEL_CONSOLE_PAGER_H
#define KERNEL_CONSOLE_PAGER_H

#define PAGER_ROWS_MAX 1000u
#define PAGER_ROWS_MIN 3u /* two rows of text, and the one that asks */

/* 0: off. */
void pager_set_rows(unsigned rows);
unsigned pager_rows(void);

/* Around what a command tells, on the console's CPU; what is no longer wanted is dropped in between. */
void pager_begin(void);
void pager_end(void);

#endif
