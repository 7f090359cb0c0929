/*
 * Fields of a vCPU beside its VMCS: TDVPS (Intel TDX Module v1.5 ABI Specification, "TDVPS Metadata Fields"), and what
 * writes to any of a vCPU's fields must heed. L2 VMs have no state in the model.
 */
#include "sim/module/metadata.h"

#define ALL             ~0ull
#define TDVPS(m, bytes) MD_IN_TDVPS, bytes, offsetof(struct tdvps, m)
#define RUN(m, bytes)   MD_IN_VMCS, bytes, offsetof(struct tdvps_vmcs, run.m)
#define PAGE(n)         MD_IN_TDVPS_PAGE, 8, (n) << 12
#define COMPUTED        MD_COMPUTED, 8, 0
#define NOTHING         MD_NOTHING, 8, 0
/* Readable by the VMM, by the VMM of a debug TD, by the TD; writable likewise. */
#define R(host, debug, guest)                                                                                          \
    {                                                                                                                  \
        host, debug, guest                                                                                             \
    }

/* clang-format off */
static const struct md_field rows[] = {
    {0x0120000300000000, 128, 1, R(0, ALL, 0), R(0, 0, 0), PAGE(TDVPS_PAGE_VAPIC)}, /* VAPIC */
    {0x0220000200000000, 1, 1, R(0, ALL, 0), R(0, 0, 0), TDVPS(ve_info.exit_reason, 4)}, /* EXIT_REASON */
    {0x0220000200000001, 1, 1, R(0, ALL, 0), R(0, 0, 0), TDVPS(ve_info.valid, 4)}, /* VALID */
    {0x0220000300000002, 1, 1, R(0, ALL, 0), R(0, 0, 0), TDVPS(ve_info.qualification, 8)}, /* EXIT_QUALIFICATION */
    {0x0220000300000003, 1, 1, R(0, ALL, 0), R(0, 0, 0), TDVPS(ve_info.gla, 8)}, /* GLA */
    {0x0220000300000004, 1, 1, R(0, ALL, 0), R(0, 0, 0), TDVPS(ve_info.gpa, 8)}, /* GPA */
    {0x0220000100000005, 1, 1, R(0, ALL, 0), R(0, 0, 0), TDVPS(ve_info.eptp_index, 2)}, /* EPTP_INDEX */
    {0x8220000200000010, 1, 1, R(0, ALL, 0), R(0, 0, 0), TDVPS(ve_info.instruction_length, 4)}, /* INSTRUCTION_LENGTH */
    {0x8220000200000011, 1, 1, R(0, ALL, 0), R(0, 0, 0), TDVPS(ve_info.instruction_info, 4)}, /* INSTRUCTION_INFORMATION */
    {0x1020000300000000, 1, 1, R(0, ALL, 0), R(0, ALL, 0), RUN(gpr[RAX], 8)}, /* RAX */
    {0x1020000300000001, 1, 1, R(0, ALL, 0), R(0, ALL, 0), RUN(gpr[RCX], 8)}, /* RCX */
    {0x1020000300000002, 1, 1, R(0, ALL, 0), R(0, ALL, 0), RUN(gpr[RDX], 8)}, /* RDX */
    {0x1020000300000003, 1, 1, R(0, ALL, 0), R(0, ALL, 0), RUN(gpr[RBX], 8)}, /* RBX */
    {0x1020000300000004, 1, 1, R(0, 0, 0), R(0, 0, 0), NOTHING}, /* RSP_PLACEHOLDER */
    {0x1020000300000005, 1, 1, R(0, ALL, 0), R(0, ALL, 0), RUN(gpr[RBP], 8)}, /* RBP */
    {0x1020000300000006, 1, 1, R(0, ALL, 0), R(0, ALL, 0), RUN(gpr[RSI], 8)}, /* RSI */
    {0x1020000300000007, 1, 1, R(0, ALL, 0), R(0, ALL, 0), RUN(gpr[RDI], 8)}, /* RDI */
    {0x1020000300000008, 1, 1, R(0, ALL, 0), R(0, ALL, 0), RUN(gpr[R8], 8)}, /* R8 */
    {0x1020000300000009, 1, 1, R(0, ALL, 0), R(0, ALL, 0), RUN(gpr[R9], 8)}, /* R9 */
    {0x102000030000000a, 1, 1, R(0, ALL, 0), R(0, ALL, 0), RUN(gpr[R10], 8)}, /* R10 */
    {0x102000030000000b, 1, 1, R(0, ALL, 0), R(0, ALL, 0), RUN(gpr[R11], 8)}, /* R11 */
    {0x102000030000000c, 1, 1, R(0, ALL, 0), R(0, ALL, 0), RUN(gpr[R12], 8)}, /* R12 */
    {0x102000030000000d, 1, 1, R(0, ALL, 0), R(0, ALL, 0), RUN(gpr[R13], 8)}, /* R13 */
    {0x102000030000000e, 1, 1, R(0, ALL, 0), R(0, ALL, 0), RUN(gpr[R14], 8)}, /* R14 */
    {0x102000030000000f, 1, 1, R(0, ALL, 0), R(0, ALL, 0), RUN(gpr[R15], 8)}, /* R15 */
    {0x1120000300000000, 1, 1, R(0, ALL, 0), R(0, ALL, 0), RUN(dr[0], 8)}, /* DR0 */
    {0x1120000300000001, 1, 1, R(0, ALL, 0), R(0, ALL, 0), RUN(dr[1], 8)}, /* DR1 */
    {0x1120000300000002, 1, 1, R(0, ALL, 0), R(0, ALL, 0), RUN(dr[2], 8)}, /* DR2 */
    {0x1120000300000003, 1, 1, R(0, ALL, 0), R(0, ALL, 0), RUN(dr[3], 8)}, /* DR3 */
    {0x1120000300000006, 1, 1, R(0, ALL, 0), R(0, 0xffffffff, 0), RUN(dr6, 8)}, /* DR6 */
    {0x1120000300000020, 1, 1, R(0, ALL, 0), R(0, 0, 0), RUN(xcr0, 8)}, /* XCR0 */
    {0x1120000300000028, 1, 1, R(0, ALL, 0), R(0, ALL, 0), RUN(cr2, 8)}, /* CR2 */
    {0x9120000300000100, 1, 1, R(ALL, ALL, 0), R(0, 0, 0), COMPUTED}, /* VCPU_STATE_DETAILS */
    {0x1220000300000000, 1536, 1, R(0, ALL, 0), R(0, ALL, 0), PAGE(TDVPS_PAGE_XSAVE)}, /* XBUFF */
    {0x1320000300000048, 1, 1, R(0, ALL, 0), R(0, ALL, 0), COMPUTED}, /* IA32_SPEC_CTRL */
    {0x13200003000000e1, 1, 1, R(0, ALL, 0), R(0, ALL, 0), TDVPS(msrs[0], 8)}, /* IA32_UMWAIT_CONTROL */
    {0x1320000300000122, 1, 1, R(0, ALL, 0), R(0, ALL, 0), TDVPS(msrs[1], 8)}, /* IA32_TSX_CTRL */
    {0x1320000300000186, 8, 1, R(0, ALL, 0), R(0, ALL, 0), RUN(pmu.select[0], 8)}, /* IA32_PERFEVTSELx */
    {0x13200003000001a6, 2, 1, R(0, ALL, 0), R(0, ALL, 0), TDVPS(msrs[10], 8)}, /* MSR_OFFCORE_RSPx */
    {0x13200003000001c4, 1, 1, R(0, ALL, 0), R(0, 0, 0), TDVPS(msrs[12], 8)}, /* IA32_XFD */
    {0x13200003000001c5, 1, 1, R(0, ALL, 0), R(0, 0, 0), TDVPS(msrs[13], 8)}, /* IA32_XFD_ERR */
    {0x1320000300000309, 7, 1, R(0, ALL, 0), R(0, ALL, 0), TDVPS(msrs[14], 8)}, /* IA32_FIXED_CTRx */
    {0x1320000300000329, 1, 1, R(0, ALL, 0), R(0, ALL, 0), TDVPS(msrs[21], 8)}, /* IA32_PERF_METRICS */
    {0x132000030000038d, 1, 1, R(0, ALL, 0), R(0, ALL, 0), TDVPS(msrs[22], 8)}, /* IA32_FIXED_CTR_CTRL */
    {0x132000030000038e, 1, 1, R(0, ALL, 0), R(0, 0, 0), RUN(pmu.global_status, 8)}, /* IA32_PERF_GLOBAL_STATUS */
    {0x13200003000003f1, 1, 1, R(0, ALL, 0), R(0, ALL, 0), TDVPS(msrs[24], 8)}, /* IA32_PEBS_ENABLE */
    {0x13200003000003f2, 1, 1, R(0, ALL, 0), R(0, ALL, 0), TDVPS(msrs[25], 8)}, /* MSR_PEBS_DATA_CFG */
    {0x13200003000003f6, 1, 1, R(0, ALL, 0), R(0, ALL, 0), TDVPS(msrs[26], 8)}, /* MSR_PEBS_LD_LAT */
    {0x13200003000003f7, 1, 1, R(0, ALL, 0), R(0, ALL, 0), TDVPS(msrs[27], 8)}, /* MSR_PEBS_FRONTEND */
    {0x13200003000004c1, 8, 1, R(0, ALL, 0), R(0, ALL, 0), RUN(pmu.counter[0], 8)}, /* IA32_A_PMCx */
    {0x1320000300000600, 1, 1, R(0, ALL, 0), R(0, ALL, 0), TDVPS(msrs[36], 8)}, /* IA32_DS_AREA */
    {0x1320000300000da0, 1, 1, R(0, ALL, 0), R(0, 0, 0), RUN(xss, 8)}, /* IA32_XSS */
    {0x13200003000014cf, 1, 1, R(0, ALL, 0), R(0, ALL, 0), TDVPS(msrs[37], 8)}, /* IA32_LBR_DEPTH */
    {0x1320000300001b01, 1, 1, R(0, ALL, 0), R(0, ALL, 0), TDVPS(msrs[38], 8)}, /* IA32_UARCH_MISC_CTL */
    {0x1320000300002081, 1, 1, R(0, ALL, 0), R(0, 0, 0), RUN(star, 8)}, /* IA32_STAR */
    {0x1320000300002082, 1, 1, R(0, ALL, 0), R(0, 0, 0), RUN(lstar, 8)}, /* IA32_LSTAR */
    {0x1320000300002084, 1, 1, R(0, ALL, 0), R(0, 0, 0), RUN(fmask, 8)}, /* IA32_FMASK */
    {0x1320000300002102, 1, 1, R(0, ALL, 0), R(0, 0, 0), RUN(kernel_gs_base, 8)}, /* IA32_KERNEL_GS_BASE */
    {0x1320000300002103, 1, 1, R(0, ALL, 0), R(0, ALL, 0), RUN(tsc_aux, 8)}, /* IA32_TSC_AUX */
    {0xa020000000000000, 1, 1, R(0, ALL, 0), R(0, 0, 0), COMPUTED}, /* VCPU_STATE */
    {0xa020000200000002, 1, 1, R(ALL, ALL, ALL), R(0, 0, 0), TDVPS(vcpu_index, 4)}, /* VCPU_INDEX */
    {0xa020000000000003, 1, 1, R(ALL, ALL, 0), R(0, 0, 0), TDVPS(num_tdvps_pages, 1)}, /* NUM_TDVPS_PAGES */
    {0xa020000200000004, 1, 1, R(ALL, ALL, 0), R(0, 0, 0), TDVPS(assoc_lpid, 4)}, /* ASSOC_LPID */
    {0xa020000300000006, 1, 1, R(ALL, ALL, 0), R(0, 0, 0), TDVPS(vcpu_epoch, 8)}, /* VCPU_EPOCH */
    {0xa020000000000007, 1, 1, R(ALL, ALL, ALL), R(0, 0, ALL), TDVPS(cpuid_supervisor_ve, 1)}, /* CPUID_SUPERVISOR_VE */
    {0xa020000000000008, 1, 1, R(ALL, ALL, ALL), R(0, 0, ALL), TDVPS(cpuid_user_ve, 1)}, /* CPUID_USER_VE */
    {0xa02000030000000a, 1, 1, R(0, ALL, 0), R(0, 0, 0), TDVPS(last_exit_tsc, 8)}, /* LAST_EXIT_TSC */
    {0x202000000000000b, 1, 1, R(ALL, ALL, 0), R(ALL, ALL, 0), TDVPS(pend_nmi, 1)}, /* PEND_NMI */
    {0x202000030000000c, 1, 1, R(ALL, ALL, 0), R(0, 0, 0), TDVPS(xfam, 8)}, /* XFAM */
    {0xa02000000000000d, 1, 1, R(0, ALL, 0), R(0, 0, 0), TDVPS(epf_listed, 1)}, /* LAST_EPF_GPA_LIST_IDX */
    {0xa02000000000000e, 1, 1, R(0, ALL, 0), R(0, 0, 0), TDVPS(epf_count, 1)}, /* POSSIBLY_EPF_STEPPING */
    {0xa02000000000000f, 1, 1, R(0, ALL, 0), R(0, 0, 0), TDVPS(last_td_exit, 1)}, /* LAST_TD_EXIT */
    {0xa020000300000010, 15, 1, R(ALL, ALL, 0), R(0, 0, 0), COMPUTED}, /* TDVPS_PAGE_PA */
    {0xa020000300000030, 1, 1, R(0, ALL, 0), R(0, 0, 0), TDVPS(hp_lock_busy_start, 8)}, /* HP_LOCK_BUSY_START */
    {0xa020000000000031, 1, 1, R(0, ALL, 0), R(0, 0, 0), TDVPS(hp_lock_busy, 1)}, /* HP_LOCK_BUSY */
    {0xa020000300000032, 1, 1, R(0, ALL, 0), R(0, 0, 0), MD_CONST, 8, 1}, /* LAST_SEAMDB_INDEX */
    {0xa020000000000040, 1, 1, R(0, ALL, 0), R(0, 0, 0), NOTHING}, /* NMI_UNBLOCKING_DUE_TO_IRET */
    {0xa020000100000041, 1, 1, R(0, ALL, 0), R(0, 0, 0), NOTHING}, /* CURR_VM */
    {0xa020000000000042, 1, 1, R(0, ALL, 0), R(0, 0, 0), NOTHING}, /* L2_EXIT_HOST_ROUTING */
    {0xa020000000000044, 4, 1, R(0, ALL, 0), R(0, 0, 0), COMPUTED}, /* VM_LAUNCHED */
    {0xa020000000000048, 4, 1, R(0, ALL, 0), R(0, 0, 0), COMPUTED}, /* LP_DEPENDENT_HPA_UPDATED */
    {0xa02000000000004c, 4, 1, R(0, ALL, 0), R(0, 0, 0), COMPUTED}, /* MODULE_DEPENDENT_FIELDS_UPDATED */
    {0xa020000300000050, 4, 1, R(0, ALL, ALL), R(0, 0x7, 0x7), TDVPS(l2_ctls, 8)}, /* L2_CTLS */
    {0xa020000300000054, 4, 1, R(0, ALL, 0), R(0, 0x7, 0), TDVPS(l2_debug_ctls, 8)}, /* L2_DEBUG_CTLS */
    {0xa020000300000058, 4, 1, R(0, ALL, ALL), R(0, 0, ALL), TDVPS(tsc_deadline, 8)}, /* TSC_DEADLINE */
    {0xa02000030000005c, 4, 1, R(0, ALL, 0), R(0, 0, 0), NOTHING}, /* SHADOW_TSC_DEADLINE */
    {0xa020000300000080, 1, 1, R(0, ALL, 0), R(0, 0xffffffff9fffffdf, 0), TDVPS(l2_cr_base[0], 8)}, /* BASE_L2_CR0_GUEST_HOST_MASK */
    {0xa020000300000081, 1, 1, R(0, ALL, 0), R(0, 0xffffffff9fffffdf, 0), TDVPS(l2_cr_base[1], 8)}, /* BASE_L2_CR0_READ_SHADOW */
    {0xa020000300000082, 1, 1, R(0, ALL, 0), R(0, 0xffffffffffff9fbf, 0), TDVPS(l2_cr_base[2], 8)}, /* BASE_L2_CR4_GUEST_HOST_MASK */
    {0xa020000300000083, 1, 1, R(0, ALL, 0), R(0, 0xffffffff9fffffdf, 0), TDVPS(l2_cr_base[3], 8)}, /* BASE_L2_CR4_READ_SHADOW */
    {0xa020000300000084, 4, 1, R(0, ALL, 0), R(0, 0, 0), COMPUTED}, /* SHADOW_CR0_GUEST_HOST_MASK */
    {0xa020000300000088, 4, 1, R(0, ALL, 0), R(0, 0, 0), COMPUTED}, /* SHADOW_CR0_READ_SHADOW */
    {0xa02000030000008c, 4, 1, R(0, ALL, 0), R(0, 0, 0), COMPUTED}, /* SHADOW_CR4_GUEST_HOST_MASK */
    {0xa020000300000090, 4, 1, R(0, ALL, 0), R(0, 0, 0), COMPUTED}, /* SHADOW_CR4_READ_SHADOW */
    {0xa020000200000094, 4, 1, R(0, ALL, 0), R(0, 0, 0), COMPUTED}, /* SHADOW_INSTRUCTION_TIMEOUT_CONTROL */
    {0xa020000300000098, 4, 1, R(0, ALL, 0), R(0, 0, 0), COMPUTED}, /* SHADOW_PID_HPA */
    {0xa02000020000009c, 4, 1, R(0, ALL, 0), R(0, 0, 0), COMPUTED}, /* SHADOW_PINBASED_EXEC_CTLS */
    {0xa0200002000000a4, 4, 1, R(0, ALL, 0), R(0, 0, 0), COMPUTED}, /* SHADOW_PLE_GAP */
    {0xa0200002000000a8, 4, 1, R(0, ALL, 0), R(0, 0, 0), COMPUTED}, /* SHADOW_PLE_WINDOW */
    {0xa0200001000000ac, 4, 1, R(0, ALL, 0), R(0, 0, 0), COMPUTED}, /* SHADOW_POSTED_INT_NOTIFICATION_VECTOR */
    {0xa0200002000000b0, 4, 1, R(0, ALL, 0), R(0, 0, 0), COMPUTED}, /* SHADOW_PROCBASED_EXEC_CTLS2 */
    {0xa0200003000000b4, 4, 1, R(0, ALL, 0), R(0, 0, 0), COMPUTED}, /* SHADOW_SHARED_EPTP */
    {0xa020000300000100, 4, 1, R(0, ALL, 0), R(0, 0, 0), COMPUTED}, /* L2_ENTER_GUEST_STATE_GPA */
    {0xa020000300000104, 4, 1, R(0, ALL, 0), R(0, 0, 0), COMPUTED}, /* L2_ENTER_GUEST_STATE_HPA */
    {0xa020000300000108, 4, 1, R(0, ALL, 0), R(0, 0, 0), NOTHING}, /* VE_INFO_GPA */
    {0xa02000030000010c, 4, 1, R(0, ALL, 0), R(0, 0, 0), NOTHING}, /* VE_INFO_HPA */
    {0xa020000300000110, 4, 1, R(0, ALL, 0), R(0, 0, 0), COMPUTED}, /* L2_VAPIC_GPA */
    {0xa020000300000114, 4, 1, R(0, ALL, 0), R(0, 0, 0), COMPUTED}, /* L2_VAPIC_HPA */
    {0xa120000000000000, 128, 1, R(0, ALL, ALL), R(0, 0, 0x3), TDVPS(cpuid_control, 1)}, /* CPUID_CONTROL */
    {0xa220000300000200, 32, 1, R(0, ALL, 0), R(0, 0, 0), TDVPS(epf_gpa, 8)}, /* LAST_EPF_GPA_LIST */
};
/* clang-format on */

