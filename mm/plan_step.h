/*
 * The inside of a plan: steps filed by round. Round r holds the steps that r TRACKs still follow, so that a builder
 * states for each region how far from its end a step belongs, and regions that need fewer rounds share the last
 * TRACKs with the others:
 *
 *     round 3 | TRACK | round 2 | TRACK | round 1 | TRACK | round 0
 *     BLOCK 1G          DEMOTE 1G         DEMOTE 2M         REMOVE 4K x n
 *                       BLOCK 2M          BLOCK 4K x n
 *
 * A TRACK stands behind a round exactly when the round holds a BLOCK. Steps of one kind at successive addresses are
 * one run.
 */
#ifndef MM_PLAN_STEP_H
#define MM_PLAN_STEP_H

#include "mm/mirror.h"
#include "mm/plan.h"

#define PLAN_ROUNDS      4u
#define PLAN_FIRST_ROUND (PLAN_ROUNDS - 1)

/* Kind, name in print, does it cost a SEAMCALL an element, does it take a table in hand */
#define STEP_LIST(X)                                                                                                   \
    X(STEP_BLOCK, "BLOCK", 1, 0)                                                                                       \
    X(STEP_UNBLOCK, "UNBLOCK", 1, 0)                                                                                   \
    X(STEP_TRACK, "TRACK", 1, 0)                                                                                       \
    X(STEP_DROP_SHARED, "KICK, INVEPT", 0, 0)                                                                          \
    X(STEP_DEMOTE, "DEMOTE", 1, 1)                                                                                     \
    X(STEP_PROMOTE, "PROMOTE", 1, 0)                                                                                   \
    X(STEP_RELOCATE, "RELOCATE", 1, 0)                                                                                 \
    X(STEP_REMOVE, "REMOVE", 1, 0)                                                                                     \
    X(STEP_SEPT_ADD, "SEPT.ADD", 1, 1)                                                                                 \
    X(STEP_SEPT_REMOVE, "SEPT.REMOVE", 1, 0)                                                                           \
    X(STEP_AUG, "AUG", 1, 0)

enum step_kind {
#define X(kind, name, calls, tables) kind,
    STEP_LIST(X)
#undef X
        STEP_KINDS
};

const char *step_name(enum step_kind kind);

/* `count` elements of `level`, the first at `gpa`, one after the other. TRACK and DROP_SHARED have neither address
 * nor level. */
struct plan_step {
    gpa_t gpa;
    u32 count;
    u8 kind;
    level_t level;
};

struct step_chunk;

struct step_list {
    struct step_chunk *first, *last;
    u64 calls;
    bool has_block, has_aug;
};

struct plan {
    struct step_list round[PLAN_ROUNDS];
    bool tracking;              /* false before finalisation: nothing needs BLOCK or TRACK, and none is filed */
    bool skip_refused_promotes; /* tear-down: what PROMOTE refuses stays as it is, blocked */
    bool from_shared; /* the AUGs map what the TD has shared until now: see plan_begin(). Set before building */
    bool gathers;     /* RELOCATEs: their 2M regions have to have a home first */
    enum err err;     /* the first that a plan_add() met */
    u64 tables_needed;
    struct mirror_table *tables; /* in hand */
    u64 tables_in_hand;
};

/* Empties `p`, its pages in hand included. */
void plan_reset(struct plan *p, bool tracking);
/* Files a step. `round` is how many TRACKs follow it, as in the picture above: 0 for what comes last. Errors wait in p->err. */
void plan_add(struct plan *p, unsigned round, enum step_kind kind, gpa_t gpa, level_t level);
bool plan_is_empty(const struct plan *p);

/* Takes the tables that the steps need, near `node`. ERR_NO_MEMORY: nothing is in hand. */
MUST_CHECK enum err plan_take_tables(struct plan *p, unsigned node);
struct mirror_table *plan_next_table(struct plan *p); /* the caller's from now on; there is one */
/* A table is in the plan's hand (again). */
void plan_keep_table(struct plan *p, struct mirror_table *table);

/*
 * The steps in the order of their performance, the TRACKs among them. In a plan from shared memory DROP_SHARED stands
 * in front of the first round with an AUG, unless a TRACK comes before: one way or the other no translation of the
 * shared half is left when the AUGs begin.
 */
struct plan_cursor {
    const struct plan *plan;
    unsigned round;           /* PLAN_ROUNDS before the first step */
    struct step_chunk *chunk; /* NULL: the round is at its end */
    unsigned index;           /* of the next step in the chunk */
    struct plan_step between; /* what stands between two rounds */
};
void plan_begin(struct plan_cursor *c, const struct plan *p);
/* NULL: the end. A step is valid until the next call. */
const struct plan_step *plan_next(struct plan_cursor *c);
unsigned plan_tracks(const struct plan *p);
/* Steps that wait for the vCPUs: TRACKs and DROP_SHARED. With more than one the vCPUs are held out in between. */
unsigned plan_stops(const struct plan *p);
/* The SEAMCALLs up to the last of several stops, TRACKs included: how long the vCPUs are held out. */
u64 plan_pause(const struct plan *p);

#endif
