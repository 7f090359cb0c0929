/* What happens to a guest while nobody waits for it, and how it is told: its output, vCPUs that stop, its end. See vm.h. */
#include <stdatomic.h>

#include "kernel/cpus.h"
#include "kernel/console/console.h"
#include "kernel/console/guest_view.h"
#include "kernel/print.h"
#include "kernel/time.h"
#include "kernel/vm/run.h"
#include "lib/hw/cpu.h"

void vm_end(const struct fault_text *why, bool is_power_off)
{
    spin_lock(&vm.end_lock);
    enum vm_state state = vm.state;
    if (state == VM_RUNNING || state == VM_STOPPED) {
        vm.end = *why;
        vm.is_power_off = is_power_off;
        (void)atomic_compare_exchange_strong(&vm.state, &state, VM_ENDED);
    }
    spin_unlock(&vm.end_lock);
    for (unsigned i = 0; i < vm.vcpu_count; i++)
        if (vm.vcpus[i].runs && run_cpu(i) != cpu_index())
            cpus_kick(run_cpu(i));
}

const char *vm_end_text(void)
{
    return vm.state == VM_ENDED && vm.end_told ? vm.end.text : NULL;
}

/* Between the lines of whoever types. */
static void tell(const char *before, const char *text)
{
    console_hide_line();
    print("%s%s\n", before, text);
    console_show_line();
}

static void tell_end(void)
{
    char panic_line[GUEST_LINE_BYTES];
    struct fault_text text = vm.end;

    guest_view_finish();
    if (guest_view_panic(panic_line)[0] != '\0')
        (void)fault_say(&vm.end, ERR_STATE, "%s; its last words: %s", text.text, panic_line);
    tell("the TD has ended: ", vm.end.text);
    vm.end_told = true;
}

static void tell_vcpus(void)
{
    for (unsigned i = 0; i < vm.vcpu_count; i++)
        if (atomic_exchange(&vm.vcpus[i].is_untold, false))
            tell("", vm.vcpus[i].why.text);
}

void vm_tell(void)
{
    bool has_ended = vm.state == VM_ENDED;

    if (vm.state == VM_NONE || vm.kind != VM_LINUX)
        return;
    guest_view_update();
    tell_vcpus();
    if (has_ended && !vm.end_told)
        tell_end();
}

static bool is_over(void)
{
    return vm.state != VM_RUNNING && (vm.state != VM_ENDED || vm.end_told);
}

enum err vm_wait_end(u64 timeout_us, struct fault_text *fault)
{
    u64 from = time_us();

    while (!is_over()) {
        if (console_take_interrupt())
            return fault_say(fault, ERR_INTERRUPTED, "stopped by ^C: the TD is running still");
        if (time_us() - from >= timeout_us)
            return fault_say(fault, ERR_TIMEOUT, "the TD is running still after %llu s",
                             (unsigned long long)timeout_us / 1000000);
        vm_wait();
    }
    if (vm.state != VM_ENDED)
        return fault_say(fault, ERR_STATE, "the TD is not running; it is %s", vm_state_name(vm.state));
    return vm.is_power_off ? ERR_OK : fault_say(fault, ERR_STATE, "%s", vm.end.text);
}
