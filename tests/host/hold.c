/* Host twin of kernel/vm/kick.c: see hold.h. An IPI is a flag a vCPU that its thread sees while it is inside. */
#include "tests/host/hold.h"

#include <stdatomic.h>
#include <time.h>

#include "lib/hw/cpu.h"
#include "lib/log.h"
#include "tdx/count.h"

#define LEAVE_SECONDS 20 /* a net: threads of a loaded machine wait long for their turn */

struct hold_host hold_host;

static _Atomic bool asked[TD_VCPUS_MAX];

bool hold_host_asked(const struct vcpu *v)
{
    return asked[v->index] && atomic_exchange(&asked[v->index], false);
}

static void count(u64 *counter)
{
    __atomic_fetch_add(counter, 1, __ATOMIC_RELAXED);
}

static enum err answer(void)
{
    enum err e = hold_host.next;
    if (e != ERR_OK)
        hold_host.next = ERR_OK;
    return e;
}

static void send_ipi(const struct vcpu *v, u64 *ipis)
{
    asked[v->index] = true;
    count(&tdx_counts.ipis);
    ++*ipis;
}

/* Every vCPU that is inside by an entry of an older epoch, or by any: all are asked, then each is waited for. */
static enum err take_out(const struct td *td, bool any_epoch, u64 *ipis)
{
    u64 exits[TD_VCPUS_MAX];
    bool waits[TD_VCPUS_MAX];
    time_t end = time(NULL) + LEAVE_SECONDS;

    for (unsigned i = 0; i < td->vcpu_count; i++) {
        const struct vcpu *v = &td->vcpus[i];
        exits[i] = v->exits;
        waits[i] = v->inside && (any_epoch || v->epoch < td->epoch);
        if (waits[i])
            send_ipi(v, ipis);
    }
    for (unsigned i = 0; i < td->vcpu_count; i++)
        while (waits[i] && td->vcpus[i].inside && td->vcpus[i].exits == exits[i]) {
            if (time(NULL) > end)
                return ERR_TIMEOUT;
            cpu_relax();
        }
    return ERR_OK;
}

enum err hold_kick(struct td *td, u64 *ipis)
{
    if (hold_host.forget_kick)
        return ERR_OK;
    hold_host.kicks++;
    count(&tdx_counts.kicks);
    if (hold_host.kicked)
        hold_host.kicked();
    enum err e = answer();
    return e == ERR_OK ? take_out(td, false, ipis) : e;
}

enum err hold_begin(struct td *td, u64 *ipis)
{
    enum err e = ERR_OK;

    if (hold_host.depth++ == 0) {
        hold_host.holds++;
        e = answer();
    }
    if (!hold_host.forget_hold)
        td->held++;
    if (e == ERR_OK && !hold_host.forget_hold)
        e = take_out(td, true, ipis);
    if (e != ERR_OK)
        hold_end(td);
    return e;
}

void hold_end(struct td *td)
{
    ASSERT(hold_host.depth > 0);
    hold_host.depth--;
    if (!hold_host.forget_hold)
        td->held--;
}

enum err hold_write_back(struct td *td, u64 *ipis)
{
    (void)td;
    (void)ipis;
    hold_host.write_backs++;
    if (hold_host.write_back == ERR_OK)
        cpu_flush_all();
    return hold_host.write_back;
}
