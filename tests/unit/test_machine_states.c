/* What a firmware may leave behind: bits of CR4, the 8259, ways to tell the TSC's rate. Numbers typed from the SDM, the 8259A data
 * sheet and the HPET specification. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "drivers/acpi.h"
#include "drivers/pic.h"
#include "kernel/guard/control.h"
#include "kernel/time.h"
#include "tests/host/cpu.h"
#include "tests/host/io.h"
#include "tests/host/log.h"
#include "tests/host/platform.h"

#define HPET 0x3001000ull

static int machine(void **state)
{
    platform_host_start(NULL);
    cpu_host_reset();
    io_host_reset();
    acpi = (struct acpi_info){0};
    cpu_host_set_cpuid(0, 0, (struct cpuid_regs){.eax = 0x20});
    cpu_host_set_cpuid(0x15, 0, (struct cpuid_regs){0});
    cpu_host_set_cpuid(0x16, 0, (struct cpuid_regs){0});
    return 0;
}

/* --- CR4 --- */

static void test_cr4(void **state)
{
    static const struct {
        u64 left;
        bool has_mce;
        u64 stays;
        const char *names;
    } rows[] = {
        {0x668, true, 0x668, ""},  /* DE, PAE, MCE, OSFXSR, OSXMMEXCPT: a common firmware */
        {0x628, true, 0x668, ""},  /* without MCE */
        {0x628, false, 0x628, ""}, /* a CPU that has none */
        {0x300668, true, 0x668, " SMEP SMAP"},
        {0x800668, true, 0x668, " CET"},     /* shadow stacks */
        {0x8000668, true, 0x668, " LASS"},   /**/
        {0x100000668, true, 0x668, " FRED"}, /**/
        {0x20668, true, 0x668, " PCIDE"},    /**/
        {0x1000, true, 0x1040, ""},          /* LA57 cannot change */
        {0x6000, true, 0x6040, ""},          /* VMXE, SMXE */
        {0x11bc20668, true, 0x668, " PCIDE PKE CET PKS UINTR LASS LAM FRED"},
        {0x400668, true, 0x668, " PKE"},
        {0x507f8, true, 0x507f8, ""}, /* FSGSBASE, OSXSAVE, PCE, PGE */
        {0x807, true, 0x40, " VME PVI TSD UMIP"},
        {0x8000000020000620, true, 0x660, " bit29 bit63"}, /* of CPUs to come */
    };
    char names[CONTROL_NAMES_BYTES];

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        u64 stays = control_cr4(rows[i].left, rows[i].has_mce);
        if (stays != rows[i].stays || strcmp(control_names(rows[i].left, names), rows[i].names) != 0)
            fail_msg("CR4 0x%llx: 0x%llx stays, off:%s", (unsigned long long)rows[i].left, (unsigned long long)stays,
                     names);
    }
}

/* --- CPUID --- */

static void test_limited_cpuid(void **state)
{
    static const struct {
        u32 last_leaf;
        u64 misc, then;
        bool was_limited;
    } rows[] = {
        {2, 0xc50089, 0x850089, true}, /* IA32_MISC_ENABLE, bit 22 */
        {3, 0x400001, 0x000001, true},
        {2, 0x850089, 0x850089, false}, /* a CPU that has no more */
        {0x20, 0xc50089, 0xc50089, false},
    };
    u64 then;

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        cpu_host_set_cpuid(0, 0, (struct cpuid_regs){.eax = rows[i].last_leaf});
        cpu_host_set_msr(0x1a0, rows[i].misc);
        bool was_limited = control_unlimit_cpuid();
        assert_true(cpu_read_msr(0x1a0, &then));
        if (was_limited != rows[i].was_limited || then != rows[i].then)
            fail_msg("row %zu: %d, 0x%llx", i, was_limited, (unsigned long long)then);
    }
    cpu_host_set_cpuid(0, 0, (struct cpuid_regs){.eax = 2});
    cpu_host_remove_msr(0x1a0);
    assert_false(control_unlimit_cpuid());
}

/* --- 8259 --- */

