/* TLB tracking: see mm/tlb.h. */
#include "mm/tlb.h"

#include "lib/hw/cpu.h"
#include "mm/hold.h"
#include "tdx/count.h"
#include "tdx/retry.h"

#define TURN_SPINS 1000000000ull /* longer than any number of callers' kicks take to time out */

enum err tlb_begin(struct tlb_batch *b, struct td *td, struct tlb *tlb, struct tdp_report *report, unsigned stops)
{
    *b = (struct tlb_batch){.td = td, .tlb = tlb, .report = report};
    if (stops < 2)
        return ERR_OK;
    enum err e = hold_begin(td, &report->ipis);
    b->held = e == ERR_OK;
    return e;
}

void tlb_end(struct tlb_batch *b)
{
    if (b->held)
        hold_end(b->td);
    b->held = false;
}

/* --- one TRACK ---------------------------------------------------------------------------------------------------- */

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

/* TRACK is refused while a vCPU is inside since before the TRACK before: that vCPU is kicked. Where TRACK is still busy
 * after the bound of repetitions, all vCPUs are held out for one more try, for then nobody else is in its way. */
static enum err track_or_wait(struct tlb_batch *b, tdx_status_t *status)
{
    *status = track(b);
    if (tdx_is(*status, TDX_PREVIOUS_TLB_EPOCH_BUSY)) {
        enum err e = hold_kick(b->td, &b->report->ipis);
        if (e != ERR_OK)
            return e;
        tdx_count_retry();
        *status = track(b);
    }
    if (tdx_verdict(*status) == TDX_REPEAT) {
        enum err e = hold_begin(b->td, &b->report->ipis);
        if (e != ERR_OK)
            return e;
        tdx_count_retry();
        *status = track(b);
        hold_end(b->td);
    }
    return ERR_OK;
}

/* From now on whoever is inside entered too early; with the vCPUs held out nobody is. */
static enum err end_epoch(struct tlb_batch *b)
{
    b->td->epoch++;
    return b->held ? ERR_OK : hold_kick(b->td, &b->report->ipis);
}

static enum err track_and_kick(struct tlb_batch *b)
{
    tdx_status_t status;
    enum err e = track_or_wait(b, &status);
    if (e != ERR_OK)
        return e;
    b->report->status = status;
    if (!tdx_ok(status))
        return tdx_verdict(status) == TDX_REPEAT ? ERR_BUSY : ERR_TDX;
    b->report->tracks++;
    return end_epoch(b);
}

/* --- whose turn it is --------------------------------------------------------------------------------------------- */

enum turn { TURN_WAIT, TURN_MINE, TURN_JOINED };

/* `need`: the first TRACK that covers what the caller has blocked. */
static enum turn look(struct tlb *t, u64 need)
{
    enum turn turn = TURN_WAIT;

    spin_lock(&t->lock);
    if (t->ended >= need) {
        turn = TURN_JOINED;
    } else if (!t->in_flight) {
        turn = TURN_MINE;
        t->in_flight = true;
        t->begun++;
    }
    spin_unlock(&t->lock);
    return turn;
}

static enum turn wait_for_turn(struct tlb *t)
{
    spin_lock(&t->lock);
    u64 need = t->begun + 1;
    spin_unlock(&t->lock);
    enum turn turn = look(t, need);
    for (u64 spins = 0; turn == TURN_WAIT && spins < TURN_SPINS; spins++) {
        cpu_relax();
        turn = look(t, need);
    }
    return turn;
}

static void end_turn(struct tlb *t, bool good)
{
    spin_lock(&t->lock);
    t->in_flight = false;
    if (good)
        t->ended = t->begun;
    spin_unlock(&t->lock);
}

enum err tlb_track(struct tlb_batch *b)
{
    enum turn turn = wait_for_turn(b->tlb);
    enum err e = turn == TURN_WAIT ? ERR_TIMEOUT : ERR_OK;

    if (turn == TURN_MINE) {
        e = track_and_kick(b);
        end_turn(b->tlb, e == ERR_OK);
    }
    if (e == ERR_OK)
        b->blocked = 0;
    return e;
}

/* --- the shared half ---------------------------------------------------------------------------------------------- */

enum err tlb_drop_shared(struct tlb_batch *b)
{
    b->td->drops++;
    return end_epoch(b);
}
