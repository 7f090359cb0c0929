/*
 * The SEAMCALL instruction itself. tdx/hw/seamcall.asm on the machine; in a host process tests/host/seamcall.c, where
 * the real code of the module model answers.
 */
#ifndef TDX_HW_SEAMCALL_H
#define TDX_HW_SEAMCALL_H

#include "lib/types.h"

/* General registers in the order of their numbers in the TDX specification; RSP is neither loaded nor stored. */
struct seamcall_regs {
    u64 rax, rcx, rdx, rbx, rsp, rbp, rsi, rdi, r8, r9, r10, r11, r12, r13, r14, r15;
};

enum seamcall_fault {
    SEAMCALL_RAN,      /* RAX holds the module's status */
    SEAMCALL_VMFAILED, /* CF: no module is loaded, or this is not VMX root */
    SEAMCALL_UD,       /* the CPU has no SEAMCALL, or VMXON was not done */
    SEAMCALL_GP,       /* SEAM mode is off */
};

/* Loads all registers of `regs`, executes, stores them all back. TDH.VP.ENTER clobbers what tdx/vcpu.c saves around
 * it. */
enum seamcall_fault seamcall(struct seamcall_regs *regs);

/* VMXON on this CPU with a page of the caller's, which stays the CPU's until VMXOFF. False where the CPU refuses. */
bool seam_vmxon(void *region);
void seam_vmxoff(void);

/* INVEPT, single context, of a private EPTP on this CPU. */
void seam_invept(u64 eptp);

#endif
