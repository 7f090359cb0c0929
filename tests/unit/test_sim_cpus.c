/* How the simulated machine's CPUs make packages, whatever the knobs say: one without a CPU would never get its key. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "sim/machine/cpus.h"
#include "sim/machine/hw/tables.h"

u64 tables_gdt(void)
{
    return 0;
}

static void test_packages(void **state)
{
    static const struct {
        unsigned cpus, packages, threads;
        u32 base;
        unsigned shift, count, of[8];
    } rows[] = {
        {1, 1, 1, 0, 0, 1, {0}},
        {8, 1, 1, 0, 3, 1, {0, 0, 0, 0, 0, 0, 0, 0}},
        {8, 4, 1, 0, 1, 4, {0, 0, 1, 1, 2, 2, 3, 3}},
        {8, 2, 2, 0, 2, 2, {0, 0, 0, 0, 1, 1, 1, 1}},
        {8, 4, 2, 1000, 8, 2, {0, 1, 1, 1, 1, 1, 1, 1}}, /* IDs 0 and 1001 to 1007 */
        {4, 3, 1, 0, 1, 2, {0, 0, 1, 1}},                /* three do not part four */
        {2, 4, 1, 0, 0, 2, {0, 1}},                      /* fewer CPUs than packages */
    };
    static const u32 ids[] = {0, 1, 2, 3, 4, 5, 6, 7};

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        cpus_init(ids, rows[i].cpus, rows[i].packages, rows[i].threads, rows[i].base);
        if (cpu_package_shift() != rows[i].shift || cpu_package_count() != rows[i].count)
            fail_msg("row %zu: shift %u, %u packages", i, cpu_package_shift(), cpu_package_count());
        for (unsigned cpu = 0; cpu < rows[i].cpus; cpu++)
            if (cpu_at(cpu)->lp.package != rows[i].of[cpu])
                fail_msg("row %zu: CPU %u is in package %u", i, cpu, cpu_at(cpu)->lp.package);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_packages)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
