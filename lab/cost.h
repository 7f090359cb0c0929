/*
 * What things cost in the lab, in ticks of the TSC: the numbers of a profile (sim/profiles/), which tools/lab reads, checks
 * and hands over. Some are by page size.
 */
#ifndef LAB_COST_H
#define LAB_COST_H

#include "lib/types.h"

#define COST_LEVELS 3 /* 0 4K, 1 2M, 2 1G */
#define COST_4K     1u
#define COST_2M     2u
#define COST_1G     4u
#define COST_ONE    0u /* not by page size */

/* Symbol, name in profiles, page sizes. sim/profiles/keys says what each is. */
/* clang-format off */
#define COST_LIST(X) \
    X(SEAMCALL,    "seamcall",                COST_ONE) \
    X(PAGE_ADD,    "tdh_mem_page_add",        COST_ONE) \
    X(PAGE_AUG,    "tdh_mem_page_aug",        COST_4K | COST_2M) \
    X(DEMOTE,      "tdh_mem_page_demote",     COST_2M | COST_1G) \
    X(PROMOTE,     "tdh_mem_page_promote",    COST_2M | COST_1G) \
    X(RELOCATE,    "tdh_mem_page_relocate",   COST_ONE) \
    X(REMOVE,      "tdh_mem_page_remove",     COST_4K | COST_2M | COST_1G) \
    X(BLOCK,       "tdh_mem_range_block",     COST_4K | COST_2M | COST_1G) \
    X(UNBLOCK,     "tdh_mem_range_unblock",   COST_4K | COST_2M | COST_1G) \
    X(SEPT_ADD,    "tdh_mem_sept_add",        COST_ONE) \
    X(SEPT_RD,     "tdh_mem_sept_rd",         COST_ONE) \
    X(SEPT_REMOVE, "tdh_mem_sept_remove",     COST_ONE) \
    X(TRACK,       "tdh_mem_track",           COST_ONE) \
    X(RECLAIM,     "tdh_phymem_page_reclaim", COST_ONE) \
    X(WBINVD,      "tdh_phymem_page_wbinvd",  COST_ONE) \
    X(VP_ENTER,    "tdh_vp_enter",            COST_ONE) \
    X(TD_EXIT,     "td_exit",                 COST_ONE) \
    X(TDCALL,      "tdcall",                  COST_ONE) \
    X(ACCEPT,      "tdg_mem_page_accept",     COST_4K | COST_2M) \
    X(VE,          "ve",                      COST_ONE) \
    X(VMM,         "vmm_step",                COST_ONE) \
    X(IPI,         "ipi",                     COST_ONE) \
    X(INTERRUPT,   "interrupt",               COST_ONE) \
    X(INVEPT,      "invept",                  COST_ONE) \
    X(FLUSH_PAGE,  "flush_page",              COST_ONE) \
    X(RESET_PAGE,  "reset_page",              COST_ONE) \
    X(CACHE_WB,    "wbinvd",                  COST_ONE) \
    X(TLB_MISS,    "tlb_miss",                COST_4K | COST_2M | COST_1G) \
    X(TOUCH,       "touch",                   COST_ONE) \
    X(ACCESS,      "access",                  COST_ONE) \
    X(PAUSE,       "pause",                   COST_ONE) \
    X(RDTSC,       "rdtsc",                   COST_ONE) \
    X(TLB_ENTRIES, "tlb_entries",             COST_4K | COST_2M | COST_1G)
/* clang-format on */

enum cost {
#define X(symbol, name, levels) COST_##symbol,
    COST_LIST(X)
#undef X
        COSTS
};

extern u64 costs[COSTS][COST_LEVELS]; /* constant after start */

static inline u64 cost_of(enum cost c)
{
    return costs[c][0];
}

static inline u64 cost_at(enum cost c, unsigned level)
{
    return costs[c][level < COST_LEVELS ? level : COST_LEVELS - 1];
}

/* Takes "name=N" or "name.2m=N". False: that is no number of a profile. */
bool cost_set(const char *assignment);
/* The first number that was not set, as cost_set() calls it; NULL: all are there. */
const char *cost_missing(void);

/* Of the SEAMCALL with these RAX and RCX. */
u64 cost_of_seamcall(u64 rax, u64 rcx);
/* Of the TDCALL with these RAX and RCX, as far as the module works for it. */
u64 cost_of_tdcall(u64 rax, u64 rcx);

#endif
