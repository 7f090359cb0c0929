/* The periodic interrupt. See timer.h. */
#include "kernel/timer.h"

#include "drivers/apic.h"
#include "kernel/time.h"
#include "lib/bits.h"

#define MEASURE_US 10000

static u64 measured; /* ticks in MEASURE_US, on CPU 0 */

static u64 period(u64 us)
{
    return measured * us / MEASURE_US;
}

enum err timer_init(unsigned hz)
{
    measured = apic_timer_measure(time_wait_us, MEASURE_US);
    u64 ticks = period(1000000 / hz);
    if (ticks == 0 || ticks > ~0u)
        return ERR_PLATFORM;
    apic_timer_start(APIC_VECTOR_TIMER, (u32)ticks);
    return ERR_OK;
}

void timer_start(u8 vector, u64 us)
{
    apic_timer_start(vector, (u32)min_u64(period(us), ~0u));
}
