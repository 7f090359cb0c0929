/*
 * Exceptions and interrupts of a CPU: GDT, TSS, IDT and the stubs that end in trap_handle() (kernel/guard/trap.h). SDM vol. 3,
 * chapters 3.5, 6 and 8. On the machine kernel/hw/traps.c and traps.asm; in a host process tests/host/traps.c.
 */
#ifndef KERNEL_HW_TRAPS_H
#define KERNEL_HW_TRAPS_H

#include "lib/types.h"

/* As traps.asm pushes it. */
struct trap_frame {
    u64 r15, r14, r13, r12, r11, r10, r9, r8, rbp, rdi, rsi, rdx, rcx, rbx, rax;
    u64 vector, error;
    u64 rip, cs, rflags, rsp, ss;
};

#define TRAPS_IST_COUNT 4
#define TRAPS_IST_BYTES 8192

/* What each CPU needs of its own. */
struct traps_tables {
    u8 stacks[TRAPS_IST_COUNT][TRAPS_IST_BYTES] __attribute__((aligned(16)));
    u64 gdt[5];  /* null, code, data, TSS in two */
    u32 tss[26]; /* struct tss in traps.c */
};

struct traps_saved {
    u8 idtr[10];
};

/* While the firmware is still in charge: our IDT over the firmware's GDT, so that faults can be fixed up. Interrupts
 * must be off between the two. */
void traps_borrow(struct traps_saved *saved);
void traps_give_back(const struct traps_saved *saved);

/* For good, on each CPU with tables of its own: GDT, TSS with stacks for #DF, #PF, NMI and #MC, the IDT, which all
 * share; both 8259 masked, CR4 as kernel/guard/control.h has it. Loads GS with zero: the per-CPU area (cpu_set_local) comes
 * after it. */
void traps_init(struct traps_tables *tables);

/* CR4 as the firmware left it. */
u64 traps_cr4_found(void);

void irq_enable(void);
void irq_disable(void);
/* Sleeps until the next interrupt; interrupts are on inside and off afterwards as they were before. */
void irq_wait(void);
/* An NMI that came while the CPU was in a TD is handled as if it came here. */
void nmi_take(void);
_Noreturn void cpu_halt(void);

/* Of the fault that is being handled. */
u64 cpu_cr2(void);
/* Return addresses of the callers, innermost first, by the frame pointer chain from `rbp`; stops at the first frame
 * that is not inside a stack of ours. */
unsigned cpu_backtrace(u64 rbp, u64 *addresses, unsigned max);
u64 cpu_frame_pointer(void);
/* Where the image lies, so that addresses can be printed as offsets. */
u64 image_base(void);
u64 image_bytes(void);

#endif
