/*
 * The TDP MMU of one TD: its memory slots, the mirror of the Secure EPT, plans and their performance, the shared EPT.
 * What it rests on and the shortest sequences: docs/tdp-mmu.md. Any CPU may call any function at any time but
 * for tdp_create(), tdp_add_slot(), tdp_prepare_destroy() and tdp_destroy(), which have the TD for themselves; they lock
 * for themselves, and work side by side where they are about different memory. ERR_BUSY: others are at work on the same
 * memory and do not end, or the module is busy beyond all bounds; nothing is done, or part of it as for ERR_TDX. Addresses
 * are GPAs without the shared bit; every page comes from mm/page.h and goes back there.
 */
#ifndef MM_TDP_H
#define MM_TDP_H

#include "lib/addr.h"
#include "lib/err.h"
#include "mm/claim.h"
#include "mm/plan.h"
#include "tdx/td.h"

enum tdp_attr { TDP_PRIVATE, TDP_SHARED };
enum tdp_backing { TDP_INPLACE, TDP_SCATTER };

struct tdp; /* mm/tdp_internal.h */

/* Creates slots and the empty mirror for TD memory [0, bytes). `level` is the largest mapping allowed; `node`: the NUMA node that
 * backs it, or PAGE_ANY_NODE. */
MUST_CHECK enum err tdp_create(struct tdp **out, struct td *td, u64 bytes, level_t level, enum tdp_backing backing,
                               unsigned node);
/* Another private slot outside the first, such as the page of the reset vector; backed by 4K pages. */
MUST_CHECK enum err tdp_add_slot(struct tdp *t, gpa_t base, u64 bytes);

/*
 * [base, base + bytes) is a device's, once and before anything is loaded: what the TD does there raises #VE in it, and nothing is ever
 * mapped. Where memory reaches so far its pages count as shared for good. ERR_EXISTS: a part of it is memory, or there is a device.
 */
MUST_CHECK enum err tdp_add_device(struct tdp *t, gpa_t base, u64 bytes);

/*
 * What operations may choose, from their next on. Where 4K pages are to stand in a whole free 2M region, TDP_CALLS takes
 * AUG of 2M, BLOCK, TRACK and DEMOTE, the fewest SEAMCALLs; TDP_TIME 512 times AUG, which stop no vCPU. `back`: the
 * largest page that a conversion to private maps at once, 4K or 2M (at first) where the TD may have it.
 */
enum tdp_goal { TDP_CALLS, TDP_TIME };
struct tdp_choice {
    enum tdp_goal goal;
    level_t back;
};
struct tdp_choice tdp_choice(const struct tdp *t);
void tdp_choose(struct tdp *t, struct tdp_choice choice);

/* Before finalisation: tables and PAGE.ADD of `bytes` (4K multiple) copied from VMM memory, each followed by MR.EXTEND if the
 * content is to be `measured`. */
MUST_CHECK struct tdp_report tdp_load(struct tdp *t, gpa_t gpa, const void *source, u64 bytes, bool measured);
/* Marks a range shared for good before the TD runs, backed by the slot, mapped in the shared EPT, zeroed. */
MUST_CHECK struct tdp_report tdp_make_shared(struct tdp *t, gpa_t gpa, u64 bytes);
/* VMM pointer to one page that is shared now, or NULL. */
void *tdp_shared_ptr(struct tdp *t, gpa_t gpa);
/* The same, and it stays shared until tdp_shared_release(), for a few instructions; NULL: nothing is to be released. */
void *tdp_shared_hold(struct tdp *t, gpa_t gpa, struct claim *claim);
void tdp_shared_release(struct tdp *t, struct claim *claim);
/* What goes into the shared EPT pointer of each vCPU (TDH.VP.WR). */
hpa_t tdp_shared_root(const struct tdp *t);

/*
 * `stop`, where there is one, is asked between any two steps of an operation that is no fault, on the CPU that performs
 * it: true ends the operation there with ERR_INTERRUPTED. What it has blocked is unblocked; what is split, merged, moved
 * or converted by then stays so, and `at` says where it ended. May change at any time.
 */
