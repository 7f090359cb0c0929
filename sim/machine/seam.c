/*
 * SEAMCALL: the VMM's registers go to the module, the module says who runs next. Extended state (x87, SSE, AVX, ...) is the one
 * thing that VMRUN does not switch: while a TD runs, the VMM's waits in a page of the CPU's, the TD's in one of its vCPU's.
 */
#include "sim/machine/vmx.h"
#include "sim/machine/config.h"
#include "sim/machine/hw/cpu.h"
#include "sim/machine/hw/svm.h"
#include "sim/machine/td/td.h"

#define RFLAGS_STATUS 0x8d5ull
#define CR4_OSXSAVE   (1ull << 18)
#define MXCSR_RESET   0x1f80
#define MXCSR_AT      24
#define XSTATE_BV_AT  512

/* A page that was never saved to is all zero: the reset state, but for MXCSR, which XRSTOR takes as it stands. */
static void prepare_first_use(u8 *area)
{
    if (!*(u64 *)(area + XSTATE_BV_AT) && !*(u32 *)(area + MXCSR_AT))
        *(u32 *)(area + MXCSR_AT) = MXCSR_RESET;
}

static u64 extended_to_td(struct cpu *cpu)
{
    u8 *area = (u8 *)cpu->lp.td->xsave_hpa;
    u64 vmm_xcr0 = cpu_xgetbv0();
    cpu_xsetbv0(cpu_extended_state());
    cpu_xsave(cpu->fpu, cpu_extended_state());
    prepare_first_use(area);
    cpu_xrstor(area, cpu_extended_state());
    cpu_xsetbv0(cpu->lp.td->xcr0 | 1);
    return vmm_xcr0;
}

static void extended_to_vmm(struct cpu *cpu, struct td_vmcs *td, u64 vmm_xcr0)
{
    cpu_xsetbv0(cpu_extended_state());
    cpu_xsave((void *)td->xsave_hpa, cpu_extended_state());
    cpu_xrstor(cpu->fpu, cpu_extended_state());
    cpu_xsetbv0(vmm_xcr0);
}

/* XSETBV exits or not, as the emulator has it (see docs/simulator.md): XCR0 is the TD's in the CPU, then the module's. */
static enum seam_next exit_to_module(struct cpu *cpu, struct td_vmcs *td)
{
    u64 xcr0 = td->xcr0 = cpu_xgetbv0();
    enum seam_next next = module_td_exit(&cpu->lp);

    if (next == SEAM_TO_TD && td->xcr0 != xcr0)
        cpu_xsetbv0(td->xcr0);
    return next;
}

static void run_td(struct cpu *cpu)
{
    struct td_vmcs *td = cpu->lp.td;
    u64 vmm_xcr0 = extended_to_td(cpu);
    td_begin(cpu);
    do {
        cpu->td_exits++;
        td_run(cpu);
    } while (exit_to_module(cpu, td) == SEAM_TO_TD);
    td_end(cpu, td);
    extended_to_vmm(cpu, td, vmm_xcr0);
}

/* --- what the configuration adds -------------------------------------------------------------------------------------- */

#define LEAF_MASK 0xffff

/* The plan's status for this call, if it has one. Calls are counted over all CPUs. */
static bool planned_fault(u64 leaf, u64 *status)
{
    static u64 calls[CONFIG_LIST_MAX]; /* atomic */
    const struct config_list *faults = &sim_config()->faults;
    bool hit = false;
    for (unsigned i = 0; i < faults->count; i++)
        if (faults->lines[i][0] == leaf && __atomic_add_fetch(&calls[i], 1, __ATOMIC_RELAXED) == faults->lines[i][1]) {
            *status = faults->lines[i][2];
            hit = true;
        }
    return hit;
}

/* Leaves that change the Secure EPT, one bit each: SEPT.ADD, RELOCATE, AUG, BLOCK, DEMOTE, PROMOTE, REMOVE, SEPT.REMOVE,
 * UNBLOCK. */
#define LEAVES_OF_THE_TREE                                                                                             \
    (1ull << 3 | 1ull << 5 | 1ull << 6 | 1ull << 7 | 1ull << 15 | 1ull << 23 | 1ull << 29 | 1ull << 30 | 1ull << 39)
#define BUSY_ENTRY 0x8000020000000001ull /* OPERAND_BUSY for RCX */
#define BUSY_TREE  0x8000020000000092ull

/* BUSY for nothing: by turns it is the entry that another has, and the whole tree. Calls are counted over all CPUs. */
static bool busy_for_nothing(u64 leaf, u64 *status)
{
    static u32 calls, times; /* atomic */
    u32 every = sim_config()->busy_every;
    if (!every || leaf > 63 || !(LEAVES_OF_THE_TREE >> leaf & 1))
        return false;
    if (__atomic_add_fetch(&calls, 1, __ATOMIC_RELAXED) % every)
        return false;
    *status = __atomic_add_fetch(&times, 1, __ATOMIC_RELAXED) & 1 ? BUSY_ENTRY : BUSY_TREE;
    return true;
}

static void add_latency(u64 leaf)
{
    u64 start = cpu_rdtsc();
    const struct config_list *latencies = &sim_config()->latencies;
    for (unsigned i = 0; i < latencies->count; i++)
        while (latencies->lines[i][0] == leaf && cpu_rdtsc() - start < latencies->lines[i][1])
            ;
}

void seam_call(struct cpu *cpu, const struct insn *insn)
{
    struct vmcb *v = cpu->vmm;
    u64 leaf = v->rax & LEAF_MASK;
    cpu->lp.vmm[RAX] = v->rax;
    cpu->lp.vmm_rflags = v->rflags;
    v->rflags &= ~RFLAGS_STATUS;
    v->rip += insn->length;
    if (planned_fault(leaf, &v->rax) || busy_for_nothing(leaf, &v->rax))
        return;
    enum seam_next next = module_seamcall(&cpu->lp);
    add_latency(leaf);
    if (next == SEAM_TO_TD)
        run_td(cpu);
    v->rax = cpu->lp.vmm[RAX];
}
