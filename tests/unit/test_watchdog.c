/* The watchdog (kernel/guard/watchdog.h) and its counter (counter.h): who looks at whom, what the counter is told, and which
 * looks end in an NMI, in a hang, or in nothing. Numbers typed from SDM volume 3, "Architectural performance monitoring" and "Local APIC". */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "drivers/acpi.h"
#include "drivers/apic.h"
#include "kernel/cpus.h"
#include "kernel/guard/counter.h"
#include "kernel/guard/watchdog.h"
#include "kernel/time.h"
#include "kernel/timer.h"
#include "tests/host/cpu.h"
#include "tests/host/log.h"
#include "tests/host/platform.h"

#define LOOK_TICKS 2000000000ull /* two seconds at 1 GHz */

/* Four CPUs, of which the third is one that did not start; in the place of kernel/cpus.c. */
static unsigned count, kicked[4], called;
static bool is_in_td[4];

unsigned cpus_count(void)
{
    return count;
}
enum cpu_state cpus_state(unsigned cpu)
{
    return cpu == 2 ? CPU_FAILED : CPU_IDLE;
}
u32 cpus_apic_id(unsigned cpu)
{
    return 0x10 * cpu;
}
void cpus_kick(unsigned cpu)
{
    kicked[cpu]++;
}
enum err cpus_call(unsigned cpu, void (*work)(void *arg), void *arg)
{
    called = cpu;
    work(arg);
    return ERR_OK;
}
/* 10 ms of the APIC's timer. */
static void count_down(void)
{
    cpu_host_set_msr(0x839, 0xffffffff - 10000);
}
static bool is_inside(unsigned cpu)
{
    return is_in_td[cpu];
}

static int start(void **state)
{
    static const u32 registers[] = {0x808, 0x80f, 0x830, 0x832, 0x834, 0x835, 0x836, 0x838,
                                    0x839, 0x83e, 0xc1,  0x186, 0x38e, 0x38f, 0x390};

    platform_host_start(NULL);
    cpu_host_reset();
    acpi = (struct acpi_info){0};
    for (unsigned i = 0; i < sizeof(registers) / sizeof(registers[0]); i++)
        cpu_host_set_msr(registers[i], 0);
    cpu_host_set_cpuid(0, 0, (struct cpuid_regs){.eax = 0x20});
    cpu_host_set_cpuid(1, 0, (struct cpuid_regs){.ecx = 1u << 21, .edx = 1u << 9});
    cpu_host_set_cpuid(0xa, 0, (struct cpuid_regs){.eax = 0x08300805});
    cpu_host_set_cpuid(0x15, 0, (struct cpuid_regs){2, 80, 25000000, 0}); /* 1 GHz */
    cpu_host_set_msr(0x1b, 0xfee00900);
    time_init();
    count = 1;
    called = 0;
    memset(kicked, 0, sizeof(kicked));
    memset(is_in_td, 0, sizeof(is_in_td));
    cpu_host_set_msr(0x839, 0xffffffff);
    cpu_host_relaxed = count_down;
    bool ok = apic_init() == ERR_OK && timer_init(500) == ERR_OK;
    cpu_host_relaxed = NULL;
    return ok ? 0 : -1;
}

static int without_counter(void **state)
{
    int e = start(state);
    cpu_host_set_cpuid(0xa, 0, (struct cpuid_regs){0});
    count = 4;
    return e;
}

static u64 msr(u32 number)
{
    u64 value;
    assert_true(cpu_read_msr(number, &value));
    return value;
}

static void test_which_cpus_have_a_counter(void **state)
{
    static const struct {
        u32 last_leaf, eax, ebx;
        bool has;
    } rows[] = {
        {0x20, 0x08300805, 0x00, true},  /* a server's: version 5, 8 counters, 8 events */
        {0x20, 0x08300801, 0x00, false}, /* version 1 has no global registers */
        {0x20, 0x08300005, 0x00, false}, /* no counter */
        {0x20, 0x08300805, 0x01, false}, /* cycles are not counted */
        {0x20, 0x00300805, 0x00, false}, /* nothing is said of events */
        {0x20, 0, 0, false},
        {0x09, 0x08300805, 0x00, false}, /* the leaf is not there */
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        cpu_host_set_cpuid(0, 0, (struct cpuid_regs){.eax = rows[i].last_leaf});
        cpu_host_set_cpuid(0xa, 0, (struct cpuid_regs){.eax = rows[i].eax, .ebx = rows[i].ebx});
        if (counter_start(1000) != rows[i].has)
            fail_msg("row %zu", i);
    }
}