void tdp_set_stop(struct tdp *t, bool (*stop)(void));

/* The longest pause of the vCPUs in a conversion, in SEAMCALLs made while they are held out: one that would have more is
 * done in pieces, each with TRACKs of its own, but a piece is never less than a 2M region. To be set before the TD has
 * vCPUs. */
#define TDP_PAUSE_DEFAULT 4096u
void tdp_set_pause(struct tdp *t, u64 seamcalls);
/* Operations of several TRACKs hold the vCPUs out from the first to the last, which is one round of kicks; or, with `again`,
 * let them run in between and kick them once more at each. To be set as the pause is. */
void tdp_set_kick_again(struct tdp *t, bool again);

/*
 * Each operation is a plan, then its performance; with `dry` non-NULL the plan is written there and nothing is
 * changed. Ranges are 4K multiples inside one slot. Where a page cannot be flushed that the TD gave back, it is out of use
 * for good: report.lost counts them. A conversion to shared ends there with the flush's error (what was one mapping with
 * that page is unmapped too), and nothing is mapped there again by either side: ERR_LOST. A report that is an error says
 * in `what` what was wrong; where nothing was done it counts no SEAMCALLs. ERR_TD_DEAD: only destruction is left.
 */

/* AUGs what is not mapped by pages of at most `max` (4K or 2M), pending until the TD accepts them. ERR_EXISTS: all of
 * it is mapped. ERR_ATTR_MISMATCH: a part is shared. */
MUST_CHECK struct tdp_report tdp_map(struct tdp *t, gpa_t gpa, u64 bytes, level_t max, struct plan *dry);
/*
 * To shared: private mappings go, larger ones split at the range's ends; the content is zeroed; mapped in the shared
 * EPT at once. To private: AUGed at once by the largest pages that fit into the range. What has the attribute already
 * keeps its content. May end early: [gpa, report.at) is converted, the rest is as it was.
 */
MUST_CHECK struct tdp_report tdp_convert(struct tdp *t, gpa_t gpa, u64 bytes, enum tdp_attr to, struct plan *dry);
/* Scattered memory: every 4K page of the range that is mapped goes to its place in its 2M region's home, content and
 * all; what is not mapped stays where it is. ERR_EXISTS: there is nothing to move. ERR_NOT_FOUND: nothing is mapped.
 * ERR_ATTR_MISMATCH: a part is shared. ERR_STATE: the memory has no home. ERR_NO_MEMORY: no free 2M block for one. */
MUST_CHECK struct tdp_report tdp_relocate(struct tdp *t, gpa_t gpa, u64 bytes, struct plan *dry);
/* A leaf of `level` (2M or 1G) into 512 of the next level. ERR_NOT_FOUND, ERR_EXISTS (split already), ERR_STATE. */
MUST_CHECK struct tdp_report tdp_split(struct tdp *t, gpa_t gpa, level_t level, struct plan *dry);
/* A region into a leaf of `level`, what is at 4K below it first. ERR_STATE: not all of it is mapped, private, unblocked
 * and in place. ERR_TDX: PROMOTE refused, for not all of it is accepted; all is as before. */
MUST_CHECK struct tdp_report tdp_merge(struct tdp *t, gpa_t gpa, level_t level, struct plan *dry);
/* Each region of `level` inside the range that can be a leaf becomes one, all behind the same TRACKs; r.regions says how
 * many did. Those that PROMOTE refuses are as before. ERR_STATE: there was none. */
MUST_CHECK struct tdp_report tdp_merge_range(struct tdp *t, gpa_t gpa, u64 bytes, level_t level, struct plan *dry);

/* Operations about different memory in one plan: their TRACKs are shared. `bytes` of conversions and relocations, `level`
 * of splits and merges. A failure may leave conversions done in part, and others done or as they were. */
#define TDP_PARTS_MAX 16u
enum tdp_part_kind { TDP_SHARE, TDP_SPLIT, TDP_MERGE, TDP_RELOCATE };
struct tdp_part {
    enum tdp_part_kind kind;
    gpa_t gpa;
    u64 bytes;
    level_t level;
};
MUST_CHECK struct tdp_report tdp_together(struct tdp *t, const struct tdp_part *parts, unsigned count,
                                          struct plan *dry);

