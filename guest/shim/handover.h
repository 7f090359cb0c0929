/*
 * What the VMM tells the shim, and where. The shim's image lies at SHIM_GPA, measured as it is in the file; behind it, at SHIM_GPA
 * + total_bytes, one page with struct shim_handover. The kernel (a bzImage) and the initrd are added as private pages too. Neither
 * they nor that page are part of MRTD but for the places of their pages: the shim extends RTMR 0 by the page, RTMR 1 by the
 * kernel, RTMR 2 by the command line (without its zero) and then by the initrd, if there is one; each by the SHA-384 of it.
 *
 * vCPUs that wait for the kernel do so by TDVMCALL<Instruction.HLT> with interrupts off, and look at the mailbox in between: the
 * VMM resumes a vCPU that halts so after some milliseconds, though nothing has woken it.
 */
#ifndef GUEST_SHIM_HANDOVER_H
#define GUEST_SHIM_HANDOVER_H

#include "guest/image.h"

#define SHIM_GPA      0x100000ull
#define SHIM_ROOM_END 0x200000ull /* image and page end below */

#define SHIM_VERSION            1u
#define SHIM_VCPUS_MAX          64u
#define SHIM_COMMAND_LINE_BYTES 2048u /* with the zero */

struct shim_handover {
    uint32_t version;
    uint32_t vcpus;
    uint64_t memory_bytes; /* of the TD, from GPA 0 */
    uint64_t kernel_gpa, kernel_bytes;
    uint64_t initrd_gpa, initrd_bytes; /* 0 bytes: there is none */
    uint32_t accepts_lazily;           /* the kernel accepts what it needs, and the shim only that much */
    uint32_t command_line_bytes;       /* without the zero */
    char command_line[SHIM_COMMAND_LINE_BYTES];
};
_Static_assert(sizeof(struct shim_handover) <= 4096, "one page");

#endif
