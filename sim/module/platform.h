/*
 * What the TDX module asks of the machine that it runs on. sim/machine implements it with real memory;
 * tests/host/platform.c with sparse memory in a host process.
 */
#ifndef SIM_MODULE_PLATFORM_H
#define SIM_MODULE_PLATFORM_H

#include "sim/module/seam.h"

#define PLAT_CMRS_MAX          32
#define PLAT_ABSENT_FIELDS_MAX 16

struct plat_range {
    u64 base, bytes;
};

/* Constant after start. Defaults and configuration keys: docs/simulator.md. */
struct plat_info {
    unsigned maxpa; /* physical address width including KeyID bits: 48 on QEMU, 52 in the records */
    unsigned keyid_shift, keyid_bits;
    u16 first_private_hkid; /* KeyIDs below it are shared (MKTME) ones */
    unsigned lp_count, package_count;
    u64 tsc_hz;
    unsigned ept_levels_max; /* 4, or 5 where the machine can walk five */
    u64 features0;           /* TDX_FEATURES0 as TDH.SYS.RD shows it */
    bool single_step_filter; /* interrupts right after TD entry are held back; needs monitor_trap and resend_vector */
    u16 module_major, module_minor, module_update;
    unsigned tdcs_pages;   /* that a TD needs; 0: as module 1.5.01 */
    u32 refused_cpuid;     /* TDH.SYS.INIT does not take this CPUID leaf; 0: it takes all */
    unsigned odd_lp;       /* TDH.SYS.LP.INIT finds IA32_TSX_CTRL to differ on this LP; 0: on none */
    unsigned absent_count; /* of metadata fields that TDH.SYS.RD does not know */
    u64 absent_fields[PLAT_ABSENT_FIELDS_MAX];
    unsigned cmr_count;
    struct plat_range cmrs[PLAT_CMRS_MAX];
};
const struct plat_info *plat_info(void);

/* Pointer to the 4K page of memory at `hpa` (aligned, KeyID bits already taken off), NULL where there is none. Whole 2M and 1G
 * pages of one range are contiguous behind the pointer too. */
void *plat_page(u64 hpa);

/* What the page holds is encrypted and owned from now on under a private KeyID, so a call comes here with the PAMT entry for itself
 * and before it writes to the page: the VMM's accesses, on all CPUs, are caught until it
 * resets the page with MOVDIR64B (or until the module no longer uses the page and the VMM finds scrambled bytes). */
void plat_own(u64 hpa, u64 bytes);
/*
 * For the machine's guard: does the module use this page now (PAMT type other than free, or part of a PAMT)? So it says of a free
 * page too while a call has its entry for itself: the call has not decided yet, and may be writing to the page.
 */
bool module_uses_page(u64 hpa);

u64 plat_tsc(void);
bool plat_random(u64 *value); /* false: no entropy now */

/*
 * What waits for the CPU to leave SEAM: a set of these, whatever RFLAGS.IF says (the module looks at it where it
 * counts).
 */
enum plat_event { PLAT_EVENT_INTERRUPT = 1, PLAT_EVENT_NMI = 2, PLAT_EVENT_SMI = 4 };
unsigned plat_interrupt_pending(struct seam_lp *lp);

/* PCONFIG of one KeyID on this package. */
enum plat_key_result { PLAT_KEY_OK, PLAT_KEY_NO_ENTROPY, PLAT_KEY_BUSY };
enum plat_key_result plat_program_key(struct seam_lp *lp, u16 hkid);

/* The platform's own CPUID, as the VMM sees it. */
void plat_cpuid(u32 leaf, u32 subleaf, u32 out[4]);

/* INVEPT by the module on this LP: guest-physical translations that derive from this EPTP's root are gone. */
void plat_invept(struct seam_lp *lp, u64 eptp);

/* WBINVD of one block of this package's cache; false when that was the last block. */
bool plat_flush_cache_block(struct seam_lp *lp);

/* SHA-384 of a packaged library behind three calls; `state` is at least PLAT_SHA384_BYTES, 8-byte aligned. */
#define PLAT_SHA384_BYTES 256
void plat_sha384_begin(void *state);
void plat_sha384_add(void *state, const void *data, size_t bytes);
void plat_sha384_end(void *state, u8 digest[48]);

/* Called before each atomic operation on shared state; the concurrency tests interleave here. Empty elsewhere. */
void plat_atomic_point(struct seam_lp *lp);

/* An invariant of the model is broken: stop and say where. */
_Noreturn void plat_broken(const char *file, int line, const char *what);

#endif
