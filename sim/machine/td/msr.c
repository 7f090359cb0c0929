/*
 * RDMSR and WRMSR of a TD: the VMX MSR bitmap says which the module sees; the others reach MSRs that each vCPU has of
 * its own. SDM volume 3, section 25.6.9; volume 4 for the MSRs.
 *
 * Left out: MSRs that the real CPU lacks (they read 0 and ignore writes).
 */
#include "sim/machine/hw/svm.h"
#include "sim/machine/hw/cpu.h"
#include "sim/machine/pmu.h"
#include "sim/machine/td/internal.h"
#include "sim/module/platform.h"

#define MSR_TSC          0x10u
#define MSR_SPEC_CTRL    0x48u
#define MSR_SYSENTER_CS  0x174u
#define MSR_SYSENTER_ESP 0x175u
#define MSR_SYSENTER_EIP 0x176u
#define MSR_MISC_ENABLE  0x1a0u
#define MSR_PAT          0x277u
#define MSR_X2APIC_FIRST 0x800u
#define MSR_X2APIC_LAST  0x8ffu
#define MSR_XSS          0xda0u
#define MSR_EFER         0xc0000080u
#define MSR_STAR         0xc0000081u
#define MSR_LSTAR        0xc0000082u
#define MSR_CSTAR        0xc0000083u
#define MSR_FMASK        0xc0000084u
#define MSR_FS_BASE      0xc0000100u
#define MSR_GS_BASE      0xc0000101u
#define MSR_KERNEL_GS    0xc0000102u
#define MSR_TSC_AUX      0xc0000103u

/* IA32_MISC_ENABLE: fast strings, performance monitoring, MONITOR; neither BTS nor PEBS. */
#define MISC_ENABLE (1ull << 0 | 1ull << 7 | 1ull << 18 | 1ull << 11 | 1ull << 12)

/* The bitmap: reads of 0 to 1FFFh, of C0000000h to C0001FFFh, then writes of the two. MSRs elsewhere always exit. */
static bool exits(const struct td_vmcs *v, u32 msr, bool write)
{
    const u8 *bitmap = plat_page(ept_strip_keyid(v->msr_bitmap_hpa));
    u32 bit = (write ? 0x4000 : 0) + (msr & 0x1fff);

    if (msr >= 0xc0000000)
        bit += 0x2000;
    if (!bitmap || (msr & ~0x1fffu & ~0xc0000000) || (msr >= 0x2000 && msr < 0xc0000000))
        return true;
    return bitmap[bit / 8] >> (bit % 8) & 1;
}

/* MSRs whose value is simply somewhere; those in the VMCB are the CPU's until VMSAVE. */
static u64 *storage(struct cpu *cpu, u32 msr)
{
    struct td_vmcs *v = td_vmcs(cpu);
    struct vmcb *b = cpu->td;

    switch (msr) {
    case MSR_SPEC_CTRL:
        return &v->spec_ctrl;
    case MSR_PAT:
        return &v->pat;
    case MSR_XSS:
        return &v->xss;
    case MSR_SYSENTER_CS:
        return &b->sysenter_cs;
    case MSR_SYSENTER_ESP:
        return &b->sysenter_esp;
    case MSR_SYSENTER_EIP:
        return &b->sysenter_eip;
    case MSR_STAR:
        return &b->star;
    case MSR_LSTAR:
        return &b->lstar;
    case MSR_CSTAR:
        return &b->cstar;
    case MSR_FMASK:
        return &b->sfmask;
    case MSR_FS_BASE:
        return &b->fs.base;
    case MSR_GS_BASE:
        return &b->gs.base;
    case MSR_KERNEL_GS:
        return &b->kernel_gs_base;
    default:
        return NULL;
    }
}

static u64 read_plain(struct cpu *cpu, u32 msr)
{
    u64 *place = storage(cpu, msr);

    svm_vmsave(cpu->td);
    if (place)
        return *place;
    switch (msr) {
    case MSR_TSC:
        return td_tsc(cpu);
    case MSR_EFER:
        return td_vmcs(cpu)->efer;
    case MSR_TSC_AUX:
        return cpu_rdmsr(MSR_TSC_AUX);
    case MSR_MISC_ENABLE:
        return MISC_ENABLE;
    default:
        return 0;
    }
}

static bool is_canonical(u64 value)
{
    s64 high = (s64)value >> 47;
    return high == 0 || high == -1;
}

static bool pat_is_legal(u64 value)
{
    for (unsigned i = 0; i < 8; i++) {
        unsigned type = value >> 8 * i & 0xff;
        if (type > 7 || type == 2 || type == 3)
            return false;
    }
    return true;
}

