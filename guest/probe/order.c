/* Visiting orders: see order.h. */
#include "guest/probe/order.h"

void probe_order_start(struct probe_order_state *state, uint32_t order, uint64_t slots, uint64_t seed)
{
    *state = (struct probe_order_state){.slots = slots, .random = seed, .order = order};
}

/* SplitMix64: probe_word is its output function. */
static uint64_t draw(struct probe_order_state *state)
{
    return probe_word(0, state->random += 0x9e3779b97f4a7c15ull);
}

/* Uniform below `bound`: the high half of a 128-bit product; its bias is below 2^-20 for any range that fits a machine.
 */
static uint64_t draw_below(struct probe_order_state *state, uint64_t bound)
{
    return (uint64_t)((unsigned __int128)draw(state) * bound >> 64);
}

/* Rank r in 1..n: first its power of two, all equally likely, then its place there. Ranks beyond n are drawn again. */
static uint64_t draw_zipf(struct probe_order_state *state)
{
    uint64_t powers = 64 - (uint64_t)__builtin_clzll(state->slots);
    uint64_t rank;
    do {
        uint64_t first = 1ull << draw_below(state, powers);
        rank = first + draw_below(state, first);
    } while (rank > state->slots);
    return rank - 1;
}

uint64_t probe_order_next(struct probe_order_state *state)
{
    uint64_t slot = state->next;
    switch (state->order) {
    case PROBE_RANDOM:
        return draw_below(state, state->slots);
    case PROBE_ZIPF:
        return draw_zipf(state);
    default:
        state->next = slot + 1 == state->slots ? 0 : slot + 1;
        return slot;
    }
}
