/*
 * A TD vCPU's VMCS in the format of a VMCB. SDM volume 3, "Guest-state area"; APM volume 2, appendix B.
 *
 * CR0, CR4 and EFER live in the VMCS while the TD runs; the VMCB has what the real CPU must see for them. General
 * registers but RAX and RSP live in the VMCS too; all else is in the VMCB and the real CPU until td_vmcb_store().
 */
#include "sim/machine/hw/cpu.h"
#include "sim/machine/hw/svm.h"
#include "sim/machine/pool.h"
#include "sim/machine/selftest.h"
#include "sim/machine/td/td.h"
#include "sim/machine/td/internal.h"

#define MSR_TSC_AUX 0xc0000103u

#define ACCESS_UNUSABLE (1u << 16)
#define ATTR_PRESENT    (1u << 7)
#define ATTR_LONG       (1u << 9)
#define ATTR_BIG        (1u << 10)

#define DR7_FIXED 0x400ull
#define DR6_FIXED 0xffff0ff0ull

#define TSC_MULTIPLIER_ONE (1ull << 48)

static void fill(void *page, u64 bytes)
{
    u64 *at = page;
    for (u64 i = 0; i < bytes / 8; i++)
        at[i] = ~0ull;
}

/* CR4 bits that every CPU with SVM and long mode has, and those that CPUID enumerates. */
static u64 native_cr4(void)
{
    static const struct {
        u32 leaf;
        u8 reg, bit, cr4_bit;
    } optional[] = {
        {7, 2, 2, 11}, {7, 2, 16, 12}, {7, 1, 0, 16}, {1, 2, 26, 18},
        {7, 1, 7, 20}, {7, 1, 20, 21}, {7, 2, 3, 22}, {7, 2, 31, 24},
    };
    u64 bits = 0x7ff; /* VME to OSXMMEXCPT */

    for (unsigned i = 0; i < sizeof(optional) / sizeof(optional[0]); i++) {
        u32 out[4];
        cpu_raw_cpuid(optional[i].leaf, 0, out);
        if (out[optional[i].reg] >> optional[i].bit & 1)
            bits |= 1ull << optional[i].cr4_bit;
    }
    return bits;
}

void td_vmcb_init(struct cpu *cpu)
{
    struct td_cpu *td = cpu->td_state;
    void *msrpm = pool_take(2), *iopm = pool_take(3);
    struct vmcb *b;

    fill(msrpm, 2 * 4096);
    fill(iopm, 3 * 4096);
    td->msrpm = (uintptr_t)msrpm;
    td->iopm = (uintptr_t)iopm;
    td->absent_page = (uintptr_t)pool_take(1);
    td->cr4_native = native_cr4();
    b = cpu->td = pool_take(1);
    b->intercept_cr_write = VMCB_CR(0) | VMCB_CR(4);
    b->intercept_1 = SVM_INTERCEPT_INTR | SVM_INTERCEPT_NMI | SVM_INTERCEPT_INIT | SVM_INTERCEPT_RDPMC |
                     SVM_INTERCEPT_CPUID | SVM_INTERCEPT_INVD | SVM_INTERCEPT_HLT | SVM_INTERCEPT_INVLPGA |
                     SVM_INTERCEPT_IOIO | SVM_INTERCEPT_MSR | SVM_INTERCEPT_SHUTDOWN | SVM_INTERCEPT_TASK_SWITCH;
    b->intercept_2 = SVM_INTERCEPT_VMRUN | SVM_INTERCEPT_VMMCALL | SVM_INTERCEPT_VMLOAD | SVM_INTERCEPT_VMSAVE |
                     SVM_INTERCEPT_STGI | SVM_INTERCEPT_CLGI | SVM_INTERCEPT_SKINIT | SVM_INTERCEPT_WBINVD |
                     SVM_INTERCEPT_MONITOR | SVM_INTERCEPT_MWAIT | SVM_INTERCEPT_XSETBV;
    b->iopm = td->iopm;
    b->msrpm = td->msrpm;
    b->asid = 2;
    b->nested_control = VMCB_NESTED_PAGING;
}

/* --- segments ----------------------------------------------------------------------------------------------------- */

static struct vmcb_seg to_vmcb(const struct seam_seg *seg)
{
    u16 attributes = (seg->access & 0xff) | (seg->access >> 4 & 0xf00);

    if (seg->access & ACCESS_UNUSABLE)
        attributes &= ~ATTR_PRESENT;
    return (struct vmcb_seg){seg->selector, attributes, seg->limit, seg->base};
}

static struct seam_seg to_vmcs(const struct vmcb_seg *seg)
{
    u32 access = (seg->attributes & 0xff) | (u32)(seg->attributes & 0xf00) << 4;

    if (!(seg->attributes & ATTR_PRESENT))
        access |= ACCESS_UNUSABLE;
    return (struct seam_seg){seg->selector, access, seg->limit, seg->base};
}