/* False: #GP. */
static bool value_is_legal(u32 msr, u64 value)
{
    switch (msr) {
    case MSR_SYSENTER_ESP:
    case MSR_SYSENTER_EIP:
    case MSR_LSTAR:
    case MSR_CSTAR:
    case MSR_FS_BASE:
    case MSR_GS_BASE:
    case MSR_KERNEL_GS:
        return is_canonical(value);
    case MSR_PAT:
        return pat_is_legal(value);
    case MSR_FMASK:
    case MSR_TSC_AUX:
        return value >> 32 == 0;
    case MSR_EFER:
        return !(value & ~(EFER_SCE | EFER_LME | EFER_LMA | EFER_NXE));
    default:
        return true;
    }
}

static void write_efer(struct cpu *cpu, u64 value)
{
    struct td_vmcs *v = td_vmcs(cpu);

    v->efer = (value & ~EFER_LMA) | (v->efer & EFER_LMA);
    td_vmcb_load_control_registers(cpu);
}

static void write_plain(struct cpu *cpu, u32 msr, u64 value)
{
    u64 *place = storage(cpu, msr);

    if (place) {
        svm_vmsave(cpu->td);
        *place = value;
        svm_vmload(cpu->td);
        return;
    }
    switch (msr) {
    case MSR_EFER:
        write_efer(cpu, value);
        break;
    case MSR_TSC_AUX:
        cpu_wrmsr(MSR_TSC_AUX, value);
        break;
    default:
        break;
    }
}

/* --- the instructions --------------------------------------------------------------------------------------------- */

static bool is_x2apic(u32 msr)
{
    return msr >= MSR_X2APIC_FIRST && msr <= MSR_X2APIC_LAST;
}

/* False: #GP. */
static bool read_native(struct cpu *cpu, u32 msr, u64 *value)
{
    struct vapic a = td_vapic(cpu);

    if (is_x2apic(msr)) {
        *value = vapic_read_msr(&a, msr);
        return true;
    }
    if (pmu_has_msr(msr))
        return pmu_read(&td_vmcs(cpu)->pmu, msr, value);
    *value = read_plain(cpu, msr);
    return true;
}

static bool write_native(struct cpu *cpu, u32 msr, u64 value)
{
    if (pmu_has_msr(msr))
        return pmu_write(&td_vmcs(cpu)->pmu, msr, value);
    if (!value_is_legal(msr, value))
        return false;
    write_plain(cpu, msr, value);
    return true;
}

static enum td_next write_apic(struct cpu *cpu, const struct insn *insn, u32 msr, u64 value)
{
    struct vapic a = td_vapic(cpu);
    enum vapic_write outcome = vapic_write_msr(&a, msr, value);

    if (outcome == VAPIC_FAULT)
        return td_raise_error(cpu, VECTOR_GP, 0);
    if (outcome == VAPIC_DONE)
        return td_skip(cpu, insn);
    (void)td_skip(cpu, insn);
    return td_leave(cpu, REASON_APIC_WRITE, (msr - MSR_X2APIC_FIRST) << 4);
}

static void answer(struct cpu *cpu, u64 value)
{
    td_write_gpr(cpu, RAX, (u32)value);
    td_write_gpr(cpu, RDX, value >> 32);
}

enum td_next td_msr(struct cpu *cpu)
{
    bool write = cpu->td->exit_info_1 & 1;
    u32 msr = (u32)td_read_gpr(cpu, RCX);
    u64 value = (u32)td_read_gpr(cpu, RAX) | td_read_gpr(cpu, RDX) << 32;
    struct insn insn;

    if (exits(td_vmcs(cpu), msr, write))
        return td_leave_insn(cpu, write ? REASON_WRMSR : REASON_RDMSR, 0);
    if (!td_fetch(cpu, &insn))
        return TD_RESUME;
    if (write && is_x2apic(msr))
        return write_apic(cpu, &insn, msr, value);
    if (!(write ? write_native(cpu, msr, value) : read_native(cpu, msr, &value)))
        return td_raise_error(cpu, VECTOR_GP, 0);
    if (!write)
        answer(cpu, value);
    return td_skip(cpu, &insn);
}

enum td_next td_rdpmc(struct cpu *cpu)
{
    struct insn insn;
    u64 value;

    if (td_vmcs(cpu)->rdpmc_exits)
        return td_leave_insn(cpu, REASON_RDPMC, 0);
    if (!td_fetch(cpu, &insn))
        return TD_RESUME;
    if (!pmu_rdpmc(&td_vmcs(cpu)->pmu, (u32)td_read_gpr(cpu, RCX), &value))
        return td_raise_error(cpu, VECTOR_GP, 0);
    answer(cpu, value);
    return td_skip(cpu, &insn);
}