static void test_what_the_counter_is_told(void **state)
{
    assert_int_equal(watchdog_start(is_inside), WATCHDOG_COUNTER);
    assert_int_equal(msr(0x186), 0x53003c); /* unhalted core cycles, at all levels, interrupt, enable */
    assert_int_equal((u32)-msr(0xc1), 2000000000);
    assert_int_equal(msr(0x38f), 1);
    assert_int_equal(msr(0x834), 0x400); /* an NMI, not masked */
    cpu_host_remove_msr(0x38f);          /* a hypervisor that shows the leaf and has no counters */
    assert_int_equal(watchdog_start(is_inside), WATCHDOG_NOBODY);
}

/* One NMI of the counter. */
static bool hangs(void)
{
    cpu_host_set_msr(0x38e, 1);
    cpu_host_set_msr(0x390, 0);
    cpu_host_set_msr(0x834, 0x10400); /* the APIC masks its entry */
    enum watchdog_verdict verdict = watchdog_nmi();
    assert_int_not_equal(verdict, WATCHDOG_NOT_MINE);
    assert_int_equal(msr(0x390), 1);
    assert_int_equal(msr(0x834), 0x400);
    return verdict == WATCHDOG_HANGS;
}

static void test_five_looks_without_a_beat(void **state)
{
    assert_int_equal(watchdog_start(is_inside), WATCHDOG_COUNTER);
    watchdog_beat();
    for (unsigned i = 0; i < 5; i++)
        assert_false(hangs());
    watchdog_beat();
    for (unsigned i = 0; i < 5; i++)
        assert_false(hangs());
    assert_true(hangs());
    cpu_host_set_msr(0x38e, 0); /* somebody else's NMI */
    assert_int_equal(watchdog_nmi(), WATCHDOG_NOT_MINE);
    cpu_host_set_msr(0x38e, 1);
    cpu_host_use(1); /* or another CPU's */
    assert_int_equal(watchdog_nmi(), WATCHDOG_NOT_MINE);
    cpu_host_use(0);
}

/* 32 bits of cycles are less than two seconds at 4 GHz: more looks for the same ten. */
static void test_a_faster_cpu_gets_more_looks(void **state)
{
    cpu_host_set_cpuid(0x15, 0, (struct cpuid_regs){2, 320, 25000000, 0});
    time_init();
    assert_int_equal(watchdog_start(is_inside), WATCHDOG_COUNTER);
    assert_int_equal((u32)-msr(0xc1), 0x7fffffff);
    watchdog_beat();
    for (unsigned i = 0; i < 18; i++)
        assert_false(hangs());
    assert_true(hangs());
}

static void test_who_looks_at_the_first_cpu(void **state)
{
    count = 4;
    assert_int_equal(watchdog_start(is_inside), WATCHDOG_COUNTER);
    assert_int_equal(called, 0);
    without_counter(state);
    assert_int_equal(watchdog_start(is_inside), WATCHDOG_OTHER_CPU);
    assert_int_equal(called, 3);
    assert_int_equal(msr(0x832), 0x20042); /* periodic, the watchdog's vector */
    assert_int_equal(msr(0x838), 2000000); /* of 10000 in 10 ms */
    count = 3;                             /* the last one did not start */
    assert_int_equal(watchdog_start(is_inside), WATCHDOG_OTHER_CPU);
    assert_int_equal(called, 1);
    count = 1;
    assert_int_equal(watchdog_start(is_inside), WATCHDOG_NOBODY);
    assert_string_equal(log_host_last(),
                        "no watchdog for CPU 0: it does not count its cycles, and no other CPU is there to look at it");
}

