/* Which CPU runs which vCPU: see vm.h. Chosen when the TD is created, for its life. */
#include "drivers/acpi.h"
#include "kernel/cpus.h"
#include "kernel/vm/vm.h"

static bool is_near(unsigned cpu)
{
    return vm.node == PAGE_ANY_NODE || srat_cpu_node(&acpi.srat, cpus_apic_id(cpu)) == vm.node;
}

static bool is_there(unsigned cpu)
{
    enum cpu_state state = cpus_state(cpu);
    return state == CPU_IDLE || state == CPU_WORKS;
}

/* CPUs of the node, or all others but the console's, to the vCPUs from `next` on and to what works beside them, as far as that
 * goes; who is next then. */
static unsigned place(unsigned next, bool near)
{
    for (unsigned cpu = 1; cpu < cpus_count() && next <= vm.vcpu_count; cpu++) {
        if (!is_there(cpu) || is_near(cpu) != near)
            continue;
        *(next < vm.vcpu_count ? &vm.vcpus[next].cpu : &vm.spare_cpu) = cpu;
        next++;
    }
    return next;
}

void vm_place(void)
{
    (void)place(place(0, true), false);
    for (unsigned i = 0; i < vm.vcpu_count; i++)
        vm.far_vcpus += !is_near(vm.vcpus[i].cpu);
}

u64 vm_far_pages(void)
{
    return page_far() - vm.far_pages_before;
}
