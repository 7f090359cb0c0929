/* The CPUs of a host process behind kernel/cpus.h: each a thread, CPU 0 the one that the test runs in. */
#ifndef TESTS_HOST_CPUS_H
#define TESTS_HOST_CPUS_H

#include "kernel/cpus.h"

/* From now on there are so many; cpus_host_stop() ends the threads, which must be idle. One CPU needs neither. */
void cpus_host_start(unsigned count);
void cpus_host_stop(void);

struct cpus_host {
    unsigned failed;        /* so many more are listed, and did not start */
    unsigned kicks;         /* cpus_kick() so far */
    int deaf;               /* the CPU that a call does not reach; 0: none */
    _Atomic int unkickable; /* the CPU that no kick reaches; 0: none */
    _Atomic int drowsy;     /* the CPU that does not see what it is assigned until it is kicked for it again; 0: none */
};
extern struct cpus_host cpus_host;

/* Was the CPU kicked? Told once: what runs on its thread looks here, as an interrupt would come to it. */
bool cpus_host_take_kick(unsigned cpu);

#endif
