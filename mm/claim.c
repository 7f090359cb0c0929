/* Claims: see mm/claim.h. The list is as long as there are CPUs at work, so it is searched from end to end. */
#include "mm/claim.h"

#include "lib/hw/cpu.h"

#define CLAIM_SPINS 1000000000ull /* longer than any operation takes */

static bool meet(const struct claim *a, const struct claim *b)
{
    return a->from < b->end && b->from < a->end && (a->exclusive || b->exclusive);
}

/* With the lock held: does anything that came before, all of it where `c` is in no list yet, stand in the way? */
static bool is_first(const struct claims *all, const struct claim *c)
{
    for (const struct claim *before = all->first; before && before != c; before = before->next)
        if (meet(before, c))
            return false;
    return true;
}

static void append(struct claims *all, struct claim *c)
{
    *(all->last ? &all->last->next : &all->first) = c;
    all->last = c;
}

static bool enlist(struct claims *all, struct claim *c)
{
    spin_lock(&all->lock);
    append(all, c);
    bool granted = is_first(all, c);
    spin_unlock(&all->lock);
    return granted;
}

/* Once granted it stays so. */
static bool is_granted(struct claims *all, const struct claim *c)
{
    spin_lock(&all->lock);
    bool granted = is_first(all, c);
    spin_unlock(&all->lock);
    return granted;
}

/* Out of line: most claims are granted at once. */
static __attribute__((noinline)) enum err wait(struct claims *all, struct claim *c, bool (*stop)(const void *arg),
                                               const void *arg)
{
    bool granted = false, stopped = false;

    for (u64 spins = 0; !granted && !stopped && spins < CLAIM_SPINS; spins++) {
        cpu_relax();
        stopped = stop && stop(arg);
        granted = is_granted(all, c);
    }
    if (granted)
        return ERR_OK;
    claim_end(all, c);
    return stopped ? ERR_INTERRUPTED : ERR_BUSY;
}

enum err claim_begin(struct claims *all, struct claim *c, gpa_t from, gpa_t end, bool exclusive,
                     bool (*stop)(const void *arg), const void *arg)
{
    *c = (struct claim){.from = from.raw, .end = end.raw, .exclusive = exclusive};
    return enlist(all, c) ? ERR_OK : wait(all, c, stop, arg);
}

bool claim_try(struct claims *all, struct claim *c, gpa_t from, gpa_t end, bool exclusive)
{
    *c = (struct claim){.from = from.raw, .end = end.raw, .exclusive = exclusive};
    spin_lock(&all->lock);
    bool granted = is_first(all, c);
    if (granted)
        append(all, c);
    spin_unlock(&all->lock);
    return granted;
}

void claim_end(struct claims *all, struct claim *c)
{
    struct claim **at = &all->first, *before = NULL;

    spin_lock(&all->lock);
    for (; *at != c; at = &before->next)
        before = *at;
    *at = c->next;
    if (!c->next)
        all->last = before;
    spin_unlock(&all->lock);
}
