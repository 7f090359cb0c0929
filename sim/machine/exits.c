/* Exits of the VMM, and the upkeep around them. */
#include "sim/machine/exits.h"
#include "sim/machine/ap.h"
#include "sim/machine/config.h"
#include "sim/machine/cpuid.h"
#include "sim/machine/event.h"
#include "sim/machine/guard.h"
#include "sim/machine/guest.h"
#include "sim/machine/hw/cpu.h"
#include "sim/machine/hw/svm.h"
#include "sim/machine/log.h"
#include "sim/machine/memory.h"
#include "sim/machine/msr.h"
#include "sim/machine/nmi.h"
#include "sim/machine/npt.h"
#include "sim/machine/platform.h"
#include "sim/machine/pool.h"
#include "sim/machine/selftest.h"
#include "sim/machine/shoot.h"
#include "sim/machine/relief.h"
#include "sim/machine/vmx.h"

#define ASID_VMM           1
#define CR0_WP             (1ull << 16)
#define CR0_PG             (1ull << 31)
#define CR0_EM_TS          (1ull << 2 | 1ull << 3)
#define CR4_VMXE           (1ull << 13)
#define CR4_SMXE           (1ull << 14)
#define CR4_LA57           (1ull << 12)
#define CR4_FOLLOWED       (1ull << 4 | 1ull << 7 | 1ull << 20 | 1ull << 21) /* PSE, PGE, SMEP, SMAP */
#define CR4_OURS           (1ull << 9 | 1ull << 10 | 1ull << 18)             /* OSFXSR, OSXMMEXCPT, OSXSAVE: no flush */
#define RESET_CONTROL      0xcf9
#define OPCODE_MOV_FROM_CR 0x20
#define OPCODE_MOV_TO_CR   0x22
#define HYPERVISOR_LEAF    0x40000000

static u64 image_base;         /* of the core's image; constant after start */
static u64 image_bytes;        /* atomic; none once the image is hidden */
static void *msr_map, *io_map; /* for all CPUs; constant after start */

void exits_set_image(u64 base, u64 bytes)
{
    image_base = base;
    image_bytes = (bytes + 4095) & ~4095ull;
}

void exits_init(struct cpu *cpu)
{
    struct vmcb *v = cpu->vmm;
    if (!msr_map) {
        msr_map = msr_make_map();
        io_map = pool_take(3);
    }
    v->intercept_cr_read = v->intercept_cr_write = VMCB_CR(4);
    if (selftest_quirks()->cr_reads_are_cr0s)
        v->intercept_cr_read |= VMCB_CR(0);
    v->intercept_exceptions = 1u << VECTOR_UD;
    v->intercept_1 =
        SVM_INTERCEPT_NMI | SVM_INTERCEPT_CPUID | SVM_INTERCEPT_MSR | SVM_INTERCEPT_INVLPGA | SVM_INTERCEPT_SHUTDOWN;
    v->intercept_2 = SVM_INTERCEPT_VMRUN | SVM_INTERCEPT_VMMCALL | SVM_INTERCEPT_VMLOAD | SVM_INTERCEPT_VMSAVE |
                     SVM_INTERCEPT_STGI | SVM_INTERCEPT_CLGI | SVM_INTERCEPT_SKINIT;
    v->iopm = (u64)io_map;
    v->msrpm = (u64)msr_map;
    v->asid = ASID_VMM;
    v->nested_control = VMCB_NESTED_PAGING;
    v->nested_cr3 = npt_root();
    msr_init(cpu);
}

/* The core's pages are supervisor pages, written only where they are writable: none of the bits matters to it. */
void exits_follow_control_registers(const struct vmcb *v)
{
    u64 cr0 = cpu_cr0(), cr4 = cpu_cr4();
    u64 want0 = ((cr0 & ~CR0_WP) | (v->cr0 & CR0_WP)) & ~CR0_EM_TS;
    u64 want4 = (cr4 & ~CR4_FOLLOWED) | (v->cr4 & CR4_FOLLOWED) | CR4_OURS;
    if (!(v->cr0 & CR0_PG))
        return;
    if (want0 != cr0)
        cpu_set_cr0(want0);
    if (want4 != cr4)
        cpu_set_cr4(want4);
}

static void decode(struct cpu *cpu, struct insn *insn)
{
    if (!guest_insn(cpu, insn))
        sim_stop("cannot read the VMM's instruction at %lx", (unsigned long)cpu->vmm->rip);
}

static u64 control_register(struct cpu *cpu, unsigned number)
{
    switch (number) {
    case 2:
        return cpu->vmm->cr2;
    case 3:
        return cpu->vmm->cr3;
    case 4:
        return cpu->vmm_cr4;
    case 8:
        return cpu_cr8();
    default:
        return cpu->vmm->cr0;
    }
}

/*
 * No decode assists: both registers are in the instruction. Which control register's reading exits is a quirk, see selftest.h;
 * with CR0 among them SMSW exits too. Its form with a memory operand is refused.
 */
static void read_cr(struct cpu *cpu)
{
    struct insn insn;
    decode(cpu, &insn);
    bool is_mov = insn.map == MAP_0F && insn.opcode == OPCODE_MOV_FROM_CR;
    if (!is_mov && insn_rm_is_memory(&insn)) {
        guest_inject(cpu, VECTOR_UD);
        return;
    }
    u64 value = control_register(cpu, is_mov ? insn_reg(&insn) : 0);
    *guest_gpr(cpu, insn_rm(&insn)) = guest_mode(cpu) == INSN_64 ? value : (u32)value;
    cpu->vmm->rip += insn.length;
}

