/* The shell of a Linux in the TD of an experiment: what it says, and the lines that it is to run. All for the console's CPU. */
#ifndef KERNEL_EXPERIMENT_LINUX_GUEST_H
#define KERNEL_EXPERIMENT_LINUX_GUEST_H

#include "kernel/experiment/world.h"
#include "kernel/vm/guest_console.h"

struct linux_guest {
    struct experiment_run *x;
    u64 seconds; /* that it has for all that is waited for */
    u64 every_ms;
    enum err (*meanwhile)(void *arg); /* every so often; an error, told in x->fault, ends the wait */
    void *arg;
    struct guest_place heard;
};

/* A new guest: what it says counts from its first byte on. */
void linux_guest_begin(struct linux_guest *g);
/* Waits until it says `text`. ERR_TIMEOUT; ERR_STATE: it does not run any more. */
MUST_CHECK enum err linux_guest_hear(struct linux_guest *g, const char *text);
/* Has its shell run a line to its end. ERR_STATE: it ended with another status than 0, or the guest does not run. */
MUST_CHECK enum err linux_guest_run(struct linux_guest *g, const char *line);

#endif
