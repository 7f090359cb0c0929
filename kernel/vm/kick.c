/*
 * Keeping vCPUs out of the TD (mm/hold.h) on the machine: a fixed IPI to each CPU whose vCPU is inside, then a look at what
 * vcpu_enter() says of it. Every wait is bounded.
 */
#include "mm/hold.h"

#include "kernel/cpus.h"
#include "kernel/time.h"
#include "lib/hw/cpu.h"
#include "lib/log.h"
#include "tdx/count.h"

/* Where the machine is itself a guest, its host may keep a CPU from running for a second. */
#define LEAVE_TIMEOUT_US 3000000

#define OUTSIDE (~0ull)

/* By which entry each vCPU was inside that has to leave; OUTSIDE: it has not to. */
struct round {
    struct td *td;
    u64 exits[TD_VCPUS_MAX];
};

/* A hold is for all entries, a kick for those of older epochs. */
static bool has_to_leave(const struct vcpu *v, bool any_epoch)
{
    return v->inside && (any_epoch || v->epoch < v->td->epoch);
}

static void send(struct round *r, bool any_epoch, u64 *ipis)
{
    for (unsigned i = 0; i < r->td->vcpu_count; i++) {
        const struct vcpu *v = &r->td->vcpus[i];
        u64 exits = v->exits;
        r->exits[i] = has_to_leave(v, any_epoch) ? exits : OUTSIDE;
        if (r->exits[i] == OUTSIDE)
            continue;
        cpus_kick((unsigned)v->cpu);
        ++*ipis;
        __atomic_fetch_add(&tdx_counts.ipis, 1, __ATOMIC_RELAXED);
    }
}

static enum err wait(const struct round *r)
{
    u64 from = time_us();

    for (unsigned i = 0; i < r->td->vcpu_count; i++) {
        const struct vcpu *v = &r->td->vcpus[i];
        while (r->exits[i] != OUTSIDE && v->inside && v->exits == r->exits[i]) {
            cpu_relax();
            if (time_us() - from <= LEAVE_TIMEOUT_US)
                continue;
            r->td->late = i + 1;
            log_msg(LOG_ERROR, "vCPU %u does not leave the TD on CPU %d", i, v->cpu);
            return ERR_TIMEOUT;
        }
    }
    return ERR_OK;
}

static enum err round_of_kicks(struct td *td, bool any_epoch, u64 *ipis)
{
    struct round r = {.td = td};

    send(&r, any_epoch, ipis);
    return wait(&r);
}

enum err hold_kick(struct td *td, u64 *ipis)
{
    __atomic_fetch_add(&tdx_counts.kicks, 1, __ATOMIC_RELAXED);
    return round_of_kicks(td, false, ipis);
}

/* `held` first, then the look at `inside`: vcpu_enter() does it the other way round, so one of the two sees the
 * other. */
enum err hold_begin(struct td *td, u64 *ipis)
{
    td->held++;
    enum err e = round_of_kicks(td, true, ipis);
    if (e != ERR_OK)
        td->held--;
    return e;
}

void hold_end(struct td *td)
{
    ASSERT(td->held > 0);
    td->held--;
}

static void write_back_here(void *arg)
{
    (void)arg;
    cpu_flush_all();
}

/* On all CPUs: which of them a vCPU has run on is not kept. */
enum err hold_write_back(struct td *td, u64 *ipis)
{
    unsigned late;
    enum err e = cpus_call_each(write_back_here, NULL, &late);

    (void)td;
    *ipis += cpus_online() - 1;
    if (e != ERR_OK)
        log_msg(LOG_ERROR, "CPU %u does not answer", late);
    return e;
}
