/* The core's own descriptor tables and exception handlers. SDM vol. 3, sections 3.5 and 6.10. */
#ifndef SIM_MACHINE_HW_TABLES_H
#define SIM_MACHINE_HW_TABLES_H

#include "sim/types.h"

struct table_register {
    u16 limit;
    u64 base;
} __attribute__((packed));

/* Builds the IDT once; each CPU then loads it and a GDT of its own. An exception of the core stops the machine with a report. */
void traps_init(void);
void traps_load(u64 gdt[3]);
/* Where GDTR points to now. */
u64 tables_gdt(void);

/* What the firmware uses: GDT, IDT, and the selectors ES, CS, SS, DS. */
void tables_store(struct table_register *gdt, struct table_register *idt, u16 selectors[4]);

#endif
