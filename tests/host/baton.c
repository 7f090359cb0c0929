/* Threads that run one at a time: see baton.h. */
#include "tests/host/baton.h"

#include <semaphore.h>
#include <stdatomic.h>
#include <stdlib.h>

#define THREADS_MAX 16

/* Who has the baton has all of this; with each semaphore it goes from one thread to the next. Joining comes before. */
static struct {
    bool on;
    unsigned threads, every;
    _Atomic unsigned joined;
    u64 random;
    sem_t turn[THREADS_MAX];
    bool runs[THREADS_MAX];
    unsigned points_left;
} baton;

static _Thread_local unsigned self;
static _Thread_local bool takes_part;

static u64 next_random(void)
{
    baton.random += 0x9e3779b97f4a7c15ull;
    u64 z = baton.random;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
    return z ^ (z >> 31);
}

void baton_start(unsigned threads, u64 seed, unsigned every)
{
    if (threads > THREADS_MAX)
        abort();
    baton.on = true;
    baton.threads = threads;
    baton.joined = 0;
    baton.every = every;
    baton.random = seed;
    baton.points_left = 1;
    for (unsigned i = 0; i < threads; i++)
        sem_init(&baton.turn[i], 0, 0);
}

static void wait_for_it(void)
{
    while (sem_wait(&baton.turn[self]))
        ; /* a signal came between */
}

/* To any thread that still runs; it may be the one that hands it on. */
static unsigned pick_next(void)
{
    unsigned pick = (unsigned)(next_random() % baton.threads);

    for (unsigned i = 0; i < baton.threads && !baton.runs[pick]; i++)
        pick = (pick + 1) % baton.threads;
    baton.points_left = 1 + (unsigned)(next_random() % (2 * baton.every));
    return pick;
}

void baton_join(unsigned index)
{
    if (!baton.on)
        return;
    self = index;
    takes_part = true;
    baton.runs[self] = true;
    if (atomic_fetch_add(&baton.joined, 1) + 1 == baton.threads)
        sem_post(&baton.turn[0]);
    wait_for_it();
}

void baton_leave(void)
{
    if (!takes_part)
        return;
    takes_part = false;
    baton.runs[self] = false;
    for (unsigned i = 0; i < baton.threads; i++)
        if (baton.runs[i]) {
            sem_post(&baton.turn[pick_next()]);
            return;
        }
    baton.on = false;
}

void baton_point(void)
{
    if (!takes_part || --baton.points_left)
        return;
    unsigned next = pick_next();
    if (next == self)
        return;
    sem_post(&baton.turn[next]);
    wait_for_it();
}
