/* Candidates for merging, by list: see mm/policy/queue.h. */
#include "mm/policy/queue.h"

#include "lib/bits.h"
#include "mm/page.h"

#define QUEUE_END (~0u)

static u32 regions(u64 bytes, level_t level)
{
    return (u32)(align_up(bytes, level_bytes(level)) / level_bytes(level));
}

enum err queue_create(struct queue *q, u64 bytes)
{
    *q = (struct queue){.small = regions(bytes, LEVEL_2M), .large = regions(bytes, LEVEL_1G)};
    q->bytes = align_up(((u64)q->small + q->large) * sizeof(struct queue_node), PAGE_BYTES);
    q->nodes = page_take(q->bytes);
    for (unsigned i = 0; i < QUEUE_LISTS; i++)
        q->lists[i].first = q->lists[i].last = QUEUE_END;
    return q->nodes ? ERR_OK : ERR_NO_MEMORY;
}

void queue_destroy(struct queue *q)
{
    page_give(q->nodes, q->bytes);
    q->nodes = NULL;
}

static u32 index_of(const struct queue *q, struct region r)
{
    u64 index = r.gpa.raw >> level_shift(r.level);
    return (u32)index + (level_is(r.level, LEVEL_1G) ? q->small : 0);
}

static struct region region_at(const struct queue *q, u32 index)
{
    if (index < q->small)
        return (struct region){{(u64)index << level_shift(LEVEL_2M)}, LEVEL_2M};
    return (struct region){{(u64)(index - q->small) << level_shift(LEVEL_1G)}, LEVEL_1G};
}

bool queue_holds(const struct queue *q, struct region r)
{
    u64 index = r.gpa.raw >> level_shift(r.level);
    return level_is(r.level, LEVEL_2M) ? index < q->small : level_is(r.level, LEVEL_1G) && index < q->large;
}

static void unlink(struct queue *q, u32 index)
{
    struct queue_node *n = &q->nodes[index];

    if (n->list == QUEUE_NONE)
        return;
    *(n->prev == QUEUE_END ? &q->lists[n->list].first : &q->nodes[n->prev].next) = n->next;
    *(n->next == QUEUE_END ? &q->lists[n->list].last : &q->nodes[n->next].prev) = n->prev;
    q->lists[n->list].count--;
    n->list = QUEUE_NONE;
}

static void append(struct queue *q, u32 index, unsigned list, u64 now)
{
    struct queue_node *n = &q->nodes[index];

    unlink(q, index);
    n->prev = q->lists[list].last;
    n->next = QUEUE_END;
    n->list = (u8)list;
    n->since = (u32)now;
    *(n->prev == QUEUE_END ? &q->lists[list].first : &q->nodes[n->prev].next) = index;
    q->lists[list].last = index;
    q->lists[list].count++;
}

void queue_put(struct queue *q, struct region r, enum queue_list list, u64 now)
{
    u32 index = index_of(q, r);

    if (list == QUEUE_READY)
        q->nodes[index].refusals = 0;
    append(q, index, list, now);
}

void queue_rest(struct queue *q, struct region r, u64 now)
{
    u32 index = index_of(q, r);
    struct queue_node *n = &q->nodes[index];

    append(q, index, QUEUE_RESTING + n->refusals, now);
    n->refusals += n->refusals + 1u < QUEUE_RESTS;
}

void queue_drop(struct queue *q, struct region r)
{
    unlink(q, index_of(q, r));
}

bool queue_is_listed(const struct queue *q, struct region r)
{
    return q->nodes[index_of(q, r)].list != QUEUE_NONE;
}

u64 queue_age(const struct queue *q, enum queue_list list, u64 now)
{
    u32 first = q->lists[list].first;
    return first == QUEUE_END ? 0 : (u32)now - q->nodes[first].since;
}

bool queue_take(struct queue *q, enum queue_list list, u64 now, u64 ms, struct region *r)
{
    u32 first = q->lists[list].first;

    if (first == QUEUE_END || (u32)now - q->nodes[first].since < ms)
        return false;
    *r = region_at(q, first);
    unlink(q, first);
    return true;
}

void queue_wake(struct queue *q, u64 now, u64 rest, unsigned most)
{
    for (unsigned n = 0; n < QUEUE_RESTS; n++)
        while (most && queue_count(q, QUEUE_RESTING + n) && queue_age(q, QUEUE_RESTING + n, now) >= rest << n) {
            append(q, q->lists[QUEUE_RESTING + n].first, QUEUE_READY, now);
            most--;
        }
}

u32 queue_resting(const struct queue *q)
{
    u32 sum = 0;
    for (unsigned n = 0; n < QUEUE_RESTS; n++)
        sum += queue_count(q, QUEUE_RESTING + n);
    return sum;
}