static void load_segments(struct vmcb *b, const struct td_vmcs *v)
{
    b->es = to_vmcb(&v->es);
    b->cs = to_vmcb(&v->cs);
    b->ss = to_vmcb(&v->ss);
    b->ds = to_vmcb(&v->ds);
    b->gdtr = (struct vmcb_seg){.limit = v->gdtr_limit, .base = v->gdtr_base};
    b->idtr = (struct vmcb_seg){.limit = v->idtr_limit, .base = v->idtr_base};
    b->cpl = b->ss.attributes >> 5 & 3;
}

static void store_segments(struct td_vmcs *v, const struct vmcb *b)
{
    v->es = to_vmcs(&b->es);
    v->cs = to_vmcs(&b->cs);
    v->ss = to_vmcs(&b->ss);
    v->ds = to_vmcs(&b->ds);
    v->gdtr_base = b->gdtr.base;
    v->gdtr_limit = b->gdtr.limit;
    v->idtr_base = b->idtr.base;
    v->idtr_limit = b->idtr.limit;
}

/* --- control registers -------------------------------------------------------------------------------------------- */

static u64 visible(u64 real, u64 mask, u64 shadow)
{
    return (real & ~mask) | (shadow & mask);
}

/*
 * CR4 as the real CPU takes it. PAE stays on while paging is off: paging is what it would act on, and QEMU forgets to
 * restore the host's CR0 at an exit with PG = 0, LME = 1, PAE = 0.
 */
static u64 real_cr4(const struct td_cpu *td, const struct td_vmcs *v)
{
    return (v->cr4 & td->cr4_native) | (v->cr0 & CR0_PG ? 0 : CR4_PAE);
}

static u64 real_efer(const struct td_vmcs *v)
{
    u64 efer = (v->efer & (EFER_SCE | EFER_LME | EFER_NXE)) | EFER_SVME;
    return v->cr0 & CR0_PG && v->efer & EFER_LME ? efer | EFER_LMA : efer;
}

void td_vmcb_load_control_registers(struct cpu *cpu)
{
    struct td_vmcs *v = td_vmcs(cpu);
    struct vmcb *b = cpu->td;

    b->cr0 = v->cr0;
    b->cr4 = real_cr4(cpu->td_state, v);
    b->efer = real_efer(v);
    b->intercept_cr_read = 0;
    if (visible(v->cr0, v->cr0_mask, v->cr0_shadow) != b->cr0)
        b->intercept_cr_read |= VMCB_CR(0);
    if (visible(v->cr4, v->cr4_mask, v->cr4_shadow) != b->cr4)
        b->intercept_cr_read |= selftest_quirks()->cr_reads_are_cr0s ? VMCB_CR(0) : VMCB_CR(4);
}

bool td_vmcb_is_valid(const struct cpu *cpu)
{
    const struct vmcb *b = cpu->td;
    bool long_mode = b->efer & EFER_LMA;

    if (b->cr0 >> 32 || (b->cr0 & (CR0_CD | CR0_NW)) == CR0_NW || (b->cr0 & (CR0_PG | CR0_PE)) == CR0_PG)
        return false;
    if (b->cr3 >> 48 || b->dr6 >> 32 || b->dr7 >> 32)
        return false;
    if (long_mode && !(b->cr4 & CR4_PAE))
        return false;
    return !(long_mode && (b->cs.attributes & (ATTR_LONG | ATTR_BIG)) == (ATTR_LONG | ATTR_BIG));
}

/* --- what VMRUN switches ------------------------------------------------------------------------------------------ */

static void load_intercepts(struct vmcb *b, const struct td_vmcs *v)
{
    b->intercept_exceptions = v->exception_bitmap | 1u << VECTOR_UD;
    b->intercept_1 &= ~SVM_INTERCEPT_RDTSC;
    b->intercept_2 &= ~SVM_INTERCEPT_RDTSCP;
    if (v->tsc_multiplier != TSC_MULTIPLIER_ONE) {
        b->intercept_1 |= SVM_INTERCEPT_RDTSC;
        b->intercept_2 |= SVM_INTERCEPT_RDTSCP;
    }
    if (v->interruptibility & BLOCKED_BY_NMI)
        b->intercept_1 |= SVM_INTERCEPT_IRET;
    else
        b->intercept_1 &= ~SVM_INTERCEPT_IRET;
}

void td_vmcb_load(struct cpu *cpu)
{
    const struct td_vmcs *v = td_vmcs(cpu);
    struct vmcb *b = cpu->td;

    load_intercepts(b, v);
    load_segments(b, v);
    td_vmcb_load_control_registers(cpu);
    b->tsc_offset = v->tsc_offset;
    b->int_state = v->interruptibility & (BLOCKED_BY_STI | BLOCKED_BY_MOV_SS) ? VMCB_INT_SHADOW : 0;
    b->nested_cr3 = stlb_root(&cpu->td_state->current->tlb);
    b->rip = v->rip;
    b->rsp = v->rsp;
    b->rflags = v->rflags;
    b->rax = v->gpr[RAX];
    b->cr2 = v->cr2;
    b->cr3 = v->cr3;
    b->dr6 = v->dr6 | DR6_FIXED;
    b->dr7 = v->dr7 | DR7_FIXED;
    b->debugctl = v->debugctl;
    b->g_pat = v->pat;
}

