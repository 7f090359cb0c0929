/*
 * What the VMM says, judged before it is used: MRTD says only what the shim's image is, and that the VMM placed these pages. Pure.
 * Each answers NULL, or what is wrong, in words that go before `number`.
 */
#ifndef GUEST_SHIM_CHECK_H
#define GUEST_SHIM_CHECK_H

#include "guest/shim/bzimage.h"
#include "guest/shim/handover.h"

/* All of kernel and initrd lie where the memory map will have memory, and behind the shim. */
const char *check_handover(const struct shim_handover *h, uint64_t *number);

/* The kernel has room where it runs, and nothing that is needed still lies there. */
const char *check_place(const struct shim_handover *h, const struct bzimage *kernel, uint64_t *number);

#endif
