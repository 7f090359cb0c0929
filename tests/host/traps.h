/* What tests see of tests/host/traps.c. */
#ifndef TESTS_HOST_TRAPS_H
#define TESTS_HOST_TRAPS_H

/* NMIs that were handled because they came while a CPU was in the TD. */
extern unsigned traps_host_nmis;
/* Called where a CPU would halt; NULL: nobody is. */
extern void (*traps_host_wait)(void);

#endif
