/* The workload `attest`. Linux's driver tdx-guest shares four pages for a quote, and takes them back. */
#include "kernel/experiment/workload/workload.h"

#define PAGES 4u

static enum err work(struct work *w)
{
    gpa_t at = gpa_add(w->base, 64 * PAGE_BYTES);
    enum err e = ERR_OK;

    for (u64 i = 0; i < w->x->values[TIMES] && e == ERR_OK; i++) {
        e = work_cut(w, at, PAGES * PAGE_BYTES);
        if (e == ERR_OK && w->x->values[GAP])
            e = work_wait(w, w->x->values[GAP]);
    }
    return e;
}

const struct workload workload_attest = {
    .name = "attest",
    .what = "the same 4 pages are shared and taken back again and again, as a guest's attestation driver does",
    .level = {1},
    .work = work,
};
