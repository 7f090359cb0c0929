/* The timers of the CPUs over the registers of an x2APIC: kernel/timer.c. The machine's TSC counts 1 GHz. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "drivers/apic.h"
#include "kernel/time.h"
#include "kernel/timer.h"
#include "tests/host/cpu.h"
#include "tests/host/platform.h"

#define LVT      0x832
#define INITIAL  0x838
#define CURRENT  0x839
#define PERIODIC (1u << 17)
#define WATCH    0x42
#define ALARM    0x43
#define MS       1000000ull /* of the TSC */
#define TICKS_MS 1000u      /* of the timer */

/* While timer_init() waits its 10 ms. */
static void count_down(void)
{
    cpu_host_set_msr(CURRENT, ~0u - 10 * TICKS_MS);
}

static int start(void **state)
{
    static const u32 registers[] = {0x808, 0x80f, LVT, 0x835, 0x836, INITIAL, 0x83e};

    platform_host_start(NULL);
    cpu_host_reset();
    cpu_host_set_cpuid(1, 0, (struct cpuid_regs){.ecx = 1u << 21, .edx = 1u << 9});
    cpu_host_set_msr(0x1b, 0xfee00900);
    for (unsigned i = 0; i < sizeof(registers) / sizeof(registers[0]); i++)
        cpu_host_set_msr(registers[i], 0);
    cpu_host_set_msr(CURRENT, ~0u);
    cpu_host_relaxed = count_down;
    int failed = apic_init() != ERR_OK || timer_init(500) != ERR_OK;
    cpu_host_relaxed = NULL;
    return failed;
}

static u64 reg(u32 msr)
{
    u64 value = 0;
    assert_true(cpu_read_msr(msr, &value));
    return value;
}

static int use_other(void **state)
{
    int failed = start(state);
    cpu_host_use(1);
    return failed;
}

static int use_first(void **state)
{
    cpu_host_use(0);
    return 0;
}

static void first_has_its_period(void **state)
{
    assert_int_equal(reg(LVT), PERIODIC | 0x40);
    assert_int_equal(reg(INITIAL), 2 * TICKS_MS);
    timer_set_alarm(cpu_tsc() + MS); /* ... and no alarm */
    assert_int_equal(reg(LVT), PERIODIC | 0x40);
}

static void alarm_rings_once_and_not_late(void **state)
{
    u64 at = cpu_tsc() + 5 * MS;

    timer_set_alarm(at);
    assert_int_equal(reg(LVT), ALARM);
    assert_in_range(reg(INITIAL), 4 * TICKS_MS, 5 * TICKS_MS + 2);
    cpu_host_set_msr(INITIAL, 1);
    timer_set_alarm(at); /* it is set */
    assert_int_equal(reg(INITIAL), 1);
    assert_false(timer_take_alarm());
    timer_set_alarm(at);
    assert_int_not_equal(reg(INITIAL), 1);
    timer_set_alarm(0); /* it is late */
    assert_in_range(reg(INITIAL), 1, 2);
    timer_set_alarm(cpu_tsc() + 3600000 * MS);
    assert_in_range(reg(INITIAL), 1000 * TICKS_MS, 1000 * TICKS_MS + 2);
    (void)timer_take_alarm();
}

/* A period that alarms stand in the way of comes by one of them. */
static void alarms_keep_the_period(void **state)
{
    timer_start(WATCH, 2000000);
    assert_int_equal(reg(LVT), PERIODIC | WATCH);
    for (unsigned turn = 0; turn < 2; turn++) {
        for (unsigned i = 0; i < 9; i++) {
            timer_set_alarm(cpu_tsc() + 200 * MS);
            assert_int_equal(reg(LVT), ALARM);
            cpu_host_tsc_ahead += 200 * MS;
            assert_false(timer_take_alarm());
            assert_int_equal(reg(LVT), PERIODIC | WATCH);
        }
        cpu_host_tsc_ahead += 250 * MS;
        assert_true(timer_take_alarm());
    }
}

static unsigned changed;

static void look_at_change(u32 msr, u64 value)
{
    if (msr != LVT || value != (PERIODIC | WATCH))
        return;
    assert_int_equal(reg(INITIAL), 0);
    changed++;
}

/* An alarm's count, which is short, never runs with the vector of the period. */
static void count_stands_while_the_vector_changes(void **state)
{
    timer_start(WATCH, 2000000);
    timer_set_alarm(cpu_tsc() + MS);
    changed = 0;
    cpu_host_watch_msr = look_at_change;
    assert_false(timer_take_alarm());
    cpu_host_watch_msr = NULL;
    assert_int_equal(changed, 1);
    assert_int_equal(reg(INITIAL), 2000 * TICKS_MS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(first_has_its_period, start),
        cmocka_unit_test_setup_teardown(alarm_rings_once_and_not_late, use_other, use_first),
        cmocka_unit_test_setup_teardown(alarms_keep_the_period, use_other, use_first),
        cmocka_unit_test_setup_teardown(count_stands_while_the_vector_changes, use_other, use_first),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
