/*
 * The TDX completion status word: what it is called and what a caller does about it.
 * TDX Module Base Architecture Specification, "Interface function completion status codes".
 *
 * Neither bit 63 nor bit 62 decides: some informational statuses have bit 63 clear, some statuses with it clear still
 * mean a dead vCPU or TD, and bit 62 is set on ordinary refusals. So the verdict comes from a table
 * (tdx/abi_status.h).
 */
#ifndef TDX_STATUS_H
#define TDX_STATUS_H

#include "lib/types.h"
#include "tdx/abi_status.h"

typedef struct {
    u64 raw;
} tdx_status_t; /* a struct, so that `if (status)` does not compile */

enum tdx_verdict {
    TDX_DONE,             /* the leaf did its work, or found it done */
    TDX_REPEAT,           /* the same call again: BUSY, INTERRUPTED_RESTARTABLE, entropy */
    TDX_AFTER_OTHER_STEP, /* something else first: TRACK, BLOCK, FLUSH ... */
    TDX_REFUSED,          /* as asked it cannot be */
    TDX_VCPU_DEAD,
    TDX_TD_DEAD,
    TDX_UNKNOWN, /* not in the table */
};

/* Compares class and number (bits 63:32) and ignores operand bits. */
static inline bool tdx_is(tdx_status_t s, u32 code)
{
    return (u32)(s.raw >> 32) == code;
}

enum tdx_verdict tdx_verdict(tdx_status_t s);

static inline bool tdx_ok(tdx_status_t s)
{
    return tdx_is(s, TDX_SUCCESS) || tdx_verdict(s) == TDX_DONE;
}

/* "TDX_OPERAND_BUSY", or "TDX_STATUS_UNKNOWN". */
const char *tdx_status_name(tdx_status_t s);

/* "RCX", "SEPT_TREE", ...: the operand that the status names, or "" where this status carries none. */
const char *tdx_operand_name(tdx_status_t s);

/* What bits 31:0 of this status hold; a status that is not in the table has nothing there. */
enum tdx_details tdx_details(tdx_status_t s);

/* The n-th status of the table, without details, and its name; NULL behind the last. */
const char *tdx_status_at(unsigned n, tdx_status_t *s);

#endif
