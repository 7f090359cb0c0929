/*
 * SEAMCALL in a host process: the real code of the module model answers, and when it enters the TD a guest that the
 * test scripts runs on the calling thread. Also the faults that a test wants: a leaf's nth call answers a status
 * unexecuted.
 */
#ifndef TESTS_HOST_SEAMCALL_H
#define TESTS_HOST_SEAMCALL_H

#include "sim/module/seam.h"
#include "tdx/hw/seamcall.h"

/* No scripts, no faults, VMX off on all CPUs, a module that is loaded. */
void seamcall_host_reset(void);

/* What the SEAMCALL instruction does instead of reaching the module: SEAMCALL_RAN reaches it. */
extern enum seamcall_fault seamcall_host_fault;

/* The `nth` call of `leaf` from now on (0: the next) answers `status` and is not executed. Up to 16 at once. */
void seamcall_host_inject(unsigned leaf, unsigned nth, u64 status);
/* The same for `times` calls of the leaf in a row. */
void seamcall_host_inject_times(unsigned leaf, unsigned nth, unsigned times, u64 status);
/* Those that still wait are dropped. */
void seamcall_host_inject_none(void);
/* How many injections wait for their call. */
unsigned seamcall_host_injections_left(void);
/* Called before each SEAMCALL that is executed, with its registers; NULL: none. */
extern void (*seamcall_host_watch)(const struct seamcall_regs *regs);

/* Answers a SEAMCALL in the place of the module where it returns true; on any thread. NULL: none. */
extern bool (*seamcall_host_answer)(struct seamcall_regs *regs);

/* Stands between SEAMCALL and the module, as P-SEAMLDR's part of the CPU does: true where the call has not reached the module, and
 * *fault says how it ended. NULL: a module that is loaded, and no P-SEAMLDR. */
extern bool (*seamcall_host_loader)(struct seam_lp *lp, struct seamcall_regs *regs, enum seamcall_fault *fault);

/* A rule that a test breaks: the VMM's INVEPT does nothing. */
extern bool seamcall_host_forget_invept;

/* --- the guest --------------------------------------------------------------------------------------------------- */

/* What the vCPU that runs does next: the caller is the script's owner and keeps the memory until `done`. */
struct guest_action {
    enum { GUEST_TDCALL, GUEST_EPT_VIOLATION, GUEST_INTERRUPT, GUEST_EXIT } kind;
    u64 gpr[SEAM_GPRS]; /* TDCALL: before it; when done, after it. [RSP] does not count */
    u64 gpa;            /* EPT violation, with the shared bit where it has one */
    u64 qualification;  /* EPT violation: 1 read, 2 write, 4 fetch; else of the exit */
    u32 reason;         /* GUEST_EXIT: VMX basic exit reason */
    u32 event;          /* GUEST_EXIT: VM-exit interruption information */
    bool done;          /* the TD went on behind it (TDCALL), or its exit was delivered (others) */
    u32 injected;       /* vector of the event that the module injected in answer, 0: none */
};

/* Behind the actions of this vCPU that wait already. `tdvpr` names the vCPU. */
void guest_push(u64 tdvpr, struct guest_action *action);
unsigned guest_waiting(u64 tdvpr);

/*
 * Replaces the scripts: runs the TD of lp->td until it leaves, and fills the exit information of lp->td. NULL: the
 * scripts. A vCPU whose script is at its end leaves by an external interrupt.
 */
extern void (*guest_program)(struct seam_lp *lp);

/* The vCPU in 64-bit mode at privilege level 0, where it may execute TDCALL: what its start-up code would do. */
void guest_enter_long_mode(struct td_vmcs *td);

#endif
