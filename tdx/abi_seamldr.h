/*
 * P-SEAMLDR, the persistent SEAM loader: leaf numbers (RAX; bit 63 leads there and not to the TDX module), statuses, structures.
 * Intel TDX Loader (SEAMLDR) Interface Specification, "P-SEAMLDR interface functions". Left out: SEAMINFO and CLEANUP.
 */
#ifndef TDX_ABI_SEAMLDR_H
#define TDX_ABI_SEAMLDR_H

#include <stddef.h>

#include "lib/addr.h"

#define SEAMLDR_INFO    0x8000000000000000ull
#define SEAMLDR_INSTALL 0x8000000000000001ull

/* Whole words, unlike the module's: nothing of them is an operand. AGAIN: the same once more may go well. */
/* clang-format off */
#define SEAMLDR_STATUS_LIST(X) \
    X(0x0000000000000000, SUCCESS,     false, "done") \
    X(0x8000000000000000, EBADPARAM,   false, "it refuses the parameters page (SEAMLDR_PARAMS) or an address in it") \
    X(0x8000000000000003, EBADCALL,    false, "it has a call of this CPU already, or shuts down") \
    X(0x8000000000000004, EBADHANDOFF, false, "the module cannot take over what an older one left: reset the machine") \
    X(0x8000000000000005, ECLEANUPREQ, false, "keys and caches of an older module have to be cleaned first: reset the machine") \
    X(0x8000000000000006, EUNSUPPORTED, false, "this P-SEAMLDR takes no module of that major version: update the BIOS") \
    X(0x8000000000010002, ENOMEM,      false, "the module does not fit into the SEAM range that the firmware set aside") \
    X(0x8000000000010003, EUNSPECERR,  false, "something about the platform's configuration is not as it must be: update the BIOS") \
    X(0x8000000000010004, EUNSUPCPU,   false, "the module is not made for a CPU of this machine: take the one for its generation") \
    X(0x8000000000020000, EBADSIG,     false, "the sigstruct is malformed, not Intel's, or of an older security version") \
    X(0x8000000000020001, EBADHASH,    false, "the module's bytes are not those that the sigstruct is for: take both from one release") \
    X(0x8000000000030000, EINTERRUPT,  true,  "an interrupt came each time") \
    X(0x8000000000030001, ENOENTROPY,  true,  "there was no entropy each time")
/* clang-format on */

/* Written by SEAMLDR.INFO, aligned to its size. */
struct seamldr_info {
    u32 version, attributes, vendor_id, build_date;
    u16 build_num, minor, major, update;
    u32 acm_x2apic_id, updates_left;
    u8 seam_info[128];
    u8 seam_ready, seam_debug, p_seamldr_ready;
    u8 reserved[93];
} __attribute__((aligned(256)));
_Static_assert(sizeof(struct seamldr_info) == 256 && offsetof(struct seamldr_info, updates_left) == 28 &&
                   offsetof(struct seamldr_info, seam_ready) == 160,
               "SEAMLDR_INFO");

#define SEAMLDR_IMAGE_PAGES_MAX     496
#define SEAMLDR_SIGSTRUCT_PAGES_MAX 4
#define SEAMLDR_SIGSTRUCT_BYTES_MIN 2048u
#define SEAMLDR_SCENARIO_LOAD       0

/* What SEAMLDR.INSTALL reads on the last logical processor. Version 0, which every P-SEAMLDR takes, has one sigstruct page and the
 * others reserved; version 1 has them all. */
struct seamldr_params {
    u32 version, scenario;
    u64 sigstruct_pages[SEAMLDR_SIGSTRUCT_PAGES_MAX];
    u8 reserved[80];
    u64 image_page_count;
    u64 image_pages[SEAMLDR_IMAGE_PAGES_MAX];
} __attribute__((aligned(4096)));
_Static_assert(sizeof(struct seamldr_params) == 4096 && offsetof(struct seamldr_params, image_page_count) == 120,
               "SEAMLDR_PARAMS");

#endif
