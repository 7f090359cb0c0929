/*
 * Host twin of kernel/vm/kick.c. A vCPU of the calling thread has left whenever VMM code runs, so a kick has nothing to
 * wait for, unless a test runs vCPUs in other threads and says how to get them out.
 */
#include "tests/host/hold.h"

#include "lib/log.h"
#include "tdx/count.h"

struct hold_host hold_host;

static enum err answer(void)
{
    enum err e = hold_host.next;
    hold_host.next = ERR_OK;
    return e;
}

enum err hold_kick(struct td *td)
{
    (void)td;
    hold_host.kicks++;
    tdx_counts.kicks++;
    if (hold_host.kicked)
        hold_host.kicked();
    return answer();
}

enum err hold_begin(struct td *td)
{
    if (hold_host.depth == 0) {
        hold_host.holds++;
        enum err e = answer();
        if (e != ERR_OK)
            return e;
    }
    hold_host.depth++;
    td->held++;
    return ERR_OK;
}

void hold_end(struct td *td)
{
    ASSERT(hold_host.depth > 0);
    hold_host.depth--;
    td->held--;
}
