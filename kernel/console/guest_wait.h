/* Waiting for what the guest says. For the console's CPU. */
#ifndef KERNEL_CONSOLE_GUEST_WAIT_H
#define KERNEL_CONSOLE_GUEST_WAIT_H

#include "kernel/console/guest_view.h"

enum guest_heard {
    GUEST_HEARD,   /* the place is behind the text */
    GUEST_LATE,    /* time is up */
    GUEST_STOPPED, /* ^C */
    GUEST_QUIET,   /* no vCPU runs, and it had not said it */
};

/* Until time_us() is `until`, in what it says from the place on. */
MUST_CHECK enum guest_heard guest_wait(struct guest_place *place, const char *text, u64 until);

/* Does no vCPU run, for good or until `td run`? And why, as far as one says it. */
bool guest_is_quiet(void);
const char *guest_why_quiet(void);

/* Why it was not heard, with the guest's last line. */
#define GUEST_WHY_BYTES 1280u
const char *guest_why_not(enum guest_heard how, const char *text, u64 seconds, char to[GUEST_WHY_BYTES]);

#endif
