/*
 * The layout of trust domain memory regions: which GiBs of the machine become TDX memory, what inside them is
 * reserved, where their PAMTs lie. TDX Module Base Architecture Specification, "Physical memory management: TDMRs,
 * PAMT areas and reserved areas".
 *
 * Rules of SYS.CONFIG behind it: base and size are multiples of 1 GiB; at most 16 reserved areas a TDMR, sorted and
 * apart; all that is not reserved lies in CMRs; PAMTs lie in CMRs and overlap no memory of any TDMR that is not
 * reserved.
 */
#include "lib/bits.h"
#include "lib/log.h"
#include "lib/string.h"
#include "tdx/module_internal.h"

#define PIECES_MAX      512u
#define AREAS_FOR_PAMTS 2u /* kept free in each TDMR when holes are laid out */

struct piece {
    u64 base, end;
};

/* Usable memory, sorted and apart. Neighbours that touch are one piece. */
struct pieces {
    struct piece p[PIECES_MAX];
    unsigned count;
};

/* --- usable memory ----------------------------------------------------------------------------------------------- */

static bool add_piece(struct pieces *to, u64 base, u64 end)
{
    if (to->count && to->p[to->count - 1].end == base) {
        to->p[to->count - 1].end = end;
        return true;
    }
    if (to->count == PIECES_MAX)
        return false;
    to->p[to->count++] = (struct piece){base, end};
    return true;
}

/* What of one range of memory lies in CMRs; gives the bytes that do not, or do not fit the list. */
static u64 add_usable(struct pieces *to, const struct phys_range *m, const struct phys_range *cmrs, unsigned cmr_count)
{
    u64 left_out = m->bytes;
    for (unsigned i = 0; i < cmr_count; i++) {
        u64 base = align_up(max_u64(m->base.raw, cmrs[i].base.raw), PAGE_BYTES);
        u64 end = align_down(min_u64(m->base.raw + m->bytes, cmrs[i].base.raw + cmrs[i].bytes), PAGE_BYTES);
        if (base < end && add_piece(to, base, end))
            left_out -= end - base;
    }
    return left_out;
}

/* Cuts the list behind `limit` bytes, a 4K multiple; gives the bytes cut off. */
static u64 apply_limit(struct pieces *p, u64 limit)
{
    u64 kept = 0, cut = 0;
    unsigned count = 0;
    for (unsigned i = 0; i < p->count; i++) {
        u64 bytes = p->p[i].end - p->p[i].base, take = min_u64(bytes, limit - kept);
        if (take) {
            p->p[i].end = p->p[i].base + take;
            count = i + 1;
        }
        kept += take;
        cut += bytes - take;
    }
    p->count = count;
    return cut;
}

/* --- regions ----------------------------------------------------------------------------------------------------- */

static u64 overlap(const struct piece *p, u64 lo, u64 hi)
{
    u64 base = max_u64(p->base, lo), end = min_u64(p->end, hi);
    return base < end ? end - base : 0;
}

static u64 usable_bytes(const struct pieces *p, u64 lo, u64 hi)
{
    u64 sum = 0;
    for (unsigned i = 0; i < p->count; i++)
        sum += overlap(&p->p[i], lo, hi);
    return sum;
}

/* The gaps of [lo, hi), as reserved areas when `to` is given (room for them is there then); gives their number. */
static unsigned holes(const struct pieces *p, u64 lo, u64 hi, struct tdmr_info *to)
{
    unsigned count = 0;
    u64 at = lo;
    for (unsigned i = 0; i <= p->count; i++) {
        bool last = i == p->count;
        if (!last && !overlap(&p->p[i], lo, hi))
            continue;
        u64 next = last ? hi : max_u64(p->p[i].base, lo);
        if (next > at) {
            if (to) {
                to->reserved[count].offset = at - lo;
                to->reserved[count].bytes = next - at;
            }
            count++;
        }
        at = last ? hi : min_u64(p->p[i].end, hi);
    }
    return count;
}

/* Takes the smallest piece out of one GiB; gives its bytes. Pieces that cross a border of the GiB lose what lies
 * inside. */
