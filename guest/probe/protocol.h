/*
 * How the VMM tells the probe payload what to do. One TDVMCALL and one mailbox page a vCPU; all else is plain GHCI (MapGPA,
 * ReportFatalError). This is the payload's published interface: the VMM includes it, and nothing else of guest/probe/.
 *
 * Start: guest/image.h; the image begins with struct probe_header. Mailboxes: struct probe_mailbox, one 4K page a vCPU, shared
 * from the start, placed by the VMM, their GPA (without shared bit) patched into the header's `mailboxes` before the image is
 * added and measured.
 *
 * Work: the probe executes TDG.VP.VMCALL with R10 = PROBE_VMCALL, R11 = PROBE_NEXT. The VMM re-enters the vCPU when
 * `mailbox.work` holds something to do. The probe does it, fills `mailbox.result` and calls PROBE_NEXT again, which also tells
 * that the result is there. While `abort` is not zero the probe gives up its work at the next page and says PROBE_ABORTED.
 */
#ifndef GUEST_PROBE_PROTOCOL_H
#define GUEST_PROBE_PROTOCOL_H

#include "guest/image.h"

#define PROBE_VMCALL    0x65626f7270ull /* "probe", R10: nonzero, so a vendor-specific leaf of the GHCI */
#define PROBE_NEXT      1
#define PROBE_PROTOCOL  1
#define PROBE_MAX_VCPUS 32 /* the image has a stack for each */

struct probe_header {
    struct guest_header image;
    uint64_t mailboxes;    /* GPA, filled in by the VMM */
    uint64_t vcpus;        /* count, filled in by the VMM */
    uint64_t memory_bytes; /* size of TD memory from GPA 0, filled in by the VMM */
};

enum probe_op {
    PROBE_NOTHING,
    PROBE_FILL,   /* gpa, len, seed: each 8 bytes become probe_word(seed, address) */
    PROBE_VERIFY, /* gpa, len, seed */
    PROBE_ACCEPT, /* gpa, len, level (0 4K, 1 2M) */
    PROBE_CONVERT, /* gpa, len, to_shared: MapGPA; back to private also ACCEPT, 2M where possible, unless leave_pending */
    PROBE_TOUCH,   /* gpa, len, stride, order, count, write, seed, pauses */
    PROBE_SPIN,    /* milliseconds of TSC time */
};

enum probe_order { PROBE_SEQUENTIAL, PROBE_RANDOM, PROBE_ZIPF };

enum probe_status {
    PROBE_OK,
    PROBE_MISMATCH, /* verify: see the result's first_* */
    PROBE_ABORTED,
    PROBE_ACCEPT_FAILED, /* tdcall_status, at_gpa */
    PROBE_MAPGPA_FAILED, /* vmcall_status, at_gpa */
    PROBE_BAD_WORK,      /* unknown op or a range outside TD memory */
};

struct probe_work {
    uint32_t op, level;
    uint64_t gpa, len, seed, stride, count, milliseconds, tsc_khz;
    uint32_t order, write, to_shared, shared_access; /* shared_access: fill, verify, touch through the shared alias */
    uint32_t leave_pending, pauses;                  /* pauses: of the vCPU, behind each access of touch */
};

struct probe_result {
    uint32_t status, counted;  /* counted: walks and walk_cycles are there */
    uint64_t bytes, bad_bytes; /* worked on; wrong ones (verify) */
    uint64_t at_gpa;           /* first wrong address, or where it failed */
    uint64_t found, expected;  /* the 8 bytes there */
    uint64_t tdcall_status, vmcall_status;
    uint64_t accepted[2]; /* pages accepted, by level */
    uint64_t ve_count;    /* #VE taken while working */
    uint64_t mapgpa_retries;
    uint64_t touched, tsc; /* accesses made; TSC ticks of the work */
    uint64_t walks[3]; /* of fill, verify and touch: TLB misses by size of the page that they found, 4K, 2M, 1G ... */
    uint64_t walk_cycles; /* ... and for how long the CPU walked for them */
};

struct probe_mailbox {
    volatile uint32_t abort;
    uint32_t reserved[15];
    struct probe_work work;
    struct probe_result result;
};

/* The word that stands at `gpa` after FILL with `seed`. */
static inline uint64_t probe_word(uint64_t seed, uint64_t gpa)
{
    uint64_t z = seed * 0x9e3779b97f4a7c15ull + gpa + 0x9e3779b97f4a7c15ull;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
    return z ^ (z >> 31);
}

#endif
