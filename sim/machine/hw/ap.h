/* The trampoline that takes an application processor from real mode to the core. */
#ifndef SIM_MACHINE_HW_AP_H
#define SIM_MACHINE_HW_AP_H

#include "sim/machine/cpu.h"

struct ap_page; /* where the trampoline lies: a page below 1 MiB */

/* Copies the trampoline to `page`; a CPU that starts there loads `page_table_root`, which is below 4 GiB. */
struct ap_page *ap_place_trampoline(u64 page, u64 page_table_root);
/* The next CPU that starts there goes on in entry(cpu) on this stack. */
typedef void ap_entry(struct cpu *cpu); /* does not return */
void ap_aim_trampoline(struct ap_page *page, void *stack_top, ap_entry *entry, struct cpu *cpu);

#endif
