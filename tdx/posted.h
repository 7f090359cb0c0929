/*
 * Interrupts for a vCPU: SDM vol. 3, "Posted-interrupt processing". Whoever has one for it sets its bit in `requests`, then
 * POSTED_OUTSTANDING, and where that was clear sends the notification vector to the CPU that the vCPU is inside on. A CPU that
 * takes that vector inside the TD takes the requests over and clears the flag; the vector comes too early or too late when
 * the vCPU is outside, so vcpu_enter() looks at the flag and notifies itself, with interrupts off.
 */
#ifndef TDX_POSTED_H
#define TDX_POSTED_H

#include "lib/bits.h"

#define POSTED_OUTSTANDING  BIT(0) /* ON */
#define POSTED_VECTOR_SHIFT 16     /* NV: the notification vector */

struct posted_interrupts {
    _Atomic u64 requests[4]; /* PIR: a bit a vector */
    _Atomic u64 control;
    u64 reserved[3];
};
_Static_assert(sizeof(struct posted_interrupts) == 64, "table 30-1");
_Static_assert(offsetof(struct posted_interrupts, control) == 32, "table 30-1");

#endif
