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
#include "sim/machine/hw/ap.h"

/* Once, when the core's page tables are made: `page` is 4K of memory below 1 MiB that is nobody else's. */
void ap_setup(u64 page, u64 page_table_root);

/* The start of a CPU for real: it goes on in entry(cpu) on this stack, in long mode and on the core's page tables. */
struct ap_start {
    u32 real_apic_id;
    void *stack_top;
    ap_entry *entry;
    struct cpu *cpu;
    bool (*is_up)(const struct cpu *cpu);
    bool (*give_up)(struct cpu *cpu); /* atomically; false: it has come after all */
};
/* INIT and SIPIs by `from`'s APIC, two seconds to come. */
bool ap_start(struct cpu *from, const struct ap_start *what);

/* IPIs of the VMM on `from` to `to`. */
void ap_init_ipi(struct cpu *from, struct cpu *to);
void ap_startup_ipi(struct cpu *from, struct cpu *to, u8 vector);
void ap_nmi_ipi(struct cpu *from, struct cpu *to);

/* Called between exits on a running CPU: an INIT has come. Returns with the VMM's state as after INIT and SIPI. */
bool ap_init_is_due(const struct cpu *cpu);
void ap_wait_for_startup(struct cpu *cpu);

#endif