static void write_cr4(struct cpu *cpu)
{
    struct vmcb *v = cpu->vmm;
    struct insn insn;
    decode(cpu, &insn);
    u64 value = *guest_gpr(cpu, insn_rm(&insn)), old = cpu->vmm_cr4;
    u64 left = sim_config()->cr4_left & ~msr_cr4_allowed(); /* shown, and does nothing */
    bool bad = value & ~(msr_cr4_allowed() | left) || (cpu->vmx_root && !(value & CR4_VMXE)) ||
               (v->cr0 & CR0_PG && (value ^ old) & CR4_LA57);
    if (bad) {
        guest_inject_error(cpu, VECTOR_GP, 0);
        return;
    }
    cpu->vmm_cr4 = value;
    v->cr4 = value & ~(CR4_VMXE | CR4_SMXE | left);
    v->rip += insn.length;
    if (old & ~value & sim_config()->cr4_left)
        sim_log("the VMM turned %lx off in CR4 of CPU %u", (unsigned long)(old & ~value), cpu->index);
    if (selftest_quirks()->vmxon_is_nothing && value & ~old & CR4_VMXE)
        vmx_watch(cpu);
}

/* Where there is no RAM, a device answers: addresses above what was mapped at start are let through page by page. */
static void nested_fault(struct cpu *cpu)
{
    guard_fault(cpu, cpu->vmm->exit_info_2, cpu->vmm->exit_info_1);
}

/* The first look at the hypervisor's name from outside the core's image shows that nobody will return into it any more. */
static void hide_image(const struct cpu *cpu)
{
    u64 bytes = __atomic_load_n(&image_bytes, __ATOMIC_RELAXED);
    bool inside = cpu->vmm->rip - image_base < bytes;
    if (!bytes || inside || (u32)cpu->vmm->rax != HYPERVISOR_LEAF)
        return;
    if (__atomic_exchange_n(&image_bytes, 0, __ATOMIC_RELAXED))
        guard_hide(image_base, bytes);
}

_Noreturn static void shut_down(struct cpu *cpu)
{
    sim_log("the VMM met a triple fault at %lx, stack %lx, CR2 %lx, CR3 %lx: machine reset",
            (unsigned long)cpu->vmm->rip, (unsigned long)cpu->vmm->rsp, (unsigned long)cpu->vmm->cr2,
            (unsigned long)cpu->vmm->cr3);
    cpu_out8(RESET_CONTROL, 0x02);
    cpu_out8(RESET_CONTROL, 0x06);
    cpu_halt_forever();
}

/* QEMU leaves a guest that loads reserved bits into CR3 with this exit, where a CPU raises #GP. Anything else is a fault of ours. */
static void refused(struct cpu *cpu)
{
    struct insn insn;
    if (!guest_insn(cpu, &insn) || insn.map != MAP_0F || insn.opcode != OPCODE_MOV_TO_CR)
        sim_stop("broken: VMRUN refuses the VMM's state");
    guest_inject_error(cpu, VECTOR_GP, 0);
}

static void answer(struct cpu *cpu)
{
    struct vmcb *v = cpu->vmm;
    switch (vmcb_exit(v)) {
    case VMEXIT_EXCP_UD:
        vmx_undefined_exit(cpu);
        break;
    case VMEXIT_NPF:
        nested_fault(cpu);
        break;
    case VMEXIT_NMI:
        nmi_exit(cpu);
        break;
    case VMEXIT_IRET:
        nmi_iret_exit(cpu);
        break;
    case VMEXIT_CPUID:
        hide_image(cpu);
        cpuid_exit(cpu);
        break;
    case VMEXIT_MSR:
        msr_exit(cpu);
        break;
    case VMEXIT_READ_CR0:
    case VMEXIT_READ_CR0 + 4:
        read_cr(cpu);
        break;
    case VMEXIT_WRITE_CR0 + 4:
        write_cr4(cpu);
        break;
    case VMEXIT_EXCP_BASE + VECTOR_DB:
        if (!nmi_step_exit(cpu))
            vmx_watch_exit(cpu);
        break;
    case VMEXIT_VMRUN:
    case VMEXIT_VMMCALL:
    case VMEXIT_VMLOAD:
    case VMEXIT_VMSAVE:
    case VMEXIT_STGI:
    case VMEXIT_CLGI:
    case VMEXIT_SKINIT:
    case VMEXIT_INVLPGA:
        guest_inject(cpu, VECTOR_UD);
        break;
    case VMEXIT_SHUTDOWN:
        shut_down(cpu);
    case VMEXIT_INVALID:
        refused(cpu);
        break;
    default:
        sim_stop("exit %x of the VMM is none the platform knows", vmcb_exit(v));
    }
}

/* QEMU flushes at every VMRUN; a real CPU is told. */
static void run_vmm(struct cpu *cpu)
{
    struct vmcb *v = cpu->vmm;
    v->tlb_control = shoot_enter(cpu, SHOOT_VMM);
    exits_follow_control_registers(v);
    svm_run(v, cpu->lp.vmm);
    shoot_leave(cpu, SHOOT_VMM);
    cpu->exits++;
    v->event_injection = 0;
}

_Noreturn void exits_loop(struct cpu *cpu)
{
    for (;;) {
        run_vmm(cpu);
        event_keep_shadow(cpu);
        guard_exit(cpu);
        answer(cpu);
        event_again(cpu->vmm);
        if (ap_init_is_due(cpu))
            ap_wait_for_startup(cpu);
        if (relief_is_due(cpu))
            relief_take_over(cpu);
    }
}
