/*
 * Spin and reader-writer locks: see lib/lock.h. A writer that waits says so in the word, and from then on no reader comes
 * in before a writer has been in: those inside leave, and the writer follows, however many readers there are.
 */
#include "lib/lock.h"

#include <stdatomic.h>

#include "lib/hw/cpu.h"
#include "lib/log.h"

#define LOCK_SPINS 1000000000ull /* seconds on any CPU: no holder takes that long */

void spin_wait(struct spin *s)
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

void rw_wait_shared(struct rwlock *l)
{
    for (u64 spins = 0; !rw_try_shared(l); cpu_relax())
        if (++spins == LOCK_SPINS)
            panic("reader-writer lock %p is never released by its writer", (void *)l);
}

struct rw_held rw_lock_exclusive(struct rwlock *l)
{
    for (u64 spins = 0; !try_exclusive(l); cpu_relax())
        if (++spins == LOCK_SPINS)
            panic("reader-writer lock %p is never released", (void *)l);
    return (struct rw_held){l, true};
}
