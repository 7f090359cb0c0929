/*
 * Opening a TD and a vCPU for a call: the operand page, the TD's state, its control structures; and the epochs of TLB
 * tracking. TDX Module v1.5 Base Architecture Specification, "TD Life Cycle Management" and "TD VCPU".
 */
#ifndef SIM_MODULE_TD_H
#define SIM_MODULE_TD_H

#include "sim/module/pamt.h"

struct td {
    u64 tdr_hpa;
    struct pamt_entry *pamt; /* of the TDR */
    struct tdr *tdr;
    struct tdcs *tdcs; /* after td_open_tdcs() */
};

struct vcpu {
    u64 tdvpr_hpa;
    struct pamt_entry *pamt;
    struct tdvps *tdvps;
    struct tdvps_vmcs *vmcs; /* NULL until all pages are there */
};

/* The TDR in a register operand: locks it in `mode`. */
u64 tdr_open(struct call *c, u64 hpa, enum lock_mode mode, unsigned operand, struct td *td);
/* The TDR that owns an open page, an implicit operand: OPERAND_BUSY|TDR when it cannot be locked. */
u64 tdr_open_owner(struct call *c, const struct pamt_entry *page, enum lock_mode mode, struct td *td);
/*
 * TD state in the architectural order: TD_FATAL, TD_KEYS_NOT_CONFIGURED, TDCS_NOT_ALLOCATED, then op state lock
 * (OPERAND_BUSY|OP_STATE) and whether the leaf is allowed in it (OP_STATE_INCORRECT).
 */
u64 tdcs_open(struct call *c, struct td *td, enum lock_mode op_state_mode);
/* The same for the second TD of TDH.SERVTD.BIND, which must be runnable whatever the first may be. */
u64 tdcs_open_service(struct call *c, struct td *td);
/* The same for leafs that hold the TDR exclusively, which covers the op state: no lock. */
u64 tdcs_open_exclusive(struct call *c, struct td *td);
bool tdcs_leaf_allowed(const struct tdcs *tdcs, u16 leaf);
/* Explicit TDR operand, shared lock, and TD state with the op state held shared: what most leafs start with. */
u64 td_open(struct call *c, u64 tdr_hpa, unsigned operand, struct td *td);
/* The TD may not be used any more. */
void tdr_set_fatal(struct tdr *tdr);
/* CHLDCNT grows or shrinks by so many 4K pages. */
void tdr_count_pages(struct call *c, struct tdr *tdr, s64 pages);

/* Read by other LPs that hold the TDVPR shared while the vCPU runs. */
static inline enum vcpu_state tdvps_state(const struct tdvps *tdvps)
{
    return __atomic_load_n(&tdvps->state, __ATOMIC_SEQ_CST);
}
static inline void tdvps_set_state(struct tdvps *tdvps, enum vcpu_state state)
{
    __atomic_store_n(&tdvps->state, (u8)state, __ATOMIC_SEQ_CST);
}

/* The TDVPR in RCX, then its TDR (shared, implicit); not the TDCS. */
u64 tdvps_open(struct call *c, u64 hpa, enum lock_mode mode, unsigned operand, struct vcpu *vcpu, struct td *td);
/* Pages complete? TDCX_NUM_INCORRECT, else fills vcpu->vmcs. */
u64 tdvps_check_pages(struct vcpu *vcpu, const struct tdcs *tdcs);
/* Bind the vCPU to this LP: VCPU_ASSOCIATED when it is bound to another. Counts NUM_ASSOC_VCPUS. */
u64 tdvps_associate(struct call *c, struct vcpu *vcpu, struct tdcs *tdcs);

/* Is an entry blocked in `bepoch` out of every TLB by now? */
bool tdcs_is_tracked(const struct tdcs *tdcs, u64 bepoch);

#endif
