/*
 * Workloads: what a guest does to its memory while a merge policy looks after it, for the experiment `policies`. A workload is
 * one file with one struct workload; its sentence in `what` is its documentation, docs/experiments.md says where it comes from.
 *
 * One TD lives through it: rounds of phases, each with its work, then some time for the policy, then a sample. Its memory
 * is a row of regions, 2M or 1G pages, accepted before the policy is chosen. vCPU 0 converts, another touches, as
 * many as wanted read beside them without end.
 */
#ifndef KERNEL_EXPERIMENT_WORKLOAD_WORKLOAD_H
#define KERNEL_EXPERIMENT_WORKLOAD_WORKLOAD_H

#include "kernel/experiment/workload/watch.h"
#include "kernel/experiment/world.h"

struct policy;
struct work;

/* Parameters of the experiment, and what it is told by name. */
enum { REGIONS, ROUNDS, SETTLE, STEP, TOUCH, READERS, TIMES, GAP, SLOWEST, FASTEST, LASTS, FILL, READS };
enum { POLICY, WORKLOAD, LIST, WITH };

#define PHASES_MAX 4u
/* Of each region: never converted, so that who reads it needs not know what is shared just now. */
#define READ_PAGE 300u

struct workload {
    const char *name, *what;
    const char *phases[PHASES_MAX]; /* of each round; none: one without a name */
    level_t level;                  /* of a region */
    bool on_request;                /* not among those that are tried where none is named */
    bool fresh;                     /* each phase is a TD of its own, whose memory nobody has accepted yet */
    bool untouched;                 /* nobody touches memory but the work itself, and `touch` */
    bool leaves_pending;            /* memory that a vCPU cannot read without accepting it */
    bool keeps_time;                /* the work is all the time that there is: the policy gets none behind it */
    /* Regions that it takes; rounds. NULL: as the parameters say. An error is about the parameters. */
    enum err (*plan)(struct experiment_run *x, u64 *regions, u64 *rounds);
    enum err (*work)(struct work *w);
    enum err (*touch)(struct work *w);           /* in the place of work_touch(); NULL: it does */
    void (*add)(struct work *w, struct json *j); /* members of its own; NULL: it has none */
};

struct work {
    struct experiment_run *x;
    const struct workload *workload;
    const struct policy *policy;
    u64 rounds;
    gpa_t base;
    u64 bytes; /* of all regions */
    u64 round, phase;
    u64 conversions; /* in this sample: ranges that were shared, or taken back */
    struct watch *watch;
};

/* All there are; NULL behind the last. */
extern const struct workload *const workloads[];
extern const struct workload workload_back4k, workload_boot, workload_swiotlb, workload_attest, workload_cold,
    workload_pending, workload_rate, workload_list, workload_giant;
/* For a choice "workload". */
const char *workload_name(unsigned n);
const char *workload_what(unsigned n);

/* --- what workloads are made of --- */

/* A page at random that may be converted. */
gpa_t work_random_page(struct work *w);
MUST_CHECK enum err work_share(struct work *w, gpa_t gpa, u64 bytes);
/* At 4K or larger, as the TD's memory allows; and ACCEPT. */
MUST_CHECK enum err work_take_back(struct work *w, gpa_t gpa, u64 bytes);
/* Shares and takes back, and leaves there what was there. */
MUST_CHECK enum err work_cut(struct work *w, gpa_t gpa, u64 bytes);
/* A word of each page is written, as the pattern has it. */
MUST_CHECK enum err work_write(struct work *w, gpa_t gpa, u64 bytes);
/* A vCPU reads a word of each region. */
MUST_CHECK enum err work_touch(struct work *w);
/* What vCPU 0 does to all regions, by parts, so that progress can be told: `doing` "accepting", for people. */
MUST_CHECK enum err work_on_all(struct work *w, const char *doing,
                                enum err (*what)(struct experiment_run *x, unsigned vcpu, gpa_t gpa, u64 bytes));
/* Lets `ms` pass, tells the progress, and looks at the regions. */
MUST_CHECK enum err work_wait(struct work *w, u64 ms);

#endif
