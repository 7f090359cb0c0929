/* The counter of cycles. See counter.h. */
#include "kernel/guard/counter.h"

#include "drivers/apic.h"
#include "lib/bits.h"
#include "lib/hw/cpu.h"

#define CPUID_PMU         0x0au
#define PMU_VERSION(eax)  ((eax)&0xff)
#define PMU_COUNTERS(eax) ((eax) >> 8 & 0xff)
#define PMU_EVENTS(eax)   ((eax) >> 24) /* how many bits of EBX mean something */
#define EVENT_IS_MISSING  BIT(0)        /* EBX: unhalted core cycles */

#define MSR_COUNTER       0xc1 /* takes 32 bits, and extends their sign */
#define MSR_SELECT        0x186
#define MSR_STATUS        0x38e
#define MSR_CONTROL       0x38f
#define MSR_CLEAR         0x390
#define SELECT_CYCLES     0x3c
#define SELECT_EVERYWHERE (BIT(16) | BIT(17))
#define SELECT_INTERRUPT  BIT(20)
#define SELECT_ENABLE     BIT(22)
#define COUNTER_0         BIT(0)

static bool is_on; /* off again where arming fails */
static u64 between;

static bool has_counter(void)
{
    if (cpu_cpuid(0, 0).eax < CPUID_PMU)
        return false;
    struct cpuid_regs r = cpu_cpuid(CPUID_PMU, 0);
    return PMU_VERSION(r.eax) >= 2 && PMU_COUNTERS(r.eax) != 0 && PMU_EVENTS(r.eax) != 0 && !(r.ebx & EVENT_IS_MISSING);
}

/* The local APIC masks its entry with each NMI. */
static bool arm(void)
{
    return cpu_write_msr(MSR_COUNTER, (u32)-between) && cpu_write_msr(MSR_CLEAR, COUNTER_0) && apic_counter_nmi();
}

bool counter_start(u64 cycles)
{
    between = cycles;
    is_on = has_counter() && cpu_write_msr(MSR_CONTROL, 0) &&
            cpu_write_msr(MSR_SELECT, SELECT_CYCLES | SELECT_EVERYWHERE | SELECT_INTERRUPT | SELECT_ENABLE) && arm() &&
            cpu_write_msr(MSR_CONTROL, COUNTER_0);
    return is_on;
}

bool counter_take(void)
{
    u64 status;

    if (!is_on || !cpu_read_msr(MSR_STATUS, &status) || !(status & COUNTER_0))
        return false;
    is_on = arm();
    return true;
}
