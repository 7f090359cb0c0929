/* Events and shadows that an exit cuts off: see event.h. */
#include "sim/machine/event.h"
#include "sim/machine/guest.h"

#define EVENT_TYPES    0x700ull
#define EXCEPTIONS_MAX 32
#define OPCODE_HLT     0xf4

bool event_is_cut(const struct vmcb *v)
{
    return v->exit_int_info & VMCB_EVENT_VALID;
}

/* A software interrupt is not repeated: its RIP still stands on the instruction. QEMU calls an interrupt an exception. */
void event_again(struct vmcb *v)
{
    u64 event = v->exit_int_info;
    if (!event_is_cut(v) || v->event_injection & VMCB_EVENT_VALID ||
        (event & VMCB_EVENT_SOFT_INT) == VMCB_EVENT_SOFT_INT)
        return;
    if ((event & EVENT_TYPES) == VMCB_EVENT_EXCEPTION && (u8)event >= EXCEPTIONS_MAX)
        event &= ~EVENT_TYPES;
    v->event_injection = event;
}

static bool stands_on_halt(struct cpu *cpu)
{
    struct insn insn;
    return guest_insn(cpu, &insn) && insn.map == MAP_ONE && insn.opcode == OPCODE_HLT && insn.length == 1;
}

/*
 * QEMU before 9.1 does not give the shadow back at VMRUN: an interrupt that waits would come between STI and HLT, which then sleeps
 * over it, on a CPU without a timer for good. That HLT is taken as done: a CPU may wake for no reason that it sees.
 */
void event_keep_shadow(struct cpu *cpu)
{
    struct vmcb *v = cpu->vmm;
    bool runs_anew = vmcb_exit(v) == VMEXIT_NMI || vmcb_exit(v) == VMEXIT_NPF;
    bool halts = runs_anew && v->int_state & VMCB_INT_SHADOW && stands_on_halt(cpu);
    if (halts)
        v->rip++;
    if (halts || !runs_anew)
        v->int_state &= ~(u64)VMCB_INT_SHADOW;
}
