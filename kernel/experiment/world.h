/*
 * What experiments work with: a TD that is there for one of them, work of its payload, time that passes, and counts of
 * what it all cost. Every function is for the console's CPU; ERR_INTERRUPTED: ^C.
 */
#ifndef KERNEL_EXPERIMENT_WORLD_H
#define KERNEL_EXPERIMENT_WORLD_H

#include "kernel/experiment/experiment.h"
#include "kernel/vm/vm.h"
#include "tdx/count.h"

#define WORLD_BASE (64 * MIB) /* regions for experiments begin here, above what the payload uses at first ... */
#define WORLD_HIGH (4 * GIB)  /* ... or here, above the page of the reset vector, where they would meet that */

/* Where so many bytes go that are to be pages of `level`; world_begin() is to have room up to their end. */
gpa_t world_place(u64 bytes, level_t level);

/* A TD that runs, with room for `bytes` at WORLD_BASE. ERR_EXISTS: there is a TD. world_end() tears it down, whatever has
 * happened, and is called after a failure too. */
MUST_CHECK enum err world_begin(struct experiment_run *x, u64 bytes, level_t level, unsigned vcpus);
/* The same, its memory scattered. */
MUST_CHECK enum err world_begin_scattered(struct experiment_run *x, u64 bytes, level_t level, unsigned vcpus);
MUST_CHECK enum err world_end(struct experiment_run *x);
/* vCPUs that wait, in a fault say, go on. */
MUST_CHECK enum err world_run(struct experiment_run *x);

/* Work of the payload on a vCPU, to its end. ERR_TDX: it ended otherwise than by being done. */
MUST_CHECK enum err world_accept(struct experiment_run *x, unsigned vcpu, gpa_t gpa, u64 bytes);
MUST_CHECK enum err world_fill(struct experiment_run *x, unsigned vcpu, gpa_t gpa, u64 bytes);
MUST_CHECK enum err world_verify(struct experiment_run *x, unsigned vcpu, gpa_t gpa, u64 bytes);
MUST_CHECK enum err world_convert(struct experiment_run *x, unsigned vcpu, gpa_t gpa, u64 bytes, bool shared);
/* ACCEPT by pages of 4K alone; and what it takes back, but does not accept. */
MUST_CHECK enum err world_accept_small(struct experiment_run *x, unsigned vcpu, gpa_t gpa, u64 bytes);
MUST_CHECK enum err world_leave_pending(struct experiment_run *x, unsigned vcpu, gpa_t gpa, u64 bytes);
MUST_CHECK enum err world_touch(struct experiment_run *x, unsigned vcpu, gpa_t gpa, u64 bytes, u64 stride, bool write);

/* Any work; and on several vCPUs at once, where each that was begun is to be ended, after a failure too. */
MUST_CHECK enum err world_work(struct experiment_run *x, unsigned vcpu, const struct probe_work *work,
                               struct probe_result *result);
MUST_CHECK enum err world_work_begin(struct experiment_run *x, unsigned vcpu, const struct probe_work *work);
MUST_CHECK enum err world_work_end(struct experiment_run *x, unsigned vcpu, struct probe_result *result);

/* How many 2M pages the TD has. */
MUST_CHECK enum err world_large(struct experiment_run *x, u64 *count);
/* Chooses a merge policy; `values` of its parameters, NULL: as it has them at first. */
struct policy;
MUST_CHECK enum err world_policy(struct experiment_run *x, const struct policy *policy, const u64 *values);

/* What came of an operation of the console's own on the TD's memory: `r` in words where it failed. */
MUST_CHECK enum err world_did(struct experiment_run *x, const char *doing, struct tdp_report r);

/* What a vCPU does from now on beside everything else, until the TD ends: reads a word in each `stride` bytes, at random, a
 * few million a second; or nothing at all, inside the TD. */
MUST_CHECK enum err world_keep_reading(struct experiment_run *x, unsigned vcpu, gpa_t gpa, u64 bytes, u64 stride);
MUST_CHECK enum err world_keep_spinning(struct experiment_run *x, unsigned vcpu);

/* Lets `ms` pass, and the merge policy work. */
MUST_CHECK enum err world_wait(struct experiment_run *x, u64 ms);

/* What the machine has done so far; of two looks the difference counts. */
struct world_counts {
    u64 seamcalls; /* VP.ENTERs, VP.RDs and flushes left out */
    u64 flushes;   /* PHYMEM.PAGE.WBINVDs */
    u64 tracks, kicks, ipis, exits, retries, tsc;
    u64 faults; /* exits by EPT violation */
    u64 leaf[TDX_LEAF_COUNT_MAX];
    struct vm_pauses pauses; /* of all vCPUs together */
    struct world_walks {
        u64 of[3], cycles; /* by size of the page that was found; how long they took */
    } walks;               /* TLB misses of the payload's work: all zero where the TD has no counters */
};
void world_counts(struct world_counts *now);
/* Members of a sample: the difference between two looks. */
void world_add_counts(struct json *j, const struct world_counts *from, const struct world_counts *to);

/* The member `did`: what the merge policy counted between two looks. */
void world_add_policy(struct json *j, const struct tdp_policy_status *from, const struct tdp_policy_status *to);

/* Has the TD performance counters, so that `walks` says something? */
bool world_counts_walks(void);
/* For world.c: a new TD; what the payload says of its work. */
void world_begin_walks(void);
void world_note_walks(const struct probe_result *result);

/* Any distribution that is kept as the pauses are (vm_pauses_add()), between two looks. */
void world_add_spread(struct json *j, const char *key, const struct vm_pauses *from, const struct vm_pauses *to);

#endif
