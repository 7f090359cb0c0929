/* The timers of the CPUs. See timer.h. */
#include "kernel/timer.h"

#include "drivers/apic.h"
#include "kernel/time.h"
#include "lib/bits.h"
#include "lib/hw/cpu.h"

#define MEASURE_US   10000
#define ALARM_US_MAX 1000000ull /* a later one rings earlier, and is set again */

static u64 measured; /* ticks in MEASURE_US, on CPU 0 */

/* Of each CPU, which alone changes it. */
static struct timer {
    u64 alarm; /* TSC; 0: none is set */
    u8 vector; /* of the periodic interrupt */
    u64 period_us;
    u64 due_us; /* of the next one; alarms stand in its place, and bring it when it is late */
} timers[CPU_COUNT_MAX];

static u64 period(u64 us)
{
    return measured * us / MEASURE_US;
}

static void start(const struct timer *t)
{
    apic_timer_start(t->vector, (u32)min_u64(period(t->period_us), ~0u));
}

enum err timer_init(unsigned hz)
{
    measured = apic_timer_measure(time_wait_us, MEASURE_US);
    u64 ticks = period(1000000 / hz);
    if (ticks == 0 || ticks > ~0u)
        return ERR_PLATFORM;
    timer_start(APIC_VECTOR_TIMER, 1000000 / hz);
    return ERR_OK;
}

void timer_start(u8 vector, u64 us)
{
    struct timer *t = &timers[cpu_index()];

    t->vector = vector;
    t->period_us = us;
    t->due_us = time_us() + us;
    start(t);
}

void timer_set_alarm(u64 tsc)
{
    struct timer *t = &timers[cpu_index()];
    u64 now = cpu_tsc(), khz = time_tsc_khz();

    if (cpu_index() == 0 || t->alarm == tsc)
        return;
    u64 us = tsc > now ? min_u64((tsc - now) * 1000 / khz, ALARM_US_MAX) : 0;
    t->alarm = tsc;
    apic_timer_once((u32)min_u64(period(us + 1) + 1, ~0u));
}

bool timer_take_alarm(void)
{
    struct timer *t = &timers[cpu_index()];

    t->alarm = 0;
    if (t->period_us == 0)
        return false;
    start(t);
    if (time_us() < t->due_us)
        return false;
    t->due_us = time_us() + t->period_us;
    return true;
}