const struct md_table md_vp_table = {rows, sizeof(rows) / sizeof(rows[0])};

/* VMCS codes with rules of their own. */
enum vmcs_code {
    VMCS_VPID = 0x0000,
    VMCS_VECTOR = 0x0002,
    VMCS_MSR_BITMAP = 0x2004,
    VMCS_PML = 0x200e,
    VMCS_DESCRIPTOR = 0x2016,
    VMCS_VE_INFO = 0x202a,
    VMCS_PASID_LOW = 0x2038,
    VMCS_PASID_HIGH = 0x203a,
    VMCS_SHARED_EPTP = 0x203c,
    VMCS_DEBUGCTL = 0x2802,
    VMCS_PINBASED = 0x4000,
    VMCS_PROCBASED = 0x4002,
    VMCS_PROCBASED2 = 0x401e,
    VMCS_HKID = 0x4026,
    VMCS_CR0 = 0x6800,
    VMCS_CR3 = 0x6802,
    VMCS_CR4 = 0x6804,
};
#define ID_TDVPS_PAGE_PA   0xa020000300000010ull
#define ID_VCPU_STATE      0xa020000000000000ull
#define ID_XBUFF           0x1220000300000000ull
#define ID_STATE_DETAILS   0x9120000300000100ull
#define ID_SPEC_CTRL       0x1320000300000048ull
#define XSAVE_HEADER       64u /* in words of 8 bytes, behind the legacy region */
#define XSAVE_HEADER_WORDS 8u
#define XFAM_PT_BIT        8

