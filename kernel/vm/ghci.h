/*
 * TDG.VP.VMCALL: what the TD asks the VMM for. Guest-Host-Communication Interface Specification, chapter 3, and
 * guest/probe/protocol.h. Everything in the registers is the TD's: checked here, believed nowhere.
 */
#ifndef KERNEL_VM_GHCI_H
#define KERNEL_VM_GHCI_H

#include "kernel/vm/vm.h"

enum ghci_next {
    GHCI_RESUME, /* the answer is in the vCPU's registers: enter again */
    GHCI_IDLE,   /* the payload asks for work */
    GHCI_PAUSE,  /* HLT: enter again after the next interrupt */
    GHCI_FATAL,  /* the TD gave up; `why` says what it said */
};

enum ghci_next ghci_vmcall(unsigned vcpu, struct fault_text *why);

#endif
