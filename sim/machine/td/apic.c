/*
 * The virtual APIC of the vCPU that runs, on a CPU that has none: virtual-interrupt delivery by V_IRQ, posted interrupts by the
 * interrupt that the core acknowledges. SDM volume 3, sections 30.2.2 and 30.6. What the registers do: vapic.h.
 *
 * V_IRQ stands from VMRUN on, and the CPU delivers it by itself when RFLAGS.IF lets it in: gone at the exit means delivered. MOV
 * to CR8 exits only while something is requested. TPR is the VMCB's meanwhile.
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

/* 0: none that priorities let in. */
static u8 next_vector(const struct vapic *a)
{
    u8 vector = vapic_candidate(a);
    return vector >> 4 > vapic_tpr(a) >> 4 ? vector : 0;
}

/*
 * What TPR holds back is looked at again when it changes. QEMU compares priorities otherwise than a CPU, and ends itself at a MOV
 * to CR8 that lets a V_IRQ in (an assertion about its locks): it is asked for neither.
 */
void td_apic_load(struct cpu *cpu)
{
    struct vapic a = td_vapic(cpu);
    bool steps = cpu->td_state->step != STEP_NONE; /* the handler's frame would show TF */
    u8 vector = steps ? 0 : next_vector(&a);
    u32 request = vector ? VMCB_V_IRQ | VMCB_V_IGNORE_TPR : 0;

    cpu->td->int_control = VMCB_V_INTR_MASKING | vapic_tpr(&a) >> 4 | request;
    cpu->td->int_vector = vector;
    cpu->td->intercept_cr_write = VMCB_CR(0) | VMCB_CR(4) | (vapic_candidate(&a) ? VMCB_CR(8) : 0);
}

/* QEMU calls an interrupt whose delivery was cut short an exception, and lets it stand. */
static bool is_cut(const struct vmcb *b)
{
    u64 event = (u32)b->exit_int_info, of_vector = VMCB_EVENT_VALID | b->int_vector;

    return b->int_vector && (event == (of_vector | VMCB_EVENT_INTERRUPT) ||
                             (b->int_control & VMCB_V_IRQ && event == (of_vector | VMCB_EVENT_EXCEPTION)));
}

void td_apic_store(struct cpu *cpu)
{
    struct vapic a = td_vapic(cpu);
    struct vmcb *b = cpu->td;
    u8 tpr = (b->int_control & VMCB_V_TPR) << 4;
    bool cut = is_cut(b);

    if (b->int_vector && !cut && !(b->int_control & VMCB_V_IRQ))
        vapic_delivered(&a);
    if (tpr != (vapic_tpr(&a) & 0xf0))
        vapic_set_tpr(&a, tpr);
    if (cut)
        b->exit_int_info = VMCB_EVENT_VALID | VMCB_EVENT_INTERRUPT | b->int_vector;
    cpu->td_state->cut_interrupt = cut;
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
