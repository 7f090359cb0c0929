/*
 * The TDCALLs and TDVMCALLs that payloads use, with names for their registers. TDX module ABI, "TDG leaf functions";
 * GHCI, "TDG.VP.VMCALL leaf functions".
 */
#ifndef GUEST_LIB_GHCI_H
#define GUEST_LIB_GHCI_H

#include <stdint.h>

#include "guest/lib/runtime.h"

/* Completion statuses, upper half; the lower half is the operand or a level. */
#define TDX_SUCCESS               0x00000000u
#define TDX_PAGE_ALREADY_ACCEPTED 0x00000b0au
#define TDX_PAGE_SIZE_MISMATCH    0xc0000b0bu
#define TDX_OPERAND_BUSY          0x80000200u

#define GHCI_SUCCESS 0ull
#define GHCI_RETRY   1ull

#define TDG_VP_VMCALL 0
/* Its RCX: a bit for each register that passes, numbered as the instruction encoding numbers registers. */
#define GHCI_PASS_R10_R13 (0xfull << 10)

struct ve_info {
    uint64_t exit_reason, qualification, gla, gpa;
};

struct mapgpa_result {
    uint64_t status; /* GHCI_* or an error code */
    uint64_t gpa;    /* RETRY and errors: where to go on, or where it failed */
};

/* Level 0 or 1; the GPA is aligned to it. Completion status. May leave the TD and come back when the page is mapped. */
uint64_t ghci_accept(uint64_t gpa, uint32_t level);

/* Completion status; `info` is valid on success only. */
uint64_t ghci_get_ve_info(struct ve_info *info);

/* `gpa` carries the shared bit if the range is to become shared. */
struct mapgpa_result ghci_map_gpa(uint64_t gpa, uint64_t bytes);

/* Tells the VMM why the TD cannot go on. */
_Noreturn void ghci_fatal(uint32_t code, const struct guest_text *text);

#endif
