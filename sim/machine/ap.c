/* Application processors: see ap.h. */
#include "sim/machine/ap.h"
#include "sim/machine/apic.h"
#include "sim/machine/config.h"
#include "sim/machine/exits.h"
#include "sim/machine/hw/cpu.h"
#include "sim/machine/hw/svm.h"
#include "sim/machine/hw/tables.h"
#include "sim/machine/lock.h"
#include "sim/machine/log.h"
#include "sim/machine/nmi.h"
#include "sim/machine/platform.h"
#include "sim/machine/shoot.h"

#define CR0_AT_INIT   0x60000010ull
#define PAT_AT_RESET  0x0007040600070406ull
#define CPUID_AT_SIPI 0x000806f8ull /* RDX: the signature that CPUID shows */
#define DR6_AT_INIT   0xffff0ff0ull
#define DR7_AT_INIT   0x400ull

/* Attributes of segments after INIT: SDM vol. 3, table 9-1. */
#define DATA_SEGMENT 0x093
#define CODE_SEGMENT 0x09b
#define LDT_SEGMENT  0x082
#define TASK_SEGMENT 0x08b

#define INIT_WAIT_US    10000 /* SDM vol. 3, "MP initialization protocol": 10 ms behind INIT, 200 us between SIPIs */
#define STARTUP_WAIT_US 200
#define STARTUP_TRIES   2
#define UP_WAIT_US      2000000 /* from SIPI to the core's first line of C on that CPU */

static struct lock starting;       /* one CPU at a time is in the trampoline */
static struct ap_page *trampoline; /* constant after start; what it points to is under `starting` */

void ap_setup(u64 page, u64 page_table_root)
{
    trampoline = ap_place_trampoline(page, page_table_root);
}

/* --- the VMM's registers after SIPI --------------------------------------------------------------------------------- */

static struct vmcb_seg real_mode(u16 attributes, u16 selector)
{
    return (struct vmcb_seg){
        .selector = selector, .attributes = attributes, .limit = 0xffff, .base = (u64)selector << 4};
}

static void set_segments(struct vmcb *v, u8 vector)
{
    v->es = v->ss = v->ds = v->fs = v->gs = real_mode(DATA_SEGMENT, 0);
    v->cs = real_mode(CODE_SEGMENT, (u16)(vector << 8));
    v->gdtr = v->idtr = (struct vmcb_seg){.limit = 0xffff};
    v->ldtr = real_mode(LDT_SEGMENT, 0);
    v->tr = real_mode(TASK_SEGMENT, 0);
}

/* INIT leaves MSRs, XCR0 and the FPU alone; general registers are zero but RDX. SDM vol. 3, table 9-1. */
static void reset_vmm(struct cpu *cpu, u8 vector)
{
    struct vmcb *v = cpu->vmm;
    svm_vmsave(v);
    for (unsigned i = 0; i < SEAM_GPRS; i++)
        cpu->lp.vmm[i] = 0;
    cpu->lp.vmm[RDX] = CPUID_AT_SIPI;
    set_segments(v, vector);
    v->rax = v->rsp = v->rip = 0;
    v->rflags = 2;
    v->cr0 = CR0_AT_INIT;
    v->cr2 = v->cr3 = 0;
    v->cr4 = cpu->vmm_cr4 = 0;
    v->dr6 = DR6_AT_INIT;
    v->dr7 = DR7_AT_INIT;
    v->efer = EFER_SVME;
    v->g_pat = PAT_AT_RESET;
    v->event_injection = 0;
    v->int_state = 0;
    cpu->vmx_root = false;
    cpu->vmxon_watch = 0;
    nmi_reset(cpu);
    svm_vmload(v);
}

/* --- IPIs ------------------------------------------------------------------------------------------------------------- */

static enum cpu_life life_of(const struct cpu *cpu)
{
    return __atomic_load_n(&cpu->life, __ATOMIC_SEQ_CST);
}

