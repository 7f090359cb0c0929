/*
 * A plan: the list of steps that an operation of the TDP MMU comes to, computed before anything is changed, with
 * every page that it needs already in hand. Performing it is the only place where a SEAMCALL can fail midway.
 */
#ifndef MM_PLAN_H
#define MM_PLAN_H

#include "lib/addr.h"
#include "lib/err.h"
#include "tdx/leaf.h"

struct plan; /* steps, and the pages in hand; mm/plan.c */

/* The result of an operation: how it ended and what it cost. */
struct tdp_report {
    enum err err;
    const char *what;    /* the failing step in words ("PROMOTE 2M"), or what was wrong; NULL when fine */
    tdx_status_t status; /* when err is ERR_TDX */
    gpa_t at;            /* where it failed; how far a conversion came */
    hpa_t page;          /* the host's page that the failure is about; 0: none in particular */
    u64 seamcalls, tracks, ipis, tsc;
    u64 lost;    /* 4K pages whose flush failed (mm/flush.h): nobody uses them any more */
    u64 regions; /* merge of a range: how many became one page each */
};

MUST_CHECK struct plan *plan_new(void); /* NULL: no memory */
void plan_free(struct plan *p);         /* unused pages go back */
/* Performing `p` would cost this; and "BLOCK 2M @0x200000" or "REMOVE 4K x 12 @0x201000", one line a step, runs
 * folded. */
u64 plan_seamcalls(const struct plan *p);
u64 plan_kick_rounds(const struct plan *p);
unsigned plan_lines(const struct plan *p);
size_t plan_line(const struct plan *p, unsigned line, char *to, size_t bytes);

#endif
