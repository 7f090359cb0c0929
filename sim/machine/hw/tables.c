/* The core's GDT and IDT, and the report of an exception that happened in the core itself, which is always a fault of ours. */
#include "sim/machine/hw/tables.h"
#include "sim/machine/hw/cpu.h"
#include "sim/machine/log.h"

#define VECTORS 256

void tables_load(const struct table_register *gdt, const struct table_register *idt);
extern const char traps_stubs[];
void traps_report(const u64 frame[7]);

static u64 idt[VECTORS][2]; /* constant after traps_init() */

void traps_init(void)
{
    for (unsigned i = 0; i < VECTORS; i++) {
        u64 at = (u64)traps_stubs + 16 * i;
        /* Present 64-bit interrupt gate, selector 8. */
        idt[i][0] = (at & 0xffff) | 8u << 16 | 0x8eull << 40 | (at >> 16 & 0xffff) << 48;
        idt[i][1] = at >> 32;
    }
}

void traps_load(u64 gdt[3])
{
    struct table_register g = {3 * sizeof(u64) - 1, (u64)gdt}, i = {sizeof(idt) - 1, (u64)idt};
    gdt[0] = 0;
    gdt[1] = 0x00af9b000000ffffull; /* 64-bit code */
    gdt[2] = 0x00cf93000000ffffull; /* data */
    tables_load(&g, &i);
}

u64 tables_gdt(void)
{
    struct table_register g;
    __asm__ volatile("sgdt %0" : "=m"(g));
    return g.base;
}

void traps_report(const u64 frame[7])
{
    extern const char ImageBase[];
    sim_stop("broken: exception %u (error code %llx) in the platform at %llx (image offset %llx), address %llx",
             (unsigned)frame[0], (unsigned long long)frame[1], (unsigned long long)frame[2],
             (unsigned long long)(frame[2] - (u64)ImageBase), (unsigned long long)cpu_cr2());
}
