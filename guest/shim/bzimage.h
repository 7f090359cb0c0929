/*
 * The head of a bzImage: Linux, Documentation/arch/x86/boot.rst, "The Real-Mode Kernel Header". Both the VMM, which has to tell
 * people what is wrong, and the shim, which does not trust it, read it by this. Pure; nothing outside the given bytes is read.
 */
#ifndef GUEST_SHIM_BZIMAGE_H
#define GUEST_SHIM_BZIMAGE_H

#include <stdbool.h>
#include <stdint.h>

#define BZIMAGE_HEADER_AT   0x1f1u  /* of struct setup_header, here and in boot_params */
#define BZIMAGE_VERSION_MIN 0x020cu /* of the protocol: the first with a 64-bit entry */
#define BZIMAGE_ENTRY_64    0x200u  /* behind the start of the protected-mode kernel */
#define BZIMAGE_TEXT_BYTES  128u

enum bzimage_answer {
    BZIMAGE_OK,
    BZIMAGE_SHORT,      /* it ends within the header, or before the protected-mode kernel begins */
    BZIMAGE_NO_MAGIC,   /* no "HdrS" */
    BZIMAGE_OLD,        /* protocol < BZIMAGE_VERSION_MIN: see `protocol` */
    BZIMAGE_NOT_64,     /* no 64-bit entry (XLF_KERNEL_64) */
    BZIMAGE_NOT_HIGH,   /* a zImage, which is loaded at 64 KiB */
    BZIMAGE_NOT_MOVING, /* not relocatable */
    BZIMAGE_NO_TDX,     /* its decompressor knows nothing of TDX: built without INTEL_TDX_GUEST, or before Linux 5.19 */
    BZIMAGE_BAD,        /* sizes and places that make no sense */
};

struct bzimage {
    uint32_t protocol;                /* 0x020f: 2.15 */
    uint32_t setup_bytes;             /* in front of the protected-mode kernel */
    uint32_t header_bytes;            /* of struct setup_header */
    uint64_t address;                 /* where it prefers to run ... */
    uint64_t run_bytes;               /* ... and how much memory it takes there before it knows the memory map */
    uint64_t initrd_max;              /* the highest address of an initrd's last byte */
    uint32_t command_line_max;        /* without the zero */
    bool accepts;                     /* it can accept memory by itself (UNACCEPTED_MEMORY) */
    char version[BZIMAGE_TEXT_BYTES]; /* as `uname -r`, builder and so on; empty: it does not say */
};

enum bzimage_answer bzimage_read(const void *file, uint64_t bytes, struct bzimage *out);

#endif
