/* The kinds of TDVMCALLs, one function each, for the dispatcher (ghci.c). Registers by the GHCI's names. */
#ifndef KERNEL_VM_GHCI_VMCALL_H
#define KERNEL_VM_GHCI_VMCALL_H

#include "kernel/vm/ghci/ghci.h"
#include "tdx/abi_vmcall.h"

struct vmcall {
    struct seamcall_regs *r; /* of the vCPU: R12 and following hold what was asked, R10 and following take the answer */
    unsigned vcpu;
    struct fault_text *why; /* for GHCI_OFF and GHCI_FATAL */
};

/* The answer's status. */
static inline enum ghci_next vmcall_answer(const struct vmcall *c, u64 status)
{
    c->r->r10 = status;
    return GHCI_RESUME;
}

enum ghci_next vmcall_map_gpa(const struct vmcall *c);
enum ghci_next vmcall_cpuid(const struct vmcall *c);
enum ghci_next vmcall_rdmsr(const struct vmcall *c);
enum ghci_next vmcall_wrmsr(const struct vmcall *c);
enum ghci_next vmcall_io(const struct vmcall *c);
enum ghci_next vmcall_mmio(const struct vmcall *c);
enum ghci_next vmcall_get_quote(const struct vmcall *c);
enum ghci_next vmcall_setup_event_notify(const struct vmcall *c);

#endif
