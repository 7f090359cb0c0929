/* The watchdog. See watchdog.h. */
#include "kernel/guard/watchdog.h"

#include "drivers/apic.h"
#include "kernel/cpus.h"
#include "kernel/guard/counter.h"
#include "kernel/time.h"
#include "kernel/timer.h"
#include "lib/bits.h"
#include "lib/hw/cpu.h"
#include "lib/log.h"

#define LOOK_US   (WATCHDOG_LOOK_S * 1000000ull)
#define LOOKS_MAX (WATCHDOG_S / WATCHDOG_LOOK_S)

static struct watched {
    _Atomic unsigned beats;  /* by the CPU itself */
    _Atomic unsigned seen;   /* this one and the next by who looks */
    unsigned looks;          /* in a row without a beat */
    _Atomic bool is_accused; /* an NMI is on its way that asks what the CPU is at */
} watched[CPU_COUNT_MAX];

static bool (*is_inside)(unsigned cpu);
static u64 due;                /* CPU 0's next look at the others */
static unsigned counter_limit; /* looks by the counter's NMIs that take WATCHDOG_S */

void watchdog_beat(void)
{
    watched[cpu_index()].beats++;
}

/* True: so many looks in a row have found no beat. */
static bool is_still(struct watched *w, unsigned limit)
{
    unsigned now = w->beats;

    w->looks = now == w->seen ? w->looks + 1 : 0;
    w->seen = now;
    return w->looks >= limit;
}

static void look_at(unsigned cpu)
{
    struct watched *w = &watched[cpu];

    if (cpus_state(cpu) == CPU_FAILED)
        return;
    if (is_inside(cpu)) /* an interrupt would cost the TD an exit */
        w->looks = 0;
    else if (!is_still(w, LOOKS_MAX))
        cpus_kick(cpu);
    else if (!w->is_accused) {
        w->is_accused = true;
        apic_send_nmi(cpus_apic_id(cpu));
    } else
        panic("CPU %u hangs: for %u s no interrupt has come through to it, and now no NMI", cpu, WATCHDOG_S);
}

void watchdog_look_at_others(void)
{
    if (is_inside == NULL || time_us() < due)
        return;
    due = time_us() + LOOK_US;
    for (unsigned i = 1; i < cpus_count(); i++)
        look_at(i);
}

void watchdog_look_at_first(void)
{
    look_at(0);
}

enum watchdog_verdict watchdog_nmi(void)
{
    struct watched *w = &watched[cpu_index()];

    if (w->is_accused) {
        w->is_accused = false;
        return w->beats == w->seen ? WATCHDOG_HANGS : WATCHDOG_FINE;
    }
    if (cpu_index() != 0 || !counter_take())
        return WATCHDOG_NOT_MINE;
    return is_still(w, counter_limit) ? WATCHDOG_HANGS : WATCHDOG_FINE;
}

static bool start_counter(void)
{
    u64 cycles_a_second = time_tsc_khz() * 1000;
    u64 cycles = min_u64(cycles_a_second * WATCHDOG_LOOK_S, COUNTER_CYCLES_MAX);

    counter_limit = (unsigned)(cycles_a_second * WATCHDOG_S / cycles);
    return counter_start(cycles);
}

static void start_timer(void *arg)
{
    (void)arg;
    timer_start(APIC_VECTOR_WATCH, LOOK_US);
}

static bool start_other(void)
{
    for (unsigned i = cpus_count(); i-- > 1;)
        if (cpus_state(i) != CPU_FAILED)
            return cpus_call(i, start_timer, NULL) == ERR_OK;
    return false;
}

enum watchdog_keeper watchdog_start(bool (*inside)(unsigned cpu))
{
    due = time_us() + LOOK_US;
    is_inside = inside;
    enum watchdog_keeper keeper = start_counter() ? WATCHDOG_COUNTER
                                  : start_other() ? WATCHDOG_OTHER_CPU
                                                  : WATCHDOG_NOBODY;
    if (keeper == WATCHDOG_NOBODY)
        log_msg(LOG_INFO,
                "no watchdog for CPU 0: it does not count its cycles, and no other CPU is there to look at it");
    return keeper;
}
