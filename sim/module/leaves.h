/*
 * The SEAMCALL leaf handlers, one line each, for the table in seamcall.c. Each reads its operands from the call, writes
 * the registers that the leaf defines as outputs and returns the completion status (Intel TDX Module v1.5 ABI
 * Specification, "SEAMCALL Instruction (Host-Side Interface)").
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
/* mem_page.c */
u64 leaf_mem_page_add(struct call *c);
u64 leaf_mem_page_aug(struct call *c);
u64 leaf_mem_page_remove(struct call *c);
u64 leaf_mem_page_relocate(struct call *c);
u64 leaf_mem_rd(struct call *c);
u64 leaf_mem_wr(struct call *c);
/* mem_range.c */
u64 leaf_mem_range_block(struct call *c);
u64 leaf_mem_range_unblock(struct call *c);
u64 leaf_mem_track(struct call *c);
u64 leaf_mem_sept_rd(struct call *c);
/* mem_sept.c */
u64 leaf_mem_sept_add(struct call *c);
u64 leaf_mem_sept_remove(struct call *c);
/* mem_large.c */
u64 leaf_mem_page_demote(struct call *c);
u64 leaf_mem_page_promote(struct call *c);
/* measure.c */
u64 leaf_mr_extend(struct call *c);
u64 leaf_mr_finalize(struct call *c);
/* mng.c */
u64 leaf_mng_create(struct call *c);
u64 leaf_mng_key_config(struct call *c);
u64 leaf_mng_addcx(struct call *c);
u64 leaf_mng_vpflushdone(struct call *c);
u64 leaf_mng_key_freeid(struct call *c);
u64 leaf_mng_key_reclaimid(struct call *c);
/* td_params.c */
u64 leaf_mng_init(struct call *c);
/* vp.c */
u64 leaf_vp_create(struct call *c);
u64 leaf_vp_addcx(struct call *c);
u64 leaf_vp_init(struct call *c);
u64 leaf_vp_flush(struct call *c);
/* phymem.c */
u64 leaf_phymem_page_rdmd(struct call *c);
u64 leaf_phymem_page_reclaim(struct call *c);
u64 leaf_phymem_page_wbinvd(struct call *c);
/* hkid.c */
u64 leaf_phymem_cache_wb(struct call *c);
/* sys_init.c */
u64 leaf_sys_init(struct call *c);
u64 leaf_sys_lp_init(struct call *c);
u64 leaf_sys_key_config(struct call *c);
u64 leaf_sys_info(struct call *c);
u64 leaf_sys_lp_shutdown(struct call *c);
u64 leaf_sys_shutdown(struct call *c);
u64 leaf_sys_update(struct call *c);
/* migration.c */
u64 leaf_migration(struct call *c);
u64 leaf_mig_stream_create(struct call *c);
u64 leaf_export_state_immutable(struct call *c);
u64 leaf_export_restore(struct call *c);
u64 leaf_export_unblockw(struct call *c);
u64 leaf_import_state_immutable(struct call *c);
u64 leaf_servtd_bind(struct call *c);
u64 leaf_servtd_prebind(struct call *c);
/* sys_config.c */
u64 leaf_sys_config(struct call *c);
/* tdmr.c */
u64 leaf_sys_tdmr_init(struct call *c);

#endif
