/*
 * The parts of the shim: from the first vCPU's 64-bit mode to the kernel's. What the kernel keeps of it, until it ends: all of
 * [SHIM_GPA, the hand-over page's end), and the table of unaccepted memory behind it, which the memory map has as ACPI NVS: tables,
 * mailbox, boot_params and command line.
 */
#ifndef GUEST_SHIM_SHIM_H
#define GUEST_SHIM_SHIM_H

#include "guest/shim/acpi.h"
#include "guest/shim/boot_params.h"
#include "guest/shim/efi.h"
#include "guest/shim/handover.h"

/* In words, with a number behind it; the VMM shows them. */
_Noreturn void shim_fatal(const char *words, uint64_t number);

/* The first vCPU, on its stack. */
_Noreturn void shim_main(void);
/* To the kernel, with shim_boot_params in RSI. */
_Noreturn void shim_leave(uint64_t entry);

/* Where the kernel sends a vCPU that it does not want any more; it waits at the mailbox again. No function of C. */
void shim_park(void);

/* Accepts what is pending of [from, to), multiples of 4K, by 2M pages where the VMM has mapped such. */
void shim_accept(uint64_t from, uint64_t to);

/* Extends RTMR `index` by the SHA-384 of `bytes` at `data`. */
void shim_measure(uint32_t index, const void *data, uint64_t bytes);

extern const struct shim_handover shim_handover;
extern struct boot_params shim_boot_params;
extern uint8_t shim_mailbox[4096];

#endif
