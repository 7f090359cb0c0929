/*
 * TDG.VP.VMCALL: what the TD asks the VMM for. Guest-Host-Communication Interface (GHCI) Specification 1.5, chapter 3, and
 * guest/probe/protocol.h. Everything in the registers is the TD's: checked here, believed nowhere.
 */
#ifndef KERNEL_VM_GHCI_GHCI_H
#define KERNEL_VM_GHCI_GHCI_H

#include "kernel/vm/vm.h"

enum ghci_next {
    GHCI_RESUME, /* the answer is in the vCPU's registers: enter again */
    GHCI_IDLE,   /* the payload asks for work */
    GHCI_HALT,   /* the vCPU halts: enter again when an interrupt waits for it */
    GHCI_OFF,    /* the TD powered off, `why` says so */
    GHCI_FATAL,  /* the TD gave up, as `why` says */
};

enum ghci_next ghci_vmcall(unsigned vcpu, struct fault_text *why);

/* How often each kind was asked for, by a number from 0 on; `name` NULL behind the last. */
struct ghci_count {
    const char *name;
    u64 count;
};
struct ghci_count ghci_count(unsigned n);
void ghci_counts_reset(void);

#endif
