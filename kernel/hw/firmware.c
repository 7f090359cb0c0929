/* The end of a call into the firmware that goes wrong. See firmware.h. */
#include "kernel/hw/firmware.h"

u64 firmware_is_called(void);

bool firmware_give_up(struct trap_frame *frame)
{
    u64 resume = firmware_is_called();

    if (resume == 0)
        return false;
    frame->rip = resume;
    return true;
}
