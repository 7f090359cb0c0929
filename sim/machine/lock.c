/* Spin locks: see lock.h. */
#include "sim/machine/lock.h"
#include "sim/machine/log.h"

#define SPINS_MAX 4000000000u

void lock_take(struct lock *lock)
{
    u32 spins = 0;
    while (__atomic_exchange_n(&lock->taken, 1, __ATOMIC_ACQUIRE)) {
        if (++spins == SPINS_MAX)
            sim_stop("broken: a lock of the platform is never given back");
        __builtin_ia32_pause();
    }
}

void lock_give(struct lock *lock)
{
    __atomic_store_n(&lock->taken, 0, __ATOMIC_RELEASE);
}
