/* Rates of one thread and of two: see threads.c. */
#ifndef TESTS_BENCH_THREADS_H
#define TESTS_BENCH_THREADS_H

#include "lib/types.h"

/* Zeroed memory that forked processes share. */
void *threads_shared(u64 bytes);
int threads_main(void);

#endif
