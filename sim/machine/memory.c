/* RAM ranges and what of them is convertible. UEFI specification 2.9, section 7.2, GetMemoryMap(). */
#include "sim/machine/memory.h"

#define CMR_MINIMUM (2ull << 20)

struct piece {
    u64 base, end;
    bool convertible;
};
/* Constant after start: sorted by base, neighbours of one kind joined; apart once memory_seal() was called. */
static struct piece pieces[MEMORY_PIECES_MAX];
static unsigned piece_count;
static bool overflow;

static void remove_at(unsigned at)
{
    for (piece_count--; at < piece_count; at++)
        pieces[at] = pieces[at + 1];
}

/* Behind those that begin no later. */
static unsigned place_of(u64 base)
{
    unsigned low = 0, high = piece_count;
    while (low < high) {
        unsigned middle = (low + high) / 2;
        if (pieces[middle].base <= base)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static void insert(struct piece new)
{
    unsigned at = place_of(new.base);
    if (piece_count == MEMORY_PIECES_MAX) {
        overflow = true;
        return;
    }
    for (unsigned i = piece_count++; i > at; i--)
        pieces[i] = pieces[i - 1];
    pieces[at] = new;
}

/* What touches a piece of its kind becomes part of it, and needs no place of its own. */
void memory_add(u64 base, u64 bytes, bool convertible)
{
    unsigned at = place_of(base);
    struct piece *left = at ? &pieces[at - 1] : NULL, *right = at < piece_count ? &pieces[at] : NULL;
    bool joins_left = left && left->end == base && left->convertible == convertible;
    bool joins_right = right && right->base == base + bytes && right->convertible == convertible;
    if (!bytes)
        return;
    if (joins_left) {
        left->end = joins_right ? right->end : base + bytes;
        if (joins_right)
            remove_at(at);
    } else if (joins_right) {
        right->base = base;
    } else {
        insert((struct piece){base, base + bytes, convertible});
    }
}

/* Two that begin in this order and overlap, or touch and are of one kind. What the firmware keeps is kept, though another
 * descriptor calls it free. */
static void part(unsigned at)
{
    struct piece first = pieces[at], second = pieces[at + 1];
    if (first.convertible == second.convertible) {
        if (second.end > first.end)
            pieces[at].end = second.end;
        remove_at(at + 1);
    } else if (first.convertible) {
        pieces[at].end = second.base;
        if (first.base == second.base)
            remove_at(at);
        if (first.end > second.end)
            insert((struct piece){second.end, first.end, true});
    } else {
        remove_at(at + 1);
        if (second.end > first.end)
            insert((struct piece){first.end, second.end, true});
    }
}

bool memory_seal(void)
{
    for (unsigned i = 0; i + 1 < piece_count;) {
        const struct piece *p = &pieces[i];
        if (p->end < p[1].base || (p->end == p[1].base && p->convertible != p[1].convertible))
            i++;
        else
            part(i);
    }
    return !overflow && piece_count;
}

/* As if the firmware kept what is convertible there. */
bool memory_cut(u64 base, u64 bytes)
{
    u64 end = base + bytes < base ? ~0ull : base + bytes;
    for (unsigned i = 0; i < piece_count; i++) {
        struct piece p = pieces[i];
        u64 from = base > p.base ? base : p.base, to = end < p.end ? end : p.end;
        if (p.convertible && from < to)
            insert((struct piece){from, to, false});
    }
    return memory_seal();
}

bool memory_is_ram(u64 hpa)
{
    unsigned low = 0, high = piece_count;
    while (low < high) {
        unsigned middle = (low + high) / 2;
        if (hpa < pieces[middle].base)
            high = middle;
        else if (hpa >= pieces[middle].end)
            low = middle + 1;
        else
            return true;
    }
    return false;
}

u64 memory_top(void)
{
    return pieces[piece_count - 1].end;
}

static bool is_cmr(const struct piece *p)
{
    return p->convertible && p->end - p->base >= CMR_MINIMUM;
}

/* The size that a piece must exceed for at most PLAT_CMRS_MAX to be left. */
static u64 size_floor(void)
{
    for (u64 floor = CMR_MINIMUM;; floor *= 2) {
        unsigned larger = 0;
        for (unsigned i = 0; i < piece_count; i++)
            larger += is_cmr(&pieces[i]) && pieces[i].end - pieces[i].base >= floor;
        if (larger <= PLAT_CMRS_MAX)
            return floor;
    }
}

unsigned memory_cmrs(struct plat_range cmrs[PLAT_CMRS_MAX])
{
    unsigned count = 0;
    u64 floor = size_floor();
    for (unsigned i = 0; i < piece_count; i++)
        if (is_cmr(&pieces[i]) && pieces[i].end - pieces[i].base >= floor)
            cmrs[count++] = (struct plat_range){pieces[i].base, pieces[i].end - pieces[i].base};
    return count;
}
