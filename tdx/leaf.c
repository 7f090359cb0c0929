/* SEAMCALL leaves: see tdx/leaf.h. Each wrapper says in which registers its leaf takes and gives what. */
#include "tdx/leaf.h"

#include <stdatomic.h>

#include "lib/bits.h"
#include "lib/hw/cpu.h"
#include "lib/trace.h"
#include "tdx/abi_field.h"
#include "tdx/abi_leaf.h"
#include "tdx/abi_sept.h"
#include "tdx/abi_td.h"
#include "tdx/count.h"
#include "tdx/latency.h"
#include "tdx/module.h"

#define RAX_LEAF_SHIFT 0
#define RAX_LEAF_WIDTH 16

static u64 software_status(enum seamcall_fault fault)
{
    switch (fault) {
    case SEAMCALL_UD:
        return (u64)TDX_SEAMCALL_UD << 32;
    case SEAMCALL_GP:
        return (u64)TDX_SEAMCALL_GP << 32;
    default:
        return (u64)TDX_SEAMCALL_VMFAILED << 32;
    }
}

static tdx_status_t perform(enum tdx_leaf leaf, struct seamcall_regs *r)
{
    r->rax = FIELD_PUT(RAX_LEAF, leaf);
    enum seamcall_fault fault = seamcall(r);
    tdx_status_t status = {fault == SEAMCALL_RAN ? r->rax : software_status(fault)};
    tdx_count_call(leaf, status);
    return status;
}

_Static_assert(sizeof(struct seamcall_regs) == TRACE_REGISTERS * sizeof(u64), "registers by their numbers");

/* Apart, so that the copy costs nothing where nobody records. */
__attribute__((noinline)) static tdx_status_t watched(enum tdx_leaf leaf, struct seamcall_regs *r)
{
    struct tdx_latencies *latencies = tdx_latencies;
    struct seamcall_regs in = *r;
    struct trace_call call = {.leaf = leaf, .began = cpu_tsc(), .in = (const u64 *)&in, .out = (const u64 *)r};
    tdx_status_t status = perform(leaf, r);
    u64 ticks = cpu_tsc() - call.began;
    call.status = status.raw;
    if (trace_is_on)
        trace_store_call(&call);
    if (latencies)
        tdx_latency_add(latencies, leaf, in.rcx, status, ticks);
    return status;
}

/* The one way to the module. */
static tdx_status_t call(enum tdx_leaf leaf, struct seamcall_regs *r)
{
    bool is_watched = trace_is_on || atomic_load_explicit(&tdx_latencies, memory_order_relaxed);
    return is_watched ? watched(leaf, r) : perform(leaf, r);
}

static struct tdx_answer plain(enum tdx_leaf leaf, u64 rcx, u64 rdx)
{
    struct seamcall_regs r = {.rcx = rcx, .rdx = rdx};
    return (struct tdx_answer){call(leaf, &r)};
}

/* --- Secure EPT entries --------------------------------------------------------------------------------------------
 */

static u64 gpa_operand(gpa_t gpa, level_t level)
{
    return gpa.raw | FIELD_PUT(SEPT_GPA_LEVEL, level.raw);
}

static hpa_t page_of(u64 word)
{
    return (hpa_t){word & FIELD_MASK(SEPT_ENTRY_PAGE)};
}

/* While an ACCEPT of a large page is interrupted the module counts, in the bits below the page's address, how far it came. */
static hpa_t leaf_page(u64 entry, level_t level)
{
    u64 below = level.raw <= LEVEL_1G.raw ? level_bytes(level) - 1 : 0;

    if (!(entry & SEPT_ENTRY_LEAF))
        return HPA_NONE;
    return (hpa_t){page_of(entry).raw & ~below};
}

static struct tdx_entry entry_of(const struct seamcall_regs *r)
{
    level_t level = {(u8)FIELD_GET(SEPT_INFO_LEVEL, r->rdx)};

    return (struct tdx_entry){
        .raw = r->rcx,
        .page = leaf_page(r->rcx, level),
        .level = level,
        .state = (u8)FIELD_GET(SEPT_INFO_STATE, r->rdx),
    };
}

