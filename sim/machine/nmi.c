/* See nmi.h. */
#include "sim/machine/nmi.h"
#include "sim/machine/event.h"
#include "sim/machine/guest.h"
#include "sim/machine/shoot.h"

#define RFLAGS_TF (1ull << 8)
#define DR6_BS    (1ull << 14)

void nmi_block(struct cpu *cpu)
{
    cpu->nmi_blocked = true;
    cpu->vmm->intercept_1 |= SVM_INTERCEPT_IRET;
}

static void deliver(struct cpu *cpu)
{
    cpu->nmi_waits = false;
    nmi_block(cpu);
    cpu->vmm->event_injection = VMCB_EVENT_VALID | VMCB_EVENT_NMI | VECTOR_NMI;
}

/*
 * Taken by the core's own handler; it goes on to the VMM unless a shootdown or an INIT sent it. Where it meets an event that is
 * being delivered, it stays pending, and comes again behind that.
 */
void nmi_exit(struct cpu *cpu)
{
    if (event_is_cut(cpu->vmm) || !shoot_take_nmi(cpu))
        return;
    if (cpu->nmi_blocked)
        cpu->nmi_waits = true;
    else
        deliver(cpu);
}

/* It is stepped over: the IRET has to be through with the stack before another NMI's frame goes to the same place. */
void nmi_iret_exit(struct cpu *cpu)
{
    cpu->vmm->intercept_1 &= ~SVM_INTERCEPT_IRET;
    cpu->nmi_steps = true;
    cpu->vmm->rflags |= RFLAGS_TF;
    cpu->vmm->intercept_exceptions |= 1u << VECTOR_DB;
}

static void end_step(struct cpu *cpu)
{
    cpu->nmi_steps = false;
    if (!cpu->vmxon_watch)
        cpu->vmm->intercept_exceptions &= ~(1u << VECTOR_DB);
}

bool nmi_step_exit(struct cpu *cpu)
{
    if (!cpu->nmi_steps)
        return false;
    cpu->vmm->dr6 &= ~DR6_BS;
    end_step(cpu);
    cpu->nmi_blocked = false;
    if (cpu->nmi_waits)
        deliver(cpu);
    return true;
}

void nmi_reset(struct cpu *cpu)
{
    cpu->nmi_blocked = cpu->nmi_waits = false;
    cpu->vmm->intercept_1 &= ~SVM_INTERCEPT_IRET;
    end_step(cpu);
}
