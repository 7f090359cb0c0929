/*
 * The VMCS fields of a vCPU as metadata (Intel TDX Module v1.5 ABI Specification, "TD VMCS"): codes are VMCS encodings.
 * Fields that the simulated machine has no use for read as zero.
 */
#include "sim/module/metadata.h"

#define ALL            ~0ull
#define VMCS(m, bytes) MD_IN_VMCS, bytes, offsetof(struct tdvps_vmcs, m)
#define RUN(m, bytes)  MD_IN_VMCS, bytes, offsetof(struct tdvps_vmcs, run.m)
#define COMPUTED       MD_COMPUTED, 8, 0
#define OTHER(n)       VMCS(other[n], 8)
/* Readable by the VMM, by the VMM of a debug TD, by the TD; writable likewise. */
#define R(host, debug, guest)                                                                                          \
    {                                                                                                                  \
        host, debug, guest                                                                                             \
    }

/* clang-format off */
static const struct md_field rows[] = {
    {0x0024000100000000, 1, 1, R(0, ALL, 0), R(0, 0, 0), COMPUTED}, /* VPID */
    {0x0024000100000002, 1, 1, R(ALL, ALL, 0), R(ALL, ALL, 0), RUN(posted_vector, 2)}, /* Posted-interrupt notification vector */
    {0x0024000100000004, 1, 1, R(0, ALL, 0), R(0, 0, 0), OTHER(1)}, /* EPTP index */
    {0x0024000100000006, 1, 1, R(0, ALL, 0), R(0, 0, 0), OTHER(2)}, /* HLAT prefix size */
    {0x0024000100000800, 1, 1, R(0, ALL, 0), R(0, ALL, 0), RUN(es.selector, 2)}, /* Guest ES selector */
    {0x0024000100000802, 1, 1, R(0, ALL, 0), R(0, ALL, 0), RUN(cs.selector, 2)}, /* Guest CS selector */
    {0x0024000100000804, 1, 1, R(0, ALL, 0), R(0, ALL, 0), RUN(ss.selector, 2)}, /* Guest SS selector */
    {0x0024000100000806, 1, 1, R(0, ALL, 0), R(0, ALL, 0), RUN(ds.selector, 2)}, /* Guest DS selector */
    {0x0024000100000808, 1, 1, R(0, ALL, 0), R(0, ALL, 0), RUN(fs.selector, 2)}, /* Guest FS selector */
    {0x002400010000080a, 1, 1, R(0, ALL, 0), R(0, ALL, 0), RUN(gs.selector, 2)}, /* Guest GS selector */
    {0x002400010000080c, 1, 1, R(0, ALL, 0), R(0, ALL, 0), RUN(ldtr.selector, 2)}, /* Guest LDTR selector */
    {0x002400010000080e, 1, 1, R(0, ALL, 0), R(0, ALL, 0), RUN(tr.selector, 2)}, /* Guest TR selector */
    {0x0024000100000810, 1, 1, R(0, ALL, 0), R(0, ALL, 0), RUN(interrupt_status, 2)}, /* Guest Interrupt Status */
    {0x0024000100000812, 1, 1, R(0, ALL, 0), R(0, ALL, 0), OTHER(4)}, /* PML Index */
    {0x0024000100000814, 1, 1, R(0, ALL, 0), R(0, ALL, 0), OTHER(5)}, /* Guest UINV */
    {0x0024000300002000, 2, 1, R(0, ALL, 0), R(0, 0, 0), OTHER(6)}, /* I/O-Bitmap Address n */
    {0x0024000300002004, 1, 1, R(ALL, ALL, 0), R(0, 0, 0), COMPUTED}, /* MSR-Bitmap Address */
    {0x0024000300002006, 1, 1, R(0, ALL, 0), R(0, 0, 0), OTHER(8)}, /* VM-exit MSR-store address */
    {0x0024000300002008, 1, 1, R(0, ALL, 0), R(0, 0, 0), OTHER(9)}, /* VM-exit MSR-load address */
    {0x002400030000200a, 1, 1, R(0, ALL, 0), R(0, 0, 0), OTHER(10)}, /* VM-entry MSR-load address */
    {0x002400030000200c, 1, 1, R(0, 0, 0), R(0, 0, 0), OTHER(11)}, /* Executive-VMCS Pointer */
    {0x002400030000200e, 1, 1, R(ALL, ALL, 0), R(0, 0xfffffffffffff000, 0), OTHER(VMCS_OTHER_PML)}, /* PML address */
    {0x0024000300002010, 1, 1, R(ALL, ALL, 0), R(0, ALL, 0), RUN(tsc_offset, 8)}, /* Time-Stamp Counter Offset */
    {0x0024000300002012, 1, 1, R(0, 0, 0), R(0, 0, 0), OTHER(13)}, /* Virtual-APIC address */
    {0x0024000300002014, 1, 1, R(0, ALL, 0), R(0, 0, 0), OTHER(14)}, /* APIC-access address */
    {0x0024000300002016, 1, 1, R(ALL, ALL, 0), R(0xffffffffffffffc0, 0xffffffffffffffc0, 0), RUN(posted_descriptor, 8)}, /* Posted-interrupt descriptor address */
    {0x0024000300002018, 1, 1, R(ALL, ALL, 0), R(0, 0, 0), OTHER(15)}, /* VM-Function Controls */
    {0x002400030000201a, 1, 1, R(ALL, ALL, 0), R(0, 0, 0), RUN(eptp, 8)}, /* EPTP */
    {0x002400030000201c, 4, 1, R(0, ALL, 0), R(0, 0, 0), OTHER(16)}, /* EOI-exit bitmap n */
    {0x0024000300002024, 1, 1, R(ALL, ALL, 0), R(0, 0, 0), OTHER(20)}, /* EPTP-list address */
    {0x0024000300002026, 1, 1, R(0, ALL, 0), R(0, 0, 0), OTHER(21)}, /* VMREAD-bitmap address */
    {0x0024000300002028, 1, 1, R(0, ALL, 0), R(0, 0, 0), OTHER(22)}, /* VMWRITE-bitmap address */
    {0x002400030000202a, 1, 1, R(0, ALL, 0), R(0, 0, 0), COMPUTED}, /* Virtualization-exception information address */
    {0x002400030000202c, 1, 1, R(0, ALL, 0), R(0, ALL, 0), OTHER(23)}, /* XSS-Exiting Bitmap */
    {0x002400030000202e, 1, 1, R(0, ALL, 0), R(0, 0, 0), OTHER(24)}, /* ENCLS-Exiting Bitmap */
    {0x0024000300002032, 1, 1, R(ALL, ALL, 0), R(0, ALL, 0), RUN(tsc_multiplier, 8)}, /* Time-Stamp Counter Multiplier */
    {0x0024000300002034, 1, 1, R(0, ALL, 0), R(0, 0x1, 0), VMCS(procbased3, 8)}, /* Tertiary Processor-Based VM-Execution Controls */
    {0x0024000300002036, 1, 1, R(0, ALL, 0), R(0, 0, 0), OTHER(25)}, /* ENCLV-Exiting Bitmap */
    {0x0024000300002038, 1, 1, R(0, ALL, 0), R(0, 0, 0), COMPUTED}, /* low PASID directory address */
    {0x002400030000203a, 1, 1, R(0, ALL, 0), R(0, 0, 0), COMPUTED}, /* high PASID directory address */
    {0x002400030000203c, 1, 1, R(0xffffffffff000, ALL, 0), R(0xffffffffff000, 0xffffffffff000, 0), COMPUTED}, /* Shared EPTP */
    {0x002400030000203e, 1, 1, R(0, ALL, 0), R(0, 0, 0), OTHER(26)}, /* PCONFIG-Exiting Bitmap */
    {0x0024000300002040, 1, 1, R(0, ALL, 0), R(0, 0, 0), OTHER(27)}, /* HLAT pointer */
    {0x002400030000204a, 1, 1, R(0, ALL, 0), R(0, 0, 0), OTHER(28)}, /* IA32_SPEC_CTRL mask */
    {0x002400030000204c, 1, 1, R(0, ALL, 0), R(0, 0, 0), OTHER(29)}, /* IA32_SPEC_CTRL shadow */
    {0x0024000300002400, 1, 1, R(0, ALL, 0), R(0, 0, 0), RUN(guest_physical, 8)}, /* Guest-physical Address */
    {0x0024000300002800, 1, 1, R(0, 0, 0), R(0, 0, 0), OTHER(30)}, /* VMCS Link Pointer */
    {0x0024000300002802, 1, 1, R(0, ALL, 0), R(0, 0xffc7, 0), RUN(debugctl, 8)}, /* IA32_DEBUGCTL */
    {0x0024000300002804, 1, 1, R(0, ALL, 0), R(0, ALL, 0), RUN(pat, 8)}, /* IA32_PAT */
    {0x0024000300002806, 1, 1, R(0, ALL, 0), R(0, ALL, 0), RUN(efer, 8)}, /* IA32_EFER */
    {0x0024000300002808, 1, 1, R(0, ALL, 0), R(0, ALL, 0), RUN(pmu.global_control, 8)}, /* IA32_PERF_GLOBAL_CTRL */
    {0x002400030000280a, 4, 1, R(0, ALL, 0), R(0, 0, 0), OTHER(32)}, /* PDPTEn */
    {0x0024000300002814, 1, 1, R(0, ALL, 0), R(0, ALL, 0), OTHER(36)}, /* IA32_RTIT_CTL */
    {0x0024000300002816, 1, 1, R(0, ALL, 0), R(0, ALL, 0), OTHER(37)}, /* IA32_LBR_CTL */
    {0x0024000300002818, 1, 1, R(0, ALL, 0), R(0, ALL, 0), OTHER(38)}, /* IA32_GUEST_PKRS */
    {0x0024000200004000, 1, 1, R(0x80, ALL, 0), R(0x80, 0x80, 0), RUN(pinbased, 4)}, /* Pin-Based VM-Execution Controls */
    {0x0024000200004002, 1, 1, R(0, ALL, 0), R(0, 0x69999a04, 0), COMPUTED}, /* Primary Processor-Based VM-Execution Controls */
    {0x0024000200004004, 1, 1, R(0, ALL, 0), R(0, 0xfffbffff, 0), RUN(exception_bitmap, 4)}, /* Exception Bitmap */
    {0x0024000200004006, 1, 1, R(0, ALL, 0), R(0, ALL, 0), OTHER(VMCS_OTHER_PF_MASK)}, /* Page-fault error-code mask */
    {0x0024000200004008, 1, 1, R(0, ALL, 0), R(0, ALL, 0), OTHER(VMCS_OTHER_PF_MATCH)}, /* Page-fault error-code match */
    {0x002400020000400a, 1, 1, R(0, ALL, 0), R(0, ALL, 0), OTHER(41)}, /* CR3-Target Count */
    {0x002400020000400c, 1, 1, R(0, ALL, 0), R(0, 0, 0), VMCS(exit_controls, 4)}, /* VM-Exit Controls */
    {0x002400020000400e, 1, 1, R(0, ALL, 0), R(0, 0, 0), OTHER(42)}, /* VM-exit MSR-store count */
    {0x0024000200004010, 1, 1, R(0, ALL, 0), R(0, 0, 0), OTHER(43)}, /* VM-exit MSR-load count */
    {0x0024000200004012, 1, 1, R(0, ALL, 0), R(0, 0, 0), VMCS(entry_controls, 4)}, /* VM-Entry Controls */
    {0x0024000200004014, 1, 1, R(0, ALL, 0), R(0, 0, 0), OTHER(44)}, /* VM-entry MSR-load count */
    {0x0024000200004016, 1, 1, R(0, ALL, 0), R(0, 0, 0), RUN(entry_intr_info, 4)}, /* VM-entry interruption information */
    {0x0024000200004018, 1, 1, R(0, ALL, 0), R(0, 0, 0), RUN(entry_error_code, 4)}, /* VM-entry exception error code */
    {0x002400020000401a, 1, 1, R(0, ALL, 0), R(0, 0, 0), RUN(entry_instr_len, 4)}, /* VM-entry instruction length */
    {0x002400020000401c, 1, 1, R(0, ALL, 0), R(0, 0, 0), OTHER(45)}, /* TPR threshold */
    {0x002400020000401e, 1, 1, R(0xc0000000, ALL, 0), R(0xc0000000, 0xc0130c04, 0), VMCS(procbased2, 4)}, /* Secondary Processor-Based VM-Execution Controls */
    {0x0024000200004020, 1, 1, R(ALL, ALL, 0), R(0, ALL, 0), VMCS(ple_gap, 4)}, /* PLE_GAP */
    {0x0024000200004022, 1, 1, R(ALL, ALL, 0), R(0, ALL, 0), VMCS(ple_window, 4)}, /* PLE_Window */
    {0x0024000200004024, 1, 1, R(ALL, ALL, 0), R(ALL, ALL, 0), VMCS(instruction_timeout, 4)}, /* Instruction Timeout Control */
    {0x0024000200004026, 1, 1, R(ALL, ALL, 0), R(0, 0, 0), COMPUTED}, /* TD HKID */
    {0x0024000200004400, 1, 1, R(0, ALL, 0), R(0, 0, 0), OTHER(46)}, /* VM-instruction error */
    {0x0024000200004402, 1, 1, R(0, ALL, 0), R(0, 0, 0), RUN(exit_reason, 4)}, /* Exit reason */
    {0x0024000200004404, 1, 1, R(0, ALL, 0), R(0, 0, 0), RUN(exit_intr_info, 4)}, /* VM-exit interruption information */
    {0x0024000200004406, 1, 1, R(0, ALL, 0), R(0, 0, 0), RUN(exit_error_code, 4)}, /* VM-exit interruption error code */
    {0x0024000200004408, 1, 1, R(0, ALL, 0), R(0, 0, 0), RUN(idt_vectoring_info, 4)}, /* IDT-vectoring information */
    {0x002400020000440a, 1, 1, R(0, ALL, 0), R(0, 0, 0), RUN(idt_vectoring_error, 4)}, /* IDT-vectoring error code */
    {0x002400020000440c, 1, 1, R(0, ALL, 0), R(0, 0, 0), RUN(exit_instr_len, 4)}, /* VM-exit instruction length */
    {0x002400020000440e, 1, 1, R(0, ALL, 0), R(0, 0, 0), RUN(exit_instr_info, 4)}, /* VM-exit instruction information */
    {0x0024000200004800, 1, 1, R(0, ALL, 0), R(0, ALL, 0), RUN(es.limit, 4)}, /* Guest ES limit */
    {0x0024000200004802, 1, 1, R(0, ALL, 0), R(0, ALL, 0), RUN(cs.limit, 4)}, /* Guest CS limit */
    {0x0024000200004804, 1, 1, R(0, ALL, 0), R(0, ALL, 0), RUN(ss.limit, 4)}, /* Guest SS limit */
    {0x0024000200004806, 1, 1, R(0, ALL, 0), R(0, ALL, 0), RUN(ds.limit, 4)}, /* Guest DS limit */
    {0x0024000200004808, 1, 1, R(0, ALL, 0), R(0, ALL, 0), RUN(fs.limit, 4)}, /* Guest FS limit */
    {0x002400020000480a, 1, 1, R(0, ALL, 0), R(0, ALL, 0), RUN(gs.limit, 4)}, /* Guest GS limit */
    {0x002400020000480c, 1, 1, R(0, ALL, 0), R(0, ALL, 0), RUN(ldtr.limit, 4)}, /* Guest LDTR limit */
    {0x002400020000480e, 1, 1, R(0, ALL, 0), R(0, ALL, 0), RUN(tr.limit, 4)}, /* Guest TR limit */
    {0x0024000200004810, 1, 1, R(0, ALL, 0), R(0, ALL, 0), RUN(gdtr_limit, 4)}, /* Guest GDTR limit */
    {0x0024000200004812, 1, 1, R(0, ALL, 0), R(0, ALL, 0), RUN(idtr_limit, 4)}, /* Guest IDTR limit */
    {0x0024000200004814, 1, 1, R(0, ALL, 0), R(0, ALL, 0), RUN(es.access, 4)}, /* Guest ES access rights */
    {0x0024000200004816, 1, 1, R(0, ALL, 0), R(0, ALL, 0), RUN(cs.access, 4)}, /* Guest CS access rights */
    {0x0024000200004818, 1, 1, R(0, ALL, 0), R(0, ALL, 0), RUN(ss.access, 4)}, /* Guest SS access rights */
    {0x002400020000481a, 1, 1, R(0, ALL, 0), R(0, ALL, 0), RUN(ds.access, 4)}, /* Guest DS access rights */
    {0x002400020000481c, 1, 1, R(0, ALL, 0), R(0, ALL, 0), RUN(fs.access, 4)}, /* Guest FS access rights */
    {0x002400020000481e, 1, 1, R(0, ALL, 0), R(0, ALL, 0), RUN(gs.access, 4)}, /* Guest GS access rights */
    {0x0024000200004820, 1, 1, R(0, ALL, 0), R(0, ALL, 0), RUN(ldtr.access, 4)}, /* Guest LDTR access rights */
    {0x0024000200004822, 1, 1, R(0, ALL, 0), R(0, ALL, 0), RUN(tr.access, 4)}, /* Guest TR access rights */
    {0x0024000200004824, 1, 1, R(0, ALL, 0), R(0, ALL, 0), RUN(interruptibility, 4)}, /* Interruptibility State */
    {0x0024000200004826, 1, 1, R(0, ALL, 0), R(0, 0, 0), RUN(activity, 4)}, /* Activity State */
    {0x0024000200004828, 1, 1, R(0, 0, 0), R(0, 0, 0), OTHER(47)}, /* Guest SMBASE */
    {0x002400020000482a, 1, 1, R(0, ALL, 0), R(0, ALL, 0), RUN(sysenter_cs, 4)}, /* IA32_SYSENTER_CS */
    {0x002400020000482e, 1, 1, R(0, ALL, 0), R(0, ALL, 0), OTHER(48)}, /* VMX-Preemption Timer Value */
    {0x0024000300006000, 1, 1, R(0, ALL, 0), R(0, 0xffffffff9fffffde, 0), RUN(cr0_mask, 8)}, /* CR0 Guest/Host Mask */
    {0x0024000300006002, 1, 1, R(0, ALL, 0), R(0, 0xffffffffffff9fbf, 0), RUN(cr4_mask, 8)}, /* CR4 Guest/Host Mask */
    {0x0024000300006004, 1, 1, R(0, ALL, 0), R(0, 0xffffffffffffffde, 0), RUN(cr0_shadow, 8)}, /* CR0 Read Shadow */
    {0x0024000300006006, 1, 1, R(0, ALL, 0), R(0, 0xffffffffffffffbf, 0), RUN(cr4_shadow, 8)}, /* CR4 Read Shadow */
    {0x0024000300006008, 4, 1, R(0, ALL, 0), R(0, ALL, 0), OTHER(49)}, /* CR3-Target Values */
    {0x0024000300006400, 1, 1, R(0, ALL, 0), R(0, 0, 0), RUN(qualification, 8)}, /* Exit qualification */
    {0x0024000300006402, 1, 1, R(0, ALL, 0), R(0, 0, 0), OTHER(53)}, /* I/O RCX */
    {0x0024000300006404, 1, 1, R(0, ALL, 0), R(0, 0, 0), OTHER(54)}, /* I/O RSI */
    {0x0024000300006406, 1, 1, R(0, ALL, 0), R(0, 0, 0), OTHER(55)}, /* I/O RDI */
    {0x0024000300006408, 1, 1, R(0, ALL, 0), R(0, 0, 0), OTHER(56)}, /* I/O RIP */
    {0x002400030000640a, 1, 1, R(0, ALL, 0), R(0, 0, 0), RUN(guest_linear, 8)}, /* Guest-Linear Address */
    {0x0024000300006800, 1, 1, R(0, ALL, 0), R(0, ALL, 0), RUN(cr0, 8)}, /* Guest CR0 */
    {0x0024000300006802, 1, 1, R(0, ALL, 0), R(0, ALL, 0), RUN(cr3, 8)}, /* Guest CR3 */
    {0x0024000300006804, 1, 1, R(0, ALL, 0), R(0, ALL, 0), RUN(cr4, 8)}, /* Guest CR4 */
    {0x0024000300006806, 1, 1, R(0, ALL, 0), R(0, ALL, 0), RUN(es.base, 8)}, /* Guest ES base */
    {0x0024000300006808, 1, 1, R(0, ALL, 0), R(0, ALL, 0), RUN(cs.base, 8)}, /* Guest CS base */
    {0x002400030000680a, 1, 1, R(0, ALL, 0), R(0, ALL, 0), RUN(ss.base, 8)}, /* Guest SS base */
    {0x002400030000680c, 1, 1, R(0, ALL, 0), R(0, ALL, 0), RUN(ds.base, 8)}, /* Guest DS base */
    {0x002400030000680e, 1, 1, R(0, ALL, 0), R(0, ALL, 0), RUN(fs.base, 8)}, /* Guest FS base */
    {0x0024000300006810, 1, 1, R(0, ALL, 0), R(0, ALL, 0), RUN(gs.base, 8)}, /* Guest GS base */
    {0x0024000300006812, 1, 1, R(0, ALL, 0), R(0, ALL, 0), RUN(ldtr.base, 8)}, /* Guest LDTR base */
    {0x0024000300006814, 1, 1, R(0, ALL, 0), R(0, ALL, 0), RUN(tr.base, 8)}, /* Guest TR base */
    {0x0024000300006816, 1, 1, R(0, ALL, 0), R(0, ALL, 0), RUN(gdtr_base, 8)}, /* Guest GDTR base */
    {0x0024000300006818, 1, 1, R(0, ALL, 0), R(0, ALL, 0), RUN(idtr_base, 8)}, /* Guest IDTR base */
    {0x002400030000681a, 1, 1, R(0, ALL, 0), R(0, ALL, 0), RUN(dr7, 8)}, /* Guest DR7 */
    {0x002400030000681c, 1, 1, R(0, ALL, 0), R(0, ALL, 0), RUN(rsp, 8)}, /* Guest RSP */
    {0x002400030000681e, 1, 1, R(0, ALL, 0), R(0, ALL, 0), RUN(rip, 8)}, /* Guest RIP */
    {0x0024000300006820, 1, 1, R(0, ALL, 0), R(0, ALL, 0), RUN(rflags, 8)}, /* Guest RFLAGS */
    {0x0024000300006822, 1, 1, R(0, ALL, 0), R(0, ALL, 0), RUN(pending_dbg, 8)}, /* Pending Debug Exceptions */
    {0x0024000300006824, 1, 1, R(0, ALL, 0), R(0, ALL, 0), RUN(sysenter_esp, 8)}, /* IA32_SYSENTER_ESP */
    {0x0024000300006826, 1, 1, R(0, ALL, 0), R(0, ALL, 0), RUN(sysenter_eip, 8)}, /* IA32_SYSENTER_EIP */
    {0x0024000300006828, 1, 1, R(0, ALL, 0), R(0, ALL, 0), OTHER(57)}, /* GUEST_IA32_S_CET */
    {0x002400030000682a, 1, 1, R(0, ALL, 0), R(0, ALL, 0), OTHER(58)}, /* GUEST_SSP */
    {0x002400030000682c, 1, 1, R(0, ALL, 0), R(0, ALL, 0), OTHER(59)}, /* GUEST_IA32_INTERRUPT_SSP_TABLE_ADDR */
    {0x0024000300006c08, 1, 1, R(0, 0, 0), R(0, 0, 0), OTHER(60)}, /* Host GS Base */
    {0x0024000300006c14, 1, 1, R(0, 0, 0), R(0, 0, 0), OTHER(61)}, /* Host RSP */
    {0x0024000300006c16, 1, 1, R(0, 0, 0), R(0, 0, 0), OTHER(62)}, /* Host RIP */
    {0x0024000300006c1a, 1, 1, R(0, 0, 0), R(0, 0, 0), OTHER(63)}, /* HOST_SSP */
};
/* clang-format on */