#define PINBASED_POSTED 0x80u
#define VECTOR_MAX      255u
#define DEBUGCTL_UNCORE 0x2000ull

static u64 keyed_page(const struct md_context *x, enum tdcs_page_no page)
{
    return mdl_with_keyid(x->tdr->tdcx_pa[page], x->tdr->hkid);
}

#define PROCBASED2_PML         (1u << 17)
#define PROCBASED_RDPMC        (1u << 11)
#define PROCBASED_NMI_WINDOW   (1u << 22)
#define PROCBASED_MONITOR_TRAP (1u << 27)

static u64 procbased_value(const struct tdvps_vmcs *vmcs)
{
    return vmcs->procbased | (vmcs->run.nmi_window ? PROCBASED_NMI_WINDOW : 0) |
           (vmcs->run.monitor_trap ? PROCBASED_MONITOR_TRAP : 0);
}

static u64 vmcs_value(const struct md_context *x, u32 code)
{
    switch (code) {
    case VMCS_VPID:
        return (u64)x->tdr->hkid << 2;
    case VMCS_PROCBASED:
        return procbased_value(x->vmcs);
    case VMCS_MSR_BITMAP:
        return keyed_page(x, TDCS_PAGE_MSR_BITMAPS);
    case VMCS_VE_INFO:
        return mdl_with_keyid(x->tdvps->tdvps_pa[TDVPS_PAGE_FIELDS], x->tdr->hkid);
    case VMCS_PASID_LOW:
    case VMCS_PASID_HIGH:
        return keyed_page(x, TDCS_PAGE_ZERO);
    case VMCS_SHARED_EPTP:
        return x->vmcs->shared_eptp;
    case VMCS_HKID:
        return x->tdr->hkid;
    default:
        return 0;
    }
}

