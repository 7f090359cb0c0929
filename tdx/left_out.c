/* The memory that no TD may have: see tdx_set_left_out() in tdx/module.h. Read off the CMRs, which are sorted, and off the TDMRs as
 * they were configured. */
#include "lib/bits.h"
#include "tdx/module_internal.h"

/* What is being walked: [at, end) of one range of memory is not accounted for yet. */
struct walk {
    u64 at, end;
    void (*out)(hpa_t base, u64 bytes);
};

static void leave_out_until(struct walk *w, u64 until)
{
    until = min_u64(until, w->end);
    if (w->at < until)
        w->out((hpa_t){w->at}, until - w->at);
    w->at = max_u64(w->at, until);
}

/* [from, to) is TDX memory. */
static void keep(struct walk *w, u64 from, u64 to)
{
    if (from >= to || to <= w->at || from >= w->end)
        return;
    leave_out_until(w, from);
    w->at = max_u64(w->at, min_u64(to, w->end));
}

/* Reserved areas are sorted; one of zero bytes ends their list. */
static void walk_tdmr(struct walk *w, const struct tdmr_info *t)
{
    u64 from = t->base;

    for (unsigned i = 0; i < TDMR_RESERVED_MAX && t->reserved[i].bytes; i++) {
        keep(w, from, t->base + t->reserved[i].offset);
        from = t->base + t->reserved[i].offset + t->reserved[i].bytes;
    }
    keep(w, from, t->base + t->bytes);
}

void tdx_each_left_out(const struct phys_range *memory, unsigned memory_count, void (*out)(hpa_t base, u64 bytes))
{
    const struct tdmr_layout *layout = tdx_module_layout();

    for (unsigned i = 0; i < memory_count; i++) {
        struct walk w = {memory[i].base.raw, range_end(&memory[i]), out};
        for (unsigned t = 0; t < layout->count; t++)
            walk_tdmr(&w, &layout->tdmrs[t]);
        leave_out_until(&w, w.end);
    }
}

void tdx_each_outside_cmrs(const struct phys_range *memory, unsigned memory_count, void (*out)(hpa_t base, u64 bytes))
{
    for (unsigned i = 0; i < memory_count; i++) {
        struct walk w = {memory[i].base.raw, range_end(&memory[i]), out};
        for (unsigned c = 0; c < tdx_module.cmr_count; c++)
            keep(&w, tdx_module.cmrs[c].base.raw, range_end(&tdx_module.cmrs[c]));
        leave_out_until(&w, w.end);
    }
}
