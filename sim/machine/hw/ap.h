/* The trampoline that takes an application processor from real mode to the core. */
#ifndef SIM_MACHINE_HW_AP_H
#define SIM_MACHINE_HW_AP_H

#include "sim/machine/cpu.h"

struct ap_page; /* where the trampoline lies: a page below 1 MiB */

/* Copies the trampoline to `page`; a CPU that starts there loads `page_table_root`, which is below 4 GiB. */
struct ap_page *ap_place_trampoline(u64 page, u64 page_table_root);
/* The next CPU that starts there goes on in ap_arrive(cpu) on this stack. */
void ap_aim_trampoline(struct ap_page *page, void *stack_top, struct cpu *cpu);

/* Where it goes: sim/machine/ap.c. */
_Noreturn void ap_arrive(struct cpu *cpu);

#endif