/* What the module remembers for L2 VMs; only the part for VM 0, the TD itself, is ever other than zero. */
static u64 shadow_value(const struct md_context *x, u32 code)
{
    const struct tdvps_vmcs *vmcs = x->vmcs;
    switch (code) {
    case 0x44: /* VM_LAUNCHED, and two marks that go with it */
    case 0x48:
    case 0x4c:
        return x->tdvps->last_entry_tsc != 0;
    case 0x84:
        return vmcs->run.cr0_mask;
    case 0x88:
        return vmcs->run.cr0_shadow;
    case 0x8c:
        return vmcs->run.cr4_mask;
    case 0x90:
        return vmcs->run.cr4_shadow;
    case 0x94:
        return vmcs->instruction_timeout;
    case 0x98:
        return vmcs->run.posted_descriptor;
    case 0x9c:
        return vmcs->run.pinbased;
    case 0xac:
        return vmcs->run.posted_vector;
    case 0xb0:
        return vmcs->procbased2;
    case 0xb4:
        return x->vmcs->shared_eptp_written ? vmcs->shared_eptp : ~0ull;
    case 0x100: /* addresses of L2 guest state and virtual APIC pages: never set */
    case 0x104:
    case 0x110:
    case 0x114:
        return ~0ull;
    default:
        return 0;
    }
}