static bool change_life(struct cpu *cpu, enum cpu_life from, enum cpu_life to)
{
    return __atomic_compare_exchange_n(&cpu->life, &from, to, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
}

/* INIT is blocked in VMX root operation (SDM vol. 3, "VMX root operation"): there it waits for VMXOFF. */
void ap_init_ipi(struct cpu *from, struct cpu *to)
{
    if (change_life(to, CPU_FIRMWARE, CPU_WAITS) || life_of(to) != CPU_RUNS)
        return;
    __atomic_store_n(&to->init_sent, true, __ATOMIC_SEQ_CST);
    if (to != from)
        shoot_send_nmi(from, to);
}

void ap_nmi_ipi(struct cpu *from, struct cpu *to)
{
    if (life_of(to) != CPU_RUNS)
        return;
    __atomic_store_n(&to->nmi_sent, true, __ATOMIC_SEQ_CST);
    shoot_send_nmi(from, to);
}

static void wait_us(u64 us)
{
    u64 from = cpu_rdtsc(), ticks = us * (plat_info()->tsc_hz / 1000000);
    while (cpu_rdtsc() - from < ticks)
        __builtin_ia32_pause();
}

bool ap_start(struct cpu *from, const struct ap_start *what)
{
    lock_take(&starting);
    ap_aim_trampoline(trampoline, what->stack_top, what->entry, what->cpu);
    apic_send_init(from, what->real_apic_id);
    wait_us(INIT_WAIT_US);
    for (unsigned i = 0; i < STARTUP_TRIES && !what->is_up(what->cpu); i++) {
        apic_send_startup(from, what->real_apic_id, (u8)((u64)trampoline >> 12));
        wait_us(STARTUP_WAIT_US);
    }
    for (u64 waited = 0; waited < UP_WAIT_US && !what->is_up(what->cpu); waited += STARTUP_WAIT_US)
        wait_us(STARTUP_WAIT_US);
    bool failed = what->give_up(what->cpu);
    if (failed) /* INIT, so that it does not come late, when the trampoline is aimed at the stack of another */
        apic_send_init(from, what->real_apic_id);
    lock_give(&starting);
    return !failed;
}

static bool is_up(const struct cpu *cpu)
{
    return life_of(cpu) != CPU_STARTS;
}

static bool give_up(struct cpu *cpu)
{
    return change_life(cpu, CPU_STARTS, CPU_FIRMWARE);
}

/* From the trampoline: long mode, the core's page tables, this CPU's stack. One that was given up meanwhile stays out. */
static void arrive(struct cpu *cpu)
{
    traps_load(cpu->gdt);
    svm_enable(cpu->host_save);
    apic_init(cpu);
    reset_vmm(cpu, cpu->sipi_vector);
    if (!change_life(cpu, CPU_STARTS, CPU_RUNS))
        cpu_halt_forever();
    cpu->is_ours = true;
    exits_loop(cpu);
}

/* The CPU comes from the firmware. */
static void start(struct cpu *from, struct cpu *to)
{
    struct ap_start what = {.real_apic_id = to->real_apic_id,
                            .stack_top = to->stack_top,
                            .entry = arrive,
                            .cpu = to,
                            .is_up = is_up,
                            .give_up = give_up};
    if (!ap_start(from, &what))
        sim_log("CPU %u does not start", to->index);
}

/* On a server INIT takes effect at once. Here the CPU has to leave its guest for it, which takes a while where it is emulated by a
 * busy machine; a SIPI meanwhile would be lost. */
static void let_init_come(const struct cpu *from, const struct cpu *to)
{
    for (u64 waited = 0; to != from && waited < UP_WAIT_US && ap_init_is_due(to); waited += STARTUP_WAIT_US)
        wait_us(STARTUP_WAIT_US);
}

/* Where the CPU is the core's already it waits for this in ap_wait_for_startup(). */
void ap_startup_ipi(struct cpu *from, struct cpu *to, u8 vector)
{
    if (sim_config()->cpu_dead == to->index && to->index)
        return;
    let_init_come(from, to);
    if (life_of(to) != CPU_WAITS)
        return;
    to->sipi_vector = vector;
    if (change_life(to, CPU_WAITS, CPU_STARTS) && !to->is_ours)
        start(from, to);
}

bool ap_init_is_due(const struct cpu *cpu)
{
    return __atomic_load_n(&cpu->init_sent, __ATOMIC_SEQ_CST) && !cpu->vmx_root;
}

void ap_wait_for_startup(struct cpu *cpu)
{
    __atomic_store_n(&cpu->life, CPU_WAITS, __ATOMIC_SEQ_CST); /* first: see let_init_come() */
    __atomic_store_n(&cpu->init_sent, false, __ATOMIC_SEQ_CST);
    while (life_of(cpu) == CPU_WAITS)
        __builtin_ia32_pause();
    apic_reset(cpu);
    reset_vmm(cpu, cpu->sipi_vector);
    __atomic_store_n(&cpu->life, CPU_RUNS, __ATOMIC_SEQ_CST);
}
