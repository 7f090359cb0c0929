/* The performance-monitoring unit: see pmu.h. */
#include "sim/machine/pmu.h"
#include "sim/machine/ept.h"

#define IA32_PMC0                     0xc1u
#define IA32_PERFEVTSEL0              0x186u
#define IA32_FIXED_CTR_CTRL           0x38du
#define IA32_PERF_GLOBAL_STATUS       0x38eu
#define IA32_PERF_GLOBAL_CTRL         0x38fu
#define IA32_PERF_GLOBAL_STATUS_RESET 0x390u
#define IA32_PERF_GLOBAL_STATUS_SET   0x391u
#define IA32_PERF_GLOBAL_INUSE        0x392u
#define IA32_A_PMC0                   0x4c1u

#define ALL           ((1ull << SEAM_PMCS) - 1)
#define COUNTER_BITS  48
#define COUNTER_MASK  ((1ull << COUNTER_BITS) - 1)
#define SELECT_EVENT  0xffull
#define SELECT_UMASK  8 /* shift */
#define SELECT_USER   (1ull << 16)
#define SELECT_OS     (1ull << 17)
#define SELECT_ENABLE (1ull << 22)

#define UMASK_COMPLETED 1 /* shift, by level */
#define UMASK_PENDING   0x10ull

void pmu_cpuid(u32 out[4])
{
    out[0] =
        5 | SEAM_PMCS << 8 | COUNTER_BITS << 16 | 8u << 24; /* version; counters; their bits; of EBX so many count */
    out[1] = 0xff;                                          /* none of the architectural events */
    out[2] = 0;
    out[3] = COUNTER_BITS << 5 | 1u << 15; /* no fixed counter; AnyThread is gone */
}

static bool is_among(u32 msr, u32 first)
{
    return msr >= first && msr < first + SEAM_PMCS;
}

bool pmu_has_msr(u32 msr)
{
    return is_among(msr, IA32_PMC0) || is_among(msr, IA32_PERFEVTSEL0) || is_among(msr, IA32_A_PMC0) ||
           (msr >= IA32_FIXED_CTR_CTRL && msr <= IA32_PERF_GLOBAL_INUSE);
}

static u64 counters_in_use(const struct seam_pmu *pmu)
{
    u64 used = 0;

    for (unsigned i = 0; i < SEAM_PMCS; i++)
        used |= pmu->select[i] & SELECT_EVENT ? 1ull << i : 0;
    return used;
}

bool pmu_read(const struct seam_pmu *pmu, u32 msr, u64 *value)
{
    if (is_among(msr, IA32_PMC0))
        *value = pmu->counter[msr - IA32_PMC0];
    else if (is_among(msr, IA32_A_PMC0))
        *value = pmu->counter[msr - IA32_A_PMC0];
    else if (is_among(msr, IA32_PERFEVTSEL0))
        *value = pmu->select[msr - IA32_PERFEVTSEL0];
    else if (msr == IA32_PERF_GLOBAL_STATUS)
        *value = pmu->global_status;
    else if (msr == IA32_PERF_GLOBAL_CTRL)
        *value = pmu->global_control;
    else if (msr == IA32_PERF_GLOBAL_INUSE)
        *value = counters_in_use(pmu);
    else
        *value = 0;
    return true;
}

/* The legacy addresses take 32 bits and extend their sign. */
static bool write_counter(u64 *counter, u64 value, bool is_full)
{
    if (is_full && value & ~COUNTER_MASK)
        return false;
    *counter = (is_full ? value : (u64)(s64)(int)(u32)value) & COUNTER_MASK;
    return true;
}

static bool write_global(struct seam_pmu *pmu, u32 msr, u64 value)
{
    if (value & ~ALL)
        return false;
    switch (msr) {
    case IA32_PERF_GLOBAL_CTRL:
        pmu->global_control = value;
        return true;
    case IA32_PERF_GLOBAL_STATUS_RESET:
        pmu->global_status &= ~value;
        return true;
    case IA32_PERF_GLOBAL_STATUS_SET:
        pmu->global_status |= value;
        return true;
    default: /* read-only; without fixed counters there is nothing to control */
        return msr == IA32_FIXED_CTR_CTRL && value == 0;
    }
}

bool pmu_write(struct seam_pmu *pmu, u32 msr, u64 value)
{
    if (is_among(msr, IA32_PMC0))
        return write_counter(&pmu->counter[msr - IA32_PMC0], value, false);
    if (is_among(msr, IA32_A_PMC0))
        return write_counter(&pmu->counter[msr - IA32_A_PMC0], value, true);
    if (!is_among(msr, IA32_PERFEVTSEL0))
        return write_global(pmu, msr, value);
    if (value >> 32)
        return false;
    pmu->select[msr - IA32_PERFEVTSEL0] = value;
    return true;
}

bool pmu_rdpmc(const struct seam_pmu *pmu, u32 ecx, u64 *value)
{
    if (ecx >= SEAM_PMCS)
        return false;
    *value = pmu->counter[ecx];
    return true;
}

/* --- counting ----------------------------------------------------------------------------------------------------- */

static u64 event_of(u32 access)
{
    return access & EPT_WRITE ? 0x13 : access & EPT_EXEC ? 0x11 : 0x12;
}

static bool counts(const struct seam_pmu *pmu, unsigned i, unsigned cpl)
{
    u64 select = pmu->select[i];
    return pmu->global_control >> i & 1 && select & SELECT_ENABLE && select & (cpl ? SELECT_USER : SELECT_OS);
}

void pmu_count_walk(struct seam_pmu *pmu, u32 access, unsigned cpl, unsigned level, unsigned steps)
{
    u64 event = event_of(access);

    for (unsigned i = 0; i < SEAM_PMCS; i++) {
        u64 umask = pmu->select[i] >> SELECT_UMASK & 0xff;
        if (!counts(pmu, i, cpl) || (pmu->select[i] & SELECT_EVENT) != event)
            continue;
        u64 sum = pmu->counter[i] + (umask >> (UMASK_COMPLETED + level) & 1) + (umask & UMASK_PENDING ? steps : 0);
        if (sum > COUNTER_MASK)
            pmu->global_status |= 1ull << i;
        pmu->counter[i] = sum & COUNTER_MASK;
    }
}
