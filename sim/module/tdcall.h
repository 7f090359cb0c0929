/* TDCALL handlers, and what they share with the other exits. */
#ifndef SIM_MODULE_TDCALL_H
#define SIM_MODULE_TDCALL_H

#include "sim/module/guest.h"

#define RFLAGS_TF                  (1ull << 8)
#define PENDING_DBG_STEP           (1ull << 14)
#define DEBUGCTL_BTF               (1ull << 1)
#define TD_CTLS_PENDING_VE_DISABLE 1ull

/* The TD executed TDCALL. `*again`: RIP stays where it is. */
enum seam_next mdl_tdcall(struct seam_lp *lp, bool *again);
/* Pending debug exceptions as after an instruction: single step by RFLAGS.TF. */
void mdl_set_single_step(struct td_vmcs *td);
/* Behind the instruction that exited; STI and MOV SS shadows end. */
void mdl_advance_rip(struct td_vmcs *td);
/* Bookkeeping of every exit to the VMM: vCPU state, epoch, locks. A trap-like exit moves RIP. */
void mdl_leave_td(struct seam_lp *lp, enum vcpu_state state, enum last_td_exit how);

/* The leafs, by file. */
u64 mdl_tdg_mem_page_accept(struct tdcall *t); /* accept.c */
u64 mdl_tdg_vm_rd(struct tdcall *t);           /* metadata_leaves.c */
u64 mdl_tdg_vm_wr(struct tdcall *t);
u64 mdl_tdg_vp_rd(struct tdcall *t);
u64 mdl_tdg_vp_wr(struct tdcall *t);
u64 mdl_tdg_sys_rd(struct tdcall *t);
u64 mdl_tdg_sys_rdall(struct tdcall *t);
u64 mdl_tdg_mr_report(struct tdcall *t); /* report.c */
u64 mdl_tdg_mr_rtmr_extend(struct tdcall *t);
u64 mdl_tdg_mr_verifyreport(struct tdcall *t);
u64 mdl_tdg_page_attr_rd(struct tdcall *t); /* attr.c */
u64 mdl_tdg_page_attr_wr(struct tdcall *t);
u64 mdl_tdg_servtd_rd(struct tdcall *t); /* servtd_guest.c */
u64 mdl_tdg_servtd_wr(struct tdcall *t);

#endif
