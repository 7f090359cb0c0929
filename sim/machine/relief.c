/* See relief.h. What VMRUN does not load moves by hand; what waits in the APIC is sent on. */
#include "sim/machine/relief.h"
#include "sim/machine/ap.h"
#include "sim/machine/apic.h"
#include "sim/machine/config.h"
#include "sim/machine/exits.h"
#include "sim/machine/hw/cpu.h"
#include "sim/machine/hw/svm.h"
#include "sim/machine/hw/tables.h"
#include "sim/machine/log.h"
#include "sim/machine/shoot.h"

#define DEBUG_ADDRESSES 4
#define MSRS_MAX        32
#define WAITS_MAX       2000000000u /* turns: seconds on any machine */
#define HYPERVISOR_LEAF 0x40000000u

enum stage { NOBODY, WAITS, CALLED, ARRIVED, IN_CHARGE };

static u32 stage;       /* atomic: an enum stage */
static u32 own_apic_id; /* constant after start */
static void *own_stack; /* constant after start */

/* The first CPU's, under `stage`: it writes them while the relief has ARRIVED, which reads them once it is IN_CHARGE. */
static struct apic_state apic;
static u64 msrs[MSRS_MAX], debug_addresses[DEBUG_ADDRESSES], xcr0;

/* TCG says its name there three times. In x2APIC mode an APIC's ID cannot move. */
bool relief_is_wanted(void)
{
    u32 r[4];
    cpu_raw_cpuid(HYPERVISOR_LEAF, 0, r);
    return r[1] == 0x54474354 && r[2] == 0x43544743 && r[3] == 0x47435447 && !apic_is_x2();
}

void relief_init(u32 apic_id, void *stack_top)
{
    own_apic_id = apic_id;
    own_stack = stack_top;
    stage = WAITS;
}

static bool is_at(enum stage wanted)
{
    return __atomic_load_n(&stage, __ATOMIC_SEQ_CST) == wanted;
}

static bool change(u32 from, u32 to)
{
    return __atomic_compare_exchange_n(&stage, &from, to, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
}

void relief_see_ipi(struct cpu *from, bool is_startup, bool to_all, u8 vector)
{
    if (!to_all || !sim_config()->x2apic) {
        if (is_startup)
            change(WAITS, CALLED);
    } else if (is_at(WAITS)) {
        if (is_startup)
            apic_send_startup(from, own_apic_id, vector);
        else
            apic_send_init(from, own_apic_id);
    }
}

bool relief_is_due(struct cpu *cpu)
{
    return is_at(CALLED) && cpu == cpu_at(0) && !apic_is_in_service(cpu);
}

/* --- registers that VMRUN does not load ------------------------------------------------------------------------------- */

/* MTRRs, PAT, IA32_PKRS, IA32_BNDCFGS, IA32_TSC_AUX: from, to. QEMU has them all, whatever CPUID says. */
static const u32 msr_ranges[][2] = {{0x200, 0x20f}, {0x250, 0x250}, {0x258, 0x259},
                                    {0x268, 0x26f}, {0x277, 0x277}, {0x2ff, 0x2ff},
                                    {0x6e1, 0x6e1}, {0xd90, 0xd90}, {0xc0000103, 0xc0000103}};
#define RANGES (sizeof(msr_ranges) / sizeof(msr_ranges[0]))

static void save(struct cpu *cpu)
{
    unsigned at = 0;
    for (unsigned i = 0; i < RANGES; i++)
        for (u32 msr = msr_ranges[i][0]; msr <= msr_ranges[i][1]; msr++)
            msrs[at++] = cpu_rdmsr(msr);
    for (unsigned i = 0; i < DEBUG_ADDRESSES; i++)
        debug_addresses[i] = cpu_dr(i);
    xcr0 = cpu_xgetbv0();
    cpu_xsetbv0(cpu_extended_state());
    cpu_xsave(cpu->fpu, cpu_extended_state());
    svm_vmsave(cpu->vmm);
    apic_save(cpu, &apic);
}

static void load(struct cpu *cpu)
{
    unsigned at = 0;
    for (unsigned i = 0; i < RANGES; i++)
        for (u32 msr = msr_ranges[i][0]; msr <= msr_ranges[i][1]; msr++)
            cpu_wrmsr(msr, msrs[at++]);
    for (unsigned i = 0; i < DEBUG_ADDRESSES; i++)
        cpu_set_dr(i, debug_addresses[i]);
    cpu_xsetbv0(cpu_extended_state());
    cpu_xrstor(cpu->fpu, cpu_extended_state());
    cpu_xsetbv0(xcr0);
    svm_vmload(cpu->vmm);
    apic_load(cpu, &apic);
}

/* --- the change ------------------------------------------------------------------------------------------------------- */

/*
 * For a moment two APICs have the first CPU's ID, so that there is none at which an interrupt finds nobody. QEMU 7.2 then takes the first
 * CPU's, 10.0 both. The ID that is left over is the first CPU's from then on.
 */
static void arrive(struct cpu *cpu)
{
    traps_load(cpu->gdt);
    svm_enable(cpu->host_save);
    apic_enable(cpu);
    apic_take_id(cpu->real_apic_id);
    if (apic_own_id() != cpu->real_apic_id || !change(CALLED, ARRIVED)) {
        apic_take_id(own_apic_id);
        cpu_halt_forever();
    }
    for (u32 waits = 0; !is_at(IN_CHARGE); waits++) {
        if (waits == WAITS_MAX)
            sim_stop("broken: the first CPU does not hand over");
        __builtin_ia32_pause();
    }
    load(cpu);
    exits_loop(cpu);
}

static bool has_come(const struct cpu *cpu)
{
    (void)cpu;
    return !is_at(CALLED);
}

static bool give_up(struct cpu *cpu)
{
    (void)cpu;
    return change(CALLED, NOBODY);
}

void relief_take_over(struct cpu *cpu)
{
    struct ap_start what = {.real_apic_id = own_apic_id,
                            .stack_top = own_stack,
                            .entry = arrive,
                            .cpu = cpu,
                            .is_up = has_come,
                            .give_up = give_up};
    if (!ap_start(cpu, &what)) {
        sim_log("no CPU comes to relieve QEMU's first one, which is at risk: see docs/simulator.md");
        return;
    }
    apic_take_id(own_apic_id);
    save(cpu);
    apic_send_on(cpu, cpu->real_apic_id);
    shoot_send_on(cpu);
    apic_reset(cpu);
    change(ARRIVED, IN_CHARGE);
    cpu_halt_forever();
}