static u64 drop_smallest(struct pieces *p, u64 lo, u64 hi)
{
    unsigned smallest = 0;
    u64 bytes = ~0ull;
    for (unsigned i = 0; i < p->count; i++) {
        u64 o = overlap(&p->p[i], lo, hi);
        if (o && o < bytes) {
            bytes = o;
            smallest = i;
        }
    }
    struct piece *s = &p->p[smallest];
    if (s->base < lo) {
        s->end = lo;
    } else if (s->end > hi) {
        s->base = hi;
    } else {
        memmove(s, s + 1, (p->count - smallest - 1) * sizeof(*s));
        p->count--;
    }
    return bytes;
}

/*
 * Covers [lo, hi), whole GiBs, by one TDMR where the holes fit, else by those of its two halves. One GiB with too many
 * holes gives up its smallest pieces of memory. The depth is the logarithm of the number of GiBs.
 */
static void cover(struct tdmr_layout *layout, const struct tdmr_limits *limits, struct pieces *p, u64 lo, u64 hi)
{
    unsigned room = limits->reserved_max - AREAS_FOR_PAMTS;
    while (hi - lo == GIB && holes(p, lo, hi, NULL) > room)
        layout->dropped_bytes += drop_smallest(p, lo, hi);
    u64 bytes = usable_bytes(p, lo, hi);
    if (bytes == 0)
        return;
    if (holes(p, lo, hi, NULL) > room) {
        u64 middle = lo + align_down((hi - lo) / 2, GIB);
        cover(layout, limits, p, lo, middle);
        cover(layout, limits, p, middle, hi);
        return;
    }
    if (layout->count == limits->tdmrs_max) {
        layout->dropped_bytes += bytes;
        return;
    }
    struct tdmr_info *t = &layout->tdmrs[layout->count++];
    *t = (struct tdmr_info){.base = lo, .bytes = hi - lo};
    (void)holes(p, lo, hi, t);
    layout->memory_bytes += bytes;
}

/* Runs of GiBs that hold memory; a GiB without any ends a run. */
static void cover_all(struct tdmr_layout *layout, const struct tdmr_limits *limits, struct pieces *p)
{
    u64 done = 0;
    for (;;) {
        unsigned i = 0;
        while (i < p->count && p->p[i].end <= done)
            i++;
        if (i == p->count)
            return;
        u64 lo = max_u64(align_down(p->p[i].base, GIB), done);
        u64 hi = align_up(p->p[i].end, GIB);
        while (++i < p->count && align_down(p->p[i].base, GIB) <= hi)
            hi = max_u64(hi, align_up(p->p[i].end, GIB));
        cover(layout, limits, p, lo, hi);
        done = hi;
    }
}

enum err tdmr_plan(struct tdmr_layout *layout, const struct tdmr_limits *limits, const struct phys_range *memory,
                   unsigned memory_count, const struct phys_range *cmrs, unsigned cmr_count, u64 limit_bytes)
{
    static struct pieces usable; /* 8 KiB: too much for a stack; the module is initialised once, by one CPU */
    struct tdmr_limits l = *limits;
    if (l.reserved_max <= AREAS_FOR_PAMTS)
        return ERR_UNSUPPORTED;
    l.reserved_max = (unsigned)min_u64(l.reserved_max, TDMR_RESERVED_MAX);
    l.tdmrs_max = (unsigned)min_u64(l.tdmrs_max, TDX_TDMRS_MAX);
    memset(layout, 0, sizeof(*layout));
    usable.count = 0;
    for (unsigned i = 0; i < memory_count; i++)
        layout->dropped_bytes += add_usable(&usable, &memory[i], cmrs, cmr_count);
    if (limit_bytes)
        layout->dropped_bytes += apply_limit(&usable, align_down(limit_bytes, PAGE_BYTES));
    cover_all(layout, &l, &usable);
    return layout->count ? ERR_OK : ERR_NO_MEMORY;
}

/* --- PAMTs ------------------------------------------------------------------------------------------------------- */

u64 tdmr_pamt_bytes(u64 tdmr_bytes, level_t level, unsigned entry_bytes)
{
    return align_up((tdmr_bytes >> level_shift(level)) * entry_bytes, PAGE_BYTES);
}

static u64 pamts_bytes(const struct tdmr_info *t, const struct tdmr_limits *limits)
{
    u64 sum = 0;
    for (level_t l = LEVEL_4K; l.raw <= LEVEL_1G.raw; l.raw++)
        sum += tdmr_pamt_bytes(t->bytes, l, limits->pamt_entry_bytes[l.raw]);
    return sum;
}