static void test_pics(void **state)
{
    static const struct io_host_write want[] = {
        {0x20, 0x11}, {0x21, 0x30}, {0x21, 0x04}, {0x21, 0x01}, {0x21, 0xff},
        {0xa0, 0x11}, {0xa1, 0x38}, {0xa1, 0x02}, {0xa1, 0x01}, {0xa1, 0xff},
    };

    pic_silence();
    assert_int_equal(io_host_write_count, 10);
    for (unsigned i = 0; i < 10; i++) {
        assert_int_equal(io_host_writes[i].port, want[i].port);
        assert_int_equal(io_host_writes[i].value, want[i].value);
    }
}

/* --- the TSC's rate --- */

static void test_rate_by_cpuid(void **state)
{
    static const struct {
        struct cpuid_regs tsc, frequency;
        u64 khz;
    } rows[] = {
        {{2, 160, 25000000, 0}, {.eax = 2100}, 2000000}, /* leaf 15H is complete: 25 MHz * 80 */
        {{2, 160, 0, 0}, {.eax = 2100}, 2100000},        /* no crystal: the base frequency */
        {{2, 176, 0, 0}, {.eax = 0xabcd0898}, 2200000},  /* reserved bits above it */
        {{2, 160, 0, 0}, {.eax = 0}, 1000000},           /* nothing tells: assumed */
        {{0, 160, 25000000, 0}, {.eax = 2100}, 1000000}, /* no ratio: the leaf is not there */
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        cpu_host_set_cpuid(0x15, 0, rows[i].tsc);
        cpu_host_set_cpuid(0x16, 0, rows[i].frequency);
        time_init();
        assert_int_equal(time_tsc_khz(), rows[i].khz);
    }
    cpu_host_set_cpuid(0x15, 0, (struct cpuid_regs){2, 160, 0, 0});
    cpu_host_set_cpuid(0x16, 0, (struct cpuid_regs){.eax = 2100});
    cpu_host_set_cpuid(0, 0, (struct cpuid_regs){.eax = 0x15}); /* a CPU without leaf 16H */
    log_host_forget();
    time_init();
    assert_int_equal(time_tsc_khz(), 1000000);
    assert_string_equal(log_host_last(),
                        "time: neither CPUID 0x15 and 0x16 nor an HPET or ACPI PM timer tells the TSC's rate, 1 GHz "
                        "assumed");
}

/* Memory stands for an HPET that has stopped, or was never there: bounded, and then the next way. */
static void test_hpet_that_does_not_count(void **state)
{
    static const u32 periods[] = {0, 100000001, 0xffffffff, 69841279};

    acpi.hpet = (hpa_t){HPET};
    for (size_t i = 0; i < sizeof(periods) / sizeof(periods[0]); i++) {
        memset(platform_host_memory() + HPET, 0, 0x100);
        memcpy(platform_host_memory() + HPET + 4, &periods[i], 4);
        time_init();
        assert_int_equal(time_tsc_khz(), 1000000);
        assert_int_equal(platform_host_memory()[HPET + 0x10], i == 3); /* only one that is sane is started */
    }
}

/* 14.318 MHz, whose counter overflows meanwhile; 10 looks of 2 ms each, in which a TSC of 2.1 GHz counts 4200000. What the
 * test itself takes comes on top. */
static void test_rate_by_hpet(void **state)
{
    static const u32 period = 69841279, nearly_over = 0xffff0000;

    acpi.hpet = (hpa_t){HPET};
    memset(platform_host_memory() + HPET, 0, 0x100);
    memcpy(platform_host_memory() + HPET + 4, &period, 4);
    memcpy(platform_host_memory() + HPET + 0xf0, &nearly_over, 4);
    io_host_hpet = (struct io_host_hpet){HPET, 28636, 4200000};
    time_init();
    assert_in_range(time_tsc_khz(), 2099000, 400000000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_cr4, machine),
        cmocka_unit_test_setup(test_limited_cpuid, machine),
        cmocka_unit_test_setup(test_pics, machine),
        cmocka_unit_test_setup(test_rate_by_cpuid, machine),
        cmocka_unit_test_setup(test_rate_by_hpet, machine),
        cmocka_unit_test_setup(test_hpet_that_does_not_count, machine),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
