/*
 * How the image of a payload begins. The VMM loads it at a 4K-aligned GPA, which it names in RCX of TDH.VP.INIT for each vCPU;
 * execution starts at the reset vector, in the ROM image (hw/reset.asm, loaded at 4G - its size), which goes on to `entry` in
 * 64-bit mode, interrupts off, without a stack, every GPA below 512 GiB mapped at its own address.
 */
#ifndef GUEST_IMAGE_H
#define GUEST_IMAGE_H

#include <stdint.h>

#define GUEST_MAGIC 0x31544e4550544553ull

struct guest_header {
    uint64_t magic;
    uint64_t entry;       /* offset of the 64-bit entry from the image's start */
    uint64_t image_bytes; /* in the file */
    uint64_t total_bytes; /* in memory, with stacks and the like: multiple of 4K */
};

#endif
