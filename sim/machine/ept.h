/*
 * The hardware's walk of extended page tables: the Secure EPT of a TD for private guest-physical addresses, the VMM's
 * shared EPT for those with the shared bit. SDM volume 3, "The extended page table mechanism"; Intel TDX CPU
 * architectural extensions, "Shared EPT". Pure logic over plat_page() and plat_info().
 *
 * Not here: accessed and dirty flags and page-modification logging (TDX uses neither), mode-based execute control,
 * HLAT, supervisor shadow-stack bits, sub-page permissions.
 */
#ifndef SIM_MACHINE_EPT_H
#define SIM_MACHINE_EPT_H

#include "sim/types.h"

/* Access kinds and permissions: the same bits as in an EPT entry and in the exit qualification. */
#define EPT_READ  1u
#define EPT_WRITE 2u
#define EPT_EXEC  4u

#define EPT_LARGE       (1ull << 7)
#define EPT_SUPPRESS_VE (1ull << 63)

/* What one vCPU translates with: fields of its VMCS. */
struct ept_space {
    u64 eptp;        /* root HPA, walk length - 1 in bits 5:3 */
    u64 shared_root; /* root HPA; walked with the EPTP's length */
    unsigned gpaw;   /* 48 or 52: the shared bit is bit 47 or 51 */
};

enum ept_outcome {
    EPT_OK,
    EPT_VIOLATION, /* exit reason 48, or #VE where suppress_ve is false */
    EPT_MISCONFIG, /* exit reason 49 */
    EPT_NO_MEMORY, /* a table lies where the platform has no memory */
};

struct ept_walk {
    enum ept_outcome outcome;
    u64 hpa;          /* EPT_OK: of the byte at the GPA, KeyID bits taken off */
    unsigned level;   /* of the entry that ended the walk: 0 4K, 1 2M, 2 1G, 3 512G, 4 256T */
    u32 permissions;  /* EPT_* allowed by all entries of the walk together */
    bool suppress_ve; /* bit 63 of the entry that ended the walk */
    unsigned steps;   /* entries read */
};

bool ept_is_shared(const struct ept_space *space, u64 gpa);

/* `access` is a set of EPT_*. */
struct ept_walk ept_translate(const struct ept_space *space, u64 gpa, u32 access);

/* A physical address without its KeyID. */
u64 ept_strip_keyid(u64 hpa);

#endif
