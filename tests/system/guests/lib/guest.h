/*
 * What the small guests of the simulated platform share: a serial port, MSRs, VMX operation, SEAMCALL, and the way out. They are
 * EFI applications and call no firmware for any of this.
 */
#ifndef TESTS_SYSTEM_GUESTS_LIB_GUEST_H
#define TESTS_SYSTEM_GUESTS_LIB_GUEST_H

#include <stdint.h>

#define GUEST_PAGE 4096

/* Text as it is, to the first serial port; a number as `NAME 0123456789abcdef` in a line of its own. One CPU at a time. */
void guest_put(const char *text);
void guest_put_number(const char *name, uint64_t value);

/* `PREFIX: CPU NAME 0123456789abcdef`, for guests of up to ten CPUs. */
void guest_say(const char *prefix, unsigned cpu, const char *name, uint64_t value);

uint64_t guest_rdmsr(uint32_t msr);
void guest_wrmsr(uint32_t msr, uint64_t value);
uint64_t guest_tsc(void);

/* VMX operation on this CPU with `region`, a page of its own. Not zero: VMXON failed. */
unsigned guest_vmx_on(void *region);

/* Returns RAX; the leaf's other outputs are lost. */
uint64_t guest_seamcall(uint64_t leaf, uint64_t rcx, uint64_t rdx, uint64_t r8);

/* An interrupt that a TD exit has acknowledged goes to its handler, which sends the EOI. */
void guest_take_interrupt(unsigned vector);

_Noreturn void guest_power_off(void);

#endif