#define VAPIC_PPR 0xa0u

/* VMXIP: the virtual interrupt that waits is above the virtual processor priority. */
static u64 interrupt_waits(const struct md_context *x)
{
    const u8 *vapic = tdvps_page(x->tdvps, TDVPS_PAGE_VAPIC);
    return (x->vmcs->run.interrupt_status & 0xf0) > (vapic[VAPIC_PPR] & 0xf0u);
}

#define SPEC_CTRL_DDPD_U (1ull << 8)
#define CPUID_7_2_DDPD   (1u << 3)

/* IA32_SPEC_CTRL.DDPD_U is the module's in a TD whose CPUID does not show it: hidden, and as strict as the CPU can. */
static u64 hidden_spec_ctrl(const struct tdcs *tdcs)
{
    return tdcs->cpuid_ddpd ? 0 : SPEC_CTRL_DDPD_U;
}

static u64 real_spec_ctrl(const struct tdcs *tdcs, u64 value)
{
    u32 native[4];
    plat_cpuid(7, 2, native);
    if (!(native[3] & CPUID_7_2_DDPD))
        return value & ~SPEC_CTRL_DDPD_U;
    return value | hidden_spec_ctrl(tdcs);
}

u64 md_vp_value(const struct md_context *x, const struct md_element *e)
{
    if (MD_CLASS(e->row->id) == MD_CLASS_VMCS)
        return vmcs_value(x, MD_CODE(e->row->id));
    if (e->row->id == ID_TDVPS_PAGE_PA) {
        u64 page = x->tdvps->tdvps_pa[e->number];
        return page ? mdl_with_keyid(page, x->tdr->hkid) : 0;
    }
    if (e->row->id == ID_VCPU_STATE)
        return tdvps_state(x->tdvps);
    if (e->row->id == ID_STATE_DETAILS)
        return interrupt_waits(x);
    if (e->row->id == ID_SPEC_CTRL)
        return x->vmcs->run.spec_ctrl & ~hidden_spec_ctrl(x->tdcs);
    return e->number == 0 ? shadow_value(x, MD_CODE(e->row->id)) : 0;
}

