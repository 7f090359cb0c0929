/*
 * The way out: power-off and reset with TDX in use. First the TD goes, its key with it, then every CPU writes its caches back and
 * leaves VMX operation; then the platform is asked: the firmware's ResetSystem, ACPI, for a reset the ports that PCs have.
 */
#ifndef KERNEL_GUARD_LEAVE_H
#define KERNEL_GUARD_LEAVE_H

#include "kernel/vm/fault_text.h"

enum leave_how { LEAVE_COLD, LEAVE_WARM, LEAVE_OFF }; /* numbers of UEFI's EFI_RESET_TYPE */

struct leave_done {
    bool had_td, td_is_gone;
    unsigned cpus; /* whose caches are written back */
};

/*
 * Leaves TDX. On an error `fault` says what is left in the machine; `done` tells how far it came, and it may be tried again. A warm
 * reset is refused, with nothing done, once the module has been initialised.
 */
MUST_CHECK enum err leave_prepare(enum leave_how how, struct leave_done *done, struct fault_text *fault);

/* Returns only where the platform did not react to anything. */
void leave_now(enum leave_how how);

/* Has the firmware been asked for longer than it may take? By the timer's handler. */
bool leave_is_late(void);

#endif
