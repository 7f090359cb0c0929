/* The periodic interrupt. See timer.h. */
#include "kernel/timer.h"

#include "drivers/apic.h"
#include "kernel/time.h"

#define MEASURE_US 10000

enum err timer_init(unsigned hz)
{
    u64 ticks = apic_timer_measure(time_wait_us, MEASURE_US);
    u64 period = ticks * (1000000 / hz) / MEASURE_US;

    if (period == 0 || period > ~0u)
        return ERR_PLATFORM;
    apic_timer_start((u32)period);
    return ERR_OK;
}