static struct tdx_entry_answer entry_call(enum tdx_leaf leaf, u64 rcx, hpa_t tdr, u64 r8, u64 r9)
{
    struct seamcall_regs r = {.rcx = rcx, .rdx = tdr.raw, .r8 = r8, .r9 = r9};
    tdx_status_t status = call(leaf, &r);
    return (struct tdx_entry_answer){status, entry_of(&r)};
}

/* RCX of a success is the page that comes back; later modules put a hint into its low bits. */
static struct tdx_page_answer page_call(enum tdx_leaf leaf, u64 rcx, hpa_t tdr, u64 r8)
{
    struct seamcall_regs r = {.rcx = rcx, .rdx = tdr.raw, .r8 = r8};
    tdx_status_t status = call(leaf, &r);
    bool done = tdx_is(status, TDX_SUCCESS);
    return (struct tdx_page_answer){status, done ? page_of(r.rcx) : HPA_NONE, entry_of(&r)};
}

/* --- System --------------------------------------------------------------------------------------------------------
 */

/* RCX, RDX, R8 to R10 say what of CPUID the module refuses. */
static struct tdx_start_answer start_call(enum tdx_leaf leaf)
{
    struct seamcall_regs r = {.rcx = 0};
    tdx_status_t status = call(leaf, &r);
    return (struct tdx_start_answer){status, {r.rcx, r.rdx, r.r8, r.r9, r.r10}};
}

struct tdx_start_answer tdh_sys_init(void)
{
    return start_call(TDH_SYS_INIT);
}

struct tdx_start_answer tdh_sys_lp_init(void)
{
    return start_call(TDH_SYS_LP_INIT);
}

struct tdx_field_answer tdh_sys_rd(u64 field)
{
    struct seamcall_regs r = {.rdx = field};
    tdx_status_t status = call(TDH_SYS_RD, &r);
    return (struct tdx_field_answer){status, r.rdx, r.r8};
}

/* TDMR_INFO structures and the array that points to them. */
static void trace_tdmrs(hpa_t tdmr_pointers, u64 tdmr_count)
{
    const u64 *pointers = phys_ptr(tdmr_pointers);
    trace_memory(tdmr_pointers.raw, pointers, tdmr_count * sizeof(u64));
    for (u64 i = 0; i < tdmr_count; i++)
        trace_memory(pointers[i], phys_ptr((hpa_t){pointers[i]}), sizeof(struct tdmr_info));
}

struct tdx_answer tdh_sys_info(hpa_t info, hpa_t cmrs)
{
    struct seamcall_regs r = {.rcx = info.raw, .rdx = TDSYSINFO_BYTES, .r8 = cmrs.raw, .r9 = CMR_TABLE_ENTRIES};
    return (struct tdx_answer){call(TDH_SYS_INFO, &r)};
}

struct tdx_answer tdh_sys_config(hpa_t tdmr_pointers, u64 tdmr_count, hkid_t global)
{
    if (trace_is_on)
        trace_tdmrs(tdmr_pointers, tdmr_count);
    struct seamcall_regs r = {.rcx = tdmr_pointers.raw, .rdx = tdmr_count, .r8 = global.raw};
    return (struct tdx_answer){call(TDH_SYS_CONFIG, &r)};
}

struct tdx_answer tdh_sys_key_config(void)
{
    return plain(TDH_SYS_KEY_CONFIG, 0, 0);
}

struct tdx_tdmr_init_answer tdh_sys_tdmr_init(hpa_t tdmr)
{
    struct seamcall_regs r = {.rcx = tdmr.raw};
    tdx_status_t status = call(TDH_SYS_TDMR_INIT, &r);
    return (struct tdx_tdmr_init_answer){status, {r.rdx}};
}

/* --- TD and vCPU life cycle ----------------------------------------------------------------------------------------
 */

struct tdx_answer tdh_mng_create(hpa_t tdr, hkid_t hkid)
{
    return plain(TDH_MNG_CREATE, tdr.raw, hkid.raw);
}

