/* Spin and reader-writer locks: see lib/lock.h. A writer waits for the readers to leave; readers may starve it, for
 * hold times are short and the bound tells. */
#include "lib/lock.h"

#include <stdatomic.h>

#include "lib/hw/cpu.h"
#include "lib/log.h"

#define LOCK_SPINS 1000000000ull /* seconds on any CPU: no holder takes that long */
#define RW_WRITER  (~0u)

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
    return seen != RW_WRITER && atomic_compare_exchange_weak_explicit(&l->state, &seen, seen + 1, memory_order_acquire,
                                                                      memory_order_relaxed);
}

static bool try_exclusive(struct rwlock *l)
{
    u32 free = 0;
    return atomic_compare_exchange_weak_explicit(&l->state, &free, RW_WRITER, memory_order_acquire,
                                                 memory_order_relaxed);
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
    ASSERT(held.exclusive ? seen == RW_WRITER : seen != 0 && seen != RW_WRITER);
    if (held.exclusive)
        atomic_store_explicit(&held.lock->state, 0, memory_order_release);
    else
        atomic_fetch_sub_explicit(&held.lock->state, 1, memory_order_release);
}
