/* See cpuid.h. */
#include "lab/cpuid.h"

#include <string.h>

#include "lib/bits.h"
#include "sim/machine/pmu.h"
#include "tests/host/platform.h"

#define ECX_VMX        BIT(5)
#define ECX_X2APIC     BIT(21)
#define ECX_HYPERVISOR BIT(31)

static const char signature[] = "SeptumLabTDX";
_Static_assert(sizeof(signature) == 13, "CPUID 0x40000000 has 12 characters in EBX, ECX, EDX");

static const struct platform_host_cpuid *find(u32 leaf, u32 subleaf)
{
    for (unsigned i = 0; i < platform_host_default_cpuid_rows; i++) {
        const struct platform_host_cpuid *row = &platform_host_default_cpuid[i];
        if (row->leaf == leaf && (row->subleaf == ~0u || row->subleaf == subleaf))
            return row;
    }
    return NULL;
}

void cpuid_answer(u32 leaf, u32 subleaf, u32 out[4])
{
    const struct platform_host_cpuid *row = find(leaf, subleaf);

    memset(out, 0, 4 * sizeof(u32));
    if (row)
        memcpy(out, row->regs, sizeof(row->regs));
    switch (leaf) {
    case 1:
        out[2] |= (u32)(ECX_VMX | ECX_X2APIC | ECX_HYPERVISOR);
        break;
    case 0xa:
        pmu_cpuid(out);
        break;
    case 0x40000000:
        out[0] = leaf;
        memcpy(&out[1], signature, 12);
        break;
    default:
        break;
    }
}
