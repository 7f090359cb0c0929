/* Threads that run one at a time: see baton.h. */
#include "tests/host/baton.h"

#include <pthread.h>
#include <stdlib.h>

#define THREADS_MAX 16

static struct {
    bool on;
    unsigned threads, joined, every;
    u64 random;
    pthread_mutex_t lock; /* of the rest; who has the baton reads it without */
    pthread_cond_t changed[THREADS_MAX];
    bool runs[THREADS_MAX];
    unsigned holder, points_left;
} baton = {.lock = PTHREAD_MUTEX_INITIALIZER};

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
    baton.holder = 0;
    baton.points_left = 1;
    for (unsigned i = 0; i < threads; i++)
        pthread_cond_init(&baton.changed[i], NULL);
}

/* With the lock held, to any thread that still runs. */
static void hand_on(void)
{
    unsigned pick = (unsigned)(next_random() % baton.threads);

    for (unsigned i = 0; i < baton.threads && !baton.runs[pick]; i++)
        pick = (pick + 1) % baton.threads;
    baton.points_left = 1 + (unsigned)(next_random() % (2 * baton.every));
    baton.holder = pick;
    if (pick != self)
        pthread_cond_signal(&baton.changed[pick]);
}

static void wait_for_it(void)
{
    while (baton.holder != self || baton.joined < baton.threads)
        pthread_cond_wait(&baton.changed[self], &baton.lock);
}

void baton_join(unsigned index)
{
    if (!baton.on)
        return;
    self = index;
    takes_part = true;
    pthread_mutex_lock(&baton.lock);
    baton.runs[self] = true;
    if (++baton.joined == baton.threads)
        pthread_cond_signal(&baton.changed[baton.holder]);
    wait_for_it();
    pthread_mutex_unlock(&baton.lock);
}

void baton_leave(void)
{
    if (!takes_part)
        return;
    takes_part = false;
    pthread_mutex_lock(&baton.lock);
    baton.runs[self] = false;
    bool last = true;
    for (unsigned i = 0; i < baton.threads; i++)
        last &= !baton.runs[i];
    if (last)
        baton.on = false;
    else
        hand_on();
    pthread_mutex_unlock(&baton.lock);
}

void baton_point(void)
{
    if (!takes_part || --baton.points_left)
        return;
    pthread_mutex_lock(&baton.lock);
    hand_on();
    wait_for_it();
    pthread_mutex_unlock(&baton.lock);
}
