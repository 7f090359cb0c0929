/*
 * TD vCPUs: see guest.h. This is also the lab's twin of guest/hw/td.asm and guest/probe/hw/start.asm (how a vCPU comes to C,
 * the exceptions). SDM volume 3, sections 26.5.7 and 29.3.3; docs/simulator.md for the software TLB, which is the same one.
 *
 * Left out: the ROM, and whatever code of the payload would fetch: its own instructions cause no EPT violations here.
 */
#include "lab/guest.h"

#include <string.h>

#include "guest/hw/td.h"
#include "guest/probe/main.h"
#include "lab/cost.h"
#include "lab/machine.h"
#include "lab/memory.h"
#include "lib/bits.h"
#include "lab/tlb.h"
#include "sim/machine/pmu.h"
#include "sim/module/seam.h"

#define TDG_VP_INFO 1u
#define GPAW_MASK   0x3fu

#define REASON_INTERRUPT     1u
#define REASON_CPUID         10u
#define REASON_EPT_VIOLATION 48u
#define REASON_TDCALL        77u
#define TDCALL_BYTES         4u
#define CPUID_BYTES          2u
#define ACCESS_BYTES         3u /* of the payload's loads and stores */
#define EVENT_VALID          BIT(31)

#define QUAL_PERMISSIONS_SHIFT 3
#define QUAL_LINEAR_VALID      BIT(7)
#define QUAL_FINAL             BIT(8)

/* Where the vCPU stands, as far as anybody outside looks: the stepping filters compare these, and nothing else. */
#define RIP_TDCALL  0x1000u
#define RIP_READ    0x2000u
#define RIP_WRITE   0x3000u
#define RIP_PAUSE   0x4000u
#define RIP_CPUID   0x5000u
#define RIP_BETWEEN 0x6000u /* of two accesses: where most interrupts find it */

#define CR0_PE_PG       (BIT(31) | BIT(0))
#define CR4_PAE         BIT(5)
#define EFER_LME_LMA    (BIT(8) | BIT(10))
#define CS_LONG         (1u << 13)
#define CS_DEFAULT_BIG  (1u << 14)
#define ACCESS_DPL_MASK (3u << 5)

#define GUESTS_MAX PROBE_MAX_VCPUS

static struct guest {
    struct td_vmcs *td; /* NULL: free */
    struct stack stack;
    struct tlb tlb;
    unsigned cpu; /* that it ran on last */
    uint32_t index;
    u64 image; /* GPA of the payload */
} guests[GUESTS_MAX];

static struct guest *inside[MACHINE_CPUS_MAX]; /* by CPU: the one that runs there, or ran last */
static u64 image_gpa;                          /* of the TD's payload */

/* The payload's own memory, as start.asm lays it out. */
struct probe_header probe_image;
uint8_t probe_stacks[PROBE_MAX_VCPUS * PROBE_STACK_BYTES] __attribute__((aligned(16)));
const uint8_t exception_stubs[PROBE_VECTORS][16];
/* Variables of main.c, which are zero when a TD begins; the build gives them a section of their own. */
extern char __start_probe_bss[], __stop_probe_bss[];

static struct guest *self(void)
{
    return inside[machine_index()];
}

/* --- leaving and coming back -------------------------------------------------------------------------------------- */

/* An exception that the module or an instruction of the payload raises. The frame is all that its handler looks at. */
static void take_event(struct guest *g)
{
    struct trap_frame *frame = (struct trap_frame *)&probe_stacks[g->index * PROBE_STACK_BYTES];

    *frame = (struct trap_frame){
        .vector = g->td->entry_intr_info & 0xff, .error_code = g->td->entry_error_code, .rip = g->td->rip};
    g->td->entry_intr_info = 0;
    machine_pass(cost_of(COST_VE));
    probe_trap(frame, g->td->cr2);
}

/* A VM exit; returns when the vCPU has been entered again. */
static void leave(struct guest *g, u32 reason, u64 qualification, u64 gpa, u32 instruction_bytes)
{
    struct td_vmcs *td = g->td;

    td->exit_reason = reason;
    td->qualification = qualification;
    td->guest_physical = gpa;
    td->guest_linear = 0;
    td->exit_intr_info = reason == REASON_INTERRUPT ? (u32)EVENT_VALID | machine_acknowledge() : 0;
    td->exit_error_code = td->idt_vectoring_info = td->idt_vectoring_error = td->exit_instr_info = 0;
    td->exit_instr_len = instruction_bytes;
    machine_self->runs = &machine_self->vmm;
    stack_switch_to(&g->stack, &machine_self->vmm);
    if (td->entry_intr_info & EVENT_VALID)
        take_event(g);
}

