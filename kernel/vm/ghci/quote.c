/*
 * TDG.VP.VMCALL<GetQuote> and <SetupEventNotifyInterrupt>: GHCI, sections 3.3 and 3.5. There is no quoting enclave here: the
 * answer is ready at once. The buffer is shared memory, which the TD may change at any moment: nothing in it is read.
 */
#include "kernel/vm/ghci/vmcall.h"

#include "kernel/vm/interrupt.h"
#include "lib/bits.h"
#include "lib/string.h"

#define QUOTE_SERVICE_UNAVAILABLE 0x8000000000000001ull
#define STATUS_OFFSET             8u /* behind the version */
#define EVENT_VECTOR_MIN          32u
#define EVENT_VECTOR_MAX          255u

enum ghci_next vmcall_get_quote(const struct vmcall *c)
{
    const u64 status = QUOTE_SERVICE_UNAVAILABLE, shared_bit = BIT(vm.td.shared_bit);
    u64 gpa = c->r->r12, bytes = c->r->r13, base = gpa & ~shared_bit;
    struct claim held;

    if (!is_aligned(gpa | bytes, PAGE_BYTES))
        return vmcall_answer(c, VMCALL_STATUS_ALIGN_ERROR);
    if (bytes == 0 || !(gpa & shared_bit) || base >= vm.memory_bytes || bytes > vm.memory_bytes - base)
        return vmcall_answer(c, VMCALL_STATUS_INVALID_OPERAND);
    u8 *header = tdp_shared_hold(vm.tdp, (gpa_t){base}, &held);
    if (header == NULL)
        return vmcall_answer(c, VMCALL_STATUS_INVALID_OPERAND);
    memcpy(header + STATUS_OFFSET, &status, sizeof(status));
    tdp_shared_release(vm.tdp, &held);
    u32 event = vm.event_notify;
    if (event != 0)
        interrupt_post(event >> 8, (u8)event);
    return vmcall_answer(c, VMCALL_STATUS_SUCCESS);
}

/* For the vCPU that asks. */
enum ghci_next vmcall_setup_event_notify(const struct vmcall *c)
{
    u64 vector = c->r->r12;

    if (vector < EVENT_VECTOR_MIN || vector > EVENT_VECTOR_MAX)
        return vmcall_answer(c, VMCALL_STATUS_INVALID_OPERAND);
    vm.event_notify = c->vcpu << 8 | (u32)vector;
    return vmcall_answer(c, VMCALL_STATUS_SUCCESS);
}