/* A page of shared memory: no private KeyID, within the address width. */
static u64 check_shared(u64 value, u64 alignment)
{
    return mdl_check_shared_hpa(value, alignment, 0) == TDX_SUCCESS ? TDX_SUCCESS : TDX_METADATA_FIELD_VALUE_NOT_VALID;
}

static u64 check_pinbased(const struct tdvps_vmcs *vmcs, u64 value)
{
    if (!(value & PINBASED_POSTED))
        return TDX_SUCCESS;
    if (vmcs->run.posted_vector == 0xffff)
        return status_operand(TDX_TD_VMCS_FIELD_NOT_INITIALIZED, VMCS_VECTOR);
    if (vmcs->run.posted_descriptor == ~0ull)
        return status_operand(TDX_TD_VMCS_FIELD_NOT_INITIALIZED, VMCS_DESCRIPTOR);
    return TDX_SUCCESS;
}

/* CR0 and CR4 are written as the TD would: bits of the mask must read as the shadow does, and keep their real value. */
static u64 write_cr(u64 current, u64 mask, u64 shadow, u64 *value)
{
    if ((*value ^ shadow) & mask)
        return TDX_METADATA_FIELD_VALUE_NOT_VALID;
    *value = (*value & ~mask) | (current & mask);
    return TDX_SUCCESS;
}

