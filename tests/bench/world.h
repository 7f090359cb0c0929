/*
 * A TDX machine in a host process for counting: the VMM's mm/ and tdx/ and the module model, without sanitizers, and
 * vCPUs that are inside the TD until they are kicked. One thread plays all of it, so each count repeats exactly: vCPU i
 * stands inside on logical processor i + 1, and leaves when mm/hold.h wants it out, at once.
 *
 * Left out: code of the TD, caches, time.
 */
#ifndef TESTS_BENCH_WORLD_H
#define TESTS_BENCH_WORLD_H

#include "mm/tdp.h"
#include "tdx/td.h"

#define WORLD_4K 0x1000ull
#define WORLD_2M 0x200000ull
#define WORLD_1G 0x40000000ull

struct world_config {
    u64 features0; /* beside those of module 1.5.01 */
    u64 td_bytes;
    unsigned vcpus; /* WORLD_CPUS - 1 at most */
    enum tdp_backing backing;
    bool unfinished; /* not finalised: no vCPU can be inside */
};

/* From now on so many of the module's polls for interrupts find an NMI on its way. */
void world_send_nmis(unsigned count);

/* What happened since world_counts_reset(). */
struct world_counts {
    u64 kick_rounds, ipis, exits;
    u64 longest_pause; /* SEAMCALLs while a vCPU was out */
};

struct world {
    struct td td;
    struct tdp *tdp; /* NULL until world_use_septum() */
    struct world_counts counts;
};
extern struct world world;

/* The machine, once a process; it is big and takes a while, so processes that want a fresh one are forked from one that
 * has it. */
#define WORLD_CPUS 5u
void world_boot(u64 memory_bytes);
/* A TD, one in a machine. */
void world_start(const struct world_config *config);
/* Septum's TDP MMU for the TD. Without it the TD's memory is the caller's affair. */
void world_use_septum(void);
/* MR.FINALIZE. */
void world_finalize(void);
/* All vCPUs go inside; and out for good. */
void world_enter(void);
void world_leave(void);
/* One round of kicks to all of them; each enters again at once. What a TRACK needs behind it. */
void world_kick(void);

/* SEAMCALLs so far, page flushes (PHYMEM.PAGE.WBINVD) left out; and 4K pages flushed. */
u64 world_calls(void);
u64 world_tracks(void);
u64 world_flushes(void);
void world_counts_reset(void);

_Noreturn void world_fail(const char *what, u64 value);

#endif
