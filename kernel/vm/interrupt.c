/* Interrupts for vCPUs. See interrupt.h. */
#include "kernel/vm/interrupt.h"

#include <stdatomic.h>

#include "drivers/apic.h"
#include "kernel/cpus.h"
#include "kernel/time.h"
#include "kernel/timer.h"
#include "kernel/vm/run.h"
#include "lib/bits.h"
#include "lib/hw/cpu.h"
#include "lib/log.h"

#define VECTOR_LOWEST 16u /* lower ones are exceptions: SDM vol. 3, section 11.5.2 */
#define BUS_KHZ       (VAPIC_BUS_HZ / 1000)

_Static_assert(TD_VCPUS_MAX * sizeof(struct posted_interrupts) <= PAGE_BYTES, "one page has them all");

/* --- time --------------------------------------------------------------------------------------------------------- */

/* In two parts, so that the product does not overflow after hours. */
static u64 scale(u64 ticks, u64 from_khz, u64 to_khz)
{
    return ticks / from_khz * to_khz + ticks % from_khz * to_khz / from_khz;
}

u64 interrupt_bus_now(void)
{
    return scale(cpu_tsc(), time_tsc_khz(), BUS_KHZ);
}

/* --- posting ------------------------------------------------------------------------------------------------------ */

enum err interrupt_init(struct fault_text *fault)
{
    if (!apic_is_x2())
        return fault_say(fault, ERR_PLATFORM, "posting of interrupts takes an x2APIC, which this machine lacks");
    struct posted_interrupts *all = page_take(PAGE_BYTES);
    if (all == NULL)
        return fault_say(fault, ERR_NO_MEMORY, "the page of posted interrupts: %s", err_text(ERR_NO_MEMORY));
    vm.posted = all;
    for (unsigned i = 0; i < vm.vcpu_count; i++) {
        struct td_fault f = vcpu_set_posted(&vm.td.vcpus[i], &all[i], APIC_VECTOR_POSTED);
        if (f.err != ERR_OK)
            return fault_td(fault, "posting of interrupts", &f);
    }
    return ERR_OK;
}

void interrupt_end(void)
{
    if (vm.posted == NULL)
        return;
    page_give(vm.posted, PAGE_BYTES);
    vm.posted = NULL;
}

/* It is inside: the notification leaves it there. Else it looks before it enters and before its CPU sleeps. */
static void wake(unsigned vcpu)
{
    unsigned cpu = run_cpu(vcpu);

    if (cpu == cpu_index())
        return;
    if (vm.td.vcpus[vcpu].inside)
        cpus_notify(cpu);
    else
        cpus_kick(cpu);
}

void interrupt_post(unsigned vcpu, u8 vector)
{
    struct posted_interrupts *p = vm.td.vcpus[vcpu].posted;

    if (p == NULL || vector < VECTOR_LOWEST)
        return;
    atomic_fetch_or(&p->requests[vector / 64], BIT(vector % 64));
    if (!(atomic_fetch_or(&p->control, POSTED_OUTSTANDING) & POSTED_OUTSTANDING))
        wake(vcpu);
}

/* The module takes it where the vCPU is associated only. */
void interrupt_nmi(unsigned vcpu)
{
    vm.vcpus[vcpu].nmi_waits = true;
    if (run_cpu(vcpu) != cpu_index())
        cpus_kick(run_cpu(vcpu));
}

/* --- on the vCPU's CPU -------------------------------------------------------------------------------------------- */

static void give_nmi(struct vm_vcpu *v)
{
    v->nmi_waits = false;
    struct td_fault f = vcpu_pend_nmi(&vm.td.vcpus[run_index(v)]);
    if (f.err != ERR_OK)
        log_msg(LOG_WARN, "vCPU %u: an NMI is lost: %s", run_index(v), tdx_status_name(f.status));
}

void interrupt_tick(struct vm_vcpu *v)
{
    u8 vector;

    if (v->nmi_waits && !v->is_halted)
        give_nmi(v);
    if (v->apic.due != VAPIC_NEVER && vapic_timer_fires(&v->apic, interrupt_bus_now(), &vector))
        interrupt_post(run_index(v), vector);
    u64 alarm = v->is_halted && v->halts_deaf ? v->deaf_until : VAPIC_NEVER;
    if (v->apic.due != VAPIC_NEVER)
        alarm = min_u64(alarm, scale(v->apic.due, BUS_KHZ, time_tsc_khz()) + 1);
    if (alarm != VAPIC_NEVER)
        timer_set_alarm(alarm);
}

bool interrupt_wakes(const struct vm_vcpu *v)
{
    const struct posted_interrupts *p = vm.td.vcpus[run_index(v)].posted;

    if (v->halts_deaf)
        return v->nmi_waits || cpu_tsc() >= v->deaf_until;
    return v->nmi_waits || (p != NULL && (p->control & POSTED_OUTSTANDING));
}