struct tdx_answer tdh_mng_key_config(hpa_t tdr)
{
    return plain(TDH_MNG_KEY_CONFIG, tdr.raw, 0);
}

struct tdx_answer tdh_mng_addcx(hpa_t tdr, hpa_t page)
{
    return plain(TDH_MNG_ADDCX, page.raw, tdr.raw);
}

struct tdx_answer tdh_mng_init(hpa_t tdr, hpa_t td_params, u64 *offending_cpuid)
{
    trace_memory(td_params.raw, phys_ptr(td_params), TD_PARAMS_BYTES);
    struct seamcall_regs r = {.rcx = tdr.raw, .rdx = td_params.raw};
    tdx_status_t status = call(TDH_MNG_INIT, &r);
    *offending_cpuid = r.rcx;
    return (struct tdx_answer){status};
}

static struct tdx_field_answer field_call(enum tdx_leaf leaf, hpa_t object, u64 field, u64 value, u64 mask)
{
    struct seamcall_regs r = {.rcx = object.raw, .rdx = field, .r8 = value, .r9 = mask};
    tdx_status_t status = call(leaf, &r);
    return (struct tdx_field_answer){status, r.rdx, r.r8};
}

struct tdx_field_answer tdh_mng_rd(hpa_t tdr, u64 field)
{
    return field_call(TDH_MNG_RD, tdr, field, 0, 0);
}

struct tdx_answer tdh_vp_create(hpa_t tdr, hpa_t tdvpr)
{
    return plain(TDH_VP_CREATE, tdvpr.raw, tdr.raw);
}

struct tdx_answer tdh_vp_addcx(hpa_t tdvpr, hpa_t page)
{
    return plain(TDH_VP_ADDCX, page.raw, tdvpr.raw);
}

struct tdx_answer tdh_vp_init(hpa_t tdvpr, u64 initial_rcx)
{
    return plain(TDH_VP_INIT, tdvpr.raw, initial_rcx);
}

struct tdx_field_answer tdh_vp_wr(hpa_t tdvpr, u64 field, u64 value, u64 mask)
{
    return field_call(TDH_VP_WR, tdvpr, field, value, mask);
}

struct tdx_field_answer tdh_vp_rd(hpa_t tdvpr, u64 field)
{
    return field_call(TDH_VP_RD, tdvpr, field, 0, 0);
}

tdx_status_t tdh_vp_enter(hpa_t tdvpr, struct seamcall_regs *regs)
{
    regs->rcx = tdvpr.raw;
    return call(TDH_VP_ENTER, regs);
}

struct tdx_answer tdh_vp_flush(hpa_t tdvpr)
{
    return plain(TDH_VP_FLUSH, tdvpr.raw, 0);
}

struct tdx_answer tdh_mr_extend(hpa_t tdr, gpa_t chunk)
{
    return plain(TDH_MR_EXTEND, chunk.raw, tdr.raw);
}

struct tdx_answer tdh_mr_finalize(hpa_t tdr)
{
    return plain(TDH_MR_FINALIZE, tdr.raw, 0);
}

struct tdx_answer tdh_mng_vpflushdone(hpa_t tdr)
{
    return plain(TDH_MNG_VPFLUSHDONE, tdr.raw, 0);
}

struct tdx_answer tdh_mng_key_freeid(hpa_t tdr)
{
    return plain(TDH_MNG_KEY_FREEID, tdr.raw, 0);
}

/* --- Memory --------------------------------------------------------------------------------------------------------
 */

struct tdx_entry_answer tdh_mem_sept_add(hpa_t tdr, gpa_t gpa, level_t level, hpa_t table)
{
    return entry_call(TDH_MEM_SEPT_ADD, gpa_operand(gpa, level), tdr, table.raw, 0);
}

struct tdx_entry_answer tdh_mem_page_add(hpa_t tdr, gpa_t gpa, hpa_t page, hpa_t source)
{
    return entry_call(TDH_MEM_PAGE_ADD, gpa_operand(gpa, LEVEL_4K), tdr, page.raw, source.raw);
}