/*
 * Merge policies (mm/policy/policy.h). Choosing one takes the blocks of the one before away, and tells it of candidates that
 * stand; `values`: of its POLICY_PARAMETERS_MAX parameters. ERR_BUSY: another CPU's tick does not end, or some regions could
 * not be unblocked and stay so until they are touched. A tick is the policy's time to work, on any CPU, `now` in ms from
 * whatever beginning, never backwards; where another CPU is at it, or the TD does not run, it does nothing.
 */
struct policy;
/* clang-format off */
#define TDP_POLICY_COUNTER_LIST(X)                                                                                     \
    X(CANDIDATES, "candidates") /* regions that came to be all leaves at home */                                       \
    X(LOOKS, "looks")           /* by SEPT.RD, at whether a region is accepted ... */                                  \
    X(PENDING, "pending")       /* ... and it was not */                                                               \
    X(BLOCKED, "blocked")       /* regions */                                                                          \
    X(TOUCHED, "touched")       /* blocked entries that a vCPU touched */                                              \
    X(MERGED, "merged")         /* regions, those merged by hand included */                                           \
    X(REFUSED, "refused")       /* PROMOTEs */                                                                         \
    X(COLD, "cold")             /* regions that were blocked, and not touched in time */                               \
    X(IN_VAIN, "in_vain")       /* blocks of a region that ended in UNBLOCK, touched or not, and no merge */             \
    X(DEFERRED, "deferred")     /* BLOCKs, a vCPU standing in a fault there */                                         \
    X(FAILED, "failed")         /* steps that the module refused for another reason */                                 \
    X(SEAMCALLS, "seamcalls")   /* of all of it, but for what vCPUs' faults cost */                                    \
    X(TOUCH_SEAMCALLS, "touch_seamcalls") /* of vCPUs' faults on blocked entries */                                    \
    X(TRACKS, "tracks")                                                                                                \
    X(IPIS, "ipis")
/* clang-format on */
enum tdp_policy_counter {
#define X(name, text) TDP_POLICY_##name,
    TDP_POLICY_COUNTER_LIST(X)
#undef X
        TDP_POLICY_COUNTERS
};
struct tdp_policy_status {
    const struct policy *policy;
    u64 values[4];
    u64 counters[TDP_POLICY_COUNTERS]; /* since the TD was created */
    u64 ready, blocked, resting;       /* regions in the queue */
};
MUST_CHECK enum err tdp_policy_choose(struct tdp *t, const struct policy *policy, const u64 values[]);
void tdp_policy_tick(struct tdp *t, u64 now);
bool tdp_policy_has_work(const struct tdp *t); /* false: its ticks would do nothing */
/* An operation could not be undone, in a policy's tick perhaps, which answers to nobody: only destruction is left. */
bool tdp_is_dead(const struct tdp *t);
void tdp_policy_status(struct tdp *t, struct tdp_policy_status *status);

/*
 * Dirty logging (mm/dirty.h), for all of the first slot. On: splits and blocks what is mapped; ERR_EXISTS: it is on. Get: tells
 * the runs of pages that were touched or mapped since logging began or was asked last, in order, and blocks them again;
 * after an error the 16M where it came to an end are marked as a whole. Off: unblocks; policies may merge again.
 * ERR_NOT_FOUND: it is off. These three are for one CPU at a time.
 */
struct tdp_dirty {
    u64 pages;   /* told */
    u64 by_read; /* pages that only a read had marked at first, since logging began: were they written, nobody knows */
};
MUST_CHECK struct tdp_report tdp_dirty_on(struct tdp *t);
MUST_CHECK struct tdp_report tdp_dirty_get(struct tdp *t, void (*line)(gpa_t from, u64 bytes, void *arg), void *arg,
                                           struct tdp_dirty *dirty);
MUST_CHECK struct tdp_report tdp_dirty_off(struct tdp *t);

