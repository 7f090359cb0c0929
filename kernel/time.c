/* Time by the TSC. See time.h. */
#include "kernel/time.h"

#include "drivers/acpi.h"
#include "drivers/hw/io.h"
#include "lib/hw/cpu.h"
#include "lib/log.h"

#define CPUID_TSC         0x15u
#define CPUID_FREQUENCY   0x16u
#define MHZ_MASK          0xffffu
#define HPET_PERIOD       0x04 /* femtoseconds */
#define HPET_CONFIG       0x10
#define HPET_COUNTER      0xf0
#define HPET_RUNS         1u
#define HPET_PERIOD_MAX   100000000u
#define FS_A_US           1000000000ull
#define PM_TIMER_HZ       3579545ull
#define PM_TIMER_MASK     0xffffffu /* the 24 bits that every PM timer has */
#define MEASURE_MS        20
#define MEASURE_PM_TICKS  (PM_TIMER_HZ * MEASURE_MS / 1000)
#define MEASURE_READS_MAX 10000000u
#define ASSUMED_KHZ       1000000ull

static u64 khz = ASSUMED_KHZ;
static u64 start, start_ticks;
static _Atomic u64 waited; /* by time_wait_us() so far, TSC ticks */

/* SDM vol. 2, CPUID leaf 15H: TSC = crystal (ECX, Hz) * EBX / EAX. Where the crystal is left out the TSC runs at the base
 * frequency of leaf 16H, in MHz. 0: not enumerated. */
static u64 khz_by_cpuid(void)
{
    if (cpu_cpuid(0, 0).eax < CPUID_TSC)
        return 0;
    struct cpuid_regs r = cpu_cpuid(CPUID_TSC, 0);
    if (r.eax == 0 || r.ebx == 0)
        return 0;
    if (r.ecx == 0)
        return cpu_cpuid(0, 0).eax < CPUID_FREQUENCY ? 0 : (cpu_cpuid(CPUID_FREQUENCY, 0).eax & MHZ_MASK) * 1000ull;
    return (u64)r.ecx * r.ebx / r.eax / 1000;
}

/* IA-PC HPET specification 1.0a, section 2.3. Its low 32 bits last for minutes. */
static u64 khz_by_hpet(void)
{
    if (acpi.hpet.raw == 0)
        return 0;
    u64 period = mmio_read32(hpa_add(acpi.hpet, HPET_PERIOD));
    if (period == 0 || period > HPET_PERIOD_MAX)
        return 0;
    mmio_write32(hpa_add(acpi.hpet, HPET_CONFIG), mmio_read32(hpa_add(acpi.hpet, HPET_CONFIG)) | HPET_RUNS);
    u32 from = mmio_read32(hpa_add(acpi.hpet, HPET_COUNTER));
    u64 tsc = cpu_tsc();
    for (unsigned n = 0; n < MEASURE_READS_MAX; n++) {
        u64 ticks = (u32)(mmio_read32(hpa_add(acpi.hpet, HPET_COUNTER)) - from);
        u64 us = ticks * period / FS_A_US;
        if (us >= MEASURE_MS * 1000)
            return (cpu_tsc() - tsc) * 1000 / us;
    }
    return 0;
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
    static u64 (*const ways[])(void) = {khz_by_cpuid, khz_by_hpet, khz_by_pm_timer};
    u64 found = 0;

    for (unsigned i = 0; i < ARRAY_COUNT(ways) && found == 0; i++)
        found = ways[i]();
    if (found == 0)
        log_msg(LOG_WARN,
                "time: neither CPUID 0x15 and 0x16 nor an HPET or ACPI PM timer tells the TSC's rate, 1 GHz assumed");
    khz = found == 0 ? ASSUMED_KHZ : found;
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
    waited += ticks;
}

void time_is_started(u64 tsc)
{
    start_ticks = cpu_tsc() - tsc - waited;
}

u64 time_start_ticks(void)
{
    return start_ticks;
}
