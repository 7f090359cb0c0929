/* RAM ranges and what of them is convertible. UEFI specification 2.9, section 7.2, GetMemoryMap(). */
#include "sim/machine/memory.h"

#define PIECES_MAX  256
#define CMR_MINIMUM (2ull << 20)

struct piece {
    u64 base, end;
    bool convertible;
};
/* Constant after start. */
static struct piece pieces[PIECES_MAX];
static unsigned piece_count;
static bool overflow;

void memory_add(u64 base, u64 bytes, bool convertible)
{
    if (!bytes)
        return;
    if (piece_count == PIECES_MAX) {
        overflow = true;
        return;
    }
    pieces[piece_count++] = (struct piece){base, base + bytes, convertible};
}

static void sort_pieces(void)
{
    for (unsigned i = 1; i < piece_count; i++) {
        struct piece moving = pieces[i];
        unsigned at = i;
        for (; at && pieces[at - 1].base > moving.base; at--)
            pieces[at] = pieces[at - 1];
        pieces[at] = moving;
    }
}

bool memory_seal(void)
{
    unsigned kept = 0;
    sort_pieces();
    for (unsigned i = 0; i < piece_count; i++) {
        struct piece *last = kept ? &pieces[kept - 1] : NULL;
        if (last && last->end == pieces[i].base && last->convertible == pieces[i].convertible)
            last->end = pieces[i].end;
        else
            pieces[kept++] = pieces[i];
    }
    piece_count = kept;
    return !overflow && kept;
}

bool memory_cut(u64 base, u64 bytes)
{
    u64 end = base + bytes < base ? ~0ull : base + bytes;
    unsigned before = piece_count;
    for (unsigned i = 0; i < before; i++) {
        struct piece *p = &pieces[i];
        u64 from = base > p->base ? base : p->base, to = end < p->end ? end : p->end, piece_end = p->end;
        if (!p->convertible || from >= to)
            continue;
        p->end = from;
        memory_add(from, to - from, false);
        memory_add(to, piece_end - to, true);
    }
    for (unsigned i = 0; i < piece_count; i++)
        if (pieces[i].base == pieces[i].end)
            pieces[i--] = pieces[--piece_count];
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
