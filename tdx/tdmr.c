/*
 * The layout of trust domain memory regions: which GiBs of the machine become TDX memory, what inside them is
 * reserved, where their PAMTs lie. TDX Module Base Architecture Specification, "Physical memory management: TDMRs,
 * PAMT areas and reserved areas".
 *
 * Rules of SYS.CONFIG behind it: base and size are multiples of 1 GiB; at most 16 reserved areas a TDMR, sorted and
 * apart; all that is not reserved lies in CMRs; PAMTs lie in CMRs and overlap no memory of any TDMR that is not
 * reserved. Septum's own: a TDMR is of one NUMA node, and its PAMTs are there too.
 */
#include "lib/bits.h"
#include "lib/log.h"
#include "lib/string.h"
#include "tdx/module_internal.h"

#define PIECES_MAX      4096u
#define AREAS_FOR_PAMTS 2u /* kept free in each TDMR when holes are laid out */

/* --- usable memory ----------------------------------------------------------------------------------------------- */

/* Cuts the list behind `limit` bytes, a 4K multiple. */
static void apply_limit(struct phys_ranges *p, u64 limit)
{
    for (unsigned i = 0; i < p->count; i++) {
        if (p->r[i].bytes >= limit) {
            (void)ranges_cut(p, p->r[i].base.raw + limit, ~0ull);
            return;
        }
        limit -= p->r[i].bytes;
    }
}

/* What of the memory lies in CMRs, in whole pages. */
static void list_usable(struct phys_ranges *to, const struct phys_range *memory, unsigned memory_count,
                        const struct phys_range *cmrs, unsigned cmr_count)
{
    for (unsigned m = 0; m < memory_count; m++)
        for (unsigned c = 0; c < cmr_count; c++) {
            u64 base = align_up(max_u64(memory[m].base.raw, cmrs[c].base.raw), PAGE_BYTES);
            u64 end = align_down(min_u64(range_end(&memory[m]), range_end(&cmrs[c])), PAGE_BYTES);
            (void)ranges_add(to, base, end);
        }
}

/* --- regions ----------------------------------------------------------------------------------------------------- */

/* The gaps of [lo, hi), as reserved areas when `to` is given (room for them is there then); gives their number. `first`: a
 * piece before which none reaches into it. */
static unsigned holes(const struct phys_ranges *p, unsigned first, u64 lo, u64 hi, struct tdmr_info *to)
{
    unsigned count = 0;
    u64 at = lo;

    for (unsigned i = first; at < hi; i++) {
        bool last = i == p->count || p->r[i].base.raw >= hi;
        u64 next = last ? hi : max_u64(p->r[i].base.raw, lo);
        if (next > at) {
            if (to) {
                to->reserved[count].offset = at - lo;
                to->reserved[count].bytes = next - at;
            }
            count++;
        }
        at = last ? hi : max_u64(at, min_u64(range_end(&p->r[i]), hi));
    }
    return count;
}

/* The smallest part of a piece in [lo, hi), where there is one. */
static struct phys_range smallest_part(const struct phys_ranges *p, u64 lo, u64 hi)
{
    struct phys_range least = {{lo}, hi - lo};

    for (unsigned i = 0; i < p->count && p->r[i].base.raw < hi; i++) {
        u64 base = max_u64(p->r[i].base.raw, lo), end = min_u64(range_end(&p->r[i]), hi);
        if (base < end && end - base < least.bytes)
            least = (struct phys_range){{base}, end - base};
    }
    return least;
}

/* A GiB with more holes than one TDMR takes gives up its smallest pieces of memory, or what of them lies in it. */
static void thin_out(struct phys_ranges *p, unsigned room)
{
    for (unsigned i = 0; i < p->count; i++) {
        u64 lo = align_down(p->r[i].base.raw, GIB), hi = lo + GIB;
        unsigned first = i;
        while (first && range_end(&p->r[first - 1]) > lo)
            first--;
        while (i < p->count && holes(p, first, lo, hi, NULL) > room) {
            struct phys_range least = smallest_part(p, lo, hi);
            (void)ranges_cut(p, least.base.raw, range_end(&least));
        }
    }
}

/* The end of the TDMR that begins at `lo`, with piece `i` in its first GiB: as many GiBs as hold memory one behind the other,
 * of one node, as long as their holes fit. */
static u64 tdmr_end(const struct phys_ranges *p, unsigned i, u64 lo, unsigned room, const struct tdx_numa *numa)
{
    u64 hi = lo + GIB, border = numa ? max_u64(align_down(numa->end((hpa_t){lo}).raw, GIB), hi) : ~0ull;

    for (unsigned next = i; hi < border && holes(p, i, lo, hi + GIB, NULL) <= room; hi += GIB) {
        while (next < p->count && range_end(&p->r[next]) <= hi)
            next++;
        if (next == p->count || p->r[next].base.raw >= hi + GIB)
            break;
    }
    return hi;
}

