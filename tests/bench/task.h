/*
 * What is counted: tasks, done by Septum's TDP MMU or by the sequence of SEAMCALLs that Linux has for them, and rows, each
 * a task on the state that earlier tasks have made, with the least that it can cost.
 */
#ifndef TESTS_BENCH_TASK_H
#define TESTS_BENCH_TASK_H

#include "lib/addr.h"
#include "lib/types.h"

enum task_kind {
    TASK_NONE,
    TASK_MAP,   /* [gpa, gpa + bytes) by pages of `level` */
    TASK_FAULT, /* an EPT violation by ACCEPT of the page of `level` at gpa */
    TASK_SHARE, /* conversion out */
    TASK_OWN,   /* conversion back, by pages of at most `level` */
    TASK_SPLIT, /* the leaf of `level` at gpa; each 2M one of [gpa, gpa + bytes) */
    TASK_MERGE, /* regions of `level` in [gpa, gpa + bytes) */
    TASK_BLOCK, /* the entry of `level` at gpa, by hand */
    TASK_RELOCATE,
    TASK_ACCEPT_ONE,      /* the TD accepts the 4K page at gpa: its region is in two states now */
    TASK_SHARE_AND_MERGE, /* SHARE of the 4K page at gpa, MERGE of the region at gpa + 2M */
    TASK_TEAR_DOWN,
};

struct task {
    enum task_kind kind;
    u64 gpa, bytes;
    unsigned level;
    bool time; /* plan=time */
};

#define HAVE_MAX 3

/* The bound: SEAMCALLs, TRACKs, rounds of kicks with vCPUs inside. From the table of shortest sequences that a search on
 * a genuine module found (docs/tdp-mmu.md), typed here by hand. `per_vcpu`: more calls for each vCPU (tear-down). */
struct row {
    const char *op;
    struct task have[HAVE_MAX], run;
    u64 calls, tracks, kick_rounds, per_vcpu;
    const char *why; /* what a ratio above 1.0 is for; NULL: there is none */
    u64 features0;
    unsigned nmis; /* so many polls of the module for interrupts find an NMI */
    bool scatter, unfinished, no_linux;
};

extern const struct row rows[];
extern const unsigned row_count;

/* For a fresh TD: its memory is Linux's affair. Then does a task; false: there is no such thing in Linux. */
void linux_start(void);
bool linux_do(const struct task *task, bool measured);

#endif
