/* The core's GDT and IDT, and the report of an exception that happened in the core itself, which is always a fault of ours. */
#include "sim/machine/hw/tables.h"
#include "sim/machine/hw/cpu.h"
#include "sim/machine/log.h"

#define VECTORS 32

void tables_load(const struct table_register *gdt, const struct table_register *idt);
extern const char traps_stubs[];
void traps_report(const u64 frame[7]);

u64 traps_nmi_count;
static u64 gdt[3] = {0, 0x00af9b000000ffffull, 0x00cf93000000ffffull};
static u64 idt[VECTORS][2];

void traps_init(void)
{
    for (unsigned i = 0; i < VECTORS; i++) {
        u64 at = (u64)traps_stubs + 16 * i;
        /* Present 64-bit interrupt gate, selector 8. */
        idt[i][0] = (at & 0xffff) | 8u << 16 | 0x8eull << 40 | (at >> 16 & 0xffff) << 48;
        idt[i][1] = at >> 32;
    }
}

void traps_load(void)
{
    struct table_register g = {sizeof(gdt) - 1, (u64)gdt}, i = {sizeof(idt) - 1, (u64)idt};
    tables_load(&g, &i);
}

void traps_report(const u64 frame[7])
{
    extern const char ImageBase[];
    sim_stop("broken: exception %u (error code %llx) in the platform at %llx (image offset %llx), address %llx",
             (unsigned)frame[0], (unsigned long long)frame[1], (unsigned long long)frame[2],
             (unsigned long long)(frame[2] - (u64)ImageBase), (unsigned long long)cpu_cr2());
}
