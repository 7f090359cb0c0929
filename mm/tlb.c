/* TLB tracking: see mm/tlb.h. */
#include "mm/tlb.h"

#include "mm/hold.h"
#include "tdx/retry.h"

enum err tlb_begin(struct tlb_batch *b, struct td *td, struct tdp_report *report, unsigned stops)
{
    *b = (struct tlb_batch){.td = td, .report = report};
    if (stops < 2)
        return ERR_OK;
    enum err e = hold_begin(td);
    b->held = e == ERR_OK;
    return e;
}

void tlb_end(struct tlb_batch *b)
{
    if (b->held)
        hold_end(b->td);
    b->held = false;
}

static tdx_status_t track(struct tlb_batch *b)
{
    struct tdx_retry again = tdx_retry(TDH_MEM_TRACK, 0);
    struct tdx_answer a;

    do {
        a = tdh_mem_track(b->td->tdr);
        b->report->seamcalls++;
    } while (tdx_again(&again, a.status));
    return a.status;
}

/* The replies to an answer that is no success: out with the vCPU that is inside since before the last TRACK; after
 * the bound of repetitions out with all of them. */
static enum err track_or_wait(struct tlb_batch *b, tdx_status_t *status)
{
    *status = track(b);
    if (tdx_is(*status, TDX_PREVIOUS_TLB_EPOCH_BUSY)) {
        enum err e = hold_kick(b->td);
        if (e != ERR_OK)
            return e;
        *status = track(b);
    }
    if (tdx_verdict(*status) == TDX_REPEAT) {
        enum err e = hold_begin(b->td);
        if (e != ERR_OK)
            return e;
        *status = track(b);
        hold_end(b->td);
    }
    return ERR_OK;
}

enum err tlb_track(struct tlb_batch *b)
{
    tdx_status_t status;
    enum err e = track_or_wait(b, &status);
    if (e != ERR_OK)
        return e;
    b->report->status = status;
    if (!tdx_ok(status))
        return tdx_verdict(status) == TDX_REPEAT ? ERR_BUSY : ERR_TDX;
    b->report->tracks++;
    e = b->held ? ERR_OK : hold_kick(b->td);
    if (e == ERR_OK)
        b->blocked = 0;
    return e;
}

enum err tlb_drop_shared(struct tlb_batch *b)
{
    enum err e = b->held ? ERR_OK : hold_kick(b->td);
    if (e == ERR_OK)
        seam_invept(b->td->eptp);
    return e;
}