/* Lays out the TDMRs that the pieces need; gives their number. `layout` NULL: only counts. */
static unsigned cover(struct tdmr_layout *layout, const struct phys_ranges *p, unsigned room,
                      const struct tdx_numa *numa)
{
    unsigned count = 0;

    for (u64 i = 0, hi = 0; i < p->count; count++) {
        u64 lo = max_u64(align_down(p->r[i].base.raw, GIB), hi);
        hi = tdmr_end(p, (unsigned)i, lo, room, numa);
        if (layout) {
            layout->tdmrs[count] = (struct tdmr_info){.base = lo, .bytes = hi - lo};
            (void)holes(p, (unsigned)i, lo, hi, &layout->tdmrs[count]);
        }
        while (i < p->count && range_end(&p->r[i]) <= hi)
            i++;
    }
    return count;
}

/* Each piece that goes spares one TDMR at most, so that no more go than need to. */
static void cover_all(struct tdmr_layout *layout, const struct tdmr_limits *limits, struct phys_ranges *p)
{
    unsigned room = limits->reserved_max - AREAS_FOR_PAMTS, needed;

    thin_out(p, room);
    while ((needed = cover(NULL, p, room, limits->numa)) > limits->tdmrs_max)
        ranges_trim(p, p->count - min_u64(needed - limits->tdmrs_max, p->count - 1));
    layout->count = cover(layout, p, room, limits->numa);
}

enum err tdmr_plan(struct tdmr_layout *layout, const struct tdmr_limits *limits, const struct phys_range *memory,
                   unsigned memory_count, const struct phys_range *cmrs, unsigned cmr_count, u64 limit_bytes)
{
    static struct phys_range pieces[PIECES_MAX]; /* the module is initialised once, by one CPU */
    struct phys_ranges usable = {.r = pieces, .max = PIECES_MAX};
    struct tdmr_limits l = *limits;

    if (l.reserved_max <= AREAS_FOR_PAMTS || l.tdmrs_max == 0)
        return ERR_UNSUPPORTED;
    l.reserved_max = (unsigned)min_u64(l.reserved_max, TDMR_RESERVED_MAX);
    l.tdmrs_max = (unsigned)min_u64(l.tdmrs_max, TDX_TDMRS_MAX);
    memset(layout, 0, sizeof(*layout));
    list_usable(&usable, memory, memory_count, cmrs, cmr_count);
    if (limit_bytes)
        apply_limit(&usable, align_down(limit_bytes, PAGE_BYTES));
    cover_all(layout, &l, &usable);
    layout->memory_bytes = ranges_bytes(&usable);
    for (unsigned i = 0; i < memory_count; i++)
        layout->dropped_bytes += memory[i].bytes;
    layout->dropped_bytes -= layout->memory_bytes;
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

/* The PAMTs of TDMRs [first, past) one behind the other from `base`. */
static enum err place(struct tdmr_layout *layout, const struct tdmr_limits *limits, unsigned first, unsigned past,
                      hpa_t base)
{
    u64 at = base.raw;

    for (unsigned i = first; i < past; i++)
        at = lay_pamts(&layout->tdmrs[i], limits, at);
    layout->pamt_bytes += at - base.raw;
    return reserve_everywhere(layout, limits, base.raw, at);
}

/* Memory near the TDMR, or wherever the machine has one node. */
static hpa_t take_near(const struct tdmr_info *t, const struct tdmr_limits *limits, u64 bytes,
                       hpa_t (*take)(u64 bytes, u64 align))
{
    return limits->numa ? limits->numa->take(bytes, (hpa_t){t->base}) : take(bytes, PAGE_BYTES);
}

/* Those of [first, past), which are of one node: in one block where there is one, a single hole in the memory. */
static enum err place_node(struct tdmr_layout *layout, const struct tdmr_limits *limits, unsigned first, unsigned past,
                           hpa_t (*take)(u64 bytes, u64 align))
{
    u64 bytes = 0;
    enum err e = ERR_OK;

    for (unsigned i = first; i < past; i++)
        bytes += pamts_bytes(&layout->tdmrs[i], limits);
    hpa_t base = take_near(&layout->tdmrs[first], limits, bytes, take);
    if (!hpa_is(base, HPA_NONE))
        return place(layout, limits, first, past, base);
    for (unsigned i = first; i < past && e == ERR_OK; i++) {
        base = take_near(&layout->tdmrs[i], limits, pamts_bytes(&layout->tdmrs[i], limits), take);
        e = hpa_is(base, HPA_NONE) ? ERR_NO_MEMORY : place(layout, limits, i, i + 1, base);
    }
    return e;
}

enum err tdmr_place_pamts(struct tdmr_layout *layout, const struct tdmr_limits *limits,
                          hpa_t (*take)(u64 bytes, u64 align))
{
    struct tdmr_limits l = *limits;
    enum err e = ERR_OK;

    l.reserved_max = (unsigned)min_u64(l.reserved_max, TDMR_RESERVED_MAX);
    for (unsigned first = 0, past; first < layout->count && e == ERR_OK; first = past) {
        u64 border = l.numa ? l.numa->end((hpa_t){layout->tdmrs[first].base}).raw : ~0ull;
        for (past = first + 1; past < layout->count && layout->tdmrs[past].base < border; past++)
            ;
        e = place_node(layout, &l, first, past, take);
    }
    return e;
}