const struct md_table md_vmcs_table = {rows, sizeof(rows) / sizeof(rows[0])};

_Static_assert(VMCS_OTHERS >= 64, "every VMCS field without a use has its place");

/* What those fields hold that do not start as zero: first place, count, value. */
static const struct {
    u8 first, count;
    u64 value;
} initial[] = {
    {6, 2, ~0ull},  /* I/O-Bitmap Address n */
    {8, 1, ~0ull},  /* VM-exit MSR-store address */
    {9, 1, ~0ull},  /* VM-exit MSR-load address */
    {10, 1, ~0ull}, /* VM-entry MSR-load address */
    {12, 1, ~0ull}, /* PML address */
    {14, 1, ~0ull}, /* APIC-access address */
    {20, 1, ~0ull}, /* EPTP-list address */
    {21, 1, ~0ull}, /* VMREAD-bitmap address */
    {22, 1, ~0ull}, /* VMWRITE-bitmap address */
    {24, 1, ~0ull}, /* ENCLS-Exiting Bitmap */
    {25, 1, ~0ull}, /* ENCLV-Exiting Bitmap */
    {26, 1, ~0ull}, /* PCONFIG-Exiting Bitmap */
    {28, 1, 0x100}, /* IA32_SPEC_CTRL mask */
    {32, 4, ~0ull}, /* PDPTEn */
};

void md_vmcs_init(struct tdvps_vmcs *vmcs)
{
    for (unsigned i = 0; i < sizeof(initial) / sizeof(initial[0]); i++)
        for (unsigned k = 0; k < initial[i].count; k++)
            vmcs->other[initial[i].first + k] = initial[i].value;
}
