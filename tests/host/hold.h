/*
 * What tests see and decide of tests/host/hold.c. A vCPU of the calling thread has left whenever VMM code runs; those of
 * other threads leave when their thread sees its kick, and the wait for them is the kernel's: by `inside`, `exits` and
 * `epoch`.
 */
#ifndef TESTS_HOST_HOLD_H
#define TESTS_HOST_HOLD_H

#include "mm/hold.h"

struct hold_host {
    _Atomic unsigned depth;   /* hold_begin() without its hold_end() */
    _Atomic u64 kicks, holds; /* rounds of kicks; outermost hold_begin() */
    enum err next;            /* the answer of the next kick or hold; back to ERR_OK after one use */
    void (*kicked)(void);     /* called in each kick (NULL: nothing) */
    u64 write_backs;          /* calls of hold_write_back() */
    enum err write_back;      /* what each of them answers */
    /* A rule that a test breaks to see what comes of it: nothing is done, and the answer is ERR_OK. */
    bool forget_kick, forget_hold;
};
extern struct hold_host hold_host;

/* Is the vCPU asked to leave? Asked once a kick: the thread that runs it looks here while it is inside. */
bool hold_host_asked(const struct vcpu *v);

#endif