void td_vmcb_store(struct cpu *cpu)
{
    struct td_vmcs *v = td_vmcs(cpu);
    const struct vmcb *b = cpu->td;

    store_segments(v, b);
    v->interruptibility &= ~(BLOCKED_BY_STI | BLOCKED_BY_MOV_SS);
    if (b->int_state & VMCB_INT_SHADOW)
        v->interruptibility |= BLOCKED_BY_STI;
    v->rip = b->rip;
    v->rsp = b->rsp;
    v->rflags = b->rflags;
    v->gpr[RAX] = b->rax;
    v->efer = (v->efer & ~EFER_LMA) | (b->efer & EFER_LMA);
    v->cr2 = b->cr2;
    v->cr3 = b->cr3;
    v->dr6 = b->dr6;
    v->dr7 = b->dr7;
}

/* --- what VMRUN does not switch ----------------------------------------------------------------------------------- */

static void load_hidden(struct vmcb *b, const struct td_vmcs *v)
{
    b->fs = to_vmcb(&v->fs);
    b->gs = to_vmcb(&v->gs);
    b->ldtr = to_vmcb(&v->ldtr);
    b->tr = to_vmcb(&v->tr);
    b->star = v->star;
    b->lstar = v->lstar;
    b->cstar = v->cstar;
    b->sfmask = v->fmask;
    b->kernel_gs_base = v->kernel_gs_base;
    b->sysenter_cs = v->sysenter_cs;
    b->sysenter_esp = v->sysenter_esp;
    b->sysenter_eip = v->sysenter_eip;
}

static void store_hidden(struct td_vmcs *v, const struct vmcb *b)
{
    v->fs = to_vmcs(&b->fs);
    v->gs = to_vmcs(&b->gs);
    v->ldtr = to_vmcs(&b->ldtr);
    v->tr = to_vmcs(&b->tr);
    v->star = b->star;
    v->lstar = b->lstar;
    v->cstar = b->cstar;
    v->fmask = b->sfmask;
    v->kernel_gs_base = b->kernel_gs_base;
    v->sysenter_cs = b->sysenter_cs;
    v->sysenter_esp = b->sysenter_esp;
    v->sysenter_eip = b->sysenter_eip;
}

void td_begin(struct cpu *cpu)
{
    const struct td_vmcs *v = td_vmcs(cpu);

    svm_vmsave(cpu->vmm);
    load_hidden(cpu->td, v);
    svm_vmload(cpu->td);
    for (unsigned i = 0; i < 4; i++)
        cpu_set_dr(i, v->dr[i]);
    cpu_wrmsr(MSR_TSC_AUX, v->tsc_aux);
}

void td_end(struct cpu *cpu, struct td_vmcs *td)
{
    svm_vmsave(cpu->td);
    svm_vmload(cpu->vmm);
    store_hidden(td, cpu->td);
    for (unsigned i = 0; i < 4; i++)
        td->dr[i] = cpu_dr(i);
    td->tsc_aux = cpu_rdmsr(MSR_TSC_AUX);
}

/* --- single registers --------------------------------------------------------------------------------------------- */

u64 td_read_gpr(const struct cpu *cpu, unsigned n)
{
    return n == RAX ? cpu->td->rax : n == RSP ? cpu->td->rsp : td_vmcs(cpu)->gpr[n];
}

void td_write_gpr(struct cpu *cpu, unsigned n, u64 value)
{
    if (n == RAX)
        cpu->td->rax = value;
    else if (n == RSP)
        cpu->td->rsp = value;
    else
        td_vmcs(cpu)->gpr[n] = value;
}

enum insn_mode td_code_mode(const struct cpu *cpu)
{
    const struct vmcb *b = cpu->td;

    if (b->efer & EFER_LMA && b->cs.attributes & ATTR_LONG)
        return INSN_64;
    return b->cs.attributes & ATTR_BIG ? INSN_32 : INSN_16;
}

unsigned td_cpl(const struct cpu *cpu)
{
    return cpu->td->ss.attributes >> 5 & 3;
}

void td_insn_registers(struct cpu *cpu, struct insn_registers *out)
{
    struct vmcb *b = cpu->td;

    svm_vmsave(b); /* FS and GS stay in the CPU at #VMEXIT */
    for (unsigned i = 0; i < SEAM_GPRS; i++)
        out->gpr[i] = td_read_gpr(cpu, i);
    out->rip = b->rip;
    out->base[SEG_ES] = b->es.base;
    out->base[SEG_CS] = b->cs.base;
    out->base[SEG_SS] = b->ss.base;
    out->base[SEG_DS] = b->ds.base;
    out->base[SEG_FS] = b->fs.base;
    out->base[SEG_GS] = b->gs.base;
}
