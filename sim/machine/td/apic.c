/*
 * The virtual APIC of the vCPU that runs, on a CPU that has none: virtual-interrupt delivery by V_IRQ, posted interrupts by the
 * interrupt that the core acknowledges. SDM volume 3, sections 30.2.2 and 30.6. What the registers do: vapic.h.
 *
 * V_IRQ stands from VMRUN on, and the CPU delivers it by itself when RFLAGS.IF and the task priority let it in: gone at the exit means
 * delivered. TPR is the VMCB's meanwhile, since MOV to CR8 does not exit.
 */
#include "sim/machine/apic.h"
#include "sim/machine/guard.h"
#include "sim/machine/td/internal.h"
#include "sim/module/platform.h"

#define PAGE            4096ull
#define PINBASED_POSTED (1u << 7)

struct vapic td_vapic(const struct cpu *cpu)
{
    struct td_vmcs *v = td_vmcs(cpu);
    return (struct vapic){(u8 *)v->vapic_hpa, &v->interrupt_status};
}

bool td_apic_waits_for_shadow(const struct cpu *cpu)
{
    const struct vmcb *b = cpu->td;
    struct vapic a = td_vapic(cpu);

    return b->int_state & VMCB_INT_SHADOW && b->rflags & RFLAGS_IF && !(b->event_injection & VMCB_EVENT_VALID) &&
           vapic_candidate(&a);
}

/*
 * QEMU lets in what is not below TPR, where a CPU wants it above: the request goes one class lower. It also ends itself at a MOV to
 * CR8 that lets a request in (an assertion about its locks), so that one exits while there is a request.
 */
void td_apic_load(struct cpu *cpu)
{
    struct vapic a = td_vapic(cpu);
    bool steps = cpu->td_state->step != STEP_NONE; /* the handler's frame would show TF */
    u8 vector = steps || td_apic_waits_for_shadow(cpu) ? 0 : vapic_candidate(&a);
    u32 request = vector ? VMCB_V_IRQ | VMCB_V_PRIORITY((vector >> 4) - 1) : 0;

    cpu->td->int_control = VMCB_V_INTR_MASKING | vapic_tpr(&a) >> 4 | request;
    cpu->td->int_vector = vector;
    cpu->td->intercept_cr_write = VMCB_CR(0) | VMCB_CR(4) | (vector ? VMCB_CR(8) : 0);
}

/* QEMU calls an interrupt whose delivery was cut short an exception, and lets it stand. */
static bool is_cut(const struct vmcb *b)
{
    return b->int_control & VMCB_V_IRQ &&
           (u32)b->exit_int_info == (VMCB_EVENT_VALID | VMCB_EVENT_EXCEPTION | b->int_vector);
}

void td_apic_store(struct cpu *cpu)
{
    struct vapic a = td_vapic(cpu);
    struct vmcb *b = cpu->td;
    u8 tpr = (b->int_control & VMCB_V_TPR) << 4;

    if (b->int_vector && !(b->int_control & VMCB_V_IRQ))
        vapic_delivered(&a);
    if (tpr != (vapic_tpr(&a) & 0xf0))
        vapic_set_tpr(&a, tpr);
    cpu->td_state->cut_interrupt = is_cut(b);
    if (cpu->td_state->cut_interrupt)
        b->exit_int_info = VMCB_EVENT_VALID | VMCB_EVENT_INTERRUPT | b->int_vector;
}

bool td_apic_notified(struct cpu *cpu, u32 vector)
{
    const struct td_vmcs *v = td_vmcs(cpu);
    struct vapic a = td_vapic(cpu);
    u8 *page;

    if (!(v->pinbased & PINBASED_POSTED) || vector != v->posted_vector)
        return false;
    apic_eoi(cpu);
    page = plat_page(ept_strip_keyid(v->posted_descriptor));
    if (page && !guard_is_closed((u64)page))
        vapic_take_posted(&a, (struct posted_descriptor *)(page + (v->posted_descriptor & (PAGE - 1))));
    return true;
}
