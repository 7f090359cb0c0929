/*
 * Performing a plan: the only place where a SEAMCALL can fail midway.
 *
 * Each answer's verdict has one written reply, the same for every kind of step unless said otherwise:
 *
 *     done               the mirror follows, next element
 *     repeat             the same call, bounded (tdx/retry.h); then once more, bounded again, with the vCPUs held out
 *                        (at once where the entry itself is busy); then ERR_BUSY
 *     other step first   TLB_TRACKING_NOT_DONE: one TRACK, then the same call; anything else contradicts the mirror: as
 *                        refused
 *     refused            ERR_TDX; PROMOTE in a plan that skips them: passed over
 *     vCPU dead, unknown as refused
 *     TD dead            ERR_TD_DEAD, no undo: the TD can only be destroyed
 *
 * Holding and TRACK are each tried once an element, whichever comes first. Where a call was busy and none has been a
 * success in the end, one SEPT.RD of the entry comes last, so that no host-priority mark keeps the TD out of it.
 *
 * A plan that does not fit the mirror, for another CPU has changed that since, fails with ERR_BUSY and op->stale: it has to
 * be made again. Between two steps an operation may be stopped: ERR_INTERRUPTED.
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
 * Performs op->plan, whose tables are in hand and whose memory is claimed. Fills err, what, status, at and adds to the
 * counts. `at` is the address of the failing element, or of the last one before a failing TRACK.
 */
void perform(struct tdp_op *op);

/* One step of `kind`, one that takes no table in hand, on the entry that `it` stands at; without a plan, and nothing is
 * undone. op->report says how it ended: ERR_BUSY too where the entry is no longer what `it` read. */
void perform_one(struct tdp_op *op, enum step_kind kind, const struct mirror_iter *it);

/* The AUG of the free entry that `it` stands at, which becomes `home`, without a plan: what most faults come to. False: the
 * entry is no longer free, and nothing was done. True: the report says how it went, as of a plan of this one step. */
MUST_CHECK bool perform_aug(struct tdp *t, struct mirror_iter *it, u64 home, struct tdp_report *r);

#endif
