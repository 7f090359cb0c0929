/*
 * Instructions counted one by one: a process under this one's eyes is stepped through what it calls measured work. The
 * same as what callgrind would count, at native speed outside of it: for processes that are too big for callgrind.
 */
#ifndef TESTS_BENCH_STEPS_H
#define TESTS_BENCH_STEPS_H

#include "lib/types.h"

/* In the child: calls work(arg), whose instructions count but for those of uncounted_*(). Noinline: its entry and return
 * are what the parent looks for. */
void steps_measured(void (*work)(void *arg), void *arg);

/* Forks. child(arg) runs in the child, which is ended after it. In the parent: the counts of its steps_measured(), in order,
 * `max` at most; returns how many. Ends the program where the child fails. */
unsigned steps_count(void (*child)(void *arg), void *arg, u64 *counts, unsigned max);

#endif
