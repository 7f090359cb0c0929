/* TLB misses by performance counters: see pmu.h. */
#include "guest/probe/pmu.h"
#include "guest/hw/td.h"

#define CPUID_PERFMON         0xa
#define IA32_PERFEVTSEL0      0x186u
#define IA32_PERF_GLOBAL_CTRL 0x38fu
#define IA32_A_PMC0           0x4c1u

#define DTLB_LOAD_MISSES  0x12u
#define DTLB_STORE_MISSES 0x13u
#define SELECT_OS         (1ull << 17)
#define SELECT_ENABLE     (1ull << 22)

/* WALK_COMPLETED_4K, _2M_4M, _1G; WALK_PENDING, each cycle in which a walk is under way. One counter each. */
static const uint8_t umasks[] = {0x02, 0x04, 0x08, 0x10};
#define COUNTERS (sizeof(umasks) / sizeof(umasks[0]))
#define PENDING  (COUNTERS - 1)

bool probe_pmu_is_there(void)
{
    uint32_t regs[4];

    td_cpuid(CPUID_PERFMON, regs);
    return (regs[0] & 0xff) >= 2 && (regs[0] >> 8 & 0xff) >= COUNTERS; /* global control; counters */
}

void probe_pmu_begin(bool stores)
{
    uint64_t event = stores ? DTLB_STORE_MISSES : DTLB_LOAD_MISSES;

    td_write_msr(IA32_PERF_GLOBAL_CTRL, 0);
    for (uint32_t i = 0; i < COUNTERS; i++) {
        td_write_msr(IA32_A_PMC0 + i, 0);
        td_write_msr(IA32_PERFEVTSEL0 + i, event | (uint64_t)umasks[i] << 8 | SELECT_OS | SELECT_ENABLE);
    }
    td_write_msr(IA32_PERF_GLOBAL_CTRL, (1ull << COUNTERS) - 1);
}

void probe_pmu_end(struct probe_result *result)
{
    td_write_msr(IA32_PERF_GLOBAL_CTRL, 0);
    for (uint32_t i = 0; i < PENDING; i++) {
        result->walks[i] = td_read_msr(IA32_A_PMC0 + i);
    }
    result->walk_cycles = td_read_msr(IA32_A_PMC0 + PENDING);
    result->counted = 1;
}
