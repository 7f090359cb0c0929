/*
 * Between start.asm and main.c: what the assembler's part calls, and what it has for the C part.
 */
#ifndef GUEST_PROBE_MAIN_H
#define GUEST_PROBE_MAIN_H

#include <stdint.h>

#include "guest/probe/protocol.h"

#define PROBE_STACK_BYTES   8192u
#define PROBE_SHARED_WINDOW 0xffff800000000000ull
#define PROBE_VECTORS       32
#define PROBE_VECTOR_VE     20

/* As start.asm's common stub leaves it. */
struct trap_frame {
    uint64_t r11, r10, r9, r8, rdi, rsi, rdx, rcx, rax;
    uint64_t vector, error_code, rip, cs, rflags, rsp, ss;
};
_Static_assert(sizeof(struct trap_frame) == 16 * 8, "frame keeps the stack aligned");

/* A vCPU's life: `index` among the TD's, and the bits of a guest-physical address. */
_Noreturn void probe_main(uint32_t index, uint32_t gpa_width);
/* An exception; the frame lies on the stack of the vCPU that took it. */
void probe_trap(struct trap_frame *frame, uint64_t cr2);

/* Hidden, so that no address of them is looked up in a table that nobody fills. */
#pragma GCC visibility push(hidden)
extern struct probe_header probe_image;
extern uint8_t probe_stacks[PROBE_MAX_VCPUS * PROBE_STACK_BYTES];
extern const uint8_t exception_stubs[PROBE_VECTORS][16];
#pragma GCC visibility pop

#endif
