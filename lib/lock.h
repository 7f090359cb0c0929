/*
 * Locks of the VMM. Functions that need one held say so by a token parameter (`struct rw_held`), which only the lock
 * functions make. Every wait is bounded: LOCK_SPINS turns, then panic, for a lock held that long is a broken invariant.
 *
 * No reader comes in while a writer waits, so one that holds the lock shared must not take it shared again.
 */
#ifndef LIB_LOCK_H
#define LIB_LOCK_H

#include "lib/types.h"

/* clang-format off */
struct spin { _Atomic u32 taken; };
struct rwlock { _Atomic u32 state; /* lock.c has the bits; 0: free */ };
struct rw_held { struct rwlock *lock; bool exclusive; };
/* clang-format on */

void spin_lock(struct spin *s);
MUST_CHECK bool spin_try(struct spin *s); /* false: somebody has it */
void spin_unlock(struct spin *s);

MUST_CHECK struct rw_held rw_lock_shared(struct rwlock *l);
MUST_CHECK struct rw_held rw_lock_exclusive(struct rwlock *l);
void rw_unlock(struct rw_held held);

#endif
