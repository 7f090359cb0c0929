/*
 * Keeping vCPUs out of the TD (mm/hold.h) on the machine. While one CPU runs everything, no vCPU is inside when VMM
 * code runs, so a kick finds all flags down; the wait for them is bounded all the same. Interrupts between CPUs come
 * with SMP.
 */
#include "mm/hold.h"

#include "kernel/time.h"
#include "lib/hw/cpu.h"
#include "lib/log.h"
#include "tdx/count.h"

#define LEAVE_TIMEOUT_US 1000000

static enum err wait_until_out(const struct td *td)
{
    u64 from = time_us();

    for (unsigned i = 0; i < td->vcpu_count; i++) {
        while (td->vcpus[i].inside) {
            if (time_us() - from > LEAVE_TIMEOUT_US)
                return ERR_TIMEOUT;
            cpu_relax();
        }
    }
    return ERR_OK;
}

enum err hold_kick(struct td *td)
{
    tdx_counts.kicks++;
    return wait_until_out(td);
}

/* `held` first, then the look at `inside`: vcpu_enter() does it the other way round, so one of the two sees the
 * other. */
enum err hold_begin(struct td *td)
{
    td->held++;
    enum err e = wait_until_out(td);
    if (e != ERR_OK)
        td->held--;
    return e;
}

void hold_end(struct td *td)
{
    ASSERT(td->held > 0);
    td->held--;
}
