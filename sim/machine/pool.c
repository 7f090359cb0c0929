/* The core's reserve: handed out from the bottom, single pages recycled through a list. */
#include "sim/machine/pool.h"
#include "sim/machine/lock.h"
#include "sim/machine/log.h"

#define PAGE 4096ull

static u64 base, end;    /* constant after start */
static struct lock lock; /* of what follows */
static u64 next;         /* under `lock`: what was never handed out begins here */
static u64 *free_list;   /* under `lock`: the first eight bytes of a free page point to the next one */

void pool_init(u64 at, u64 bytes)
{
    base = next = at;
    end = at + bytes;
    free_list = NULL;
}

static void clear(void *page, u64 count)
{
    u64 *at = page;
    for (u64 i = 0; i < count * PAGE / 8; i++)
        at[i] = 0;
}

/* NULL: there is not so much left. */
static void *take(u64 count)
{
    lock_take(&lock);
    void *taken = (end - next) / PAGE < count ? NULL : (void *)next;
    if (taken)
        next += count * PAGE;
    lock_give(&lock);
    return taken;
}

void *pool_take(u64 count)
{
    void *taken = take(count);
    if (!taken)
        sim_stop("the platform's reserve of %lu MiB is used up: give the machine more memory",
                 (unsigned long)((end - base) >> 20));
    clear(taken, count);
    return taken;
}

void *pool_page(void)
{
    lock_take(&lock);
    u64 *page = free_list;
    if (page)
        free_list = (u64 *)*page;
    lock_give(&lock);
    if (!page)
        page = take(1);
    if (page)
        clear(page, 1);
    return page;
}

void pool_give(void *page)
{
    lock_take(&lock);
    *(u64 **)page = free_list;
    free_list = page;
    lock_give(&lock);
}

u64 pool_base(void)
{
    return base;
}
u64 pool_bytes(void)
{
    return end - base;
}
