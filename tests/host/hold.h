/* What tests see and decide of tests/host/hold.c. */
#ifndef TESTS_HOST_HOLD_H
#define TESTS_HOST_HOLD_H

#include "mm/hold.h"

struct hold_host {
    unsigned depth;   /* hold_begin() without its hold_end() */
    u64 kicks, holds; /* rounds of kicks; outermost hold_begin() */
    enum err next;    /* the answer of the next kick or hold; back to ERR_OK after one use */
    void (*kicked)(
        void); /* called in each kick: where a test lets vCPUs of other threads leave (NULL: nobody is inside) */
};
extern struct hold_host hold_host;

#endif
