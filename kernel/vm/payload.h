/*
 * The images that a TD starts with, as part of septum.efi: the probe (guest/probe/protocol.h), the shim
 * (guest/shim/handover.h), and the ROM with the reset vector, which lies so that it ends at 4 GiB.
 */
#ifndef KERNEL_VM_PAYLOAD_H
#define KERNEL_VM_PAYLOAD_H

#include "lib/types.h"

struct payload_image {
    const void *bytes;
    u64 size;
};

struct payload_image payload_probe(void);
struct payload_image payload_shim(void);
struct payload_image payload_rom(void);

#endif
