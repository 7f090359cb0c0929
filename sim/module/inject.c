/*
 * Events that the module puts into the next VM entry, and where the TD's execution goes on after an exit that it
 * handles (Intel TDX Module v1.5 Base Architecture Specification, "Virtualization Exception (#VE)" and "Guest TD
 * Interrupt Handling").
 */
#include "sim/module/guest.h"

#define RFLAGS_RF     (1ull << 16)
#define ACCESS_DPL(a) ((a) >> 5 & 3)
#define ACCESS_LONG   (1u << 13)
#define EFER_LMA      (1ull << 10)

static void inject(struct td_vmcs *td, unsigned vector, bool has_error, u32 error)
{
    td->entry_intr_info = EVENT_VALID | EVENT_TYPE_FAULT | (has_error ? EVENT_HAS_ERROR : 0) | vector;
    if (has_error) /* the field is left alone otherwise, and so is the instruction length */
        td->entry_error_code = error;
}

void mdl_inject_gp(struct td_vmcs *td, u32 error)
{
    inject(td, VECTOR_GP, true, error);
    td->rflags |= RFLAGS_RF;
}

void mdl_inject_ud(struct td_vmcs *td)
{
    inject(td, VECTOR_UD, false, 0);
    td->rflags |= RFLAGS_RF;
}

bool mdl_inject_pf(struct td_vmcs *td, u64 gla, u32 error)
{
    u32 waiting = td->entry_intr_info;
    bool is_fault = (waiting & EVENT_VALID) && (waiting & EVENT_TYPE) == EVENT_TYPE_FAULT;
    unsigned vector = waiting & 0xff;
    td->cr2 = gla;
    if (is_fault && vector == VECTOR_DF)
        return false;
    if (is_fault && (vector == VECTOR_PF || vector == VECTOR_VE))
        inject(td, VECTOR_DF, true, 0);
    else
        inject(td, VECTOR_PF, true, error);
    td->rflags |= RFLAGS_RF;
    return true;
}

void mdl_inject_ve(struct lp_local *local, u32 reason, u64 qualification, u64 gpa, u64 gla)
{
    struct td_vmcs *td = &local->vmcs->run;
    struct ve_info *info = &local->tdvps->ve_info;
    if (info->valid == 0) {
        info->exit_reason = reason;
        info->qualification = qualification;
        info->gla = gla;
        info->gpa = gpa;
        info->eptp_index = 0;
        info->instruction_length = td->exit_instr_len;
        info->instruction_info = td->exit_instr_info;
        info->valid = ~0u;
        inject(td, VECTOR_VE, false, 0);
    } else {
        inject(td, VECTOR_DF, true, 0);
    }
    td->rflags |= RFLAGS_RF;
}

bool mdl_td_is_64bit(const struct td_vmcs *td)
{
    return (td->efer & EFER_LMA) && (td->cs.access & ACCESS_LONG);
}

unsigned mdl_td_cpl(const struct td_vmcs *td)
{
    return ACCESS_DPL(td->ss.access);
}
