/*
 * In which order TOUCH visits the slots of its range. Pure, and the same for the same seed.
 *
 * Zipf here: P(slot < k) is close to log(k) / log(n), the classic distribution with exponent 1, flattened inside each
 * power of two since there is no floating point in the payload. The front of the range is hot.
 */
#ifndef GUEST_PROBE_ORDER_H
#define GUEST_PROBE_ORDER_H

#include <stdint.h>

#include "guest/probe/protocol.h"

struct probe_order_state {
    uint64_t slots;  /* > 0; results are below it */
    uint64_t next;   /* sequential: the next slot */
    uint64_t random; /* state of the generator */
    uint32_t order;  /* enum probe_order */
};

void probe_order_start(struct probe_order_state *state, uint32_t order, uint64_t slots, uint64_t seed);
uint64_t probe_order_next(struct probe_order_state *state);

#endif
