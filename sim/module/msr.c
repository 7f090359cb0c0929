/*
 * MSRs of a TD: the bitmap of those that the CPU handles, and RDMSR and WRMSR of the others (Intel TDX Module v1.5 ABI
 * Specification, "MSR Virtualization"). An MSR outside the table, or outside the ranges that a bitmap covers, is a #VE.
 */
#include "sim/module/control.h"
#include "sim/module/tdcall.h"

#define BITMAP_BYTES 1024u /* one range, one direction */
#define RANGE_MSRS   0x2000u
#define HIGH_FIRST   0xc0000000u

#define MSR_XAPIC_DISABLE_STATUS 0xbdu
#define MSR_ARCH_CAPABILITIES    0x10au
#define MSR_MISC_ENABLE          0x1a0u
#define MSR_DEBUGCTL             0x1d9u
#define MSR_PERF_CAPABILITIES    0x345u
#define MSR_PERF_METRICS         0x329u
#define MSR_VMX_FIRST            0x480u
#define MSR_TSC_DEADLINE         0x6e0u
#define MSR_XSS                  0xda0u
#define MSR_EFER                 0xc0000080u

#define XFAM_PT 8

/* When the CPU handles the access, and what happens when it exits. */
enum msr_when { NATIVE, EXITS, PERFMON, WAITPKG, TSX, XFD, CET, PT, UINTR, LBR, PKS, OTHER };
enum msr_action { NONE, VE, GP, GP_OR_VE, EMULATED };

struct msr_row {
    u32 first, last;
    u8 read_when, read, write_when, write;
};

/* clang-format off */
static const struct msr_row rows[] = {
    {0x10, 0x10, NATIVE, NONE, EXITS, VE},
    {0x48, 0x49, NATIVE, NONE, NATIVE, NONE},
    {0x87, 0x87, EXITS, GP_OR_VE, EXITS, GP_OR_VE},
    {0x8c, 0x8f, EXITS, GP, EXITS, GP},
    {0x98, 0x9b, EXITS, GP, EXITS, GP},
    {0x9e, 0x9e, EXITS, GP, EXITS, GP},
    {0xbc, 0xbc, NATIVE, NONE, EXITS, VE},
    {0xbd, 0xbd, EXITS, EMULATED, NATIVE, NONE},
    {0xc1, 0xc8, PERFMON, GP, PERFMON, GP},
    {0xe1, 0xe1, WAITPKG, GP, WAITPKG, GP},
    {0x10a, 0x10a, EXITS, EMULATED, NATIVE, NONE},
    {0x10b, 0x10b, NATIVE, NONE, NATIVE, NONE},
    {0x122, 0x122, TSX, GP, TSX, GP},
    {0x174, 0x176, NATIVE, NONE, NATIVE, NONE},
    {0x186, 0x18d, PERFMON, GP, PERFMON, GP},
    {0x195, 0x195, EXITS, GP, EXITS, GP},
    {0x1a0, 0x1a0, PERFMON, EMULATED, EXITS, VE},
    {0x1a6, 0x1a7, PERFMON, GP, PERFMON, GP},
    {0x1c4, 0x1c5, XFD, GP, XFD, GP},
    {0x1d9, 0x1d9, EXITS, EMULATED, EXITS, EMULATED},
    {0x1f8, 0x1fa, EXITS, GP_OR_VE, EXITS, GP_OR_VE},
    {0x276, 0x276, EXITS, GP, EXITS, GP},
    {0x277, 0x277, NATIVE, NONE, NATIVE, NONE},
    {0x309, 0x310, PERFMON, GP, PERFMON, GP},
    {0x329, 0x329, OTHER, GP, OTHER, GP},
    {0x345, 0x345, OTHER, EMULATED, PERFMON, GP},
    {0x38d, 0x392, PERFMON, GP, PERFMON, GP},
    {0x3f1, 0x3f2, PERFMON, GP, PERFMON, GP},
    {0x3f6, 0x3f7, PERFMON, GP, PERFMON, GP},
    {0x480, 0x480, EXITS, EMULATED, EXITS, GP},
    {0x481, 0x484, EXITS, VE, EXITS, GP},
    {0x485, 0x489, EXITS, EMULATED, EXITS, GP},
    {0x48a, 0x48a, EXITS, VE, EXITS, GP},
    {0x48b, 0x492, EXITS, EMULATED, EXITS, GP},
    {0x4c1, 0x4c8, PERFMON, GP, PERFMON, GP},
    {0x500, 0x500, EXITS, GP, EXITS, GP},
    {0x560, 0x561, PT, GP, PT, GP},
    {0x570, 0x572, PT, GP, PT, GP},
    {0x580, 0x587, PT, GP, PT, GP},
    {0x600, 0x600, NATIVE, NONE, NATIVE, NONE},
    {0x6a0, 0x6a0, CET, GP, CET, GP},
    {0x6a2, 0x6a2, CET, GP, CET, GP},
    {0x6a4, 0x6a8, CET, GP, CET, GP},
    {0x6e0, 0x6e0, EXITS, GP_OR_VE, EXITS, GP_OR_VE},
    {0x6e1, 0x6e1, PKS, GP, PKS, GP},
    {0x800, 0x801, EXITS, GP, EXITS, GP},
    {0x804, 0x807, EXITS, GP, EXITS, GP},
    {0x808, 0x80c, NATIVE, NONE, NATIVE, NONE},
    {0x80e, 0x80e, NATIVE, NONE, NATIVE, NONE},
    {0x810, 0x827, NATIVE, NONE, NATIVE, NONE},
    {0x829, 0x82e, EXITS, GP, EXITS, GP},
    {0x831, 0x831, EXITS, GP, EXITS, GP},
    {0x83f, 0x83f, NATIVE, NONE, NATIVE, NONE},
    {0x840, 0x8ff, EXITS, GP, EXITS, GP},
    {0x981, 0x984, EXITS, GP_OR_VE, EXITS, GP_OR_VE},
    {0x985, 0x98a, UINTR, GP, UINTR, GP},
    {0xc80, 0xc80, NATIVE, NONE, EXITS, VE},
    {0xd90, 0xd90, EXITS, GP, EXITS, GP},
    {0xd93, 0xd93, EXITS, GP, EXITS, GP},
    {0xda0, 0xda0, NATIVE, NONE, EXITS, EMULATED},
    {0x1200, 0x12ff, LBR, GP, LBR, GP},
    {0x14ce, 0x14cf, LBR, GP, LBR, GP},
    {0x1500, 0x16ff, LBR, GP, LBR, GP},
    {0x1b01, 0x1b01, NATIVE, NONE, NATIVE, NONE},
    {0xc0000080, 0xc0000080, NATIVE, NONE, EXITS, EMULATED},
    {0xc0000081, 0xc0000082, NATIVE, NONE, NATIVE, NONE},
    {0xc0000084, 0xc0000084, NATIVE, NONE, NATIVE, NONE},
    {0xc0000100, 0xc0000103, NATIVE, NONE, NATIVE, NONE},
};
/* clang-format on */

