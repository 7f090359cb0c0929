/*
 * The way of another CPU from real mode to C: a trampoline below 1 MiB (ap.asm), then tables of its own. SDM vol. 3,
 * "Typical AP initialization sequence".
 */
#ifndef KERNEL_HW_AP_H
#define KERNEL_HW_AP_H

#include "lib/addr.h"

struct ap_area; /* GDT, TSS, exception stacks of one CPU */

/* How much memory ap_area_make() builds it in, and where the CPU's own stack begins. */
u64 ap_area_bytes(void);
struct ap_area *ap_area_make(void *memory, void *stack_top);

/* Copies the trampoline to its page; it brings CPUs to the page tables and control registers that this one has now. */
void ap_place(hpa_t trampoline);
/* The next CPU that starts there ends up in to(arg), with the tables and the stack of `area`. One CPU at a time. */
void ap_aim(hpa_t trampoline, struct ap_area *area, void (*to)(void *arg), void *arg);

#endif
