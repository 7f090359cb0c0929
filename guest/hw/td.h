/*
 * What a payload asks of its CPU and of the TDX module. On the host a test stands in for it.
 */
#ifndef GUEST_HW_TD_H
#define GUEST_HW_TD_H

#include <stdbool.h>
#include <stdint.h>

/* General registers of a TDCALL, in the order that td.asm knows. RSP is the payload's own and RBP is never passed. */
struct td_regs {
    uint64_t rax, rcx, rdx, rbx, rsi, rdi, r8, r9, r10, r11, r12, r13, r14, r15;
};

void tdcall(struct td_regs *regs);
void td_load_cr3(uint64_t cr3);
void td_load_idt(const void *base, uint16_t limit);
uint64_t td_read_tsc(void);
/* An MSR that the TD has. */
uint64_t td_read_msr(uint32_t msr);
void td_write_msr(uint32_t msr, uint64_t value);
/* EAX, EBX, ECX, EDX; sub-leaf 0. */
void td_cpuid(uint32_t leaf, uint32_t regs[4]);
void td_pause(void);

/*
 * Memory of the TD at an address of the payload's: `bytes` of it within one page of 4K, which the caller reads or
 * (`write`) writes before it calls anything else here. In the TD that is the address itself, and the access may
 * fault; what stands in for it on the host translates the address here.
 *
 * td_address_of() is the way back, for objects of the payload's own.
 */
#ifdef HOST_PROCESS
void *td_reach(uintptr_t address, uint64_t bytes, bool write);
uint64_t td_address_of(const void *object);
#else
static inline void *td_reach(uintptr_t address, uint64_t bytes, bool write)
{
    (void)bytes;
    (void)write;
    return (void *)address;
}

static inline uint64_t td_address_of(const void *object)
{
    return (uintptr_t)object;
}
#endif

#endif
