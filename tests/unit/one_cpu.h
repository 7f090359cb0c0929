/* The simulated machine with one CPU, for tests that play it: defines what sim/machine/cpu.h and apic.h say, around `cpu`. */
#ifndef TESTS_UNIT_ONE_CPU_H
#define TESTS_UNIT_ONE_CPU_H

#include <stdlib.h>

#include "sim/machine/apic.h"
#include "sim/machine/cpu.h"

static struct cpu cpu;

struct cpu *cpu_this(void)
{
    return &cpu;
}
struct cpu *cpu_at(unsigned index)
{
    return index ? NULL : &cpu;
}
unsigned cpu_count(void)
{
    return 1;
}
/* Nobody else is there to be sent one. */
static unsigned nmis_to_self;
void apic_send_nmi(struct cpu *from, u32 dest)
{
    if (from != &cpu || dest != cpu.real_apic_id)
        abort();
    nmis_to_self++;
}

#endif
