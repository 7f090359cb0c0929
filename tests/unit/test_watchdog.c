/* The watchdog (kernel/guard/watchdog.h): which CPUs have a counter for it, what it is told, and what its NMIs end with.
 * Numbers typed from SDM volume 3, "Architectural performance monitoring". */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "drivers/acpi.h"
#include "drivers/apic.h"
#include "kernel/time.h"
#include "kernel/guard/watchdog.h"
#include "tests/host/cpu.h"
#include "tests/host/platform.h"

static int start(void **state)
{
    static const u32 registers[] = {0x808, 0x80f, 0x832, 0x834, 0x835, 0x836, 0xc1, 0x186, 0x38e, 0x38f, 0x390};

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
    return apic_init() == ERR_OK ? 0 : -1;
}

static u64 msr(u32 number)
{
    u64 value;
    assert_true(cpu_read_msr(number, &value));
    return value;
}

static void test_which_cpus_have_it(void **state)
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
        if (watchdog_start() != rows[i].has)
            fail_msg("row %zu", i);
    }
}

static void test_what_it_is_told(void **state)
{
    assert_true(watchdog_start());
    assert_int_equal(msr(0x186), 0x53003c); /* unhalted core cycles, at all levels, interrupt, enable */
    assert_int_equal((u32)-msr(0xc1), 2000000000);
    assert_int_equal(msr(0x38f), 1);
    assert_int_equal(msr(0x834), 0x400); /* an NMI, not masked */
    cpu_host_remove_msr(0x38f);          /* a hypervisor that shows the leaf and has no counters */
    assert_false(watchdog_start());
}

/* One NMI of the counter. */
static bool hangs(void)
{
    bool hangs;

    cpu_host_set_msr(0x38e, 1);
    cpu_host_set_msr(0x390, 0);
    cpu_host_set_msr(0x834, 0x10400); /* the APIC masks its entry */
    assert_true(watchdog_nmi(&hangs));
    assert_int_equal(msr(0x390), 1);
    assert_int_equal(msr(0x834), 0x400);
    return hangs;
}

static void test_five_looks_without_a_beat(void **state)
{
    bool last;

    assert_true(watchdog_start());
    for (unsigned i = 0; i < 4; i++)
        assert_false(hangs());
    watchdog_beat();
    for (unsigned i = 0; i < 5; i++)
        assert_false(hangs());
    assert_true(hangs());
    cpu_host_set_msr(0x38e, 0); /* somebody else's NMI */
    assert_false(watchdog_nmi(&last));
    cpu_host_set_msr(0x38e, 1);
    cpu_host_use(1); /* or another CPU's */
    assert_false(watchdog_nmi(&last));
    cpu_host_use(0);
}

/* 32 bits of cycles are less than two seconds at 4 GHz: more looks for the same ten. */
static void test_a_faster_cpu_gets_more_looks(void **state)
{
    cpu_host_set_cpuid(0x15, 0, (struct cpuid_regs){2, 320, 25000000, 0});
    time_init();
    assert_true(watchdog_start());
    assert_int_equal((u32)-msr(0xc1), 0x7fffffff);
    for (unsigned i = 0; i < 17; i++)
        assert_false(hangs());
    assert_true(hangs());
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_which_cpus_have_it, start),
        cmocka_unit_test_setup(test_what_it_is_told, start),
        cmocka_unit_test_setup(test_a_faster_cpu_gets_more_looks, start),
        cmocka_unit_test_setup(test_five_looks_without_a_beat, start),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
