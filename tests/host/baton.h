/*
 * Threads that run one at a time, handing each other the baton at points that a seed chooses: what they do repeats from
 * run to run. Without baton_start() all of it does nothing, and the threads run as the machine lets them.
 */
#ifndef TESTS_HOST_BATON_H
#define TESTS_HOST_BATON_H

#include "lib/types.h"

/* `threads` will join; the baton changes hands at about one point of `every`. */
void baton_start(unsigned threads, u64 seed, unsigned every);
/* The calling thread, from now on number `index`, waits until all have joined and it has the baton. */
void baton_join(unsigned index);
/* It hands the baton on and needs it no more. */
void baton_leave(void);
/* Here the baton may change hands. */
void baton_point(void);

#endif
