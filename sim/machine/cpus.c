/* The CPUs of the machine: see cpu.h. The list is constant after cpus_init(). */
#include "sim/machine/cpus.h"
#include "sim/machine/hw/tables.h"

static struct cpu cpus[MACHINE_CPUS_MAX]; /* per CPU, but for what cpu.h says */
static unsigned count;                    /* constant after start */
static unsigned package_shift;            /* constant after start */

/* Each CPU has a GDT inside its struct; the firmware's lies elsewhere. */
struct cpu *cpu_this(void)
{
    u64 offset = tables_gdt() - (u64)cpus;
    return offset < sizeof(cpus) ? &cpus[offset / sizeof(cpus[0])] : &cpus[0];
}

unsigned cpu_count(void)
{
    return count;
}

struct cpu *cpu_at(unsigned index)
{
    return &cpus[index];
}

unsigned cpu_package_shift(void)
{
    return package_shift;
}

unsigned cpu_package_size(unsigned package)
{
    unsigned size = 0;
    for (unsigned i = 0; i < count; i++)
        size += cpus[i].lp.package == package;
    return size;
}

static u32 highest_id(const u32 *apic_ids)
{
    u32 highest = 0;
    for (unsigned i = 0; i < count; i++)
        if (apic_ids[i] > highest)
            highest = apic_ids[i];
    return highest;
}

void cpus_init(const u32 *apic_ids, unsigned number, unsigned packages)
{
    count = number;
    while ((packages << package_shift) <= highest_id(apic_ids))
        package_shift++;
    for (unsigned i = 0; i < count; i++) {
        struct cpu *cpu = &cpus[i];
        cpu->index = cpu->lp.index = i;
        cpu->apic_id = apic_ids[i];
        cpu->lp.package = apic_ids[i] >> package_shift;
    }
    cpus[0].life = CPU_RUNS;
    cpus[0].is_ours = true;
}
