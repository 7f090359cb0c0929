/*
 * What the probe asks of its CPU and of the TDX module. On the host a test stands in for it.
 */
#ifndef GUEST_PROBE_HW_TD_H
#define GUEST_PROBE_HW_TD_H

#include <stdint.h>

/* General registers of a TDCALL, in the order that td.asm knows. RSP is the probe's own and RBP is never passed. */
struct td_regs {
    uint64_t rax, rcx, rdx, rbx, rsi, rdi, r8, r9, r10, r11, r12, r13, r14, r15;
};

void tdcall(struct td_regs *regs);
void td_load_cr3(uint64_t cr3);
void td_load_idt(const void *base, uint16_t limit);
uint64_t td_read_tsc(void);
void td_pause(void);

#endif