static void beat(unsigned cpu)
{
    cpu_host_use(cpu);
    watchdog_beat();
    cpu_host_use(0);
}

/* CPU 3 is always well. */
static void look(void)
{
    beat(3);
    cpu_host_tsc_ahead += LOOK_TICKS;
    watchdog_look_at_others();
}

/* CPU 1 hangs from here on: told by probes that are not answered, then by an NMI, whose handler finds it still. */
static void test_another_cpu_that_hangs(void **state)
{
    assert_int_equal(watchdog_start(is_inside), WATCHDOG_OTHER_CPU);
    beat(1);
    look();
    memset(kicked, 0, sizeof(kicked));
    for (unsigned i = 0; i < 4; i++)
        look();
    assert_int_equal(kicked[1], 4);
    assert_int_equal(kicked[2], 0);
    assert_int_equal(msr(0x830), 0);
    watchdog_look_at_others(); /* not yet: CPU 0's timer comes more often */
    assert_int_equal(msr(0x830), 0);
    look();
    assert_true(msr(0x830) == 0x1000004400ull); /* an NMI to the APIC with ID 10h */
    cpu_host_use(1);
    assert_int_equal(watchdog_nmi(), WATCHDOG_HANGS);
    assert_int_equal(watchdog_nmi(), WATCHDOG_NOT_MINE);
    cpu_host_use(0);
}

/* It came to itself between the fifth look and the NMI. */
static void test_an_answer_in_the_last_moment(void **state)
{
    assert_int_equal(watchdog_start(is_inside), WATCHDOG_OTHER_CPU);
    beat(1);
    for (unsigned i = 0; i < 6; i++)
        look();
    assert_true(msr(0x830) != 0);
    cpu_host_use(1);
    watchdog_beat();
    assert_int_equal(watchdog_nmi(), WATCHDOG_FINE);
    cpu_host_use(0);
    cpu_host_set_msr(0x830, 0);
    for (unsigned i = 0; i < 5; i++)
        look();
    assert_int_equal(msr(0x830), 0);
}

/* Probes would take the TD out of its work, so a CPU inside is left alone for as long as it is. */
static void test_inside_the_td(void **state)
{
    assert_int_equal(watchdog_start(is_inside), WATCHDOG_OTHER_CPU);
    is_in_td[1] = is_in_td[3] = true;
    for (unsigned i = 0; i < 100; i++)
        look();
    assert_int_equal(kicked[1] + kicked[3], 0);
    assert_int_equal(msr(0x830), 0);
    is_in_td[1] = false;
    for (unsigned i = 0; i < 4; i++)
        look();
    assert_true(kicked[1] != 0);
    assert_int_equal(msr(0x830), 0);
}

static void test_the_first_cpu_hangs(void **state)
{
    assert_int_equal(watchdog_start(is_inside), WATCHDOG_OTHER_CPU);
    watchdog_beat();
    cpu_host_use(3);
    for (unsigned i = 0; i < 5; i++)
        watchdog_look_at_first();
    assert_int_equal(msr(0x830), 0);
    watchdog_look_at_first();
    assert_int_equal(msr(0x830), 0x4400);
    cpu_host_use(0);
    assert_int_equal(watchdog_nmi(), WATCHDOG_HANGS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_which_cpus_have_a_counter, start),
        cmocka_unit_test_setup(test_what_the_counter_is_told, start),
        cmocka_unit_test_setup(test_a_faster_cpu_gets_more_looks, start),
        cmocka_unit_test_setup(test_five_looks_without_a_beat, start),
        cmocka_unit_test_setup(test_who_looks_at_the_first_cpu, start),
        cmocka_unit_test_setup(test_another_cpu_that_hangs, without_counter),
        cmocka_unit_test_setup(test_an_answer_in_the_last_moment, without_counter),
        cmocka_unit_test_setup(test_inside_the_td, without_counter),
        cmocka_unit_test_setup(test_the_first_cpu_hangs, without_counter),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
