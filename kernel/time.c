/* Time by the TSC. See time.h. */
#include "kernel/time.h"

#include "drivers/acpi.h"
#include "drivers/hw/io.h"
#include "lib/hw/cpu.h"
#include "lib/log.h"

#define CPUID_TSC         0x15
#define PM_TIMER_HZ       3579545ull
#define PM_TIMER_MASK     0xffffffu          /* the 24 bits that every PM timer has */
#define MEASURE_PM_TICKS  (PM_TIMER_HZ / 50) /* 20 ms */
#define MEASURE_READS_MAX 10000000u
#define ASSUMED_KHZ       1000000ull

static u64 khz = ASSUMED_KHZ;
static u64 start;

/* SDM vol. 2, CPUID leaf 15H: TSC = crystal (ECX, Hz) * EBX / EAX. 0: not enumerated. */
static u64 khz_by_cpuid(void)
{
    if (cpu_cpuid(0, 0).eax < CPUID_TSC)
        return 0;
    struct cpuid_regs r = cpu_cpuid(CPUID_TSC, 0);
    if (r.eax == 0 || r.ebx == 0 || r.ecx == 0)
        return 0;
    return (u64)r.ecx * r.ebx / r.eax / 1000;
}

static u64 khz_by_pm_timer(void)
{
    if (acpi.pm_timer == 0)
        return 0;
    u32 from = io_in32(acpi.pm_timer);
    u64 tsc = cpu_tsc();
    for (unsigned n = 0; n < MEASURE_READS_MAX; n++) {
        u64 ticks = (io_in32(acpi.pm_timer) - from) & PM_TIMER_MASK;
        if (ticks >= MEASURE_PM_TICKS)
            return (cpu_tsc() - tsc) * PM_TIMER_HZ / ticks / 1000;
    }
    return 0;
}

void time_init(void)
{
    u64 found = khz_by_cpuid();

    if (found == 0)
        found = khz_by_pm_timer();
    if (found == 0)
        log_msg(LOG_WARN, "time: neither CPUID 0x15 nor an ACPI PM timer tells the TSC's rate, 1 GHz assumed");
    else
        khz = found;
    start = cpu_tsc();
}

u64 time_tsc_khz(void)
{
    return khz;
}

u64 time_us(void)
{
    u64 ticks = cpu_tsc() - start;
    /* In two parts, so that the product does not overflow after hours. */
    return ticks / khz * 1000 + ticks % khz * 1000 / khz;
}

void time_wait_us(u64 us)
{
    u64 from = cpu_tsc();
    u64 ticks = us * khz / 1000;

    while (cpu_tsc() - from < ticks)
        cpu_relax();
}
