/* Acceptance of the TD's memory. See shim.h. TDX module ABI, "TDG.MEM.PAGE.ACCEPT". */
#include "guest/hw/td.h"
#include "guest/lib/ghci.h"
#include "guest/shim/shim.h"

#define PAGE_4K   0x1000ull
#define PAGE_2M   0x200000ull
#define TRIES_MAX 1000000u

/* BUSY: the host works on the entry just now; it gives way. The upper half of the status. */
static uint32_t accept_page(uint64_t gpa, uint32_t level)
{
    uint32_t status = (uint32_t)(ghci_accept(gpa, level) >> 32);
    for (uint32_t tries = 1; status == TDX_OPERAND_BUSY && tries < TRIES_MAX; tries++) {
        td_pause();
        status = (uint32_t)(ghci_accept(gpa, level) >> 32);
    }
    return status;
}

/* What the VMM added before the TD was measured is accepted already. */
static void check(uint32_t status, uint64_t gpa)
{
    if (status != TDX_SUCCESS && status != TDX_PAGE_ALREADY_ACCEPTED) {
        shim_fatal(status == TDX_OPERAND_BUSY ? "shim: ACCEPT stays busy at " : "shim: ACCEPT is refused at ", gpa);
    }
}

static void accept_small(uint64_t from, uint64_t to)
{
    for (uint64_t at = from; at < to; at += PAGE_4K) {
        check(accept_page(at, 0), at);
    }
}

void shim_accept(uint64_t from, uint64_t to)
{
    for (uint64_t at = from, next; at < to; at = next) {
        next = (at & -PAGE_2M) + PAGE_2M;
        uint32_t status = TDX_PAGE_SIZE_MISMATCH;
        if (at % PAGE_2M == 0 && next <= to) {
            status = accept_page(at, 1);
        }
        if (status == TDX_PAGE_SIZE_MISMATCH) {
            accept_small(at, next < to ? next : to);
        } else {
            check(status, at);
        }
    }
}