struct tdx_answer tdh_mem_page_aug(hpa_t tdr, gpa_t gpa, level_t level, hpa_t page)
{
    struct seamcall_regs r = {.rcx = gpa_operand(gpa, level), .rdx = tdr.raw, .r8 = page.raw};
    return (struct tdx_answer){call(TDH_MEM_PAGE_AUG, &r)};
}

struct tdx_entry_answer tdh_mem_range_block(hpa_t tdr, gpa_t gpa, level_t level)
{
    return entry_call(TDH_MEM_RANGE_BLOCK, gpa_operand(gpa, level), tdr, 0, 0);
}

struct tdx_entry_answer tdh_mem_range_unblock(hpa_t tdr, gpa_t gpa, level_t level)
{
    return entry_call(TDH_MEM_RANGE_UNBLOCK, gpa_operand(gpa, level), tdr, 0, 0);
}

struct tdx_answer tdh_mem_track(hpa_t tdr)
{
    return plain(TDH_MEM_TRACK, tdr.raw, 0);
}

struct tdx_entry_answer tdh_mem_page_demote(hpa_t tdr, gpa_t gpa, level_t level, hpa_t table)
{
    bool looks = !(tdx_module.features0 & FEATURES0_ENHANCED_DEMOTE_INTERRUPTIBILITY);
    u64 irq = looks ? cpu_irq_save() : 0;
    struct tdx_entry_answer a = entry_call(TDH_MEM_PAGE_DEMOTE, gpa_operand(gpa, level), tdr, table.raw, 0);
    if (looks)
        cpu_irq_restore(irq);
    return a;
}

struct tdx_page_answer tdh_mem_page_promote(hpa_t tdr, gpa_t gpa, level_t level)
{
    u64 irq = cpu_irq_save();
    struct tdx_page_answer a = page_call(TDH_MEM_PAGE_PROMOTE, gpa_operand(gpa, level), tdr, 0);
    cpu_irq_restore(irq);
    return a;
}

struct tdx_page_answer tdh_mem_page_relocate(hpa_t tdr, gpa_t gpa, hpa_t to)
{
    return page_call(TDH_MEM_PAGE_RELOCATE, gpa_operand(gpa, LEVEL_4K), tdr, to.raw);
}

struct tdx_page_answer tdh_mem_page_remove(hpa_t tdr, gpa_t gpa, level_t level)
{
    return page_call(TDH_MEM_PAGE_REMOVE, gpa_operand(gpa, level), tdr, 0);
}

struct tdx_page_answer tdh_mem_sept_remove(hpa_t tdr, gpa_t gpa, level_t level)
{
    return page_call(TDH_MEM_SEPT_REMOVE, gpa_operand(gpa, level), tdr, 0);
}

struct tdx_entry_answer tdh_mem_sept_rd(hpa_t tdr, gpa_t gpa, level_t level)
{
    return entry_call(TDH_MEM_SEPT_RD, gpa_operand(gpa, level), tdr, 0, 0);
}

/* --- Physical pages ------------------------------------------------------------------------------------------------
 */

struct tdx_answer tdh_phymem_cache_wb(bool resume)
{
    return plain(TDH_PHYMEM_CACHE_WB, resume, 0);
}

struct tdx_answer tdh_phymem_page_wbinvd(hpa_t page, hkid_t hkid)
{
    keyed_hpa_t keyed = tdx_keyed(page, hkid);
    return plain(TDH_PHYMEM_PAGE_WBINVD, keyed.raw, 0);
}

static struct tdx_pamt_answer pamt_call(enum tdx_leaf leaf, hpa_t page)
{
    struct seamcall_regs r = {.rcx = page.raw};
    tdx_status_t status = call(leaf, &r);
    return (struct tdx_pamt_answer){status, r.rcx, {r.rdx}, {(u8)r.r8}, r.r9};
}

struct tdx_pamt_answer tdh_phymem_page_rdmd(hpa_t page)
{
    return pamt_call(TDH_PHYMEM_PAGE_RDMD, page);
}

struct tdx_pamt_answer tdh_phymem_page_reclaim(hpa_t page)
{
    return pamt_call(TDH_PHYMEM_PAGE_RECLAIM, page);
}
