/*
 * One SEAMCALL or TDCALL in progress. A leaf handler reads its operands from `in`, writes each register that the leaf
 * defines as an output to `out` (all others keep their values) and returns the completion status, which the dispatcher
 * puts into RAX. Locks are taken through the call and released by the dispatcher, so a handler returns wherever it
 * fails.
 */
#ifndef SIM_MODULE_CALL_H
#define SIM_MODULE_CALL_H

#include "sim/module/locks.h"

struct call {
    struct seam_lp *lp;
    u64 in[SEAM_GPRS]; /* registers as they were at the instruction */
    u64 *out;          /* the caller's registers: lp->vmm or lp->td->gpr */
    u16 leaf;
    u8 version;
    bool guest;     /* TDCALL */
    bool enters_td; /* set by TDH.VP.ENTER's handler: the TD runs next and RAX stays as the handler left it */
    struct lock_list locks;
};

/*
 * A SEAMCALL leaf. `versions` is the highest version let through to the handler; only some handlers know any above 0.
 */
struct leaf {
    u64 (*handler)(struct call *c);
    u8 versions;
    bool before_ready; /* allowed before the module is ready */
};
extern const struct leaf mdl_seamcalls[SEAMCALL_LEAVES];

/* Status with an operand id in its details. */
static inline u64 status_operand(u64 status, unsigned operand)
{
    return status | operand;
}

/* Take a lock for the call: TDX_SUCCESS, or OPERAND_BUSY (for a guest that meets the host's mark
 * OPERAND_BUSY_HOST_PRIORITY) with `operand`. */
u64 mdl_call_lock(struct call *c, void *lock, enum lock_kind kind, enum lock_mode mode, unsigned operand);
void mdl_call_unlock(struct call *c, void *lock);

/* RFLAGS.IF clear hides interrupts from the host's interruptible leafs; NMI and SMI count always. */
bool mdl_interrupted(struct call *c);

#define RFLAGS_IF (1ull << 9)

#define MDL_CHECK(condition, what)                                                                                     \
    do {                                                                                                               \
        if (!(condition))                                                                                              \
            plat_broken(__FILE__, __LINE__, what);                                                                     \
    } while (0)

#endif
