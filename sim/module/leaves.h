/*
 * The SEAMCALL leaf handlers, one line each, for the table in seamcall.c. Each reads its operands from the call, writes the
 * registers that the leaf defines as outputs and returns the completion status (Intel TDX Module v1.5 ABI Specification,
 * "SEAMCALL Instruction (Host-Side Interface)").
 */
#ifndef SIM_MODULE_LEAVES_H
#define SIM_MODULE_LEAVES_H

#include "sim/module/call.h"

/* enter.c */
u64 leaf_vp_enter(struct call *c);
/* metadata leafs */
u64 leaf_mng_rd(struct call *c);
u64 leaf_mng_wr(struct call *c);
u64 leaf_vp_rd(struct call *c);
u64 leaf_vp_wr(struct call *c);
u64 leaf_sys_rd(struct call *c);
u64 leaf_sys_rdall(struct call *c);

#endif
