/*
 * Spin and reader-writer locks: see lib/lock.h. A writer that waits says so in the word, and from then on no reader comes
 * in before a writer has been in: those inside leave, and the writer follows, however many readers there are.
 */
#include "lib/lock.h"

#include <stdatomic.h>

#include "lib/hw/cpu.h"
#include "lib/log.h"

#define LOCK_SPINS 1000000000ull /* seconds on any CPU: no holder takes that long */

/* struct rwlock.state: how many readers are inside, below these bits. */
#define RW_WRITER       (1u << 31) /* a writer is inside */
#define RW_WRITER_WAITS (1u << 30) /* any of them: the one that comes in clears it, and those left set it again */

void spin_lock(struct spin *s)
{
    u64 spins = 0;
    while (atomic_exchange_explicit(&s->taken, 1, memory_order_acquire)) {
        if (++spins == LOCK_SPINS)
            panic("spin lock %p is never released", (void *)s);
        cpu_relax();
    }
}

bool spin_try(struct spin *s)
{
    return !atomic_exchange_explicit(&s->taken, 1, memory_order_acquire);
}

void spin_unlock(struct spin *s)
{
    ASSERT(atomic_load_explicit(&s->taken, memory_order_relaxed));
    atomic_store_explicit(&s->taken, 0, memory_order_release);
}

static bool try_shared(struct rwlock *l)
{
    u32 seen = atomic_load_explicit(&l->state, memory_order_relaxed);
    return !(seen & (RW_WRITER | RW_WRITER_WAITS)) &&
           atomic_compare_exchange_weak_explicit(&l->state, &seen, seen + 1, memory_order_acquire,
                                                 memory_order_relaxed);
}

static bool try_exclusive(struct rwlock *l)
{
    u32 seen = atomic_load_explicit(&l->state, memory_order_relaxed);
    if ((seen & ~RW_WRITER_WAITS) == 0)
        return atomic_compare_exchange_weak_explicit(&l->state, &seen, RW_WRITER, memory_order_acquire,
                                                     memory_order_relaxed);
    if (!(seen & RW_WRITER_WAITS))
        atomic_fetch_or_explicit(&l->state, RW_WRITER_WAITS, memory_order_relaxed);
    return false;
}

struct rw_held rw_lock_shared(struct rwlock *l)
{
    for (u64 spins = 0; !try_shared(l); cpu_relax())
        if (++spins == LOCK_SPINS)
            panic("reader-writer lock %p is never released by its writer", (void *)l);
    return (struct rw_held){l, false};
}

struct rw_held rw_lock_exclusive(struct rwlock *l)
{
    for (u64 spins = 0; !try_exclusive(l); cpu_relax())
        if (++spins == LOCK_SPINS)
            panic("reader-writer lock %p is never released", (void *)l);
    return (struct rw_held){l, true};
}

void rw_unlock(struct rw_held held)
{
    u32 seen = atomic_load_explicit(&held.lock->state, memory_order_relaxed);
    ASSERT(held.exclusive ? (seen & ~RW_WRITER_WAITS) == RW_WRITER : (seen & ~RW_WRITER_WAITS) - 1 < RW_WRITER - 1);
    if (held.exclusive)
        atomic_fetch_and_explicit(&held.lock->state, ~RW_WRITER, memory_order_release);
    else
        atomic_fetch_sub_explicit(&held.lock->state, 1, memory_order_release);
}
