/*
 * Claims: which part of a TD's memory an operation of its MMU is at work on. An operation claims its range from its plan
 * to its last step, and has it for itself (`exclusive`), or beside others of its kind (faults that only map); ranges that do
 * not meet are worked on side by side.
 *
 *     GPA   0 -------- 2M -------- 4M -------- 6M -------- 8M        in order of arrival
 *     fault of vCPU 0             [ shared ]                          1  has it
 *     fault of vCPU 1             [ shared ]                          2  has it
 *     conversion            [ exclusive            ]                  3  waits for 1 and 2
 *     fault of vCPU 2                         [ shared ]              4  waits for 3: nobody is overtaken
 *     merge     [ exclusive ]                                         5  has it
 *
 * A claim is granted as soon as none that came before it meets it, so none starves, and since an operation has one claim
 * at a time and takes it before any other lock, none waits in a circle. Claims are whole 2M regions, or whole 1G regions
 * where the range cuts a 1G entry (mm/tdp_op.c), and with that guard more than the entries:
 *
 *     - a table is freed only by who has the whole region that it maps exclusively, and read only by who has some part
 *       of that region: nobody ever walks into a table that is gone;
 *     - a 2M region's attributes, backing and shared EPT below its 2M entry change only under an exclusive claim of it.
 *
 * What lies above, in tables of several claims, changes by compare-and-swap (FROZEN in mm/mirror.h, SEPT.ADD alone can
 * meet there) or atomic addition.
 */
#ifndef MM_CLAIM_H
#define MM_CLAIM_H

#include "lib/addr.h"
#include "lib/err.h"
#include "lib/lock.h"

/* Every claim, those that wait included, in order of arrival. `lock`, a leaf in the lock order, guards the list. */
struct claims {
    struct spin lock;
    struct claim *first, *last;
};

struct claim {
    u64 from, end;
    bool exclusive;
    struct claim *next;
};

/* Claims [from, end); `c` is the caller's memory and stays in the list until claim_end(). ERR_BUSY: those that came before
 * do not end; ERR_INTERRUPTED: stop(arg), asked while it waits where it is not NULL, said so. Then nothing is claimed. */
MUST_CHECK enum err claim_begin(struct claims *all, struct claim *c, gpa_t from, gpa_t end, bool exclusive,
                                bool (*stop)(const void *arg), const void *arg);
/* The same without waiting, and without making anybody wait where it is false. */
MUST_CHECK bool claim_try(struct claims *all, struct claim *c, gpa_t from, gpa_t end, bool exclusive);
void claim_end(struct claims *all, struct claim *c);

#endif
