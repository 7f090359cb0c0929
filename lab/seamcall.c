/*
 * The lab's twin of tdx/hw/: SEAMCALL enters the module model on this CPU's logical processor, and the TD runs in it until
 * the model gives the CPU back. Each call takes the profile's time; INVEPT reaches this CPU's TLBs.
 */
#include "tdx/hw/seamcall.h"

#include <string.h>

#include "lab/cost.h"
#include "lab/figures.h"
#include "lab/guest.h"
#include "lab/machine.h"
#include "lab/platform.h"
#include "lib/bits.h"
#include "sim/module/seam.h"
#include "tdx/abi_leaf.h"

#define LEAF_MASK     0xffffu
#define RFLAGS_IF     BIT(9)
#define REASON_MASK   0xffffu
#define REASON_TDCALL 77u

static bool vmx_on[MACHINE_CPUS_MAX];

/* The module's part of an exit: a TDCALL's work, or the way into it and out again. */
static u64 cost_of_exit(const struct td_vmcs *td)
{
    bool is_call = (td->exit_reason & REASON_MASK) == REASON_TDCALL;

    return is_call ? cost_of_tdcall(td->gpr[RAX], td->gpr[RCX]) : cost_of(COST_TDCALL);
}

static void run(struct seam_lp *lp)
{
    u64 ticks = cost_of_seamcall(lp->vmm[RAX], lp->vmm[RCX]);

    figures_add_call(lp->vmm[RAX] & LEAF_MASK, ticks);
    machine_call_begin(ticks);
    enum seam_next next = module_seamcall(lp);
    bool was_inside = next == SEAM_TO_TD;
    machine_call_end();
    while (next == SEAM_TO_TD) {
        guest_run(lp);
        machine_call_begin(cost_of_exit(lp->td));
        next = module_td_exit(lp);
        machine_call_end();
    }
    if (was_inside)
        machine_pass(cost_of(COST_TD_EXIT));
}

enum seamcall_fault seamcall(struct seamcall_regs *regs)
{
    _Static_assert(sizeof(*regs) == SEAM_GPRS * sizeof(u64), "both count registers by their number");
    struct seam_lp *lp = platform_lp();
    bool interrupts_on = machine_self->interrupts_on;

    if (!vmx_on[machine_index()])
        return SEAMCALL_UD;
    if (regs->rax >> 63) /* for P-SEAMLDR, which is not there */
        return SEAMCALL_VMFAILED;
    if ((regs->rax & LEAF_MASK) == TDH_MNG_CREATE)
        guest_forget_all();
    machine_pass(cost_of(COST_VMM));
    memcpy(lp->vmm, regs, sizeof(lp->vmm));
    lp->vmm_rflags = interrupts_on ? lp->vmm_rflags | RFLAGS_IF : lp->vmm_rflags & ~RFLAGS_IF;
    machine_self->interrupts_on = false; /* none comes to the VMM while its CPU is in SEAM or in the TD */
    run(lp);
    machine_self->interrupts_on = interrupts_on;
    u64 rsp = regs->rsp;
    memcpy(regs, lp->vmm, sizeof(*regs));
    regs->rsp = rsp;
    machine_take_interrupts();
    return SEAMCALL_RAN;
}

bool seam_vmxon(void *region)
{
    (void)region;
    bool was_off = !vmx_on[machine_index()];

    vmx_on[machine_index()] = true;
    return was_off;
}

void seam_vmxoff(void)
{
    vmx_on[machine_index()] = false;
}

void seam_invept(u64 eptp)
{
    guest_invept(machine_index(), eptp);
}