/* Interrupts of the CPU take the vCPU out. */
static void let_interrupts_in(struct guest *g)
{
    while (machine_is_interrupted())
        leave(g, REASON_INTERRUPT, 0, 0, 0);
}

/* --- the payload's instructions ----------------------------------------------------------------------------------- */

static void load_registers(u64 *gpr, const struct td_regs *r)
{
    gpr[RAX] = r->rax, gpr[RCX] = r->rcx, gpr[RDX] = r->rdx, gpr[RBX] = r->rbx, gpr[RSI] = r->rsi, gpr[RDI] = r->rdi;
    gpr[R8] = r->r8, gpr[R9] = r->r9, gpr[R10] = r->r10, gpr[R11] = r->r11;
    gpr[R12] = r->r12, gpr[R13] = r->r13, gpr[R14] = r->r14, gpr[R15] = r->r15;
}

static void store_registers(struct td_regs *r, const u64 *gpr)
{
    *r = (struct td_regs){gpr[RAX], gpr[RCX], gpr[RDX], gpr[RBX], gpr[RSI], gpr[RDI], gpr[R8],
                          gpr[R9],  gpr[R10], gpr[R11], gpr[R12], gpr[R13], gpr[R14], gpr[R15]};
}

/* The instruction is done when RIP is behind it; until then it is executed again. */
void tdcall(struct td_regs *regs)
{
    struct guest *g = self();

    g->td->rip = RIP_TDCALL;
    while (g->td->rip == RIP_TDCALL) {
        let_interrupts_in(g);
        g->td->rip = RIP_TDCALL;
        load_registers(g->td->gpr, regs);
        leave(g, REASON_TDCALL, 0, 0, TDCALL_BYTES);
    }
    store_registers(regs, g->td->gpr);
}

void td_load_cr3(uint64_t cr3)
{
    self()->td->cr3 = cr3;
}

void td_load_idt(const void *base, uint16_t limit)
{
    (void)base;
    (void)limit;
}

uint64_t td_read_tsc(void)
{
    const struct td_vmcs *td = self()->td;

    machine_pass(cost_of(COST_RDTSC));
    return (u64)((unsigned __int128)machine_self->clock * td->tsc_multiplier >> 48) + td->tsc_offset;
}

/* Of those that the payload uses the processor has all that the TD has: performance counters. */
uint64_t td_read_msr(uint32_t msr)
{
    u64 value = 0;

    if (!pmu_has_msr(msr) || !pmu_read(&self()->td->pmu, msr, &value))
        machine_stop("the payload reads MSR 0x%x, which the lab has not", msr);
    return value;
}

void td_write_msr(uint32_t msr, uint64_t value)
{
    if (!pmu_has_msr(msr) || !pmu_write(&self()->td->pmu, msr, value))
        machine_stop("the payload writes 0x%llx to MSR 0x%x, which the lab has not", (unsigned long long)value, msr);
}

void td_cpuid(uint32_t leaf, uint32_t regs[4])
{
    struct guest *g = self();
    u64 *gpr = g->td->gpr;

    g->td->rip = RIP_CPUID;
    gpr[RAX] = leaf;
    gpr[RCX] = 0;
    leave(g, REASON_CPUID, 0, 0, CPUID_BYTES);
    regs[0] = (u32)gpr[RAX];
    regs[1] = (u32)gpr[RBX];
    regs[2] = (u32)gpr[RCX];
    regs[3] = (u32)gpr[RDX];
}

void td_pause(void)
{
    struct guest *g = self();

    machine_pass_alone(cost_of(COST_PAUSE));
    g->td->rip = RIP_PAUSE;
    let_interrupts_in(g);
}

/* --- memory ------------------------------------------------------------------------------------------------------- */