/* By hand: BLOCK and TRACK of the entry of exactly `level`, leaf or table; and UNBLOCK. Conversions, splits and merges
 * of a blocked entry itself go on and take the block away. */
MUST_CHECK struct tdp_report tdp_block(struct tdp *t, gpa_t gpa, level_t level, struct plan *dry);
MUST_CHECK struct tdp_report tdp_unblock(struct tdp *t, gpa_t gpa, level_t level, struct plan *dry);

/* An EPT-violation exit. ERR_OK: enter again. ERR_STATE: blocked by hand, the vCPU waits. */
MUST_CHECK struct tdp_report tdp_fault(struct tdp *t, const struct vcpu_exit *exit, unsigned vcpu);

enum tdp_state { TDP_ABSENT, TDP_MAPPED, TDP_PENDING, TDP_BLOCKED, TDP_PENDING_BLOCKED, TDP_IS_SHARED };

struct tdp_walk {
    level_t level;        /* of the entry that ends the walk */
    enum tdp_state state; /* as the module says, or the shared EPT */
    hpa_t page;           /* HPA_NONE where there is none */
    bool is_table;        /* the walk ended at a blocked table */
    bool agree;           /* mirror and module say the same; mapped versus pending left out */
    u64 mirror_raw, module_raw;
};
MUST_CHECK struct tdp_report tdp_walk(struct tdp *t, gpa_t gpa, struct tdp_walk *walk);

struct tdp_census {
    u64 leaf[3];
    u64 blocked;
    u64 tables;
    u64 shared_bytes;
    bool agree;
    gpa_t first_disagreement;
};
/* Every entry of [gpa, gpa + bytes); all of it with bytes 0. Compares each with TDH.MEM.SEPT.RD, vCPUs held out. */
MUST_CHECK struct tdp_report tdp_census(struct tdp *t, gpa_t gpa, u64 bytes, struct tdp_census *census);
/*
 * Calls `line` for each run of equal entries of [gpa, gpa + bytes), all of it with bytes 0: what `sept map` draws. The vCPUs are
 * held out for 512 entries at a time and may change others in between; `line` is called while they are, and should not
 * take long. ERR_INTERRUPTED: stopped, as a census may be too.
 */
MUST_CHECK struct tdp_report
tdp_each_run(struct tdp *t, gpa_t gpa, u64 bytes,
             void (*line)(gpa_t from, u64 bytes, level_t level, enum tdp_state state, void *arg), void *arg);

/* How many bytes are mapped private by pages of each level, accepted or not, blocked or not; and shared. By the mirror
 * alone: no SEAMCALL, and no vCPU is held out. GiB by GiB, so that with vCPUs at work the sum is of no one moment. */
struct tdp_sizes {
    u64 mapped[3];
    u64 shared;
};
MUST_CHECK struct tdp_report tdp_sizes(struct tdp *t, struct tdp_sizes *sizes);
/* The same at a glance, for one CPU at a time: where an operation has a GiB to itself it is waited for while is_patient()
 * says so, and then the GiB is counted as it was at the last glance, as nothing at the first. *old: how many GiB were. */
MUST_CHECK struct tdp_report tdp_glance(struct tdp *t, bool (*is_patient)(void), struct tdp_sizes *sizes, u64 *old);
/* Of the leaf that maps the 2M region at `gpa` as one, or more than it, blocked or not; 4K: none does, or what is above it
 * is blocked. By the mirror alone, too. ERR_BUSY: others are at work there and do not end. */
MUST_CHECK enum err tdp_level(struct tdp *t, gpa_t gpa, level_t *level);
/* Is any page of the 2M region at `gpa` shared, as the last conversion has it? */
bool tdp_has_shared(struct tdp *t, gpa_t gpa);

/* Merges what saves calls, before td_release_key(). */
MUST_CHECK struct tdp_report tdp_prepare_destroy(struct tdp *t);
/* After td_release_key(): RECLAIM of every page, everything back to mm/page.h, `t` gone. */
MUST_CHECK struct tdp_report tdp_destroy(struct tdp *t);

#endif
