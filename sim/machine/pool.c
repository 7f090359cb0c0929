/* The core's reserve: handed out from the bottom, single pages recycled through a list. */
#include "sim/machine/pool.h"
#include "sim/machine/log.h"

#define PAGE 4096ull

static u64 base, end, next;
static u64 *free_list; /* the first eight bytes of a free page point to the next one */

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

void *pool_take(u64 count)
{
    if ((end - next) / PAGE < count)
        sim_stop("the platform's reserve of %lu MiB is used up: give the machine more memory",
                 (unsigned long)((end - base) >> 20));
    void *taken = (void *)next;
    next += count * PAGE;
    clear(taken, count);
    return taken;
}

void *pool_page(void)
{
    u64 *page = free_list;
    if (page) {
        free_list = (u64 *)*page;
        clear(page, 1);
        return page;
    }
    return next < end ? pool_take(1) : NULL;
}

void pool_give(void *page)
{
    *(u64 **)page = free_list;
    free_list = page;
}

u64 pool_base(void)
{
    return base;
}
u64 pool_bytes(void)
{
    return end - base;
}
