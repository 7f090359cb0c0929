/*
 * Machine checks: what the banks of this CPU say, and what may go on. SDM vol. 3, chapter 16 ("Machine-check architecture"),
 * sections on error codes and recovery. A broken page that a TD met kills the TD (kernel/vm/run.c); one that the VMM met, or a
 * context that is not sound any more, is a panic; what asks for no action is counted, and told later.
 */
#ifndef KERNEL_GUARD_MCA_H
#define KERNEL_GUARD_MCA_H

#include "lib/addr.h"

/* In the order of how bad it is. */
enum mca_verdict {
    MCA_NOTHING,  /* no bank of this CPU has anything: another CPU's, where machine checks go to all */
    MCA_SURVIVED, /* corrected, or nobody has used the broken data yet */
    MCA_MEMORY,   /* whoever used the page at `at` cannot go on; all others can */
    MCA_FATAL,
};

struct mca_report {
    enum mca_verdict verdict;
    bool can_resume; /* the interrupted instruction may go on */
    unsigned bank;   /* the worst */
    u64 status;      /* of that bank */
    hpa_t at;        /* 4K aligned, without KeyID; HPA_NONE: not told */
};

/* Reads the banks, and clears them for the next unless it is fatal: then the firmware finds them after the reset. On the CPU that
 * met it, interrupts off. */
struct mca_report mca_take(void);

/* Lets all banks report; what the firmware left in them is told by the first CPU, and cleared. On each CPU once. */
void mca_init(void);

/* "bank 1, status 0xbd80000000100134, address 0x12345000". Returns `to`. */
#define MCA_TEXT_BYTES 96
const char *mca_text(const struct mca_report *r, char to[MCA_TEXT_BYTES]);

/* For the console: machine checks that were survived since the last call, and the newest of them. */
unsigned mca_take_survived(struct mca_report *newest);

#endif