static const struct msr_row *find(u32 msr)
{
    for (unsigned i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        if (msr >= rows[i].first && msr <= rows[i].last)
            return &rows[i];
    return NULL;
}

/* Does the TD have the feature, so that the CPU handles the access? */
static bool is_native(const struct tdcs *tdcs, u32 msr, enum msr_when when)
{
    bool perfmon = tdcs->attributes & ATTR_PERFMON;
    switch (when) {
    case NATIVE:
        return true;
    case PERFMON:
        return perfmon;
    case WAITPKG:
        return tdcs->cpuid_waitpkg;
    case TSX:
        return tdcs->cpuid_tsx;
    case XFD:
        return tdcs->cpuid_xfd;
    case CET:
        return (tdcs->xfam >> 11 & 3) == 3;
    case PT:
        return tdcs->xfam >> XFAM_PT & 1;
    case UINTR:
        return tdcs->xfam >> 14 & 1;
    case LBR:
        return tdcs->xfam >> 15 & 1;
    case PKS:
        return tdcs->attributes & ATTR_PKS;
    case OTHER:
        return perfmon && (msr == MSR_PERF_METRICS || (tdcs->xfam >> XFAM_PT & 1));
    default:
        return false;
    }
}

static void let_through(u8 *bitmap, u32 msr, bool write)
{
    unsigned at = (write ? 2 * BITMAP_BYTES : 0) + (msr >= HIGH_FIRST ? BITMAP_BYTES : 0) + (msr % RANGE_MSRS) / 8;
    bitmap[at] &= (u8) ~(1u << msr % 8);
}

void mdl_msr_bitmap_init(const struct tdcs *tdcs, u8 bitmap[PAGE_4K])
{
    for (unsigned i = 0; i < PAGE_4K; i++)
        bitmap[i] = 0xff;
    for (unsigned i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        for (u32 msr = rows[i].first; msr <= rows[i].last; msr++) {
            if (is_native(tdcs, msr, (enum msr_when)rows[i].read_when))
                let_through(bitmap, msr, false);
            if (is_native(tdcs, msr, (enum msr_when)rows[i].write_when))
                let_through(bitmap, msr, true);
        }
}

/* --- exits --- */

static bool is_covered(u32 msr)
{
    return msr < RANGE_MSRS || (msr >= HIGH_FIRST && msr < HIGH_FIRST + RANGE_MSRS);
}

/* MSRs of a feature that the TD may have in its CPUID: #VE then, else #GP. */
static bool feature_is_shown(const struct tdcs *tdcs, u32 msr)
{
    if (msr >= 0x1f8 && msr <= 0x1fa)
        return tdcs->cpuid_dca;
    if (msr >= 0x981 && msr <= 0x984)
        return tdcs->cpuid_tme;
    if (msr == MSR_TSC_DEADLINE)
        return tdcs->cpuid_tsc_deadline;
    return tdcs->cpuid_mktme;
}

static void refuse(struct lp_local *local, u32 msr, enum msr_action action)
{
    if (action == GP || (action == GP_OR_VE && !feature_is_shown(local->tdcs, msr)))
        mdl_inject_gp(&local->vmcs->run, 0);
    else
        mdl_inject_ve(local, local->vmcs->run.exit_reason, 0, 0, 0);
}

static void answer(struct td_vmcs *td, u64 value)
{
    td->gpr[RAX] = (u32)value;
    td->gpr[RDX] = value >> 32;
}

/*
 * What the TD reads of VMX capabilities: those of the L2 VMs that it could run. Of a pair of control masks bits 31:0
 * are what must be one, 63:32 what may be.
 */
#define L2_EXIT_CONTROLS  0x1f3c8204ull
#define L2_ENTRY_CONTROLS 0x003ec004ull
#define IA32E_GUEST       (1ull << 9)
#define RDPMC_EXITS       (1ull << 11)
#define MONITOR_EXITS     (1ull << 10 | 1ull << 29) /* MWAIT and MONITOR: L2 VMs have them where the TD has */
#define L2_PROCBASED3     0x8eull
#define L2_CR4_FIXED1     0x373fffull

static u64 l2_control_masks(const struct tdcs *tdcs, u32 msr)
{
    bool counters = tdcs->attributes & (ATTR_PERFMON | ATTR_DEBUG), keys = tdcs->attributes & (ATTR_PKS | ATTR_DEBUG);
    u64 exit = L2_EXIT_CONTROLS | (counters ? 1u << 12 | 1u << 30 : 0);
    u64 entry = L2_ENTRY_CONTROLS | (counters ? 1u << 13 : 0) | (keys ? 1u << 22 : 0);
    switch (msr - MSR_VMX_FIRST) {
    case 0x0b:
        return 0x1379bffe132881f2 | (tdcs->cpuid_waitpkg ? 1ull << 58 : 0) | (tdcs->cpuid_mktme ? 1ull << 59 : 0);
    case 0x0d:
        return 0x0000002900000029;
    case 0x0e:
        return 0xf9fb9e8cb1220c88 & ~(tdcs->attributes & ATTR_PERFMON ? RDPMC_EXITS : 0) &
               ~(tdcs->cpuid_monitor ? MONITOR_EXITS << 32 | MONITOR_EXITS : 0);
    case 0x0f:
        return exit << 32 | exit;
    case 0x10:
        return (entry | IA32E_GUEST) << 32 | entry;
    case 0x12:
        return L2_PROCBASED3;
    default:
        return 0;
    }
}

static u64 l2_cr4_fixed1(const struct tdcs *tdcs)
{
    u64 optional = (1ull << 22 | 1ull << 23 | 1ull << 24 | 1ull << 25) & ~mdl_cr4_mask(tdcs);
    return L2_CR4_FIXED1 | optional;
}

u64 mdl_vmx_capability(const struct tdcs *tdcs, u32 msr)
{
    switch (msr - MSR_VMX_FIRST) {
    case 0x00: /* BASIC: true controls, I/O information, event without error code */
        return 0x01c0000000000000;
    case 0x05: /* MISC */
        return 0x00000000600440e0;
    case 0x06: /* CR0_FIXED0, FIXED1, CR4_FIXED0, FIXED1 */
        return 0x20;
    case 0x07:
        return 0x8005003f;
    case 0x08:
        return 0x2040;
    case 0x09:
        return l2_cr4_fixed1(tdcs);
    case 0x0c: /* EPT_VPID_CAP */
        return 0x430001 | (tdcs->xfam >> 12 & 1) << 23;
    default:
        return l2_control_masks(tdcs, msr);
    }
}

#define DEBUGCTL_UNCORE_PMI      (1ull << 13)
#define DEBUGCTL_RESERVED        0xffffffffffff0038ull
#define DEBUGCTL_TR              (1ull << 6)
#define DEBUGCTL_BTS             (1ull << 7)
#define PENDING_DBG_BS           (1ull << 14)
#define MISC_ENABLE_NATIVE       0x40081ull /* fast strings, performance monitoring, MONITOR */
#define PERF_CAPABILITIES_NATIVE 0xa005ull  /* full-width writes, metrics; LBR format 5 */
#define MISC_PERFMON             (1ull << 7)
#define MISC_NO_PEBS             (1ull << 12)

void mdl_exit_rdmsr(struct lp_local *local)
{
    struct td_vmcs *td = &local->vmcs->run;
    u32 msr = (u32)td->gpr[RCX];
    const struct msr_row *row = is_covered(msr) ? find(msr) : NULL;
    if (!row || row->read != EMULATED) {
        refuse(local, msr, row ? (enum msr_action)row->read : VE);
        return;
    }
    switch (msr) {
    case MSR_DEBUGCTL:
        answer(td, td->debugctl & ~DEBUGCTL_UNCORE_PMI);
        break;
    case MSR_MISC_ENABLE:
        answer(td, (MISC_ENABLE_NATIVE & ~MISC_PERFMON) | MISC_NO_PEBS);
        break;
    case MSR_PERF_CAPABILITIES: /* without PEBS output to PT: the TD has no PT here */
        answer(td, local->tdcs->attributes & ATTR_PERFMON ? PERF_CAPABILITIES_NATIVE : 0);
        break;
    case MSR_ARCH_CAPABILITIES:
        answer(td, local->tdcs->arch_capabilities);
        break;
    case MSR_XAPIC_DISABLE_STATUS:
        answer(td, 1);
        break;
    default:
        answer(td, mdl_vmx_capability(local->tdcs, msr));
    }
}

static void write_xss(struct lp_local *local, u64 value)
{
    u32 native[4];
    plat_cpuid(0xd, 1, native);
    if (value & ~(native[2] & XSS_KNOWN & local->tdvps->xfam))
        mdl_inject_gp(&local->vmcs->run, 0);
    else
        local->vmcs->run.xss = value;
}

static void write_debugctl(struct lp_local *local, u64 value)
{
    struct td_vmcs *td = &local->vmcs->run;
    if (value & DEBUGCTL_RESERVED) {
        mdl_inject_gp(td, 0);
        return;
    }
    if ((value & DEBUGCTL_TR) && !(value & DEBUGCTL_BTS)) {
        mdl_inject_ve(local, td->exit_reason, 0, 0, 0);
        return;
    }
    u64 old = td->debugctl;
    td->debugctl = (value & ~DEBUGCTL_UNCORE_PMI) | (old & DEBUGCTL_UNCORE_PMI);
    if ((td->rflags & RFLAGS_TF) && ((old ^ value) & DEBUGCTL_BTF))
        td->pending_dbg = (td->pending_dbg & ~PENDING_DBG_BS) | (old & DEBUGCTL_BTF ? PENDING_DBG_BS : 0);
}

/* Only SCE may change; LMA is ignored. */
static void write_efer(struct lp_local *local, u64 value)
{
    struct td_vmcs *td = &local->vmcs->run;
    const u64 sce = 1, lma = 1ull << 10;
    value = (value & ~lma) | (td->efer & lma);
    if ((value ^ td->efer) & ~sce)
        mdl_inject_ve(local, td->exit_reason, 0, 0, 0);
    else
        td->efer = value;
}

void mdl_exit_wrmsr(struct lp_local *local)
{
    struct td_vmcs *td = &local->vmcs->run;
    u32 msr = (u32)td->gpr[RCX];
    u64 value = td->gpr[RDX] << 32 | (u32)td->gpr[RAX];
    const struct msr_row *row = is_covered(msr) ? find(msr) : NULL;
    if (msr == MSR_XSS)
        write_xss(local, value);
    else if (msr == MSR_DEBUGCTL)
        write_debugctl(local, value);
    else if (msr == MSR_EFER)
        write_efer(local, value);
    else
        refuse(local, msr, row ? (enum msr_action)row->write : VE);
}
