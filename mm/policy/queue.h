/*
 * What a merge policy knows of the regions of a TD that could become one page: which wait to be merged, which it has
 * blocked to see whether they are touched, which rest after a merge was refused.
 *
 *                    refused                              rest << n has passed
 *     READY ------------------------> RESTING n ---------------------------------> READY
 *       |                                 ^
 *       | blocked                         | touched, and refused
 *       v                                 |
 *     BLOCKED ----------------------------+-----> on no list: merged, converted away, or cold
 *
 * A list is in order of time, so that only its head is ever looked at; a region is on one list at most. The mirror decides
 * what can be done about a region, the queue only remembers which to try: it may tell of one that has changed since.
 *
 * The caller has struct policing's lock.
 */
#ifndef MM_POLICY_QUEUE_H
#define MM_POLICY_QUEUE_H

#include "lib/addr.h"
#include "lib/err.h"

#define QUEUE_RESTS 8u /* each refusal in a row doubles the rest, so often at most */

enum queue_list { QUEUE_NONE, QUEUE_READY, QUEUE_BLOCKED, QUEUE_RESTING, QUEUE_LISTS = QUEUE_RESTING + QUEUE_RESTS };

/* A region of 2M or 1G, aligned. */
struct region {
    gpa_t gpa;
    level_t level;
};

struct queue_node {
    u32 next, prev; /* on its list; QUEUE_END at the ends */
    u32 since;      /* ms, when it came there */
    u8 list;        /* enum queue_list */
    u8 refusals;    /* in a row */
};

struct queue {
    struct queue_node *nodes; /* the 2M regions of [0, bytes), then the 1G regions */
    u64 bytes;                /* of the nodes' memory */
    u32 small, large;         /* how many of each */
    struct {
        u32 first, last, count;
    } lists[QUEUE_LISTS];
};

/* For TD memory [0, bytes). ERR_NO_MEMORY: nothing is taken. */
MUST_CHECK enum err queue_create(struct queue *q, u64 bytes);
void queue_destroy(struct queue *q);

bool queue_holds(const struct queue *q, struct region r); /* is there such a region? */
/* To the end of a list, from whatever list it is on. */
void queue_put(struct queue *q, struct region r, enum queue_list list, u64 now);
/* To the list of those that rest, longer with each refusal. */
void queue_rest(struct queue *q, struct region r, u64 now);
void queue_drop(struct queue *q, struct region r);
bool queue_is_listed(const struct queue *q, struct region r);

/* Takes the head of a list where it has been there for `ms` at least. */
MUST_CHECK bool queue_take(struct queue *q, enum queue_list list, u64 now, u64 ms, struct region *r);
/* How long the head of a list has been there; 0: it is empty. */
u64 queue_age(const struct queue *q, enum queue_list list, u64 now);
/* Those that have rested long enough are ready again, at most `most` of them: `rest` ms after the first refusal. */
void queue_wake(struct queue *q, u64 now, u64 rest, unsigned most);

static inline u32 queue_count(const struct queue *q, enum queue_list list)
{
    return q->lists[list].count;
}
u32 queue_resting(const struct queue *q);

#endif
