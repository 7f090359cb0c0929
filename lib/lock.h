/*
 * Locks of the VMM. Functions that need one held say so by a token parameter (`struct rw_held`), which only the lock
 * functions make. Every wait is bounded: LOCK_SPINS turns, then panic, for a lock held that long is a broken invariant.
 *
 * No reader comes in while a writer waits, so one that holds the lock shared must not take it shared again.
 */
#ifndef LIB_LOCK_H
#define LIB_LOCK_H

#include <stdatomic.h>

#include "lib/log.h"
#include "lib/types.h"

/* clang-format off */
struct spin { _Atomic u32 taken; };
struct rwlock { _Atomic u32 state; /* lock.c has the bits; 0: free */ };
struct rw_held { struct rwlock *lock; bool exclusive; };
/* clang-format on */

void spin_wait(struct spin *s); /* until it is the caller's */
static inline void spin_lock(struct spin *s)
{
    if (atomic_exchange_explicit(&s->taken, 1, memory_order_acquire))
        spin_wait(s);
}
MUST_CHECK bool spin_try(struct spin *s); /* false: somebody has it */
static inline void spin_unlock(struct spin *s)
{
    ASSERT(atomic_load_explicit(&s->taken, memory_order_relaxed));
    atomic_store_explicit(&s->taken, 0, memory_order_release);
}

/* state: how many readers are inside, and above them these two bits. */
#define RW_WRITER       (1u << 31) /* a writer is inside */
#define RW_WRITER_WAITS (1u << 30) /* any of them: the one that comes in clears it, and those left set it again */

void rw_wait_shared(struct rwlock *l);
static inline bool rw_try_shared(struct rwlock *l)
{
    u32 seen = atomic_load_explicit(&l->state, memory_order_relaxed);
    return seen < RW_WRITER_WAITS && atomic_compare_exchange_weak_explicit(&l->state, &seen, seen + 1,
                                                                           memory_order_acquire, memory_order_relaxed);
}
MUST_CHECK static inline struct rw_held rw_lock_shared(struct rwlock *l)
{
    if (!rw_try_shared(l))
        rw_wait_shared(l);
    return (struct rw_held){l, false};
}
MUST_CHECK struct rw_held rw_lock_exclusive(struct rwlock *l);
static inline void rw_unlock(struct rw_held held)
{
    u32 seen = atomic_load_explicit(&held.lock->state, memory_order_relaxed), inside = seen & ~RW_WRITER_WAITS;
    ASSERT(held.exclusive ? inside == RW_WRITER : inside - 1 < RW_WRITER - 1);
    atomic_fetch_sub_explicit(&held.lock->state, held.exclusive ? RW_WRITER : 1, memory_order_release);
}

#endif
