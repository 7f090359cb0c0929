/*
 * Performing a plan: the only place where a SEAMCALL can fail midway.
 *
 * Each answer's verdict has one written reply, the same for every kind of step unless said otherwise:
 *
 *     done               the mirror follows, next element
 *     repeat             the same call, bounded (tdx/retry.h); then once more with the vCPUs held out; then ERR_BUSY,
 * after
 *                        one successful SEPT.RD of the entry, so that no host-priority mark keeps the TD out of it
 *     other step first   TLB_TRACKING_NOT_DONE: one TRACK, then once more; anything else contradicts the mirror: as
 * refused
 *     refused            ERR_TDX; PROMOTE in a tear-down plan: passed over
 *     vCPU dead, unknown as refused
 *     TD dead            ERR_TD_DEAD, no undo: the TD can only be destroyed
 *
 * A plan that fails is undone as far as that can be: what it blocked and has not used is tracked and unblocked.
 * DEMOTEs, PROMOTEs and tables stay, they change no translation. What was removed stays removed: from the first
 * REMOVE on a plan only goes forward, and the report says how far it came. Where the undo fails too, the TD is marked
 * dead.
 */
#ifndef MM_PERFORM_H
#define MM_PERFORM_H

#include "mm/tdp_internal.h"

/*
 * Performs `p`, whose tables are in hand, for `t`, whose ops lock is held exclusive. Fills err, what, status, at and
 * adds to the counts. `at` is the address of the failing element, or of the first one in a failing TRACK's plan.

 */
void perform(struct tdp *t, struct plan *p, struct tdp_report *report);

#endif
