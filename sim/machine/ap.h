/*
 * Application processors: from the firmware to the VMM. SDM vol. 3, "Multiple-processor initialization".
 *
 * A CPU other than the first stays with the firmware, undisturbed, until the VMM sends it INIT and SIPI. Then the core starts it
 * for real with a trampoline of its own, gives it SVM, and runs the VMM there in real mode at the SIPI's vector. A later INIT
 * sets the VMM's side of it back, and it waits in the core for the next SIPI.
 */
#ifndef SIM_MACHINE_AP_H
#define SIM_MACHINE_AP_H

#include "sim/machine/cpu.h"

/* Once, when the core's page tables are made: `page` is 4K of memory below 1 MiB that is nobody else's. */
void ap_setup(u64 page, u64 page_table_root);

/* IPIs of the VMM on `from` to `to`. */
void ap_init_ipi(struct cpu *from, struct cpu *to);
void ap_startup_ipi(struct cpu *from, struct cpu *to, u8 vector);
void ap_nmi_ipi(struct cpu *from, struct cpu *to);

/* Called between exits on a running CPU: an INIT has come. Returns with the VMM's state as after INIT and SIPI. */
bool ap_init_is_due(const struct cpu *cpu);
void ap_wait_for_startup(struct cpu *cpu);

#endif