static unsigned reserved_count(const struct tdmr_info *t)
{
    unsigned n = 0;
    while (n < TDMR_RESERVED_MAX && t->reserved[n].bytes)
        n++;
    return n;
}

/* Adds [from, to), offsets in the TDMR, to its sorted areas, joined with all that it meets. */
static enum err reserve(struct tdmr_info *t, u64 from, u64 to, unsigned reserved_max)
{
    unsigned n = reserved_count(t), first = 0;
    while (first < n && t->reserved[first].offset + t->reserved[first].bytes < from)
        first++;
    unsigned behind = first;
    for (; behind < n && t->reserved[behind].offset <= to; behind++) {
        from = min_u64(from, t->reserved[behind].offset);
        to = max_u64(to, t->reserved[behind].offset + t->reserved[behind].bytes);
    }
    if (behind == first && n == reserved_max)
        return ERR_RANGE;
    memmove(&t->reserved[first + 1], &t->reserved[behind], (n - behind) * sizeof(t->reserved[0]));
    unsigned left = n - (behind - first) + 1;
    if (left < TDMR_RESERVED_MAX)
        memset(&t->reserved[left], 0, (TDMR_RESERVED_MAX - left) * sizeof(t->reserved[0]));
    t->reserved[first].offset = from;
    t->reserved[first].bytes = to - from;
    return ERR_OK;
}

static enum err reserve_everywhere(struct tdmr_layout *layout, const struct tdmr_limits *limits, u64 base, u64 end)
{
    for (unsigned i = 0; i < layout->count; i++) {
        struct tdmr_info *t = &layout->tdmrs[i];
        u64 from = max_u64(base, t->base), to = min_u64(end, t->base + t->bytes);
        if (from >= to)
            continue;
        enum err e = reserve(t, from - t->base, to - t->base, limits->reserved_max);
        if (e != ERR_OK)
            return e;
    }
    return ERR_OK;
}

/* The PAMTs of one TDMR side by side from `at`; gives the address behind them. */
static u64 lay_pamts(struct tdmr_info *t, const struct tdmr_limits *limits, u64 at)
{
    for (level_t l = LEVEL_4K; l.raw <= LEVEL_1G.raw; l.raw++) {
        u64 bytes = tdmr_pamt_bytes(t->bytes, l, limits->pamt_entry_bytes[l.raw]);
        t->pamt[TDMR_PAMT_INDEX(l.raw)].base = at;
        t->pamt[TDMR_PAMT_INDEX(l.raw)].bytes = bytes;
        at += bytes;
    }
    return at;
}

static enum err place_together(struct tdmr_layout *layout, const struct tdmr_limits *limits, hpa_t base)
{
    u64 at = base.raw;
    for (unsigned i = 0; i < layout->count; i++)
        at = lay_pamts(&layout->tdmrs[i], limits, at);
    layout->pamt_bytes = at - base.raw;
    return reserve_everywhere(layout, limits, base.raw, at);
}

static enum err place_one_by_one(struct tdmr_layout *layout, const struct tdmr_limits *limits,
                                 hpa_t (*take)(u64 bytes, u64 align))
{
    for (unsigned i = 0; i < layout->count; i++) {
        hpa_t base = take(pamts_bytes(&layout->tdmrs[i], limits), PAGE_BYTES);
        if (hpa_is(base, HPA_NONE))
            return ERR_NO_MEMORY;
        u64 end = lay_pamts(&layout->tdmrs[i], limits, base.raw);
        layout->pamt_bytes += end - base.raw;
        enum err e = reserve_everywhere(layout, limits, base.raw, end);
        if (e != ERR_OK)
            return e;
    }
    return ERR_OK;
}

/* All in one block where there is one: a single hole in the memory. */
enum err tdmr_place_pamts(struct tdmr_layout *layout, const struct tdmr_limits *limits,
                          hpa_t (*take)(u64 bytes, u64 align))
{
    struct tdmr_limits l = *limits;
    l.reserved_max = (unsigned)min_u64(l.reserved_max, TDMR_RESERVED_MAX);
    u64 bytes = 0;
    for (unsigned i = 0; i < layout->count; i++)
        bytes += pamts_bytes(&layout->tdmrs[i], &l);
    hpa_t base = take(bytes, PAGE_BYTES);
    return hpa_is(base, HPA_NONE) ? place_one_by_one(layout, &l, take) : place_together(layout, &l, base);
}