bool md_vp_is_unset_address(const struct md_context *x, const struct md_element *e, u64 current)
{
    u32 code = MD_CODE(e->row->id);
    bool address = code == VMCS_PML || code == VMCS_DESCRIPTOR || code == VMCS_SHARED_EPTP || code == VMCS_CR3;
    return x->no == MD_VP && MD_CLASS(e->row->id) == MD_CLASS_VMCS && address && current >> 63;
}

static u64 write_procbased(struct tdvps_vmcs *vmcs, u64 value, bool *stored)
{
    vmcs->run.monitor_trap = value & PROCBASED_MONITOR_TRAP;
    vmcs->run.nmi_window = value & PROCBASED_NMI_WINDOW;
    vmcs->run.rdpmc_exits = value & PROCBASED_RDPMC;
    vmcs->procbased = (u32)value & ~(PROCBASED_MONITOR_TRAP | PROCBASED_NMI_WINDOW);
    *stored = true;
    return TDX_SUCCESS;
}

static u64 check_vmcs(const struct md_context *x, u32 code, u64 *value, bool *stored)
{
    struct td_vmcs *run = &x->vmcs->run;
    u64 status;
    switch (code) {
    case VMCS_VECTOR:
        return *value > VECTOR_MAX ? TDX_METADATA_FIELD_VALUE_NOT_VALID : TDX_SUCCESS;
    case VMCS_PML:
        return check_shared(*value, PAGE_4K);
    case VMCS_DESCRIPTOR:
        return check_shared(*value, 64);
    case VMCS_PROCBASED:
        return write_procbased(x->vmcs, *value, stored);
    case VMCS_PINBASED:
        return check_pinbased(x->vmcs, *value);
    case VMCS_PROCBASED2:
        return (*value & PROCBASED2_PML) && x->vmcs->other[VMCS_OTHER_PML] >> 63 ? TDX_METADATA_FIELD_VALUE_NOT_VALID
                                                                                 : TDX_SUCCESS;
    case VMCS_SHARED_EPTP:
        status = check_shared(*value, PAGE_4K);
        if (status == TDX_SUCCESS) {
            x->vmcs->shared_eptp = *value;
            x->vmcs->shared_eptp_written = true;
            run->shared_eptp = *value & ~mdl_keyid_mask();
            *stored = true;
        }
        return status;
    case VMCS_DEBUGCTL:
        *value &= ~DEBUGCTL_UNCORE;
        return TDX_SUCCESS;
    case VMCS_CR0:
        return write_cr(run->cr0, run->cr0_mask, run->cr0_shadow, value);
    case VMCS_CR3: /* a private GPA */
        return sept_gpa_is_private(x->tdcs, *value) ? TDX_SUCCESS : TDX_METADATA_FIELD_VALUE_NOT_VALID;
    case VMCS_CR4:
        return write_cr(run->cr4, run->cr4_mask, run->cr4_shadow, value);
    default:
        return TDX_SUCCESS;
    }
}

/* The XSAVE header, and IA32_RTIT_CTL at the start of the processor-trace component. */
static bool is_fixed_xbuff(const struct tdcs *tdcs, u32 number)
{
    bool in_header = number >= XSAVE_HEADER && number < XSAVE_HEADER + XSAVE_HEADER_WORDS;
    return in_header || ((tdcs->xfam >> XFAM_PT_BIT & 1) && number == tdcs->xbuff_offsets[XFAM_PT_BIT] / 8);
}

u64 md_vp_check_write(const struct md_context *x, const struct md_element *e, u64 *value, bool *stored)
{
    if (MD_CLASS(e->row->id) == MD_CLASS_VMCS)
        return check_vmcs(x, MD_CODE(e->row->id), value, stored);
    if (e->row->id == ID_SPEC_CTRL) {
        x->vmcs->run.spec_ctrl = real_spec_ctrl(x->tdcs, *value);
        *stored = true;
    }
    return e->row->id == ID_XBUFF && is_fixed_xbuff(x->tdcs, e->number) ? TDX_METADATA_FIELD_NOT_WRITABLE : TDX_SUCCESS;
}
