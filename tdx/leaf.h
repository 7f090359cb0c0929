/*
 * One thin wrapper a SEAMCALL leaf: it forms the registers, calls, counts (tdx/count.h), traces, and gives the answer
 * names. It never retries and never interprets: tdx_verdict() and the callers do. TDX Module ABI Specification,
 * "Interface functions".
 *
 * Pages named by hpa_t are the caller's until the leaf succeeds, the module's after. Every page handed over must have
 * been flushed from the caches where the platform asks for it (the callers' duty: tdx/td.c, mm/plan.c).
 */
#ifndef TDX_LEAF_H
#define TDX_LEAF_H

#include "lib/addr.h"
#include "tdx/hw/seamcall.h"
#include "tdx/status.h"

/* A Secure EPT entry as the module shows it (RCX, RDX of the MEM leaves). State: enum sept_state in tdx/abi_sept.h. */
struct tdx_entry {
    u64 raw;
    hpa_t page;    /* leaf: the page; else HPA_NONE */
    level_t level; /* where the walk ended */
    u8 state;
};

/* clang-format off */
struct tdx_answer { tdx_status_t status; };
struct tdx_entry_answer { tdx_status_t status; struct tdx_entry entry; };            /* entry: on walk, state errors */
struct tdx_page_answer { tdx_status_t status; hpa_t page; struct tdx_entry entry; }; /* page: of success, the VMM's */
struct tdx_field_answer { tdx_status_t status; u64 next_field; u64 value; };
struct tdx_pamt_answer { tdx_status_t status; u64 type; hpa_t owner; level_t size; u64 bepoch; };
struct tdx_tdmr_init_answer { tdx_status_t status; hpa_t next; };
/* Sub-leaf (bits 63:32, all ones: none) and leaf; EBX and EAX, EDX and ECX: bits that were looked at, and what they should be. */
struct tdx_cpuid_refusal { u64 leaf, mask_low, mask_high, want_low, want_high; };
struct tdx_start_answer { tdx_status_t status; struct tdx_cpuid_refusal cpuid; };    /* cpuid: on CPUID statuses */
/* clang-format on */

/* System */
MUST_CHECK struct tdx_start_answer tdh_sys_init(void);
MUST_CHECK struct tdx_start_answer tdh_sys_lp_init(void);
MUST_CHECK struct tdx_field_answer tdh_sys_rd(u64 field);
/* `info`: TDSYSINFO_BYTES; `cmrs`: a table of CMR_TABLE_ENTRIES, aligned to CMR_TABLE_ALIGN. */
MUST_CHECK struct tdx_answer tdh_sys_info(hpa_t info, hpa_t cmrs);
MUST_CHECK struct tdx_answer tdh_sys_config(hpa_t tdmr_pointers, u64 tdmr_count, hkid_t global);
MUST_CHECK struct tdx_answer tdh_sys_key_config(void);
MUST_CHECK struct tdx_tdmr_init_answer tdh_sys_tdmr_init(hpa_t tdmr);

/* TD and vCPU life cycle */
MUST_CHECK struct tdx_answer tdh_mng_create(hpa_t tdr, hkid_t hkid);
MUST_CHECK struct tdx_answer tdh_mng_key_config(hpa_t tdr);
MUST_CHECK struct tdx_answer tdh_mng_addcx(hpa_t tdr, hpa_t page);
MUST_CHECK struct tdx_answer tdh_mng_init(hpa_t tdr, hpa_t td_params, u64 *offending_cpuid);
MUST_CHECK struct tdx_field_answer tdh_mng_rd(hpa_t tdr, u64 field);
MUST_CHECK struct tdx_answer tdh_vp_create(hpa_t tdr, hpa_t tdvpr);
MUST_CHECK struct tdx_answer tdh_vp_addcx(hpa_t tdvpr, hpa_t page);
MUST_CHECK struct tdx_answer tdh_vp_init(hpa_t tdvpr, u64 initial_rcx);
MUST_CHECK struct tdx_field_answer tdh_vp_wr(hpa_t tdvpr, u64 field, u64 value, u64 mask); /* value: the old one */
MUST_CHECK struct tdx_field_answer tdh_vp_rd(hpa_t tdvpr, u64 field);
MUST_CHECK struct tdx_answer tdh_vp_flush(hpa_t tdvpr);
MUST_CHECK struct tdx_answer tdh_mr_extend(hpa_t tdr, gpa_t chunk);
MUST_CHECK struct tdx_answer tdh_mr_finalize(hpa_t tdr);
MUST_CHECK struct tdx_answer tdh_mng_vpflushdone(hpa_t tdr);
MUST_CHECK struct tdx_answer tdh_mng_key_freeid(hpa_t tdr);

/* Runs the vCPU until it exits: registers of `regs` in and out, the status is RAX. tdx/vcpu.c wraps it; nobody else
 * calls it. */
MUST_CHECK tdx_status_t tdh_vp_enter(hpa_t tdvpr, struct seamcall_regs *regs);

/* Memory. `gpa` is aligned to `level`. DEMOTE and PROMOTE run with interrupts off: then only NMI and SMI stop them.
 * Where the module has enhanced interruptibility of DEMOTE nothing stops that, and interrupts stay on. */
MUST_CHECK struct tdx_entry_answer tdh_mem_sept_add(hpa_t tdr, gpa_t gpa, level_t level, hpa_t table);
MUST_CHECK struct tdx_entry_answer tdh_mem_page_add(hpa_t tdr, gpa_t gpa, hpa_t page, hpa_t source);
MUST_CHECK struct tdx_answer tdh_mem_page_aug(hpa_t tdr, gpa_t gpa, level_t level, hpa_t page);
MUST_CHECK struct tdx_entry_answer tdh_mem_range_block(hpa_t tdr, gpa_t gpa, level_t level);
MUST_CHECK struct tdx_entry_answer tdh_mem_range_unblock(hpa_t tdr, gpa_t gpa, level_t level);
MUST_CHECK struct tdx_answer tdh_mem_track(hpa_t tdr);
MUST_CHECK struct tdx_entry_answer tdh_mem_page_demote(hpa_t tdr, gpa_t gpa, level_t level, hpa_t table);
MUST_CHECK struct tdx_page_answer tdh_mem_page_promote(hpa_t tdr, gpa_t gpa, level_t level); /* page: the freed table */
MUST_CHECK struct tdx_page_answer tdh_mem_page_relocate(hpa_t tdr, gpa_t gpa, hpa_t to);     /* page: the old one */
MUST_CHECK struct tdx_page_answer tdh_mem_page_remove(hpa_t tdr, gpa_t gpa, level_t level);  /* page: the removed one */
MUST_CHECK struct tdx_page_answer tdh_mem_sept_remove(hpa_t tdr, gpa_t gpa, level_t level);  /* page: the freed table */
MUST_CHECK struct tdx_entry_answer tdh_mem_sept_rd(hpa_t tdr, gpa_t gpa, level_t level);

/* Physical pages */
MUST_CHECK struct tdx_answer tdh_phymem_cache_wb(bool resume);
MUST_CHECK struct tdx_answer tdh_phymem_page_wbinvd(hpa_t page, hkid_t hkid);
MUST_CHECK struct tdx_pamt_answer tdh_phymem_page_rdmd(hpa_t page);
MUST_CHECK struct tdx_pamt_answer tdh_phymem_page_reclaim(hpa_t page);

#endif