static u64 gpa_of(const struct guest *g, uintptr_t address)
{
    u64 shared = address >= PROBE_SHARED_WINDOW ? BIT(g->td->gpaw - 1) : 0;
    return (address & ~PROBE_SHARED_WINDOW) | shared;
}

/*
 * The processor's way: what the TLB has counts, whatever the tables say by now, and nobody else's turn changes it. Time passes
 * before, so that what is found here is still true when the caller makes the access.
 */
void *td_reach(uintptr_t address, uint64_t bytes, bool write)
{
    struct guest *g = self();
    u64 gpa = gpa_of(g, address);

    machine_pass_alone(cost_of(COST_TOUCH) + cost_of(COST_ACCESS) * ((bytes + 7) / 8));
    for (;;) {
        u64 hpa = 0;
        u32 permissions = 0;
        g->td->rip = RIP_BETWEEN;
        let_interrupts_in(g);
        g->td->rip = write ? RIP_WRITE : RIP_READ;
        enum tlb_answer answer = tlb_translate(&g->tlb, g->td, gpa, write, &hpa, &permissions);
        if (answer == TLB_HIT)
            return memory_at(hpa);
        if (answer == TLB_MISSED) /* it is there now, if nobody comes in between */
            continue;
        leave(g, REASON_EPT_VIOLATION,
              (write ? EPT_WRITE : EPT_READ) | (u64)permissions << QUAL_PERMISSIONS_SHIFT | QUAL_LINEAR_VALID |
                  QUAL_FINAL,
              gpa, ACCESS_BYTES);
    }
}

uint64_t td_address_of(const void *object)
{
    return image_gpa + (u64)((const char *)object - (const char *)&probe_image);
}

/* --- life --------------------------------------------------------------------------------------------------------- */

/* Where the ROM leads: 64-bit mode, flat segments. */
static void enter_long_mode(struct td_vmcs *td)
{
    td->cr0 |= CR0_PE_PG;
    td->cr4 |= CR4_PAE;
    td->efer |= EFER_LME_LMA;
    td->cs.access = (td->cs.access | CS_LONG) & ~(CS_DEFAULT_BIG | ACCESS_DPL_MASK);
    td->ss.access &= ~ACCESS_DPL_MASK;
}

static void live(void *arg)
{
    struct guest *g = arg;
    struct td_regs r = {.rax = TDG_VP_INFO};

    image_gpa = g->td->gpr[RCX]; /* TDH.VP.INIT's */
    enter_long_mode(g->td);
    tdcall(&r);
    g->index = (uint32_t)r.r9;
    struct probe_header header;
    memcpy(&header, td_reach(image_gpa, sizeof(header), false), sizeof(header));
    probe_image = header;
    probe_main(g->index, (uint32_t)r.rcx & GPAW_MASK);
}

static struct guest *guest_of(struct td_vmcs *td)
{
    struct guest *g = guests;

    while (g < guests + GUESTS_MAX && g->td && g->td != td)
        g++;
    if (g == guests + GUESTS_MAX)
        machine_stop("a TD has more vCPUs than its payload has stacks for");
    if (!g->td) {
        g->td = td;
        tlb_start(&g->tlb);
        stack_aim(&g->stack, live, g);
    }
    return g;
}

void guest_run(struct seam_lp *lp)
{
    unsigned cpu = machine_index();

    if (!inside[cpu] || inside[cpu]->td != lp->td)
        inside[cpu] = guest_of(lp->td);
    struct guest *g = inside[cpu];
    if (g->cpu != cpu) /* what another CPU had of it stayed there */
        tlb_flush(&g->tlb);
    g->cpu = cpu;
    machine_self->runs = &g->stack;
    stack_switch_to(&machine_self->vmm, &g->stack);
}

void guest_invept(unsigned cpu, u64 eptp)
{
    machine_pass(cost_of(COST_INVEPT));
    for (unsigned i = 0; i < GUESTS_MAX && guests[i].td; i++)
        if (guests[i].cpu == cpu && tlb_is_of(&guests[i].tlb, eptp))
            tlb_flush(&guests[i].tlb);
}

void guest_forget_all(void)
{
    memset(__start_probe_bss, 0, (size_t)(__stop_probe_bss - __start_probe_bss));
    memset(inside, 0, sizeof(inside));
    for (unsigned i = 0; i < GUESTS_MAX; i++)
        guests[i].td = NULL;
}
