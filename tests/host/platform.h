/*
 * A TDX platform in a host process: the machine that sim/module/platform.h asks for, over sparse memory, with knobs
 * that decide what the module meets (interrupts, entropy, key programming, time). Used by the conformance runner and by
 * the host tests that drive the VMM's own code against the module model. One platform per process.
 *
 * It keeps no memory protection or encryption: KeyID bits are the module's affair, plat_own() is only counted.
 */
#ifndef TESTS_HOST_PLATFORM_H
#define TESTS_HOST_PLATFORM_H

#include "sim/module/platform.h"

#ifndef PLATFORM_HOST_GIB
#define PLATFORM_HOST_GIB 16
#endif
#define PLATFORM_HOST_LPS        8
#define PLATFORM_HOST_CPUID_ROWS 128

struct platform_host_cpuid {
    u32 leaf, subleaf; /* subleaf all-ones: the leaf has none */
    u32 regs[4];       /* EAX EBX ECX EDX */
};

/* What the module meets; may be changed between any two calls. platform_host_start() sets the defaults given here. */
struct platform_host_knobs {
    u64 tsc, tsc_step;        /* the time stamp counter advances by `tsc_step` (1000000) at each read */
    bool pending;             /* is an event on its way? (no) */
    unsigned polls_before;    /* so many polls find nothing first */
    unsigned pending_events;  /* then enum plat_event bits */
    bool no_entropy;          /* plat_random() fails */
    u64 random_state;         /* seed of the random numbers, which repeat from run to run */
    enum plat_key_result key; /* what programming a key answers (PLAT_KEY_OK) */
    unsigned cache_blocks;    /* blocks a package's cache takes to flush (4) */
    unsigned cpuid_rows;
    struct platform_host_cpuid cpuid[PLATFORM_HOST_CPUID_ROWS];
    void (*atomic_point)(struct seam_lp *lp); /* called before each atomic operation of the module (none) */
    void (*polled)(struct seam_lp *lp);       /* called at each poll for events (none) */
    unsigned (*events)(struct seam_lp *lp);   /* answers the poll in the place of `pending` (none) */
    void (*cpuid_read)(u32 leaf, u32 subleaf, u32 out[4]); /* may change what CPUID says (none) */
    void (*page_used)(u64 hpa);                            /* called when the module asks for a page of memory (none) */
    unsigned next_cache_block[PLATFORM_HOST_LPS];          /* by package: how far its cache has been flushed */
};

/* Counters since platform_host_start(). */
struct platform_host_counts {
    u64 invepts, owned_bytes, cache_blocks_flushed, polls;
    u64 invepts_of[PLATFORM_HOST_LPS]; /* by logical processor */
};

/* The processor that a fresh platform has. */
extern const struct platform_host_cpuid platform_host_default_cpuid[];
extern const unsigned platform_host_default_cpuid_rows;

extern struct platform_host_knobs platform_host_knobs;
extern struct platform_host_counts platform_host_counts;

/*
 * A fresh platform: all memory zero, knobs at their defaults, module reset. Physical memory is 0 to PLATFORM_HOST_GIB
 * GiB. NULL takes a small default: MAXPA 52, KeyIDs in 51:46 with 32 the first private one, 2 LPs in one package, one
 * CMR per memory range around the hole below 4 GiB. The LPs in platform_host_lps are cleared and numbered.
 */
void platform_host_start(const struct plat_info *info);
const struct plat_info *platform_host_default_info(void);
/* What plat_info() says from now on; nothing else changes. For who puts a whole state back. */
void platform_host_set_info(const struct plat_info *info);

/* Where physical address 0 is in this process; address pa is at pa bytes behind it. */
u8 *platform_host_memory(void);

extern struct seam_lp platform_host_lps[PLATFORM_HOST_LPS];

#endif
