/* The CPUID signature of a hypervisor. See hypervisor.h. */
#include "kernel/hypervisor.h"

#include "lib/bits.h"
#include "lib/hw/cpu.h"
#include "lib/string.h"

#define CPUID_1_ECX_HYPERVISOR BIT(31)
#define CPUID_HYPERVISOR       0x40000000u

const char *hypervisor_signature(char to[HYPERVISOR_BYTES])
{
    memcpy(to, "none", 5);
    if (!(cpu_cpuid(1, 0).ecx & CPUID_1_ECX_HYPERVISOR))
        return to;
    struct cpuid_regs r = cpu_cpuid(CPUID_HYPERVISOR, 0);
    memcpy(to, &r.ebx, 4);
    memcpy(to + 4, &r.ecx, 4);
    memcpy(to + 8, &r.edx, 4);
    unsigned end = HYPERVISOR_BYTES - 1;
    while (end > 0 && to[end - 1] == '\0')
        end--;
    to[end] = '\0';
    for (unsigned i = 0; i < end; i++)
        if (to[i] < 0x20 || to[i] >= 0x7f)
            to[i] = '.';
    if (end == 0)
        memcpy(to, "unnamed", 8);
    return to;
}
