/* TDG.VP.VMCALL<Instruction.IO> and <#VE.RequestMMIO>: GHCI, sections 3.9 and 3.7. R12 size, R13 direction, R14 where, R15 what. */
#include "kernel/vm/ghci/vmcall.h"

#include "guest/shim/machine.h"
#include "kernel/vm/devices.h"
#include "lib/bits.h"

enum { DIRECTION_READ = 0, DIRECTION_WRITE = 1 };

static enum ghci_next power(const struct vmcall *c, enum vpower asked)
{
    if (asked == VPOWER_ON)
        return vmcall_answer(c, VMCALL_STATUS_SUCCESS);
    (void)fault_say(c->why, ERR_STATE, asked == VPOWER_OFF ? "the guest powered off" : "the guest reset the machine");
    return asked == VPOWER_OFF ? GHCI_OFF : GHCI_FATAL;
}

enum ghci_next vmcall_io(const struct vmcall *c)
{
    u64 bytes = c->r->r12, port = c->r->r14;

    if ((bytes != 1 && bytes != 2 && bytes != 4) || c->r->r13 > DIRECTION_WRITE || port > 0xffff)
        return vmcall_answer(c, VMCALL_STATUS_INVALID_OPERAND);
    if (c->r->r13 == DIRECTION_WRITE)
        return power(c, devices_out((u16)port, (unsigned)bytes, (u32)c->r->r15));
    c->r->r11 = devices_in((u16)port, (unsigned)bytes);
    return vmcall_answer(c, VMCALL_STATUS_SUCCESS);
}

/* What is memory is no device, and what lies across the end of the guest's addresses is neither. The hole is devices' also where
 * memory reaches further. */
static bool is_device(u64 gpa, u64 bytes)
{
    bool in_hole = gpa >= MACHINE_HOLE_GPA && gpa < MACHINE_HOLE_END;

    return (in_hole || gpa >= vm.memory_bytes) && gpa < BIT(vm.td.shared_bit) && bytes <= BIT(vm.td.shared_bit) - gpa;
}

enum ghci_next vmcall_mmio(const struct vmcall *c)
{
    u64 bytes = c->r->r12, gpa = c->r->r14 & ~BIT(vm.td.shared_bit);
    bool is_size = bytes == 1 || bytes == 2 || bytes == 4 || bytes == 8;

    if (!is_size || c->r->r13 > DIRECTION_WRITE || !is_device(gpa, bytes))
        return vmcall_answer(c, VMCALL_STATUS_INVALID_OPERAND);
    if (c->r->r13 == DIRECTION_WRITE)
        devices_write((gpa_t){gpa}, c->r->r15);
    else
        c->r->r11 = devices_read((gpa_t){gpa}) & (~0ull >> (64 - 8 * bytes));
    return vmcall_answer(c, VMCALL_STATUS_SUCCESS);
}
