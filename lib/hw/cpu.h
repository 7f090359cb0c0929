/*
 * What the logic needs of the CPU it runs on. lib/hw/cpu.c on the machine, tests/host/cpu.c in a host process.
 */
#ifndef LIB_HW_CPU_H
#define LIB_HW_CPU_H

#include "lib/addr.h"

struct cpuid_regs {
    u32 eax, ebx, ecx, edx;
};

/* Index of this CPU, dense from 0; CPU_COUNT_MAX bounds every per-CPU array. */
#define CPU_COUNT_MAX 1024 /* as many as P-SEAMLDR takes */
unsigned cpu_index(void);

/*
 * The start of each CPU's own area, which GS points to on the machine. The kernel owns the area and embeds this as its
 * first member. Until a CPU has called cpu_set_local(), cpu_get_local() must not be called on it, except on the first
 * CPU, where it gives NULL and cpu_index() gives 0. `index` and `apic_id` are the caller's to fill in.
 */
struct cpu_local {
    struct cpu_local *self;
    u32 index, apic_id;
};
void cpu_set_local(struct cpu_local *local);
struct cpu_local *cpu_get_local(void);

u64 cpu_tsc(void);
void cpu_relax(void);
/* What was stored before is seen everywhere, whatever kind of instruction follows. */
void cpu_fence(void);
struct cpuid_regs cpu_cpuid(u32 leaf, u32 subleaf);

/* False, and *value untouched, where the MSR raises #GP. */
MUST_CHECK bool cpu_read_msr(u32 msr, u64 *value);
MUST_CHECK bool cpu_write_msr(u32 msr, u64 value);

/* Interrupts of this CPU off; returns what cpu_irq_restore() takes. */
u64 cpu_irq_save(void);
void cpu_irq_restore(u64 saved);

/* An interrupt that a TD exit has acknowledged, so that nobody else delivers it: its handler runs as if it came here, with
 * interrupts off. */
void cpu_take_interrupt(u8 vector);

/* The VMM's view of physical memory (identity mapped on the machine). Private memory of a TD must not be touched. */
void *phys_ptr(hpa_t at);
hpa_t phys_of(const void *ptr);

/* Zero `bytes` (a multiple of 4K) by MOVDIR64B under KeyID 0: a page that belonged to a TD becomes the VMM's. */
void cpu_reset_pages(hpa_t at, u64 bytes);

/* CLFLUSHOPT every line of `bytes` at `at`, fence. For pages that the TDX module takes, or that change their KeyID. */
void cpu_flush_lines(hpa_t at, u64 bytes);

/* WBINVD on this CPU. */
void cpu_flush_all(void);

#endif
