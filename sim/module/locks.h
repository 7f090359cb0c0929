/*
 * The module's locks. None of them waits: who does not get one at once answers BUSY (TDX Module v1.5 Base Architecture
 * Specification, "Concurrency Restrictions and Enforcement").
 *
 *   plain          u16: bit 0 exclusive, 15:1 number of sharers. The S-EPT tree, TD_EPOCH, KOT, TDMR, SYS.
 *   host priority  u16: bit 0 exclusive, bit 1 the host wants it, 15:2 sharers. PAMT entries, op state, RTMR. A host
 * that fails leaves the mark; a guest that meets it fails too, until a host has had the lock. S-EPT entry    bits
 * SEPT_LOCK and SEPT_HOST_PRIORITY of the entry: exclusive only, with the same mark.
 *
 * A call's locks are kept in its lock list and released in reverse order when it ends (call.h). Lock order: SYS, PAMT
 * entry of the TDR, of other operands, op state, KOT, S-EPT tree, S-EPT entry, PAMT entry of the page; nothing waits,
 * so no order can deadlock, but BUSY statuses depend on it.
 */
#ifndef SIM_MODULE_LOCKS_H
#define SIM_MODULE_LOCKS_H

#include "sim/module/state.h"

enum lock_result { LOCK_TAKEN, LOCK_BUSY, LOCK_BUSY_HOST_PRIORITY };

/*
 * Take a lock and note it in the list. `guest`: the TD asks (TDCALL), not the VMM. On failure nothing is held;
 * host-priority kinds leave the host's mark.
 */
enum lock_result mdl_lock(struct seam_lp *lp, struct lock_list *list, void *lock, enum lock_kind kind,
                          enum lock_mode mode, bool guest);
/* From shared to exclusive, for a lock that the list holds shared. LOCK_BUSY: still held shared. */
enum lock_result mdl_lock_promote(struct seam_lp *lp, struct lock_list *list, void *lock);
/* Release one lock of the list, or the newest ones until `keep` are left (0: all). */
void mdl_unlock(struct seam_lp *lp, struct lock_list *list, void *lock);
/* The lock was released by a store of the entry that holds it. */
void mdl_unlock_forget(struct lock_list *list, void *lock);
void mdl_unlock_to(struct seam_lp *lp, struct lock_list *list, unsigned keep);

/* A call has this lock of kind host priority for itself at the moment. */
bool mdl_is_exclusive(const u16 *lock);

/* S-EPT entries outside any list, for the host's leafs that lock whole tables. */
bool mdl_try_sept_entry(struct seam_lp *lp, u64 *entry);
void mdl_release_sept_entry(struct seam_lp *lp, u64 *entry);

#endif
