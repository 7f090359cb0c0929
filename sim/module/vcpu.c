/*
 * A fresh vCPU: architectural state after TDH.VP.INIT, execution controls, TDVPS fields (Intel TDX Module v1.5 ABI
 * Specification, "TD VCPU Initial State"; Base Architecture Specification, "Initial State of TD VCPUs").
 */
#include "sim/module/control.h"
#include "sim/module/metadata.h"

#define SEGMENT_CODE   0xc09bu /* 4G flat 32-bit code, present, accessed */
#define SEGMENT_DATA   0xc093u
#define SEGMENT_LDTR   0x10082u /* not usable */
#define SEGMENT_TR     0x8bu
#define CR0_START      0x21ull /* protected mode, no paging */
#define CR0_PE         1ull
#define CR0_NE         0x20ull
#define XSAVE_XCOMP_BV 520

/* Execution controls as a production TD has them, without those that depend on its configuration. */
#define PINBASED           0x29u
#define PROCBASED          0x91220088u
#define PROCBASED_RDPMC    (1u << 11)
#define PROCBASED_MONITOR  (1u << 10 | 1u << 29) /* MWAIT and MONITOR exit */
#define PROCBASED2         0x133cb3fau
#define PROCBASED2_WAITPKG (1u << 26)
#define PROCBASED3         0x80ull
#define PROCBASED3_GPAW    (1ull << 5)
#define EXIT_CONTROLS      0x1f3c8204u
#define EXIT_COUNTERS      (1u << 12 | 1u << 30)
#define ENTRY_CONTROLS     0x3ec004u
#define ENTRY_COUNTERS     (1u << 13)
#define ENTRY_PKRS         (1u << 22)
#define CR4_START          0x2040ull
#define EFER_START         0x901ull /* NXE, LME, SCE: paging turned on means long mode */
#define RIP_START          0xfffffff0ull
#define RFLAGS_START       2ull
#define DR6_START          0xffff0ff0ull
#define DR7_START          0x400ull
#define PAT_START          0x0007040600070406ull
#define BITMAP_MC          (1u << 18)

static void set_segments(struct td_vmcs *run)
{
    const struct seam_seg data = {.access = SEGMENT_DATA, .limit = 0xffffffff};
    run->cs = (struct seam_seg){.access = SEGMENT_CODE, .limit = 0xffffffff};
    run->es = run->ss = run->ds = run->fs = run->gs = data;
    run->ldtr = (struct seam_seg){.access = SEGMENT_LDTR, .limit = 0xffff};
    run->tr = (struct seam_seg){.access = SEGMENT_TR, .limit = 0xffff};
    run->gdtr_limit = 0xffff;
    run->idtr_limit = 0;
}

static void set_registers(struct td_vmcs *run, const struct td *td, const struct vcpu *vcpu, u64 rcx)
{
    run->gpr[RCX] = run->gpr[R8] = rcx;
    run->gpr[RBX] = td->tdcs->gpaw ? 52 : 48;
    run->gpr[RDX] = mdl_cpuid_signature(td);
    run->gpr[RSI] = vcpu->tdvps->vcpu_index;
    run->rip = RIP_START;
    run->rflags = RFLAGS_START;
    run->cr0 = CR0_START;
    run->cr4 = CR4_START;
    run->xcr0 = 1;
    run->efer = EFER_START;
    run->dr6 = DR6_START;
    run->dr7 = DR7_START;
    run->pat = PAT_START;
    run->pmu.global_control = 0xff;
    run->fmask = 0x20200; /* as the genuine module leaves it */
}

static void set_controls(struct td_vmcs *run, const struct td *td, const struct vcpu *vcpu)
{
    const struct tdcs *tdcs = td->tdcs;
    run->eptp = tdcs->eptp;
    run->shared_eptp = td->tdr->tdcx_pa[TDCS_PAGE_ZERO];
    run->ve_info_hpa = vcpu->tdvpr_hpa;
    run->msr_bitmap_hpa = td->tdr->tdcx_pa[TDCS_PAGE_MSR_BITMAPS];
    run->vapic_hpa = vcpu->tdvps->tdvps_pa[TDVPS_PAGE_VAPIC];
    run->xsave_hpa = vcpu->tdvps->tdvps_pa[TDVPS_PAGE_XSAVE + 1]; /* the first shows the compacted format's header */
    run->cr0_mask = mdl_cr0_mask();
    run->cr0_shadow = mdl_cr0_shadow();
    run->cr4_mask = mdl_cr4_mask(tdcs);
    run->cr4_shadow = mdl_cr4_shadow();
    run->tsc_offset = tdcs->tsc_offset;
    run->tsc_multiplier = tdcs->tsc_multiplier;
    run->exception_bitmap = BITMAP_MC;
    run->gpaw = tdcs->gpaw ? 52 : 48;
}

static void set_hidden_controls(struct tdvps_vmcs *vmcs, const struct td *td)
{
    vmcs->shared_eptp = mdl_with_keyid(td->tdr->tdcx_pa[TDCS_PAGE_ZERO], td->tdr->hkid);
    const struct tdcs *tdcs = td->tdcs;
    bool counters = tdcs->attributes & (ATTR_PERFMON | ATTR_DEBUG), keys = tdcs->attributes & (ATTR_PKS | ATTR_DEBUG);
    md_vmcs_init(vmcs);
    vmcs->run.pinbased = PINBASED;
    vmcs->run.rdpmc_exits = !(tdcs->attributes & ATTR_PERFMON);
    vmcs->procbased =
        PROCBASED | (vmcs->run.rdpmc_exits ? PROCBASED_RDPMC : 0) | (tdcs->cpuid_monitor ? 0 : PROCBASED_MONITOR);
    vmcs->procbased2 = PROCBASED2 | (tdcs->cpuid_waitpkg ? PROCBASED2_WAITPKG : 0);
    vmcs->procbased3 = PROCBASED3 | (tdcs->gpaw ? PROCBASED3_GPAW : 0);
    vmcs->exit_controls = EXIT_CONTROLS | (counters ? EXIT_COUNTERS : 0);
    vmcs->entry_controls = ENTRY_CONTROLS | (counters ? ENTRY_COUNTERS : 0) | (keys ? ENTRY_PKRS : 0);
    vmcs->run.posted_vector = 0xffff;
    vmcs->run.posted_descriptor = ~0ull;
}

void mdl_vcpu_init(const struct td *td, struct vcpu *vcpu, u64 rcx)
{
    struct tdvps *tdvps = vcpu->tdvps;
    set_segments(&vcpu->vmcs->run);
    set_registers(&vcpu->vmcs->run, td, vcpu, rcx);
    set_controls(&vcpu->vmcs->run, td, vcpu);
    set_hidden_controls(vcpu->vmcs, td);
    u64 *xsave = tdvps_page(tdvps, TDVPS_PAGE_XSAVE);
    xsave[XSAVE_XCOMP_BV / 8] = 1ull << 63; /* compacted format */
    tdvps->xfam = td->tdcs->xfam;
    tdvps->last_exit_tsc = plat_tsc();
    tdvps->l2_cr_base[0] = mdl_cr0_mask() & ~CR0_PE;
    tdvps->l2_cr_base[1] = CR0_NE;
    tdvps->l2_cr_base[2] = mdl_cr4_mask(td->tdcs);
    tdvps->l2_cr_base[3] = CR4_START;
    tdvps->last_td_exit = LAST_EXIT_FAULT;
    tdvps->tsc_deadline[0] = ~0ull;
}
