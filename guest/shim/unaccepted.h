/*
 * What the kernel is to accept by itself, when it needs it: the table that Linux' EFI stub makes of firmware's memory map
 * (drivers/firmware/efi/libstub/unaccepted_memory.c, version 1). A bit for each 2M of memory from GPA 0 on. Pure.
 */
#ifndef GUEST_SHIM_UNACCEPTED_H
#define GUEST_SHIM_UNACCEPTED_H

#include "guest/shim/bzimage.h"
#include "guest/shim/handover.h"

#define UNACCEPTED_UNIT 0x200000ull

struct unaccepted {
    uint32_t version, unit;
    uint64_t base, bytes; /* of the bitmap */
    uint8_t bitmap[];
};

/* Of the table for so much memory: whole pages. */
uint64_t unaccepted_bytes(uint64_t memory_bytes);

/* All but what the shim and the kernel need to begin with: the first 2M, the files, where the kernel runs; and the hole. */
void unaccepted_build(struct unaccepted *u, const struct shim_handover *h, const struct bzimage *kernel);

/* Has the unit at `gpa` a byte of kernel or initrd? */
bool unaccepted_is_file(const struct shim_handover *h, uint64_t gpa);

/* NULL: all is accepted. */
bool unaccepted_has(const struct unaccepted *u, uint64_t gpa);

#endif
