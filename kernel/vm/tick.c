/*
 * The merge policy's time to work, and reminders of work that was not begun. The console's CPU comes here whenever it waits, and gives
 * each millisecond's work of the policy to a CPU that is neither its own nor a vCPU's; without such a CPU it does the work itself.
 */
#include "kernel/cpus.h"
#include "kernel/time.h"
#include "kernel/vm/vm.h"
#include "lib/hw/cpu.h"

#define END_US 6000000ull /* twice what a round of kicks may wait for a vCPU (kick.c) */

static u64 last;        /* ms */
static unsigned worker; /* the CPU that has been given work; 0: none yet */

static void work(void *arg)
{
    tdp_policy_tick(vm.tdp, time_us() / 1000);
    if (tdp_is_dead(vm.tdp))
        vm_dies();
}

/* False: no CPU has nothing else to do, ever. One that is at it still does not get more. */
static bool give_away(void)
{
    if (vm.spare_cpu == 0)
        return false;
    enum err e = cpus_assign(vm.spare_cpu, work, NULL);
    if (e == ERR_OK)
        worker = vm.spare_cpu;
    return e == ERR_OK || e == ERR_BUSY;
}

void vm_tick(void)
{
    u64 now = time_us() / 1000;

    vm_remind();
    vm_tell();
    if (now == last || (vm.state != VM_RUNNING && vm.state != VM_STOPPED) || !tdp_policy_has_work(vm.tdp))
        return;
    last = now;
    if (!give_away())
        work(NULL);
}

enum err vm_tick_end(struct fault_text *fault)
{
    u64 from = time_us();

    while (worker != 0 && cpus_state(worker) == CPU_WORKS) {
        if (time_us() - from > END_US)
            return fault_say(fault, ERR_TIMEOUT, "the merge policy's work on CPU %u does not end", worker);
        cpu_relax();
    }
    worker = 0;
    return ERR_OK;
}
