/*
 * A TD of several vCPUs in a host process, each on a thread of its own that is also its CPU, over the VMM's real mm/ and
 * tdx/ and the real module model. Inside, a vCPU touches memory through a translation cache that only the epoch rules and
 * INVEPT empty, so that a VMM that forgets either lets it read and write pages that are no longer its own; what every
 * vCPU wrote is verified, by it, again and again.
 *
 * Memory: the regions below `CROWD_COMMON` are dealt out to the vCPUs in pieces of 64K, so that they meet in each of them;
 * those above belong to one vCPU each as a whole. Other CPUs, operators, split, merge, block, move and look at any of
 * it meanwhile.
 */
#ifndef TESTS_HOST_CROWD_H
#define TESTS_HOST_CROWD_H

#include "mm/tdp.h"

struct crowd_plan {
    unsigned vcpus, operators; /* at most 7 together with the CPU of the caller */
    u64 seed;
    u64 steps;      /* of each vCPU */
    unsigned baton; /* threads take turns at about one point of so many, and all repeats; 0: they run free */
    enum tdp_backing backing;
    bool giant;                /* in place: a GiB more, above, in which only operators work */
    unsigned busy, interrupts; /* of 1000 calls, of 1000 polls */
    unsigned stops;            /* of 1000 questions whether an operation is to stop */
    /* Of 1000 calls of the TDP MMU's leaves so many are not executed and answer what is no success, each leaf the statuses of
     * the list in turn; at most one in an operation, so that it can be undone. */
    unsigned faults;
    bool kicks_again; /* tdp_set_kick_again() */
    bool policies;    /* the operators are merge policies too, now one, now another */
    u64 fatal_at;     /* this call says that the TD is dead; 0: none */
};

struct crowd_result {
    u64 steps, faults, operations; /* done */
    u64 busy, interrupted;         /* operations that ended so */
    unsigned faults_missing;       /* pairs of a leaf and a status that it has not answered */
};

/* The machine, the TD, the work, the verification and the end; fails the test where anything is wrong. */
struct crowd_result crowd_run(const struct crowd_plan *plan);
/* Prints what `faults_missing` of the last run, whose plan is still there, is made of. */
void crowd_tell_missing(void);

/*
 * The same TD for tests that say themselves what happens. The caller's thread is CPU 0, and vCPU 1's while it is inside. A
 * spy is vCPU 0 on a thread of its own: it goes in, translates `gpa`, and stays inside with that translation, as long as
 * nobody kicks it, until it is told to write there; thrown out it goes in again.
 */
void crowd_open(const struct crowd_plan *plan);
/* `whole`: everything has to agree, and be given back. */
void crowd_close(bool whole);
struct tdp *crowd_tdp(void);
void crowd_spy_enter(u64 gpa, bool shared);
/* Tells it to write `value`, and leaves it some time for that. */
void crowd_spy_tell(u64 value);
/* Waits for its end. ERR_OK: it has written; else why a fault of it was not answered. */
enum err crowd_spy_end(void);
/* vCPU 1: ACCEPT of a 4K or 2M page, and what it reads in private memory. */
void crowd_accept(u64 gpa, unsigned level);
u64 crowd_read(u64 gpa);

#endif
