/* Power-off and reset. See leave.h. UEFI 2.10, section 8.5.1 (ResetSystem). */
#include "kernel/guard/leave.h"

#include "drivers/power.h"
#include "kernel/boot_info.h"
#include "kernel/cpus.h"
#include "kernel/hw/firmware.h"
#include "kernel/hw/paging.h"
#include "kernel/time.h"
#include "kernel/vm/vm.h"
#include "lib/log.h"
#include "tdx/module.h"

enum err leave_prepare(enum leave_how how, struct leave_done *done, struct fault_text *fault)
{
    *done = (struct leave_done){.had_td = vm.state != VM_NONE};
    if (how == LEAVE_WARM && tdx_module.ready)
        return fault_say(
            fault, ERR_STATE,
            "a warm reset keeps memory as it is, and the TDX module's tables (PAMT) are written under its own key: a "
            "plain `reboot` is a cold one");
    enum err e = done->had_td ? vm_destroy(fault) : ERR_OK;
    done->td_is_gone = done->had_td && vm.state == VM_NONE;
    if (vm.state != VM_NONE)
        return e;
    if (e != ERR_OK) /* it is gone, and pages are lost: they carry no key any more */
        log_msg(LOG_WARN, "%s", fault->text);
    e = tdx_module_stop(&done->cpus);
    if (e != ERR_OK)
        return fault_say(fault, e, "%u of %u CPUs have written back their caches: %s", done->cpus, cpus_online(),
                         err_text(e));
    return ERR_OK;
}

static _Atomic u64 asked_at; /* time_us(); 0: not now */

bool leave_is_late(void)
{
    u64 from = asked_at;
    return from != 0 && time_us() - from > FIRMWARE_LIMIT_US;
}

/* Whatever the firmware does is bounded: see firmware.h. */
static void ask_firmware(enum leave_how how)
{
    u64 service = boot_info()->reset_system;

    if (service == 0)
        return;
    paging_let_firmware_run();
    asked_at = time_us();
    bool came_back = firmware_call(service, how);
    asked_at = 0;
    log_msg(LOG_WARN, "the firmware's ResetSystem %s: the next way is taken",
            came_back ? "came back" : "faulted, or did not end");
}

void leave_now(enum leave_how how)
{
    ask_firmware(how);
    if (how == LEAVE_OFF)
        power_off();
    else
        power_reset();
}
