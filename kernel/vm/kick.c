/*
 * Keeping vCPUs out of the TD (mm/hold.h) on the machine. While one CPU runs everything, no vCPU is inside when VMM
 * code runs, so a kick finds all flags down; the wait for them is bounded all the same.
 */
#include "mm/hold.h"

#include "kernel/time.h"
#include "lib/hw/cpu.h"
#include "lib/log.h"
#include "tdx/count.h"

#define LEAVE_TIMEOUT_US 1000000

/* Has the vCPU to leave: is it inside, and by which entry? A hold is for all entries, a kick for older ones. */
static bool is_inside(const struct vcpu *v, u64 *exits, bool any_epoch)
{
    *exits = v->exits;
    return v->inside && (any_epoch || v->epoch < v->td->epoch);
}

static enum err wait_until_out(const struct td *td, bool any_epoch)
{
    u64 from = time_us(), exits;

    for (unsigned i = 0; i < td->vcpu_count; i++) {
        const struct vcpu *v = &td->vcpus[i];
        if (!is_inside(v, &exits, any_epoch))
            continue;
        while (v->inside && v->exits == exits) {
            if (time_us() - from > LEAVE_TIMEOUT_US) {
                log_msg(LOG_ERROR, "vCPU %u on CPU %d does not leave the TD", i, v->cpu);
                return ERR_TIMEOUT;
            }
            cpu_relax();
        }
    }
    return ERR_OK;
}

static void count_round(void)
{
    __atomic_fetch_add(&tdx_counts.kicks, 1, __ATOMIC_RELAXED);
}

enum err hold_kick(struct td *td, u64 *ipis)
{
    (void)ipis; /* nobody is inside, so nobody is sent one */
    count_round();
    return wait_until_out(td, false);
}

/* `held` first, then the look at `inside`: vcpu_enter() does it the other way round, so one of the two sees the
 * other. */
enum err hold_begin(struct td *td, u64 *ipis)
{
    (void)ipis;
    td->held++;
    enum err e = wait_until_out(td, true);
    if (e != ERR_OK)
        td->held--;
    return e;
}

void hold_end(struct td *td)
{
    ASSERT(td->held > 0);
    td->held--;
}

enum err hold_write_back(struct td *td, u64 *ipis)
{
    (void)td;
    (void)ipis;
    cpu_flush_all();
    return ERR_OK;
}
