/*
 * The filters against a VMM that steps a TD (Intel TDX Module v1.5 Base Architecture Specification, "TD Entry/Exit and
 * Zero-Step Attack Mitigation"). Single step: an interrupt that arrives after very few instructions is sent to the APIC
 * again and shows only after the TD has run a random number of further instructions under the monitor trap. Zero step:
 * too many EPT violations of private memory at one instruction are listed, and TDH.VP.ENTER refuses to run the vCPU
 * while they would happen again.
 *
 * The model leaves out the task priority that holds interrupts back meanwhile: the machine has it in resend_vector.
 */
#include "sim/module/tdcall.h"

#define FREE_FAULTS         6
#define STEP_BYTES_MAX      32
#define STEP_CYCLES_MAX     4096
#define STEPS_MAX           32
#define APIC_ENABLED        (1ull << 11)
#define PENDING_DBG_ENABLED (1ull << 12)
#define PENDING_DBG_BS      (1ull << 14)
#define PENDING_DBG_RTM     (1ull << 16)

enum { EXIT_EXCEPTION = 0, EXIT_INTERRUPT = 1, EXIT_INIT = 3, EXIT_SMI = 6, EXIT_MTF = 37 };
#define SMI_IS_MSMI 1ull

static bool is_nmi(const struct td_vmcs *td)
{
    return (u16)td->exit_reason == EXIT_EXCEPTION && (td->exit_intr_info & 0xff) == VECTOR_NMI;
}

static bool is_interrupt_like(const struct td_vmcs *td)
{
    switch ((u16)td->exit_reason) {
    case EXIT_INTERRUPT:
    case EXIT_MTF:
    case EXIT_INIT:
        return true;
    case EXIT_SMI:
        return !(td->qualification & SMI_IS_MSMI);
    default:
        return is_nmi(td);
    }
}

static u64 bytes_since_entry(const struct td_vmcs *td, const struct tdvps *tdvps)
{
    return td->rip > tdvps->last_entry_rip ? td->rip - tdvps->last_entry_rip : tdvps->last_entry_rip - td->rip;
}

static bool looks_stepped(const struct td_vmcs *td, const struct tdvps *tdvps)
{
    return bytes_since_entry(td, tdvps) <= STEP_BYTES_MAX &&
           tdvps->last_exit_tsc - tdvps->last_entry_tsc <= STEP_CYCLES_MAX;
}

/* A shift register with feedback, 32 bits, period 2^32 - 1. */
static u32 next_random(struct lp_local *local)
{
    u32 x = local->random_steps;
    local->random_steps = x >> 1 ^ (x & 1 ? 0xb4bcd35c : 0);
    return local->random_steps;
}

static void start_stepping(struct seam_lp *lp, struct td_vmcs *td, struct tdvps *tdvps)
{
    tdvps->stepping = true;
    tdvps->stepping_left = next_random(mdl_lp(lp)) % STEPS_MAX + 1;
    td->monitor_trap = true;
    if ((u16)td->exit_reason == EXIT_INTERRUPT)
        lp->resend_vector = td->exit_intr_info;
}

#define DR7_ENABLED(dr7, i) ((dr7) >> 2 * (i)&3)
#define DR7_KIND(dr7, i)    ((dr7) >> (16 + 4 * (i)) & 15) /* length and access: 0 is a code breakpoint */

static bool is_code_breakpoint(const struct td_vmcs *td)
{
    for (unsigned i = 0; i < 4; i++)
        if (DR7_ENABLED(td->dr7, i) && DR7_KIND(td->dr7, i) == 0 && td->dr[i] == td->rip)
            return true;
    return false;
}

/* One more instruction without an interrupt before it, unless a debug event must come first. */
static void step_once(struct td_vmcs *td, struct tdvps *tdvps)
{
    bool debug_pending = td->pending_dbg & (PENDING_DBG_ENABLED | PENDING_DBG_BS | PENDING_DBG_RTM);
    if (!debug_pending && !is_code_breakpoint(td) && !(td->interruptibility & INTERRUPTIBILITY_STI)) {
        mdl_set_single_step(td);
        td->interruptibility |= INTERRUPTIBILITY_MOV_SS;
    }
    tdvps->stepping_left--;
}

static void stop_stepping(struct seam_lp *lp, struct td_vmcs *td, struct tdvps *tdvps)
{
    if (tdvps->stepped_by_nmi && !is_nmi(td))
        lp->resend_vector = EVENT_VALID | EVENT_TYPE_NMI | VECTOR_NMI;
    tdvps->stepping = tdvps->stepped_by_nmi = tdvps->stepped_by_init = false;
    tdvps->stepping_left = 0;
    td->monitor_trap = false;
}

static enum step_verdict single_step(struct seam_lp *lp, struct td_vmcs *td, struct tdvps *tdvps)
{
    if (is_interrupt_like(td)) {
        if (!tdvps->stepping) {
            if (!looks_stepped(td, tdvps))
                return STEP_GO_ON;
            if (!(lp->apic_base & APIC_ENABLED))
                return STEP_WRONG_APIC_MODE;
            start_stepping(lp, td, tdvps);
        }
        tdvps->stepped_by_nmi |= is_nmi(td);
        tdvps->stepped_by_init |= (u16)td->exit_reason == EXIT_INIT;
        if (tdvps->stepping_left > 0) {
            step_once(td, tdvps);
            return STEP_RESUME_TD;
        }
    }
    if (!tdvps->stepping)
        return STEP_GO_ON;
    stop_stepping(lp, td, tdvps);
    if ((u16)td->exit_reason != EXIT_MTF)
        return STEP_GO_ON;
    tdvps->last_entry_tsc = 0; /* the interrupt that comes now is not held back again */
    return STEP_RESUME_TD;
}

enum step_verdict mdl_step_at_exit(struct seam_lp *lp, struct lp_local *local)
{
    struct td_vmcs *td = &local->vmcs->run;
    if (bytes_since_entry(td, local->tdvps) != 0)
        local->tdvps->epf_count = local->tdvps->epf_listed = 0;
    return plat_info()->single_step_filter ? single_step(lp, td, local->tdvps) : STEP_GO_ON;
}

void mdl_step_log_fault(struct lp_local *local, u64 gpa)
{
    struct tdvps *tdvps = local->tdvps;
    if (tdvps->epf_count < FREE_FAULTS) {
        tdvps->epf_count++;
        return;
    }
    for (unsigned i = 0; i < tdvps->epf_listed; i++)
        if (tdvps->epf_gpa[i] == gpa)
            return;
    if (tdvps->epf_listed < EPF_GPAS)
        tdvps->epf_gpa[tdvps->epf_listed++] = gpa;
}
