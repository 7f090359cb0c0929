/* The CPUs of the machine: see cpu.h. The list is constant after cpus_init(). */
#include "sim/machine/cpus.h"
#include "sim/machine/hw/tables.h"

static struct cpu cpus[MACHINE_CPUS_MAX]; /* per CPU, but for what cpu.h says */
static unsigned count;                    /* constant after start */
static unsigned package_shift;            /* constant after start */
static unsigned thread_shift;             /* constant after start */

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

unsigned cpu_thread_shift(void)
{
    return thread_shift;
}

static unsigned size_of(unsigned package)
{
    unsigned size = 0;
    for (unsigned i = 0; i < count; i++)
        size += cpus[i].lp.package == package;
    return size;
}

unsigned cpu_package_size(void)
{
    unsigned most = 0;
    for (unsigned i = 0; i < count; i++)
        if (size_of(cpus[i].lp.package) > most)
            most = size_of(cpus[i].lp.package);
    return most;
}

static u32 highest_id(void)
{
    u32 highest = 0;
    for (unsigned i = 0; i < count; i++)
        if (cpus[i].apic_id > highest)
            highest = cpus[i].apic_id;
    return highest;
}

void cpus_init(const u32 *apic_ids, unsigned number, unsigned packages, unsigned threads, u32 base)
{
    count = number;
    for (unsigned i = 0; i < count; i++) {
        cpus[i].index = cpus[i].lp.index = i;
        cpus[i].real_apic_id = apic_ids[i];
        cpus[i].apic_id = apic_ids[i] + (i ? base : 0);
    }
    package_shift = thread_shift = threads - 1;
    while ((packages << package_shift) <= highest_id())
        package_shift++;
    for (unsigned i = 0; i < count; i++)
        cpus[i].lp.package = cpus[i].apic_id >> package_shift;
    cpus[0].life = CPU_RUNS;
    cpus[0].is_ours = true;
}
